import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import type { SandboxConfig } from '../../src/policy/config.js'
import { nodeFs } from '../../src/profile/fs.js'
import { resolve } from '../../src/profile/resolve.js'
import { codeOf, PLAIN, profileOf, ROOT, resolveOn } from './fake.js'

describe('resolve', () => {
  it('golden: node server.js under strict, as a plain user', () => {
    const { files, ...rest } = resolveOn({
      config: {},
      profile: undefined,
      env: { PATH: '/usr/bin', LANG: 'C', SECRET: 'x' },
      tree: { [STRICT]: STRICT_YAML }
    })
    expect(rest).toMatchSnapshot()
    expect(files.map((f) => f.path)).toEqual([
      '/etc/passwd',
      '/etc/group',
      '/etc/hostname',
      '/etc/nsswitch.conf',
      '/etc/hosts',
      '/etc/resolv.conf'
    ])
  })

  it('is pure: the same input gives the same profile', () => {
    expect(resolveOn({ facts: ROOT })).toEqual(resolveOn({ facts: ROOT }))
  })

  it('all writable grants and denies carry an origin', () => {
    const { grants, denies } = resolveOn({ config: { filesystem: { allowedPaths: ['$CWD'] } } })
    for (const rule of [...grants, ...denies]) expect(rule.origin).toMatch(/^(closure: |config: |mandatory: )/)
  })
})

const STRICT = new URL('../../profiles/strict.yaml', import.meta.url).pathname
const STRICT_YAML = Buffer.from(nodeFs.read(STRICT, 65536) ?? '').toString()

describe('working directory', () => {
  it('inherited and granted: stays', () => {
    expect(resolveOn().command).toEqual({ file: '/usr/bin/node', argv: ['node', 'server.js'], cwd: '/home/u/app' })
  })

  it('inherited and not granted: becomes the private tmp, says so, and the script is still found', () => {
    const { command } = resolveOn({
      argv: ['node', '../x.js', '../x.js'],
      cwd: '/srv/p/q',
      tree: { '/srv/p/x.js': '', '/srv/p/q/y': '' }
    })
    expect(command).toMatchObject({ cwd: '/tmp', argv: ['node', '/srv/p/x.js', '../x.js'] })
    expect(command.cwdNote).toContain('/srv/p/q is not granted')
  })

  it('explicit: must exist and be granted', () => {
    const on = (cwd: string, config: SandboxConfig = {}) =>
      resolveOn({ argv: ['bash'], config: { cwd, ...config }, tree: { '/srv/a/b': null, '/srv/f': 'x' } })
    expect(codeOf(() => on('/srv/a'))).toBe('QI_CWD')
    expect(codeOf(() => on('/srv/gone', { filesystem: { readOnlyPaths: ['/srv'] } }))).toBe('QI_CWD')
    expect(codeOf(() => on('/srv/f', { filesystem: { readOnlyPaths: ['/srv'] } }))).toBe('QI_CWD')
    expect(on('/srv/a', { filesystem: { readOnlyPaths: ['/srv'] } }).command.cwd).toBe('/srv/a')
    expect(on('/tmp').command).toMatchObject({ cwd: '/tmp' })
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what a profile writes
    expect(on('/srv/a', { filesystem: { allowedPaths: ['$CWD/b', '${cwd}'] } }).command.cwd).toBe('/srv/a')
  })

  it('a relative command is made absolute with it', () => {
    const tree = { '/srv/p/run': '+x#!/bin/sh\n' }
    const { command } = resolveOn({ argv: ['./run'], cwd: '/srv/p', tree })
    expect(command).toMatchObject({ file: '/srv/p/run', argv: ['/srv/p/run'], cwd: '/tmp' })
  })

  it('inherited and denied: becomes the private tmp', () => {
    const filesystem = { readOnlyPaths: ['/srv'], deniedPaths: ['/srv/a'] }
    const given = { argv: ['bash'], tree: { '/srv/a/b': null }, config: { filesystem } }
    expect(resolveOn({ ...given, cwd: '/srv' }).command.cwd).toBe('/srv')
    expect(resolveOn({ ...given, cwd: '/srv/a/b' }).command.cwd).toBe('/tmp')
  })

  it('relative arguments belong to the explicit one', () => {
    const given = { cwd: '/home/u', config: { cwd: 'app' } }
    expect(resolveOn({ ...given, argv: ['node', 'server.js'] }).command).toMatchObject({
      cwd: '/home/u/app',
      argv: ['node', 'server.js']
    })
  })
})

