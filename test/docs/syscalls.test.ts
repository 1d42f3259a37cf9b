import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { SYSCALL_GROUPS } from '../../src/filter/named-groups.js'
import { FIXED, NEEDED, openCalls } from '../../src/filter/refused.js'

const read = (name: string) => readFileSync(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8')
const code = (names: Iterable<string>) => [...names].map((name) => `\`${name}\``).join(' ')

/** `calls | why`, one row for each reason. */
function fixedRows(): string[] {
  const by = new Map<string, string[]>()
  for (const [name, reason] of FIXED) by.set(reason, [...(by.get(reason) ?? []), name])
  return [...by].map(([reason, names]) => `| ${code(names)} | ${reason} |`)
}

it('docs/permissive.md has every call that is never let through, and why', () => {
  const text = read('permissive.md')
  for (const row of fixedRows()) expect(text).toContain(row)
  const listed = text.split('\n').filter((line) => fixedRows().includes(line))
  expect(listed.length).toBe(fixedRows().length)
})

it('docs/permissive.md has every call that is', () => {
  expect(read('permissive.md')).toContain(code(openCalls().sort()))
})

it('docs/syscalls.md has every group with what it holds', () => {
  const text = read('syscalls.md')
  for (const [name, { purpose, calls }] of Object.entries(SYSCALL_GROUPS))
    expect(text).toContain(`| \`${name}\` | ${purpose} | ${code(calls)} |`)
  expect(text.match(/^\| `@/gm)?.length).toBe(Object.keys(SYSCALL_GROUPS).length)
  expect(text).toContain(code(NEEDED))
})
