// The JSON Schemas that editors complete and check by: as generated, never stricter than the parser, and of some use.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { PolicyFileSchema } from '../../src/policy/document/schema.js'
import { JSON_SCHEMAS } from '../../src/policy/json-schema.js'
import { SCHEMAS, type SchemaName, schemaLine, schemaText } from '../../src/policy/schema-line.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const yamlIn = (folder: string) => readdirSync(join(root, folder)).filter((name) => name.endsWith('.yaml'))

const validators = Object.fromEntries(
  SCHEMAS.map((name) => [name, new Ajv({ strictTypes: false }).compile(JSON.parse(schemaText(name)))])
)
function faults(name: SchemaName, document: unknown): string[] {
  const validate = validators[name] as ReturnType<Ajv['compile']>
  validate(document)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

interface Json {
  type?: string
  enum?: string[]
  const?: unknown
  description?: string
  properties?: Record<string, Json>
  additionalProperties?: Json | false
  propertyNames?: Json
  items?: Json
  anyOf?: Json[]
}

const policySchema: Json = JSON.parse(schemaText('policy'))
const within = ({ properties = {}, additionalProperties, items, anyOf = [] }: Json): Json[] =>
  [...Object.values(properties), additionalProperties, items, ...anyOf].filter((part): part is Json => !!part)

describe.each(SCHEMAS)('the schema of a %s', (name) => {
  it('is the one that npm run generate makes', () => {
    expect(`${JSON.stringify(JSON_SCHEMAS[name](), null, 2)}\n`).toBe(schemaText(name))
  })

  it('describes every key, and says of every value what it is', () => {
    let keys = 0
    const look = (schema: Json, path: string): void => {
      expect([path, Object.keys(schema).some((key) => key !== 'description')]).toEqual([path, true])
      for (const [key, value] of Object.entries(schema.properties ?? {})) {
        expect([`${path}.${key}`, value.description]).toEqual([`${path}.${key}`, expect.stringMatching(/^\S.*[^.]$/)])
        keys++
      }
      for (const part of within(schema)) look(part, path)
    }
    look(JSON.parse(schemaText(name)), name)
    expect(keys).toBeGreaterThan(50)
  })
})

describe('what we ship and show', () => {
  it.each([...yamlIn('profiles'), ...yamlIn('profiles/servers').map((name) => `servers/${name}`)])(
    'profiles/%s is valid, and its first line leads to the schema',
    (name) => {
      const text = read(`profiles/${name}`)
      expect(faults('profile', parse(text))).toEqual([])
      const [, way = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text) ?? []
      const file = resolve(root, 'profiles', dirname(name), way)
      expect(file).toBe(join(root, 'schema/profile.schema.json'))
      expect(existsSync(file)).toBe(true)
    }
  )

  it('the reference document and the policies in docs/ are valid', () => {
    expect(faults('policy', parse(read('test/policy/good/reference.yaml')))).toEqual([])
    const pages = [...readdirSync(join(root, 'docs')).map((page) => `docs/${page}`), 'README.md']
    const examples = pages
      .filter((page) => page.endsWith('.md'))
      .flatMap((page) => [...read(page).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text) ?? {}))
      .filter((document) => Object.keys(document).some((key) => Object.hasOwn(policySchema.properties ?? {}, key)))
    expect(examples.length).toBeGreaterThan(1)
    for (const document of examples) {
      expect(PolicyFileSchema.safeParse(document).error).toBeUndefined()
      expect(faults('policy', document)).toEqual([])
    }
  })

  it('a line of ours leads to the schema of a package in the project, and never to a place of this machine', () => {
    const folder = mkdtempSync(join(tmpdir(), 'qi-schema-'))
    try {
      const line = () => schemaLine(join(folder, '.qi-jail.yaml'))
      expect(schemaLine(join(root, '.qi-jail.yaml'))).toBe(' yaml-language-server: $schema=./schema/policy.schema.json')
      expect(line()).toMatch(/^ Editors .*`qi-jail policy schema`/)
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(root, join(folder, 'node_modules/qi-jail'))
      expect(line()).toBe(' yaml-language-server: $schema=./node_modules/qi-jail/schema/policy.schema.json')
      // Another one of that name is not what will read the file.
      rmSync(join(folder, 'node_modules/qi-jail'))
      mkdirSync(join(folder, 'node_modules/qi-jail/schema'), { recursive: true })
      writeFileSync(join(folder, 'node_modules/qi-jail/schema/policy.schema.json'), '{}')
      expect(line()).not.toContain('yaml-language-server')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

// A schema sees data: neither how it is written, nor what a name means.
const BEYOND = ['host.yaml', 'long-number.yaml', 'number-key.yaml', 'percent.yaml', 'tag.yaml']

it('refuses every bad document whose fault a schema can see', () => {
  const seen: string[] = []
  for (const name of yamlIn('test/policy/bad')) {
    let data: unknown
    try {
      data = parse(read(`test/policy/bad/${name}`), { maxAliasCount: 0 })
    } catch {
      continue // no YAML, or aliases
    }
    if (faults('policy', data).length === 0) seen.push(name)
  }
  expect(seen).toEqual(BEYOND)
})

const TEXTS = [
  ...['', 'a', 'Upper.Case-1', '-x', 'servers/github', '/x', '~/x', '$CWD', './x/**', 'a/../b', '*.key', 'x?'],
  ...['a.example', '*.a.example:443', 'a.example:*', '10.0.0.0/8', '*', 'localhost', '[::1]:80', 'A_B'],
  ...[
    '512MB',
    '1 GiB',
    '0.5kib',
    ' 10M ',
    '1b',
    '30s',
    '5 MIN',
    '1.5H',
    '2d',
    '50%',
    ' 0.5 ',
    '1 %',
    '10 parsecs',
    '1.0.0'
  ],
  ...['immediate', '15_minutes', '1_hour', 'ptrace', '@debug', 'EACCES', 'strict', 'node server.js', 'two\nlines']
]
const NUMBERS = [0, 1, 2, 443, 65536, 0.5, 1.5, -1, 1e9, 2 ** 53, 1e300]

/** Values of about this shape: mostly what the schema says, now and then something else. */
function values({ type, properties, additionalProperties, items, anyOf, ...rest }: Json): fc.Arbitrary<unknown> {
  const other = fc.constantFrom<unknown>('text', 7, true, null, [], {})
  const of = (usual: fc.Arbitrary<unknown>) =>
    fc.oneof({ arbitrary: usual, weight: 20 }, { arbitrary: other, weight: 1 })
  if (rest.enum) return of(fc.constantFrom(...rest.enum))
  if (type === 'boolean') return of(fc.boolean())
  if (type === 'number' || type === 'integer') return of(fc.constantFrom(...NUMBERS))
  if (type === 'array') return of(fc.array(values(items ?? {}), { maxLength: 2 }))
  if (properties) {
    const all = Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, values(value)]))
    return of(fc.record(all, { requiredKeys: [] }))
  }
  if (type === 'object')
    return of(fc.dictionary(fc.constantFrom(...TEXTS), values(additionalProperties || {}), { maxKeys: 2 }))
  return anyOf ? fc.oneof(...anyOf.map(values)) : of(fc.constantFrom(...TEXTS))
}

/** Each key of the document alone, in what lies around it: of whole documents most have a fault somewhere. */
function documents(
  { properties = {}, additionalProperties }: Json,
  wrap = (value: unknown): unknown => value
): fc.Arbitrary<unknown>[] {
  const inside = (schema: Json, around: typeof wrap) =>
    schema.properties || (schema.additionalProperties && !schema.anyOf)
      ? documents(schema, around)
      : [values(schema).map(around)]
  const own = Object.entries(properties).flatMap(([key, value]) => inside(value, (inner) => wrap({ [key]: inner })))
  return additionalProperties ? [...own, ...inside(additionalProperties, (inner) => wrap({ Name: inner }))] : own
}

it('takes every document that the parser takes', { timeout: 600_000 }, () => {
  const count = { both: 0, schemaOnly: 0, neither: 0 }
  const check = (document: unknown) => {
    const taken = PolicyFileSchema.safeParse(document).success
    const found = faults('policy', document)
    if (taken) expect([document, found]).toEqual([document, []])
    count[taken ? 'both' : found.length === 0 ? 'schemaOnly' : 'neither']++
  }
  for (const part of documents(policySchema)) fc.assert(fc.property(part, check), { numRuns: 40 })
  expect(count.both).toBeGreaterThan(1000)
  expect(count.neither).toBeGreaterThan(300)
})
