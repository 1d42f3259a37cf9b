import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import {
  ACT,
  bare,
  call,
  chain,
  give,
  jailed,
  refusals,
  scratch,
  tryJailed,
  type User,
  users
} from '../escape/support.js'
import { requireLandlock } from '../support/kernel.js'

// Without, such a launch is refused: test/launch/prepare.test.ts looks at that.
beforeEach(requireLandlock)

const MS = '700'
const ENV = 'config: filesystem.deniedPaths[0]'

/** A project with secrets whose names patterns deny, and as much that they do not. */
function project(user: User, parent?: string): string {
  const folder = scratch(user, parent)
  const files = ['.env', 'open', 'sub/.env', 'sub/open', 'keys/a.key', 'keys/open', 'x/keys/b.key']
  for (const name of ['sub', 'keys', 'x', 'x/keys', 'vault']) mkdirSync(`${folder}/${name}`)
  for (const name of [...files, 'vault/inside']) {
    writeFileSync(`${folder}/${name}`, /open/.test(name) ? 'open\n' : 'secret\n')
    give(`${folder}/${name}`, user)
  }
  writeFileSync(`${folder}/run`, '#!/bin/sh\necho ran\n', { mode: 0o755 })
  symlinkSync('.env', `${folder}/link`)
  for (const name of ['run', 'sub', 'keys', 'x', 'x/keys', 'vault']) give(`${folder}/${name}`, user)
  return folder
}

const config = (folder: string, over: SandboxConfig['filesystem'] = {}): SandboxConfig => ({
  filesystem: {
    allowedPaths: [folder],
    readOnlyPaths: [ACT],
    deniedPaths: ['**/.env', `${folder}/**/keys/*.key`, '**/vau[l]t'],
    mediate: true,
    ...over
  }
})