describe('environment', () => {
  const caller = {
    PATH: '/usr/bin',
    LANG: 'C',
    LC_ALL: 'C',
    TERM: 'xterm',
    TZ: 'UTC',
    TMPDIR: '/x',
    AWS_SECRET_ACCESS_KEY: 's',
    LD_PRELOAD: '/x',
    NODE_OPTIONS: '-r x',
    HOME: '/home/u'
  }
  const env = (config: SandboxConfig) => Object.fromEntries(resolveOn({ env: caller, config }).env)

  it('passes an allow-list', () => {
    expect(env({})).toEqual({
      PATH: '/usr/bin',
      HOME: '/home/u',
      LANG: 'C',
      LC_ALL: 'C',
      TERM: 'xterm',
      TZ: 'UTC',
      TMPDIR: '/tmp'
    })
  })

  it('passes what is named, sets what is given', () => {
    expect(env({ env: ['AWS_SECRET_ACCESS_KEY', 'UNSET'] })).toMatchObject({ AWS_SECRET_ACCESS_KEY: 's' })
    expect(env({ env: ['UNSET'] })).not.toHaveProperty('UNSET')
    expect(env({ env: { NODE_OPTIONS: true, A: 'b', TZ: 'X' } })).toMatchObject({
      NODE_OPTIONS: '-r x',
      A: 'b',
      TZ: 'X'
    })
  })

  it('TMPDIR follows tempDirectory', () => {
    expect(env({ filesystem: { tempDirectory: '/scratch' } }).TMPDIR).toBe('/scratch')
  })
})

describe('identity', () => {
  it('plain user: own ids, or another one inside', () => {
    expect(resolveOn().identity).toEqual({ uidInside: 501, gidInside: 502, uidOutside: 501, gidOutside: 502 })
    expect(resolveOn({ config: { processIsolation: { uid: 7, gid: 8 } } }).identity).toEqual({
      uidInside: 7,
      gidInside: 8,
      uidOutside: 501,
      gidOutside: 502
    })
  })

  it('root: a host uid of its own, never 0', () => {
    expect(resolveOn({ facts: ROOT }).identity).toEqual({
      uidInside: 1000,
      gidInside: 1000,
      uidOutside: 1363738631,
      gidOutside: 1363738631
    })
    expect(resolveOn({ facts: ROOT, config: { processIsolation: { uid: 99, gid: 98 } } }).identity).toEqual({
      uidInside: 99,
      gidInside: 98,
      uidOutside: 99,
      gidOutside: 98
    })
    for (let i = 0; i < 20; i++) {
      const { uidOutside } = resolveOn({ facts: ROOT, random: undefined }).identity
      expect(uidOutside).toBeGreaterThanOrEqual(1363738624)
      expect(uidOutside).toBeLessThan(1363738624 + 65536)
    }
  })

  it('root without its capabilities is refused', () => {
    expect(codeOf(() => resolveOn({ facts: { ...ROOT, privileged: false } }))).toBe('QI_ROOT_UNPRIVILEGED')
  })

  it('is who /etc/passwd says', () => {
    const passwd = resolveOn().files.find((f) => f.path === '/etc/passwd')
    expect(passwd?.content).toContain('jail:x:501:502::/home/u:/bin/sh\n')
  })
})

