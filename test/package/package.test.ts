import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** The published package as a stranger gets it: packed here, installed elsewhere with no network, scripts or compiler. */
const root = fileURLToPath(new URL('../../', import.meta.url))
const platform = `linux-${process.arch}`
const minutes = 60_000

let work: string
let app: string
let env: NodeJS.ProcessEnv
let tarball: string

/** npm of the running node, called by path: PATH has no shell tools in this test. */
const npm = process.env.npm_execpath ?? realpathSync(join(dirname(process.execPath), 'npm'))

function run(file: string, args: string[], cwd = app): string {
  return execFileSync(file, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Folders of every package that an installation without development dependencies needs. */
function runtimePackages(): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8'))
  const entries = Object.entries<{ dev?: boolean; devOptional?: boolean }>(lock.packages)
  return entries.filter(([, entry]) => !entry.dev && !entry.devOptional).map(([path]) => join(root, path))
}

function pack(folders: string[]): string[] {
  const flags = ['--ignore-scripts', '--json', '--pack-destination', work]
  const packed: { filename: string }[] = JSON.parse(run(process.execPath, [npm, 'pack', ...flags, ...folders], work))
  return packed.map(({ filename }) => join(work, filename))
}

beforeAll(() => {
  execFileSync('bash', ['scripts/prebuild.sh'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  work = mkdtempSync(join(tmpdir(), 'qi-package-'))
  app = join(work, 'app')
  const bin = join(work, 'bin')
  for (const folder of [app, bin, join(work, 'home')]) mkdirSync(folder)
  symlinkSync(process.execPath, join(bin, 'node'))
  env = { PATH: bin, HOME: join(work, 'home'), npm_config_cache: join(work, 'cache'), npm_config_offline: 'true' }

  tarball = pack([root])[0] as string
  writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
  run(process.execPath, [
    npm,
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    tarball,
    ...pack(runtimePackages())
  ])
}, 10 * minutes)

afterAll(() => work && rmSync(work, { recursive: true, force: true }))

/** path in the package → symbolic mode, as tar prints it */
function contents(): Map<string, string> {
  const lines = execFileSync('tar', ['-tvzf', tarball], { encoding: 'utf8' }).trim().split('\n')
  return new Map(lines.map((line) => [line.replace(/^.* package\//, ''), line.slice(0, 10)]))
}

describe('the tarball', () => {
  it('carries the helper and the command with their run bits', () => {
    for (const name of ['qi-monitor', 'qi-jail'])
      expect(contents().get(`prebuilds/${platform}/${name}`)).toBe('-rwxr-xr-x')
    expect(contents().get('bin/qi-jail')).toBe('-rwxr-xr-x')
  })

  it('carries what it needs', () => {
    const paths = [...contents().keys()]
    const needed = [
      'package.json',
      'LICENSE',
      'README.md',
      'dist/index.js',
      'dist/index.d.ts',
      'profiles/strict.yaml',
      'prebuilds/LICENSES'
    ]
    expect(needed.filter((path) => !paths.includes(path))).toEqual([])
    expect(paths.filter((path) => /^prebuilds\/.*qi-jail\.(glibc|musl)\.node$/.test(path))).not.toEqual([])
  })

  // glibc's asks the processor for its features at every start, which a virtual machine answers slowly (cmake/QiMusl.cmake).
  it.each(['qi-monitor', 'qi-jail'])('carries a %s with musl', (name) => {
    const program = execFileSync('tar', ['-xzOf', tarball, `package/prebuilds/${platform}/${name}`], {
      maxBuffer: 1 << 26
    })
    expect(program.includes('qi-monitor')).toBe(true)
    expect(program.includes('glibc.')).toBe(false)
  })

  it('carries nothing else: no sources, tests, test builds or source maps', () => {
    const allowed =
      /^(package\.json|LICENSE|(README|SECURITY|CHANGELOG)\.md|(bin|dist|docs|man|profiles|prebuilds)\/.+|schema\/(policy|profile)\.schema\.json)$/
    const forbidden = /fault|\.map$|\.test\.|\.tsbuildinfo$/
    const paths = [...contents().keys()]
    expect(paths.filter((path) => !allowed.test(path) || forbidden.test(path))).toEqual([])
  })
})

describe('installed elsewhere without scripts, network and compiler', () => {
  it('has no build folder to fall back on', () => {
    expect(readdirSync(join(app, 'node_modules/qi-jail'))).not.toContain('build')
    expect(readdirSync(join(work, 'bin'))).toEqual(['node'])
  })

  it('launches through the Node API', () => {
    const program = `
      import { spawnSandboxed } from 'qi-jail'
      const jail = await spawnSandboxed({}, ['/bin/true'])
      console.log(JSON.stringify(await jail.exited))`
    writeFileSync(join(app, 'launch.mjs'), program)
    expect(JSON.parse(run(process.execPath, ['launch.mjs']))).toMatchObject({ code: 0 })
  })

  it('launches through the command', () => {
    const command = join(app, 'node_modules/.bin/qi-jail')
    expect(run(command, ['--quiet', '--', '/bin/echo', 'hi'])).toBe('hi\n')
  })

  it('launches again without Node', () => {
    const [command, node] = [join(app, 'node_modules/.bin/qi-jail'), join(work, 'bin/node')]
    const again = () => run(command, ['--quiet', '--', '/bin/echo', 'again'])
    expect(again()).toBe('again\n')
    rmSync(node)
    try {
      expect(again()).toBe('again\n')
      expect(() => run(command, ['--quiet', '--', '/bin/echo', 'another'])).toThrow('cannot start node')
    } finally {
      symlinkSync(process.execPath, node)
    }
  })

  // As nvm lays them out, with a desktop that knows nothing of it: its PATH is the system's.
  it('starts a client’s server by the Node of its prefix', () => {
    const [prefix, home] = [join(work, 'nvm/v20'), join(work, 'home')]
    mkdirSync(join(prefix, 'bin'), { recursive: true })
    copyFileSync(process.execPath, join(prefix, 'bin/node'))
    cpSync(join(app, 'node_modules/qi-jail'), join(prefix, 'lib/node_modules/qi-jail'), { recursive: true })
    for (const name of readdirSync(join(app, 'node_modules')).filter(
      (name) => /^[a-z@]/.test(name) && name !== 'qi-jail'
    ))
      symlinkSync(join(app, 'node_modules', name), join(prefix, 'lib/node_modules', name))
    symlinkSync('../lib/node_modules/qi-jail/bin/qi-jail', join(prefix, 'bin/qi-jail'))
    const file = join(home, 'client.json')
    writeFileSync(file, JSON.stringify({ mcpServers: { a: { command: '/bin/echo', args: ['by its own'] } } }))
    env.PATH = `${join(prefix, 'bin')}:/usr/bin:/bin`
    try {
      run(join(prefix, 'bin/qi-jail'), ['mcp', 'wrap', '--client', file], home)
      const { command, args } = JSON.parse(readFileSync(file, 'utf8')).mcpServers.a
      expect(command).toBe(join(prefix, `lib/node_modules/qi-jail/prebuilds/${platform}/qi-jail`))
      const status = JSON.parse(run(join(prefix, 'bin/qi-jail'), ['mcp', 'status', '--client', file, '--json'], home))
      expect(status).toMatchObject({ state: 'wrapped', loads: true, notes: [] }) // by this qi-jail, not a foreign one
      env.PATH = '/nowhere'
      for (let i = 0; i < 2; i++) expect(run(command, args, home)).toBe('by its own\n')
      // What the program runs outside is nothing for a jail to write, in a folder that it may write into.
      const attempt = 'cd "$1"; echo x >other && ! echo x >node && ! mv other node && ! rm node && echo held'
      const jail = ['--quiet', '--rw', join(prefix, 'bin'), '--', '/bin/sh', '-c', `{ ${attempt}; } 2>/dev/null`, 'sh']
      expect(run(command, [...jail, join(prefix, 'bin')], home)).toBe('held\n')
    } finally {
      env.PATH = join(work, 'bin')
    }
  })
})