describe.each(users)('launched by %s', (user) => {
  const sh = (folder: string, script: string, over: SandboxConfig = {}) =>
    jailed(user, { config: { ...config(folder), ...over }, argv: ['/bin/sh', '-c', `cd ${folder}; ${script}`] })
  const said = async (folder: string, script: string) => (await sh(folder, `${script}; true`)).stdout

  test('reads, writes and lists what no pattern denies, and nothing that one does', async () => {
    const folder = project(user)
    const result = await sh(
      folder,
      `for f in open sub/open .env sub/.env link keys/a.key x/keys/b.key vault/inside; do cat $f 2>/dev/null || echo "no $f"; done
       ls | wc -l; ls vault >/dev/null 2>&1 || echo "no list"; echo more >> open; cat open; cd sub; cat ./.env 2>/dev/null || echo "no relative"`
    )
    expect(result.stdout).toBe(
      'open\nopen\nno .env\nno sub/.env\nno link\nno keys/a.key\nno x/keys/b.key\nno vault/inside\n7\nno list\nopen\nmore\nno relative\n'
    )
    expect(refusals(result)).toContainEqual(
      expect.objectContaining({ path: `${folder}/.env`, rule: ENV, verdict: 'EACCES' })
    )
    expect(result.events.map(({ event }) => event.action)).toContain('filesystem.refused')
  })

  test('a denied name comes neither to be nor away', async () => {
    const folder = project(user)
    const script = `
      for act in 'echo x > new/.env' 'mkdir .ENV' 'ln -s open sub/.Env2; ln -s open x/.env' 'mv open x/.env' 'mv .env free' 'ln .env free' \
        'ln open x/.env' 'rm .env' 'rm -r vault' 'mv vault free' 'chmod 777 .env' 'touch .env' 'mkfifo x/.env' 'mv keys free' 'mv open .env'; do
        mkdir -p new; (eval "$act") 2>/dev/null && echo "did $act"; done
      mv sub moved && cat moved/open && mv moved sub; mkdir d && mv d e && rmdir e && echo folders; ln open hard && cat hard; chmod 600 open && touch open && echo attributes`
    expect(await said(folder, script)).toBe('open\nfolders\nopen\nattributes\n')
    expect(readFileSync(`${folder}/.env`, 'utf8')).toBe('secret\n')
    for (const name of ['free', 'new/.env', 'x/.env']) expect(existsSync(`${folder}/${name}`)).toBe(false)
  })

  test.each([
    [
      'by O_PATH and its descriptor',
      ['openat', -100, 's:DIR/.env', 0o10000000, 0],
      ['openat', -100, 's:/proc/self/fd/$0', 0, 0]
    ],
    ['through the working directory in /proc', ['getpid'], ['openat', -100, 's:/proc/self/cwd/.env', 0, 0]],
    ['through the root in /proc', ['getpid'], ['openat', -100, 's:/proc/self/rootDIR/.env', 0, 0]],
    ['cut by path', ['getpid'], ['truncate', 's:DIR/.env', 0]],
    ['cut by a reading open', ['getpid'], ['openat', -100, 's:DIR/.env', 0o1000, 0]],
    ['by a temporary file without a name', ['getpid'], ['openat', -100, 's:DIR', 0o20200002, 0o600]],
    ['executed by descriptor', ['openat', -100, 's:DIR/run', 0o10000000, 0], ['execveat', '$0', 's:', 0, 0, 0x1000]],
    [
      'linked by descriptor',
      ['openat', -100, 's:DIR/.env', 0o10000000, 0],
      ['linkat', '$0', 's:', -100, 's:DIR/free', 0x1000]
    ],
    ['watched', ['inotify_init1', 0], ['inotify_add_watch', '$0', 's:DIR/.env', 0x20]],
    ['bound as a socket', ['socket', 1, 1, 0], ['bind', '$0', 'u:DIR/x/.env', 110]]
  ] as [string, [string, ...(string | number)[]], [string, ...(string | number)[]]][])(
    '%s',
    async (_, first, second) => {
      const folder = project(user)
      const calls = [first, second].map(([name, ...words]) =>
        call(name, ...words.map((word) => (typeof word === 'string' ? word.replace('DIR', folder) : word)))
      )
      const result = await jailed(user, {
        config: config(folder),
        cwd: folder,
        argv: [ACT, 'call', ...chain(...calls)]
      })
      expect(result.stdout).toMatch(/^E(?!FAULT|INVAL)/)
      expect(readFileSync(`${folder}/.env`, 'utf8')).toBe('secret\n')
    }
  )

  test('no file grows beyond the limit by its path', async () => {
    const folder = project(user)
    const cut = async (length: number) => {
      const over = { maxFileSize: 2 ** 20 }
      const argv = [ACT, 'call', ...call('truncate', `s:${folder}/open`, length)]
      const result = await jailed(user, { config: config(folder, over), argv })
      return { result, size: statSync(`${folder}/open`).size }
    }
    expect(await cut(1000)).toMatchObject({ size: 1000 })
    expect(await cut(2 ** 20)).toMatchObject({ size: 2 ** 20 })
    for (const length of [2 ** 20 + 1, 2 ** 40]) {
      const { result, size } = await cut(length)
      expect(result.stdout).toMatch(/^EFBIG/)
      expect(size).toBe(2 ** 20)
      expect(refusals(result)).toContainEqual(
        expect.objectContaining({ syscall: 'truncate', rule: 'filesystem.maxFileSize', verdict: 'EFBIG' })
      )
    }
    truncateSync(`${folder}/open`, 2 ** 22)
    expect(await cut(2 ** 21)).toMatchObject({ size: 2 ** 21 })
  })

  test('nothing is executed there but the command itself, and that is said', async () => {
    const folder = project(user)
    const result = await sh(folder, './run || sh ./run')
    expect(result.stdout).toBe('ran\n')
    expect(refusals(result)).toContainEqual(
      expect.objectContaining({ syscall: 'execve', path: `${folder}/run`, rule: expect.stringContaining('mediate') })
    )
    const itself = await jailed(user, { config: config(folder), argv: [`${folder}/run`] })
    expect(itself.stdout).toBe('ran\n')
  })

  test('a path swapped while it is judged', async () => {
    const folder = project(user)
    const words = [ACT, 'swap-read', MS, `${folder}/.env`, `${folder}/open`]
    for (const decoy of [`${folder}/open`, '/etc/passwd']) {
      const result = await jailed(user, { config: config(folder), argv: [...words.slice(0, -1), decoy] })
      expect(result.stdout).toBe('EACCES\n')
    }
    expect(bare(words)).toMatch(/^OK read secret/)
  })

  test('a file that the host replaces again and again is denied as what it was', async () => {
    const folder = project(user)
    linkSync(`${folder}/.env`, `${folder}/vault/kept`) // its old contents keep a name
    const script = `
      const fs = require('node:fs')
      let [replaced, said] = [0, 'nothing']
      for (const end = Date.now() + ${MS}; Date.now() < end; replaced++)
        try { said = fs.readFileSync('.env', 'utf8') } catch {}
      console.log(replaced > 10, said)`
    let over = false
    const ended = jailed(user, { config: config(folder), cwd: folder, argv: [process.execPath, '-e', script] }).finally(
      () => (over = true)
    )
    for (let i = 0; !over; i++) {
      writeFileSync(`${folder}/new`, 'secret\n', { mode: 0o644 })
      renameSync(`${folder}/new`, `${folder}/.env`)
      if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect((await ended).stdout).toBe('true nothing\n')
  })

  test('reopening a stream gives no more than the jail itself shows', async () => {
    const folder = project(user)
    const result = await jailed(user, {
      config: config(folder),
      files: [[`${folder}/keys/a.key`, 'r'], null, null],
      argv: ['/bin/sh', '-c', `cat /dev/stdin; cat < ${folder}/open /dev/stdin`]
    })
    expect(result.stdout).not.toContain('secret')
    expect(result.stdout).toContain('open\n')
  })

  test('a second name that was there before is another name', async () => {
    const folder = project(user)
    linkSync(`${folder}/.env`, `${folder}/second`)
    expect(await said(folder, 'cat second; cat .env 2>/dev/null')).toBe('secret\n')
  })

  test('programs work in such a folder', async () => {
    const folder = project(user)
    writeFileSync(
      `${folder}/m.mjs`,
      `import fs from 'node:fs'
      fs.mkdirSync('out/deep', { recursive: true }); fs.writeFileSync('out/deep/f', 'x'.repeat(100000)); fs.copyFileSync('out/deep/f', 'out/g')
      console.log(fs.readdirSync('.', { recursive: false }).includes('out'), fs.readFileSync('out/g').length); fs.rmSync('out', { recursive: true })`
    )
    give(`${folder}/m.mjs`, user)
    const result = await jailed(user, { config: config(folder), cwd: folder, argv: [process.execPath, 'm.mjs'] })
    expect(result.stdout).toBe('true 100000\n')
  })

  test('a project that is a virtual environment works, and its secrets are denied', async () => {
    const folder = scratch(user)
    bare(['/usr/bin/python3', '-m', 'venv', '--without-pip', folder], { as: user })
    writeFileSync(`${folder}/.env`, 'secret\n', { mode: 0o644 })
    writeFileSync(`${folder}/m.py`, 'print("imported")')
    writeFileSync(
      `${folder}/app.py`,
      `import sys, m
print(sys.prefix == '${folder}')
try: print(open('.env').read())
except PermissionError: print('denied')`
    )
    copyFileSync(realpathSync('/usr/bin/python3'), `${folder}/bin/copied`)
    writeFileSync(`${folder}/bin/tool`, `#!${folder}/bin/copied\nimport runpy; runpy.run_path('app.py')`, {
      mode: 0o755
    })
    for (const name of ['.env', 'm.py', 'app.py', 'bin/copied', 'bin/tool']) give(`${folder}/${name}`, user)
    const run = async (filesystem: SandboxConfig['filesystem'], ...argv: string[]) =>
      (await jailed(user, { config: { filesystem, env: { PYTHONPATH: folder } }, cwd: folder, argv })).stdout
    for (const argv of [['./bin/python', 'app.py'], ['./bin/tool']]) {
      const denied = await run({ deniedPaths: ['**/.env'], mediate: true }, ...argv)
      expect(denied).toBe('imported\nTrue\ndenied\n')
      expect(await run({}, ...argv)).toBe('imported\nTrue\nsecret\n\n')
    }
  })

  test('libraries beside a command are loaded, and secrets there are denied', async () => {
    const folder = scratch(user)
    for (const name of ['bin', 'lib']) mkdirSync(`${folder}/${name}`)
    copyFileSync(realpathSync('/bin/cat'), `${folder}/bin/cat`)
    const libc = bare(['sh', '-c', 'ldd /bin/cat | sed -n "s/.*=> \\(.*libc.so.6\\) .*/\\1/p"'])
    copyFileSync(libc, `${folder}/lib/libc.so.6`)
    for (const name of ['lib/.env', 'lib/open']) writeFileSync(`${folder}/${name}`, `${name}\n`, { mode: 0o644 })
    for (const name of ['bin', 'lib', 'bin/cat', 'lib/libc.so.6', 'lib/.env', 'lib/open'])
      give(`${folder}/${name}`, user)
    const run = (filesystem: SandboxConfig['filesystem']) =>
      jailed(user, {
        config: { filesystem, env: { LD_LIBRARY_PATH: `${folder}/lib` } },
        argv: [`${folder}/bin/cat`, `${folder}/lib/open`, '/proc/self/maps', `${folder}/lib/.env`]
      })
    const denied = await run({ deniedPaths: ['**/.env'], mediate: true })
    expect(denied.stdout).toContain('lib/open\n')
    expect(denied.stdout).toContain(`${folder}/lib/libc.so.6`)
    expect(denied.stdout).not.toContain('lib/.env\n')
    expect((await run({})).stdout).toContain('lib/.env\n')
  })

  test('a pattern that reaches into nothing that is granted', async () => {
    const filesystem = { deniedPaths: ['**/.env'], mediate: true }
    const result = await jailed(user, { config: { filesystem }, argv: ['/bin/ls', '/'] })
    expect(result.exit).toMatchObject({ code: 0 })
    expect(result.stdout).toContain('usr\n')
  })

  test('protected names are protected all the same', async () => {
    const folder = project(user)
    mkdirSync(`${folder}/.git`)
    give(`${folder}/.git`, user)
    writeFileSync(`${folder}/.git/config`, 'ours')
    give(`${folder}/.git/config`, user)
    const script = `for act in 'echo x > .git/config' 'rm .git/config' 'mv .git free' 'mkdir .git/hooks' 'echo x > .mcp.json' 'mv open .mcp.json'; do
      (eval "$act") 2>/dev/null && echo "did $act"; done; cat .git/config`
    expect(await said(folder, script)).toBe('ours')
    expect(readFileSync(`${folder}/.git/config`, 'utf8')).toBe('ours')
    expect(existsSync(`${folder}/.mcp.json`)).toBe(false)
  })

  test('what cannot be decided is refused before anything starts', async () => {
    const folder = project(user)
    const codeOf = async (over: SandboxConfig['filesystem'], more: SandboxConfig = {}) =>
      (await tryJailed(user, { config: { ...config(folder, over), ...more }, argv: ['/bin/true'] })).error?.code
    expect(await codeOf({})).toBeUndefined()
    expect(await codeOf({ mediate: false })).toBe('QI_GLOB')
    expect(await codeOf({ readOnlyPaths: [`${folder}/.env`] })).toBe('QI_GRANT_CONFLICT')
    expect(await codeOf({ tempDirectory: '/var/tmp' })).toBe('QI_MEDIATE')
    expect(await codeOf({}, { enforcement: 'permissive' })).toBe('QI_MEDIATE')
    expect(await codeOf({}, { protections: { landlockFs: 'off' } })).toBe('QI_PROTECTION')
    expect(await codeOf({ allowedPaths: [project(user, '/tmp')] })).toBe('QI_MEDIATE')
    const elsewhere = { allowedPaths: [folder, project(user, '/tmp')], deniedPaths: [`${folder}/*.key`] }
    expect(await codeOf(elsewhere)).toBe('QI_MEDIATE')
  })
})
