import fc from 'fast-check'
import { parse } from 'jsonc-parser'
import { describe, expect, test } from 'vitest'
import { parseArguments } from '../../src/cli/options.js'
import { CORPUS } from './corpus.js'
import { desk, scratch } from './support.js'

type Server = { command?: unknown; args?: unknown; env?: unknown; url?: unknown }
type Document = { mcpServers?: Record<string, Server> | null; servers?: Record<string, Server> }
const OPTIONS = { allowTrailingComma: true, allowEmptyContent: true }
const read = (bytes: Buffer): Document => parse(bytes.toString().replace(/^\ufeff/, ''), [], OPTIONS)

/** What qi-jail would run of a wrapped server; it is the command itself, or what node runs. */
function inner({ command: program, args }: Server): {
  command: string[]
  options: ReturnType<typeof parseArguments>['options']
} {
  const { command, options, fault } = parseArguments(
    (args as string[]).slice(/qi-jail$/.test(program as string) ? 0 : 1)
  )
  expect(fault).toBeUndefined()
  return { command, options }
}

describe.each(Object.entries(CORPUS))('%s', (_name, text) => {
  test('comes back byte for byte', () => {
    const it = desk(text)
    const before = it.bytes()
    const changes = it.act('wrap')
    const wrapped = changes.filter(({ outcome }) => outcome === 'wrapped')
    expect(it.bytes().equals(before)).toBe(wrapped.length === 0)
    it.act('unwrap')
    expect(it.bytes().equals(before)).toBe(true)
  })

  test('wrapped again is the same; another profile and back is the same', () => {
    const it = desk(text)
    it.act('wrap', { profile: 'strict' })
    const once = it.bytes()
    expect(it.act('wrap').filter(({ outcome }) => !['unchanged', 'left alone'].includes(outcome))).toEqual([])
    expect(it.bytes().equals(once)).toBe(true)
    it.act('wrap', { profile: 'standard' })
    it.act('wrap', { profile: 'strict' })
    expect(it.bytes().equals(once)).toBe(true)
    it.act('unwrap')
    expect(it.bytes().toString()).toBe(text)
  })

  test('one server at a time, in any order', () => {
    const it = desk(text)
    const names = [...new Set(it.planned({ verb: 'wrap' })[0]?.changes.map(({ server }) => server))]
    for (const server of names) it.act('wrap', { server })
    const all = desk(text)
    all.act('wrap')
    expect(it.bytes().equals(all.bytes())).toBe(true)
    for (const server of names.reverse()) it.act('unwrap', { server })
    expect(it.bytes().toString()).toBe(text)
  })

  test('means the same after somebody else wrote it anew', () => {
    const it = desk(text)
    it.act('wrap')
    const rewritten = JSON.stringify(read(it.bytes()) ?? {}, undefined, 3)
    const other = desk(rewritten)
    other.act('unwrap')
    const lost = text.includes('__proto__') || text.includes('"t":') // what JSON.parse itself loses
    if (!lost) expect(read(other.bytes())).toEqual(read(Buffer.from(text)) ?? {})
  })
})

test('the corpus has servers that are wrapped and such that are not', () => {
  const outcomes = Object.entries(CORPUS).map(([name, text]) => [name, desk(text).act('wrap')] as const)
  const counted = (wanted: string) =>
    outcomes.flatMap(([, all]) => all).filter(({ outcome }) => outcome === wanted).length
  expect(counted('wrapped')).toBeGreaterThan(20)
  const left = new Map(outcomes).get('what cannot be wrapped')
  expect(left?.map(({ server, state, outcome }) => [server, state, outcome])).toEqual([
    ['r', 'remote', 'left alone'],
    ['s', 'remote', 'left alone'],
    ['d', 'container', 'left alone'],
    ['two', 'unclear', 'left alone'],
    ['t', 'unclear', 'left alone'],
    ['t', 'unclear', 'left alone'],
    ['n', 'unclear', 'left alone'],
    ['both', 'unclear', 'left alone'],
    ['e', 'plain', 'left alone'],
    ['nil', 'unclear', 'left alone']
  ])
})

test('variables go by name; their values stay where they were', () => {
  const it = desk(CORPUS['two spaces, as clients write it'] as string)
  it.act('wrap')
  const { github } = read(it.bytes()).mcpServers as Record<string, Server>
  expect(github?.env).toEqual({ GITHUB_PERSONAL_ACCESS_TOKEN: 'ghp_secret' })
  expect(inner(github as Server).options.env).toEqual(['GITHUB_PERSONAL_ACCESS_TOKEN'])
  expect(JSON.stringify(github?.args)).not.toContain('ghp_secret')
  const shown = desk(CORPUS['keys twice elsewhere'] as string).planned({ verb: 'wrap' })[0]?.hunks
  expect(JSON.stringify(shown)).toContain('"…')
})

