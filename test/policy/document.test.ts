import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import { parsePolicy } from '../../src/policy/document/parse.js'
import { readSource } from '../../src/policy/document/source.js'
import { unenforced } from '../../src/policy/document/unenforced.js'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const REFERENCE = read('good/reference.yaml')

function fault(text: string): QiError {
  try {
    parsePolicy(text, 'f.yaml')
  } catch (error) {
    if (error instanceof QiError) return error
    throw error
  }
  throw new Error('accepted')
}

describe('the reference document', () => {
  const { policy } = parsePolicy(REFERENCE, 'reference.yaml')

  it('parses whole, its units read', () => {
    expect(policy.security?.tools).toEqual({
      default_policy: {
        risk_level: 'medium',
        require_approval: false,
        max_execution_time: 30_000,
        resource_limits: { memory: 100e6, cpu: 0.5 }
      },
      tool_specific: {
        file_operations: {
          risk_level: 'high',
          require_approval: true,
          allowed_paths: ['./workspace/**', './temp/**'],
          denied_paths: ['/etc/**', '/usr/**', '~/.ssh/**'],
          max_file_size: 10e6
        },
        network_tools: {
          risk_level: 'critical',
          require_approval: true,
          allowed_hosts: ['api.example.com', '*.safe-domain.com'],
          denied_hosts: ['localhost', '127.0.0.1', '*.internal'],
          max_connections: 5
        }
      }
    })
    expect(Object.keys(policy.security ?? {})).toEqual([
      'version',
      'global',
      'tools',
      'permissions',
      'audit',
      'threat_detection',
      'incident_response'
    ])
  })

  it('tells what no jail enforces of it, with its place', () => {
    const told = unenforced(parsePolicy(REFERENCE, 'r.yaml'), 'file_operations')
    expect(told.map(({ field }) => field)).toEqual([
      'security.global.audit_all',
      'security.tools.default_policy.risk_level',
      'security.tools.default_policy.require_approval',
      'security.tools.tool_specific.file_operations.risk_level',
      'security.tools.tool_specific.file_operations.require_approval',
      'security.tools.tool_specific.network_tools',
      'security.permissions',
      'security.audit',
      'security.threat_detection',
      'security.incident_response'
    ])
    const lines = REFERENCE.split('\n')
    for (const { field, origin } of told) {
      const [, line, column] = /^r\.yaml:(\d+):(\d+)$/.exec(origin) ?? []
      const key = field.slice(field.lastIndexOf('.') + 1)
      // A section begins at its first member, a value where it stands.
      const at = lines.findIndex((text, i) => text.includes(`${key}:`) && i >= Number(line) - 3 && i < Number(line))
      expect([field, at >= 0, (lines[Number(line) - 1] ?? '').length >= Number(column)]).toEqual([field, true, true])
    }
  })
})

describe('what is wrong', () => {
  const files = readdirSync(new URL('bad/', import.meta.url))

  it.each(files)('in %s is told at its place', (file) => {
    const text = read(`bad/${file}`)
    const [, place, code, said] = /# expect (\d+:\d+) (QI_\w+) (.*)/.exec(text) ?? []
    const error = fault(text)
    expect(error.message).toContain(`f.yaml:${place}: `)
    expect(error.message).toContain(said)
    expect(error.code).toBe(code)
  })

  it('has a corpus', () => expect(files.length).toBeGreaterThan(30))

  it.each<[string, string, string]>([
    ['a megabyte', `a: "${'x'.repeat(1 << 20)}"`, '1:1: the file is larger than 1 MiB'],
    ['keys without end', Array.from({ length: 100_000 }, (_, i) => `a${i}:`).join('\n'), 'longer than any policy'],
    ['one list without end', `a: [${'1,'.repeat(400_000)}]`, 'longer than any policy'],
    ['quotes without end', `a: ${'"'.repeat(900_000)}`, 'longer than any policy'],
    ['comments without end', '# x\n'.repeat(200_000), 'longer than any policy'],
    ['anchors without end', `a: ${'&a '.repeat(200_000)}`, 'longer than any policy'],
    [
      'indentation without end',
      Array.from({ length: 400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      'nested deeper'
    ],
    ['questions without end', `${'? '.repeat(5000)}a`, 'nested deeper'],
    ['a long misspelling', `security: {${'x'.repeat(100_000)}: 1}`, 'unknown key']
  ])('%s is refused at once', (_what, text, said) => {
    expect(fault(text).message).toContain(said)
  })

  it('takes what only looks deep', () => {
    expect(readSource(`a: "${'['.repeat(100)}" # ${'{'.repeat(100)}\n`, 'f').data).toEqual({ a: '['.repeat(100) })
    expect(readSource('\ufeffa: 1\r\n', 'f').data).toEqual({ a: 1 })
    expect(readSource('', 'f').data).toEqual({})
  })

  it('takes no key for a member of every object', () => {
    expect(fault('__proto__: {a: 1}').message).toContain('unknown key __proto__')
    expect(fault('sandbox: {profiles: {a: {constructor: 1}}}').message).toContain('unknown key')
  })
})
