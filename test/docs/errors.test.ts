import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { STEPS } from '../../src/launch/steps.gen.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8')
const sources = (folder: string): string[] =>
  readdirSync(`${root}${folder}`, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? sources(`${folder}/${entry.name}`)
      : entry.name.endsWith('.ts')
        ? [`${folder}/${entry.name}`]
        : []
  )

const used = new Set(sources('src').flatMap((path) => read(path).match(/(?<=')QI_[A-Z_]+(?=')/g) ?? []))
const doc = read('docs/errors.md')
const documented = new Set(doc.match(/(?<=\| `)QI_[A-Z_]+(?=`)/g))

describe('docs/errors.md', () => {
  it('has every code that the source throws', () => {
    expect(used.size).toBeGreaterThan(30)
    expect([...used].filter((code) => !documented.has(code))).toEqual([])
  })

  it('has no code that nothing throws', () => {
    expect([...documented].filter((code) => !used.has(code))).toEqual([])
  })

  it.each(Object.entries(STEPS))('has launch step %s', (number, { name }) => {
    expect(doc).toContain(`| ${number} | ${name} |`)
  })
})
