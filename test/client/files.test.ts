import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { desk, scratch } from './support.js'

const ONE = '{"mcpServers":{"a":{"command":"srv","args":["x"]}}}'
const isRoot = process.getuid?.() === 0

const fault = (act: () => unknown): { code: string; message: string } => {
  try {
    act()
  } catch (error) {
    return error as { code: string; message: string }
  }
  throw new Error('accepted')
}

/** Nothing of ours lies beside the file. */
const alone = (folder: string) => readdirSync(folder).filter((name) => !['config.json', '.local'].includes(name))

describe('the file', () => {
  test.each([0o600, 0o644, 0o664, 0o700])('keeps mode %o, and the backup is nobody else’s', (mode) => {
    const it = desk(ONE)
    chmodSync(it.file, mode)
    const [planned] = it.planned({ verb: 'wrap' })
    planned?.write()
    expect(statSync(it.file).mode & 0o7777).toBe(mode)
    const backup = planned?.backup as string
    expect(readFileSync(backup, 'utf8')).toBe(ONE)
    expect(statSync(backup).mode & 0o777).toBe(0o600)
    expect(statSync(join(backup, '..')).mode & 0o777).toBe(0o700)
    expect(alone(it.home)).toEqual([])
    it.act('unwrap')
    expect(it.bytes().toString()).toBe(ONE)
  })

  test('keeps its owner when root edits it', () => {
    skipUnless(isRoot, 'needs root')
    const it = desk(ONE)
    chownSync(it.file, 61234, 61235)
    chmodSync(it.file, 0o640)
    it.act('wrap')
    expect(statSync(it.file)).toMatchObject({ uid: 61234, gid: 61235, mode: 0o100640 })
  })

  test('behind links is edited where it lies', () => {
    const it = desk(ONE)
    const folder = join(it.home, 'dotfiles')
    mkdirSync(folder)
    renameSync(it.file, join(folder, 'real.json'))
    symlinkSync('dotfiles/real.json', join(it.home, 'middle.json'))
    symlinkSync('middle.json', it.file)
    it.act('wrap')
    expect(readlinkSync(it.file)).toBe('middle.json')
    expect(lstatSync(join(folder, 'real.json')).isFile()).toBe(true)
    expect(readFileSync(join(folder, 'real.json'), 'utf8')).toContain('--profile')
    expect(readdirSync(folder)).toEqual(['real.json'])
  })

  test('is not touched where nothing is to be changed', () => {
    const it = desk('{"mcpServers":{"r":{"url":"https://example.com"}}}')
    const before = statSync(it.file, { bigint: true })
    it.act('wrap')
    expect(statSync(it.file, { bigint: true })).toMatchObject({ ino: before.ino, mtimeNs: before.mtimeNs })
    expect(readdirSync(it.home)).toEqual(['config.json'])
  })

  test('that is read-only is refused, to root too', () => {
    const it = desk(ONE)
    chmodSync(it.file, 0o444)
    expect(fault(() => it.act('wrap'))).toMatchObject({
      code: 'QI_CLIENT_WRITE',
      message: expect.stringMatching(/chmod/)
    })
    expect(it.bytes().toString()).toBe(ONE)
    expect(alone(it.home)).toEqual([])
    chmodSync(it.file, 0o644)
    expect(it.act('wrap')).toMatchObject([{ outcome: 'wrapped' }])
  })

  test('is as it was when the backup cannot be written', () => {
    const it = desk(ONE)
    writeFileSync(join(it.home, '.local'), 'a file in the way')
    expect(fault(() => it.act('wrap')).code).toBe('QI_CLIENT_WRITE')
    expect(it.bytes().toString()).toBe(ONE)
    expect(alone(it.home)).toEqual([])
  })
})

describe('an edit by somebody else meanwhile', () => {
  test.each([
    ['the same length', ONE.replace('srv', 'SRV')],
    ['another length', `${ONE}\n`],
    ['nothing left', '']
  ])('is kept, and ours refused: %s', (_what, theirs) => {
    const it = desk(ONE)
    const [planned] = it.planned({ verb: 'wrap' })
    writeFileSync(it.file, theirs)
    expect(fault(() => planned?.write()).code).toBe('QI_CLIENT_CHANGED')
    expect(it.bytes().toString()).toBe(theirs)
    expect(alone(it.home)).toEqual([])
  })

  test('by a new file in its place, too', () => {
    const it = desk(ONE)
    const [planned] = it.planned({ verb: 'wrap' })
    writeFileSync(join(it.home, 'new'), '{}')
    renameSync(join(it.home, 'new'), it.file)
    expect(fault(() => planned?.write()).code).toBe('QI_CLIENT_CHANGED')
    expect(it.bytes().toString()).toBe('{}')
  })

  test('another of us is waited for by nobody: it says which file stands for it', () => {
    const it = desk(ONE)
    const lock = join(it.home, '.config.json.qi-jail-new')
    writeFileSync(lock, '')
    const { code, message } = fault(() => it.act('wrap'))
    expect(code).toBe('QI_CLIENT_CHANGED')
    expect(message).toContain(lock)
    expect(it.bytes().toString()).toBe(ONE)
    expect(readFileSync(lock, 'utf8')).toBe('') // not ours to remove
  })
})

