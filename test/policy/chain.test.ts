import { describe, expect, it } from 'vitest'
import { ProfileChains } from '../../src/policy/document/chain.js'
import { parsePolicy } from '../../src/policy/document/parse.js'
import { codeOf } from '../profile/fake.js'

/** Profiles by name, over the files of `texts`, the first the one furthest up. */
const chains = (...texts: string[]) =>
  new ProfileChains(
    texts.map((text, i) => {
      const file = `/f${i}.yaml`
      const document = parsePolicy(`sandbox: { profiles: { ${text} } }`, file)
      return { level: 'policy', file, narrows: false, document }
    }),
    {}
  )
const chainOf = (of: ProfileChains, name: string, level: number) => {
  const { builtIn, definitions } = of.of(name, level)
  return [builtIn.name, ...definitions.map((d) => `${d.name}@${d.level}`)].join(' < ')
}

describe('a profile of policy files', () => {
  const of = chains('a: { extends: dev }, b: { extends: a }', 'a: { purpose: more }, c: { extends: b }', 'standard: {}')

  it.each([
    ['a', 0, 'dev < a@0'],
    ['a', 1, 'dev < a@0 < a@1'],
    ['a', 9, 'dev < a@0 < a@1'],
    ['b', 1, 'dev < a@0 < b@0'],
    ['c', 1, 'dev < a@0 < b@0 < c@1'],
    ['strict', 1, 'strict'],
    ['standard', 1, 'standard'],
    ['standard', 2, 'standard < standard@2']
  ])('%s, of the files up to %i, is %s', (name, level, chain) => expect(chainOf(of, name, level)).toBe(chain))

  it('is not known to a file further up', () => {
    expect([of.has('c', 0), of.has('c', 1), of.has('constructor', 2)]).toEqual([false, true, false])
    expect(codeOf(() => of.of('c', 0))).toBe('QI_PROFILE_UNKNOWN')
    expect(codeOf(() => of.of('/etc/passwd', 1))).toBe('QI_PROFILE_UNKNOWN')
  })

  it.each([
    ['a: { extends: a }', 'a'],
    ['a: { extends: b }, b: { extends: c }, c: { extends: a }', 'a']
  ])('%s extends itself', (text, name) => expect(codeOf(() => chains(text).of(name, 0))).toBe('QI_PROFILE_CYCLE'))

  it('that is there already extends nothing else, and says where', () => {
    const twice = chains('a: { extends: dev }', 'a: { extends: strict }')
    expect(() => twice.of('a', 1)).toThrow(/^\/f1\.yaml:1:\d+: sandbox\.profiles\.a\.extends = "strict"/)
    expect(chainOf(twice, 'a', 0)).toBe('dev < a@0')
  })
})