test('options that somebody added are gone with the rest', () => {
  const it = desk('{"servers":{"a":{"command":"srv","args":["x"]}}}')
  it.act('wrap')
  const added = it.bytes().toString().replace('"--",', '"--rw", "/srv", "--net", "a.example", "--",')
  const edited = desk(added)
  expect(edited.act('wrap', { profile: 'dev' })).toMatchObject([{ outcome: 'profile changed' }])
  expect(edited.bytes().toString()).toContain('"--profile", "dev", "--rw", "/srv"')
  edited.act('unwrap')
  expect(edited.bytes().toString()).toBe('{"servers":{"a":{"command":"srv","args":["x"]}}}')
})

test.each([
  ['["--rw", "/home/me/notes", "--", "npx", "-y", "x"]', '{"command": "npx", "args": ["-y", "x"]}'],
  ['["npx", "-y", "x"]', '{"command": "npx", "args": ["-y", "x"]}'],
  ['["run", "--profile=dev", "npx",]', '{"command": "npx", "args": []}'],
  ['["--profile=dev", "npx" ]', '{"command": "npx"}']
])('what was written by hand is understood: %s', (args, unwrapped) => {
  const it = desk(`{"servers":{"a":{"command": "qi-jail", "args": ${args}}}}`)
  it.act('wrap', { profile: 'standard' })
  const a = read(it.bytes()).servers?.a as Server
  expect(parseArguments(a.args as string[]).options.profile).toBe('standard')
  it.act('unwrap')
  expect(it.bytes().toString()).toBe(`{"servers":{"a":${unwrapped}}}`)
})

const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('--', '-y', 'run', '--profile', '', '__proto__', 'npx', '-', 'qi-jail', ']', '//', '/*', '",', '\\')
)
const server = fc.record(
  {
    command: fc.oneof(
      fc.constantFrom('npx', 'uvx', '/opt/a b/ü', 'docker', '--', '-x'),
      text.filter((t) => t !== '' && t !== 'qi-jail')
    ),
    args: fc.array(text, { maxLength: 4 }),
    env: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,6}$/), fc.string(), { maxKeys: 3, noNullPrototype: true }),
    disabled: fc.boolean()
  },
  { requiredKeys: ['command'], noNullPrototype: true }
)
const document = fc.record(
  {
    before: fc.jsonValue(),
    mcpServers: fc.dictionary(fc.string(), server, { maxKeys: 4, noNullPrototype: true }),
    after: fc.jsonValue()
  },
  { requiredKeys: ['mcpServers'], noNullPrototype: true }
)
const filler = fc.array(fc.constantFrom(' ', '\t', '\n', '\r\n', '/* , ] } " */', '// "args": [\n'), { maxLength: 2 })

/** The same value with anything between its tokens, members in another order, and commas at the end of lists. */
function written(value: unknown, gap: () => string, comma: () => boolean): string {
  const list = (items: string[]) => `${items.join(',')}${items.length && comma() ? `,${gap()}` : ''}`
  const padded = (inside: string) => `${gap()}${inside}${gap()}`
  if (Array.isArray(value)) return `[${list(value.map((item) => padded(written(item, gap, comma)))) || gap()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([key, item]) =>
    padded(`${JSON.stringify(key)}${gap()}:${padded(written(item, gap, comma))}`)
  )
  return `{${list(comma() ? members.reverse() : members) || gap()}}`
}

test('property: any configuration, however written', () => {
  const home = scratch()
  const noise = fc.record({
    gaps: fc.array(filler, { minLength: 1 }),
    commas: fc.array(fc.boolean(), { minLength: 1 })
  })
  let wrapped = 0
  const holds = fc.property(document, noise, fc.boolean(), (value, { gaps, commas }, marked) => {
    let [g, c] = [0, 0]
    const gap = () => (gaps[g++ % gaps.length] as string[]).join('')
    const source = `${marked ? '\ufeff' : ''}${written(value, gap, () => commas[c++ % commas.length] as boolean)}`
    const it = desk(source, home)
    const before = read(it.bytes())
    const changes = it.act('wrap', { profile: 'strict' })
    const once = it.bytes()
    const after = read(once)
    for (const { server: name, outcome } of changes) {
      const [old, now] = [before.mcpServers?.[name], after.mcpServers?.[name]] as [Server, Server]
      if (outcome !== 'wrapped') continue
      wrapped++
      expect(inner(now).command).toEqual([old.command, ...((old.args as string[]) ?? [])])
      expect(inner(now).options.env).toEqual(Object.keys(old.env ?? {}))
      Object.assign(now, { command: old.command })
      if (old.args) now.args = old.args
      else delete now.args
    }
    expect(after).toEqual(before)
    it.act('wrap')
    expect(it.bytes().equals(once)).toBe(true)
    it.act('unwrap')
    expect(it.bytes().toString()).toBe(source)
  })
  fc.assert(holds, { numRuns: 100 })
  expect(wrapped).toBeGreaterThan(40)
}, 240_000) // every run writes eight files to the disk