describe('a hostile file', () => {
  const refused = (content: string | Buffer) => {
    const it = desk(content)
    const { code, message } = fault(() => it.act('wrap'))
    expect(it.bytes().equals(Buffer.from(content))).toBe(true)
    return `${code} ${message.replaceAll(it.home, '')}`
  }

  test.each<[string, string | Buffer, RegExp]>([
    ['syntax', '{\n "mcpServers": {,} }', /^QI_CLIENT_CONFIG \/config\.json:2:17: ValueExpected/],
    ['cut off', '{ "mcpServers": { "a": { "command": "x"', /CONFIG.*1:\d+: CloseBraceExpected/],
    ['two documents', '{}\n{}', /CONFIG.*2:1: EndOfFileExpected/],
    ['a list', '[]', /CONFIG.*1:1: not an object/],
    ['servers that are a list', '{"servers": []}', /CONFIG.*1:13: "servers" is not an object/],
    [
      'two lists of servers',
      '{"mcpServers": {},\n "mcpServers": {}}',
      /CONFIG.*2:2: the key "mcpServers" is there twice/
    ],
    ['deep lists', '['.repeat(1_000_000), /CONFIG.*1:\d+: nested deeper than 100/],
    ['deep objects', '{"a":'.repeat(200_000), /CONFIG.*1:\d+: nested deeper than 100/],
    ['UTF-16', Buffer.from('\ufeff{"mcpServers":{}}', 'utf16le'), /CONFIG.*is not UTF-8/],
    ['half a character', Buffer.from([0x7b, 0xc3, 0x7d]), /CONFIG.*is not UTF-8/]
  ])('%s is refused with its place', (_what, content, message) => {
    expect(refused(content)).toMatch(message)
  })

  test('that is no file, or too large, is not read', () => {
    const it = desk('')
    truncateSync(it.file, (1 << 24) + 1)
    expect(fault(() => it.act('wrap')).message).toMatch(/larger than 16 MiB/)
    for (const make of ['mkdir', 'mkfifo']) {
      const folder = scratch()
      const other = desk('', folder)
      execFileSync('sh', ['-c', 'rm "$1" && "$2" "$1"', 'sh', other.file, make])
      expect(fault(() => other.act('wrap'))).toMatchObject({ code: 'QI_CLIENT_CONFIG' })
    }
    const none = desk('')
    execFileSync('rm', [none.file])
    expect(fault(() => none.act('wrap'))).toMatchObject({ code: 'QI_CLIENT' })
  })

  test.each([
    'BASH_FUNC_read%%',
    'SHELLOPTS',
    'FPATH',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'NODE_OPTIONS',
    'NODE_COMPILE_CACHE',
    'OPENSSL_CONF',
    'GLIBC_TUNABLES',
    'HOME',
    'XDG_STATE_HOME',
    'QI_LOG'
  ])('cannot steer qi-jail by its variable %s', (name) => {
    const it = desk(
      `{"mcpServers":{"a":{"command":"srv","env":{"${name}":"/tmp/x"}},"b":{"command":"srv","env":{"NODE_ENV":"x"}}}}`
    )
    const [a, b] = it.act('wrap')
    expect(a).toMatchObject({ outcome: 'left alone', notes: [expect.stringContaining(name)] })
    expect(b).toMatchObject({ outcome: 'wrapped', notes: [] })
  })

  test.each([
    [['/tmp/evil/qi-jail', '--profile', 'strict', '--', 'srv'], '/tmp/evil/qi-jail'],
    [['./qi-jail', '--profile', 'strict', '--', 'srv'], './qi-jail'],
    [['node', '/tmp/evil/qi-jail', '--profile', 'strict', '--', 'srv'], 'node'],
    [[process.execPath, '/tmp/evil/bin/qi-jail', '--', 'srv'], '/tmp/evil/bin/qi-jail']
  ])('cannot pass as wrapped by %j', ([command, ...args], by) => {
    const it = desk(JSON.stringify({ mcpServers: { a: { command, args } } }))
    expect(it.act('wrap')).toMatchObject([
      { state: 'wrapped', outcome: 'left alone', notes: [expect.stringContaining(`but by ${by}`)] }
    ])
    it.act('unwrap')
    expect(JSON.parse(it.bytes().toString()).mcpServers.a.command).toBe('srv')
  })
})
