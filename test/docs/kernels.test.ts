import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PROTECTIONS } from '../../src/profile/types.js'

const at = (path: string) => new URL(path, import.meta.url)
const { toMarkdown } = await import(at('../vm/kernels.mjs').href)
const record = JSON.parse(readFileSync(at('../vm/kernels.json'), 'utf8'))

interface Answer {
  protections?: { name: string }[]
  error?: { code: string }
}
const columns: [string, Record<string, Answer>][] = [...record.kernels, ...record.conditions].map((one) => [
  one.name,
  one
])

describe('docs/kernels.md', () => {
  it('says what the machines answered', () => {
    expect(readFileSync(at('../../docs/kernels.md'), 'utf8')).toBe(toMarkdown(record))
  })

  it.each(columns)('has every protection for every caller: %s', (_, column) => {
    for (const user of ['root', 'plain', 'session']) {
      const { protections, error } = column[user] as Answer
      expect(error ? PROTECTIONS : protections?.map(({ name }) => name)).toEqual(PROTECTIONS)
    }
  })
})
