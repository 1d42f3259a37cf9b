import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { refusalSentence } from '../../src/cli/refusals.js'
import { grouped, type Refused, readRefusals, refusedBy } from '../../src/explain/recorded.js'
import { shellWord } from '../../src/explain/words.js'
import { codeOf } from '../profile/fake.js'

const folder = mkdtempSync(join(tmpdir(), 'qi-recorded-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const event = (action: string, parameters: Record<string, unknown>, outcome = 'blocked') => ({
  eventId: '4f0ad2b5-3f5b-4c5e-9c0e-6a4a1c0f7a11',
  timestamp: '2026-01-01T00:00:00.000Z',
  version: '1.0',
  source: { component: 'qi-jail', version: '1', instance: 'x' },
  security: { userId: '1', sessionId: 's', ipAddress: '127.0.0.1', authenticationMethod: 'os-user' },
  event: { category: 'security', action, outcome, severity: 'warning' },
  context: { parameters }
})
const read = (action: string, parameters: Record<string, unknown>, outcome?: string) =>
  refusedBy(event(action, parameters, outcome) as never)

describe('a recorded refusal', () => {
  it.each([
    ['syscall.refused', { syscall: 'unshare' }, 'syscall', 'unshare', undefined],
    [
      'network.refused',
      { syscall: 'connect', arguments: { address: { address: '10.1.2.3', port: 80 } } },
      'host',
      '10.1.2.3:80',
      undefined
    ],
    [
      'network.refused',
      { arguments: { address: { address: '2001:db8::1', port: 80 } } },
      'host',
      '[2001:db8::1]:80',
      undefined
    ],
    ['network.refused', { address: '192.0.2.1', port: 123, protocol: 'udp' }, 'host', '192.0.2.1:123/udp', undefined],
    ['network.refused', { address: '192.0.2.1', port: 123, protocol: 'tcp' }, 'host', '192.0.2.1:123', undefined],
    ['network.refused', { path: '/run/x.sock' }, 'path', '/run/x.sock', 'read'],
    ['dns.refused', { host: 'a.example' }, 'host', 'a.example', undefined],
    ['filesystem.refused', { syscall: 'openat', path: '/w/.env' }, 'path', '/w/.env', 'write'],
    ['file.read', { syscall: 'openat', path: '/etc/shadow' }, 'path', '/etc/shadow', 'read'],
    ['file.execute', { path: '/bin/x' }, 'path', '/bin/x', 'execute']
  ])('%s %j', (action, parameters, kind, what, access) => {
    expect(read(action, { ...parameters, repeatCount: 3 })).toMatchObject({ kind, what, count: 3 })
    expect(read(action, parameters)?.access).toBe(access)
    expect(read(action, parameters, 'success')).toBeUndefined()
    expect(read(action, { ...parameters, wouldBe: 'blocked' }, 'success')).toMatchObject({ kind, what })
  })

  it('of what is no target says nothing', () => {
    expect(read('jail.exit', { exitCode: 1 })).toBeUndefined()
    expect(read('network.refused', { path: 7, arguments: [] })).toBeUndefined()
  })

  it('is one with its like, the most frequent first', () => {
    const of = (what: string, count: number): Refused => ({
      action: 'dns.refused',
      kind: 'host',
      what,
      count,
      rule: ''
    })
    expect(grouped([of('b', 1), of('a', 1), of('b', 4)]).map(({ what, count }) => [what, count])).toEqual([
      ['b', 5],
      ['a', 1]
    ])
  })

  it('is read from a file; what is no event is told with its line', () => {
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const line = JSON.stringify(event('dns.refused', { host: 'a.example' }))
    expect(readRefusals(file('good', `${line}\n${line}\n`))).toMatchObject([{ what: 'a.example', count: 2 }])
    expect(readRefusals(file('empty', ''))).toEqual([])
    expect(() => readRefusals(file('bad', `${line}\n{}\n`))).toThrow(/bad:2: is no audit event/)
    expect(codeOf(() => readRefusals(file('cut', line.slice(0, 40))))).toBe('QI_AUDIT_FILE')
    expect(codeOf(() => readRefusals(join(folder, 'none')))).toBe('QI_AUDIT_FILE')
  })
})

describe('the line after a session', () => {
  const seen: Refused[] = [
    { action: 'network.refused', kind: 'host', what: '10.1.2.3:80', count: 2, rule: '' },
    { action: 'filesystem.refused', kind: 'path', what: "/w/it's; rm -rf ~", access: 'write', count: 1, rule: '' }
  ]

  it('says how many of which kind, and what explains them', () => {
    expect(refusalSentence(3, seen, 'a b.jsonl')).toBe(
      "3 calls were refused (2 connections, 1 file access); qi-jail why --from 'a b.jsonl' explains them"
    )
    expect(refusalSentence(3, seen, undefined)).toContain('qi-jail why 10.1.2.3:80, with the same options')
    expect(refusalSentence(1, [], undefined)).toBe('1 call was refused; --audit FILE tells which')
  })

  it('proposes a command that means what it says, whatever the payload called its file', () => {
    expect(refusalSentence(1, seen.slice(1), '-')).toContain(`why --write '/w/it'\\''s; rm -rf ~', with`)
    for (const text of ['$(x)', '`x`', 'a b', '-x', '', '~', 'a\nb']) expect(shellWord(text)).toMatch(/^'/)
    expect(shellWord('/plain/path-1')).toBe('/plain/path-1')
  })
})