describe('limits, network and tmp', () => {
  it('takes limits as written', () => {
    const resources = { maxMemory: '1GiB', maxExecutionTime: '5s', maxFileDescriptors: 9, maxProcesses: 8, tmpSize: 7 }
    expect(resolveOn({ config: { resources, filesystem: { maxFileSize: 6 } } }).limits).toEqual({
      maxMemory: 2 ** 30,
      memoryThreshold: Math.floor(2 ** 30 * 0.9),
      maxExecutionTime: 5000,
      executionClock: 'wall',
      terminationGrace: 2000,
      maxFileDescriptors: 9,
      maxProcesses: 8,
      onProcessLimit: 'refuse',
      tmpSize: 7,
      tmpFiles: 65536,
      maxFileSize: 6,
      cgroup: 'auto'
    })
  })

  it('a threshold lies below its limit', () => {
    const on = (resources: SandboxConfig['resources']) => () => resolveOn({ config: { resources } })
    expect(on({ maxMemory: 100, memoryThreshold: 99 })().limits).toMatchObject({ maxMemory: 100, memoryThreshold: 99 })
    expect(on({})().limits.memoryThreshold).toBeUndefined()
    for (const resources of [{ maxMemory: 100, memoryThreshold: 100 }, { memoryThreshold: 5 }]) {
      try {
        on(resources)()
        expect.unreachable()
      } catch (error) {
        expect(error).toMatchObject({ code: 'QI_LIMIT', field: 'resources.memoryThreshold' })
        expect((error as { hint?: string }).hint).toContain('maxMemory')
      }
    }
  })

  it('a maximum takes the threshold below it away', () => {
    const profile = profileOf({ resources: { maxMemory: 1000, memoryThreshold: 900 } })
    expect(resolveOn({ profile, config: { resources: { maxMemory: 100 } } }).limits.memoryThreshold).toBe(90)
    expect(resolveOn({ profile, config: { resources: { memoryThreshold: 10 } } }).limits.memoryThreshold).toBe(10)
    expect(resolveOn({ profile }).limits.memoryThreshold).toBe(900)
  })

  it('takes the limits that need a cgroup, whether the host has one or not', () => {
    const resources = { maxCpu: '50%', cpuWeight: 7, terminationGrace: 0, tmpFiles: 5, cgroup: 'off' } as const
    const { limits } = resolveOn({ config: { resources } })
    expect(limits).toMatchObject({ maxCpu: 0.5, cpuWeight: 7, terminationGrace: 0, tmpFiles: 5, cgroup: 'off' })
  })

  it("has no network, or the host's with its resolver", () => {
    const resolver = (p: ReturnType<typeof resolveOn>) => p.files.find((f) => f.path === '/etc/resolv.conf')?.content
    const none = resolveOn()
    expect(none.network).toEqual({ mode: 'none', innerLoopback: false })
    expect(resolver(none)).toMatch(/^nameserver 127\.0\.0\.1\n/)
    const shared = resolveOn({ config: { network: { dangerouslyShareHostNetwork: true } } })
    expect(shared.network).toEqual({ mode: 'dangerouslyShareHostNetwork', innerLoopback: false })
    expect(resolver(shared)).toBe('nameserver 9.9.9.9\n')
  })

  it.each(['/', '/usr/x', '/proc', 'rel', '~'])('refuses tempDirectory %s', (tempDirectory) => {
    expect(codeOf(() => resolveOn({ config: { filesystem: { tempDirectory } } }))).toBe('QI_PATH')
  })

  it('refuses a tempDirectory inside a grant', () => {
    const filesystem = { tempDirectory: '/data/tmp', allowedPaths: ['/data'] }
    expect(codeOf(() => resolveOn({ config: { filesystem }, tree: { '/data': null } }))).toBe('QI_GRANT_CONFLICT')
  })

  it('a link in place of /tmp or of a file of ours is made once', () => {
    const config = { filesystem: { readOnlyPaths: ['/etc/resolv.conf'] } }
    const profile = resolveOn({ config, tree: { '/tmp': '-> var/tmp', '/var/tmp': null } })
    expect(profile.tempDirectory).toBe('/var/tmp')
    expect(profile.symlinks).toContainEqual(expect.objectContaining({ path: '/tmp', target: 'var/tmp' }))
    expect(profile.symlinks).toContainEqual(expect.objectContaining({ path: '/etc/resolv.conf' }))
    expect(profile.files.map((f) => f.path)).not.toContain('/etc/resolv.conf')
  })

  it('what holds a home outside /home is too wide, too', () => {
    const given = { home: '/srv/people/u', tree: { '/srv/people/u': null } }
    expect(codeOf(() => resolveOn({ ...given, config: { filesystem: { allowedPaths: ['/srv'] } } }))).toBe(
      'QI_GRANT_TOO_WIDE'
    )
  })

  it('writes no file of its own into a granted /etc', () => {
    const { files, grants } = resolveOn({ config: { filesystem: { readOnlyPaths: ['/etc'] } } })
    expect(files).toEqual([])
    expect(grants.filter((g) => g.path.startsWith('/etc')).map((g) => g.path)).toEqual(['/etc'])
  })

  it.each(['/usr', '/usr/bin/node', '/home/u/app/server.js'])('refuses a launch that needs the denied %s', (path) => {
    const act = () => resolveOn({ config: { filesystem: { deniedPaths: [path] } } })
    if (path.endsWith('server.js')) expect(act().denies).toContainEqual(expect.objectContaining({ path, kind: 'read' }))
    else expect(codeOf(act)).toBe('QI_GRANT_CONFLICT')
  })

  it('refuses a HOME that is no path', () => {
    expect(codeOf(() => resolveOn({ home: '' }))).toBe('QI_PATH')
    expect(codeOf(() => resolveOn({ home: 'x' }))).toBe('QI_PATH')
  })

  it('a home that is a link: canonical inside', () => {
    const profile = resolveOn({ home: '/h', tree: { '/h': '-> /home/u' } })
    expect(profile.env).toContainEqual(['HOME', '/home/u'])
    expect(
      codeOf(() =>
        resolveOn({ home: '/h', tree: { '/h': '-> /home/u' }, config: { filesystem: { allowedPaths: ['~'] } } })
      )
    ).toBe('QI_GRANT_TOO_WIDE')
    expect(
      codeOf(() =>
        resolveOn({ home: '/h', tree: { '/h': '-> /home/u' }, config: { filesystem: { allowedPaths: ['~/.ssh'] } } })
      )
    ).toBe('none')
  })
})

