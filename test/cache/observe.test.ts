import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeLooks, ObservedFs, settledAt } from '../../src/cache/observe.js'
import { loadAddon } from '../../src/launch/locate.js'
import { LookKind } from '../../src/plan/layout.gen.js'
import { nodeFs, type ReadFs } from '../../src/profile/fs.js'

const root = mkdtempSync('/var/tmp/qi-observe-')
afterAll(() => rmSync(root, { recursive: true, force: true }))

const LOOKS: Record<string, (fs: ReadFs, path: string) => unknown> = {
  looked: (fs, path) => fs.lstat(path),
  read: (fs, path) => fs.read(path, 10),
  listed: (fs, path) => fs.list(path),
  followed: (fs, path) => fs.readlink(path)
}

/** What is done to `path` after a look at it, and whether that look still holds. */
const CASES: [look: string, of: 'file' | 'folder' | 'link' | 'chain' | 'nothing', act: string, holds: boolean][] = [
  ['looked', 'file', 'append', true],
  ['looked', 'file', 'chmod', false],
  ['looked', 'file', 'replace', false],
  ['looked', 'file', 'remove', false],
  ['looked', 'folder', 'add', true],
  ['looked', 'folder', 'chmod', false],
  ['looked', 'nothing', 'none', true],
  ['looked', 'nothing', 'create', false],
  ['looked', 'nothing', 'neighbour', true],
  ['looked', 'nothing', 'come and go', true],
  ['looked', 'nothing', 'chmod parent', false],
  ['looked', 'nothing', 'replace parent', false],
  ['read', 'file', 'none', true],
  ['read', 'file', 'append', false],
  ['read', 'file', 'rewrite', false],
  ['read', 'link', 'none', true],
  ['read', 'link', 'rewrite', false],
  ['read', 'chain', 'none', true],
  ['read', 'chain', 'redirect', false],
  ['read', 'nothing', 'create', false],
  ['listed', 'folder', 'none', true],
  ['listed', 'folder', 'add', false],
  ['followed', 'link', 'rewrite', true],
  ['followed', 'link', 'relink', false]
]

const ACTS: Record<string, (path: string) => void> = {
  none: () => {},
  append: (path) => appendFileSync(path, 'more'),
  chmod: (path) => chmodSync(path, 0o700),
  replace: (path) => {
    writeFileSync(`${path}.new`, readFileSync(path))
    renameSync(`${path}.new`, path)
  },
  remove: (path) => unlinkSync(path),
  add: (path) => writeFileSync(join(path, 'new'), ''),
  create: (path) => writeFileSync(path, ''),
  neighbour: (path) => writeFileSync(`${path}.other`, ''),
  'come and go': (path) => {
    writeFileSync(path, '')
    unlinkSync(path)
  },
  'chmod parent': (path) => chmodSync(dirname(path), 0o777),
  'replace parent': (path) => {
    renameSync(dirname(path), `${dirname(path)}.old`)
    mkdirSync(dirname(path))
  },
  rewrite: (path) => {
    writeFileSync(path, 'else')
    utimesSync(path, 1, 1) // as it was, for who trusts it
  },
  redirect: (path) => {
    unlinkSync(`${path}.next`)
    symlinkSync('other', `${path}.next`)
  },
  relink: (path) => {
    unlinkSync(path)
    symlinkSync('elsewhere', path)
  }
}

describe('what was looked at', () => {
  it.each(CASES)('%s: a %s, %s: %s', async (look, of, act, holds) => {
    const folder = mkdtempSync(`${root}/one-`)
    const path = join(folder, 'it')
    const target = join(folder, 'target')
    writeFileSync(target, 'text')
    utimesSync(target, 1, 1)
    if (of === 'file') writeFileSync(path, 'text')
    if (of === 'file') utimesSync(path, 1, 1)
    if (of === 'folder') mkdirSync(path)
    if (of === 'link') symlinkSync('target', path)
    if (of === 'chain') symlinkSync('it.next', path)
    if (of === 'chain') symlinkSync('target', `${path}.next`)
    await delay(60)
    const fs = new ObservedFs(nodeFs)
    LOOKS[look]?.(fs, path)
    const noted = encodeLooks(fs.settled())
    expect(noted).toBeDefined()
    await delay(30) // a change time of its own
    ACTS[act]?.(path)
    expect(loadAddon().areAsBefore(noted as Buffer)).toBe(holds)
  })

  it('is nothing to go by while a further change could not be told', () => {
    const path = join(root, 'fresh')
    const unsettled = () => {
      writeFileSync(path, 'text')
      const fs = new ObservedFs(nodeFs)
      fs.read(path, 10)
      return encodeLooks(fs.settled()) === undefined
    }
    // A busy machine may come too late now and then.
    expect(Array.from({ length: 50 }, unsettled)).toContain(true)
  })

  it('is nothing to go by later either: what came in the same tick shows at no time', async () => {
    const path = join(root, 'fresh')
    const looked = Array.from({ length: 50 }, () => {
      writeFileSync(path, 'text')
      const fs = new ObservedFs(nodeFs)
      fs.read(path, 10)
      return fs
    })
    await delay(60)
    expect(looked.map((fs) => encodeLooks(fs.settled()))).toContain(undefined)
  })

  it('of a folder says that names are not there, where its times tell of each', async () => {
    const folder = mkdtempSync(`${root}/home-`)
    await delay(60)
    const noted = (path: string) => {
      const fs = new ObservedFs(nodeFs)
      fs.lstat(folder)
      for (const name of ['a', 'b', 'c']) fs.lstat(join(path, name))
      return fs.settled().map(({ kind, path, value }) => [kind, path, Buffer.from(value).toString()])
    }
    expect(noted(folder)).toEqual([[LookKind.Without, folder, 'a\0b\0c\0']])
    // Of the kernel, whose times say nothing.
    const absent = ['a', 'b', 'c'].map((name) => [LookKind.Absent, `/proc/self/${name}`, ''])
    expect(noted('/proc/self')).toEqual([[LookKind.Status, folder, ''], ...absent])
  })

  it('of a folder says nothing of names while it changes', async () => {
    const folder = mkdtempSync(`${root}/home-`)
    const kinds = Array.from({ length: 50 }, (_, i) => {
      writeFileSync(join(folder, String(i)), '')
      const fs = new ObservedFs(nodeFs)
      fs.lstat(join(folder, 'none'))
      return fs.settled()[0]?.kind
    })
    expect(kinds).toContain(LookKind.Absent)
    await delay(60)
    const fs = new ObservedFs(nodeFs)
    fs.lstat(join(folder, 'none'))
    expect(fs.settled()[0]?.kind).toBe(LookKind.Without)
  })

  it('waits longer where times are of whole seconds', () => {
    expect(settledAt(5_000_000_001n) - 5_000_000_001n).toBe(20_000_000n)
    expect(settledAt(6_000_000_000n) - 6_000_000_000n).toBeGreaterThan(2_000_000_000n)
  })

  it('is nothing to go by when it is no list of looks', () => {
    const fs = new ObservedFs(nodeFs)
    fs.lstat('/')
    const noted = encodeLooks(fs.settled()) as Buffer
    expect(loadAddon().areAsBefore(noted)).toBe(true)
    for (let size = 0; size < noted.length; size++) {
      expect(loadAddon().areAsBefore(Buffer.from(noted.subarray(0, size)))).toBe(false)
    }
    for (let at = 16; at < 24; at++) {
      const spoiled = Buffer.from(noted)
      spoiled[at] = 0xff
      expect(loadAddon().areAsBefore(spoiled)).toBe(false)
    }
  })
})