describe('on a real file system', () => {
  let root: string
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'qi-resolve-')))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  const run = (argv: string[], config: SandboxConfig, cwd = root) =>
    resolve(
      { argv, config, env: { PATH: process.env.PATH }, cwd, home: join(root, 'home'), packageDir: '/nonexistent' },
      { ...PLAIN, arch: process.arch as 'x64' }
    )

  it('starts this Node on a package with a linked bin', () => {
    mkdirSync(join(root, 'p/node_modules/.bin'), { recursive: true })
    mkdirSync(join(root, 'p/node_modules/tool'))
    writeFileSync(join(root, 'p/node_modules/tool/cli.js'), '#!/usr/bin/env node\n')
    chmodSync(join(root, 'p/node_modules/tool/cli.js'), 0o755)
    symlinkSync('../tool/cli.js', join(root, 'p/node_modules/.bin/tool'))
    const profile = run(['p/node_modules/.bin/tool'], {})
    expect(profile.command.file).toBe(join(root, 'p/node_modules/.bin/tool'))
    expect(profile.grants).toContainEqual(
      expect.objectContaining({ path: join(root, 'p/node_modules'), access: 'ro', as: 'caller' })
    )
    expect(profile.grants.some((g) => g.path === root)).toBe(false)
  })

  it('sees modes, links, sockets and missing files as they are', () => {
    mkdirSync(join(root, 'w/.git/hooks'), { recursive: true })
    writeFileSync(join(root, 'w/.git/config'), '')
    writeFileSync(join(root, 'w/plain'), '#!/bin/sh\n')
    symlinkSync('loop', join(root, 'loop'))
    symlinkSync('/etc/passwd', join(root, 'w/planted'))
    const config: SandboxConfig = { profile: 'standard' }
    const profile = run([process.execPath, '-e', '1'], config, join(root, 'w'))
    expect(profile.denies.map((d) => `${d.now} ${d.path}`)).toEqual(
      expect.arrayContaining([`dir ${root}/w/.git/hooks`, `file ${root}/w/.git/config`, `missing ${root}/w/.env`])
    )
    expect(codeOf(() => run(['./plain'], config, join(root, 'w')))).toBe('QI_COMMAND_NOT_EXECUTABLE')
    expect(codeOf(() => run(['./loop'], {}))).toBe('QI_PATH')
    expect(
      codeOf(() => run(['true'], { ...config, filesystem: { readOnlyPaths: ['planted'] } }, join(root, 'w')))
    ).toBe('QI_GRANT_LINK')
    symlinkSync('hooks', join(root, 'w/.vscode'))
    expect(codeOf(() => run(['true'], config, join(root, 'w')))).toBe('QI_PROTECTED_LINK')
  })

  it('standard in home is refused with what to do', () => {
    mkdirSync(join(root, 'home'))
    try {
      run(['true'], { profile: 'standard' }, join(root, 'home'))
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(QiError)
      expect(error).toMatchObject({ code: 'QI_GRANT_TOO_WIDE', hint: expect.stringContaining('--cwd') })
    }
  })

  it('every error has a code, and its message a remedy', () => {
    for (const config of [
      { filesystem: { readOnlyPaths: ['gone'] } },
      { cwd: 'gone' },
      { profile: 'gone' }
    ] as SandboxConfig[]) {
      expect(codeOf(() => run(['true'], config))).toMatch(/^QI_[A-Z_]+$/)
      expect(() => run(['true'], config)).toThrow(/\(.+\)$/)
    }
  })
})
