import { EventEmitter } from 'node:events'
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { list, listStats, request } from '../../src/launch/ctl-client.js'
import { makeFolder, trustedFolders } from '../../src/launch/ctl-folder.js'
import { serveControl } from '../../src/launch/ctl-server.js'
import type { Jail } from '../../src/launch/jail.js'
import type { JailStats } from '../../src/launch/stats.js'
import { controlFolders } from '../../src/profile/control.js'
import { codeOf, resolveOn } from '../profile/fake.js'

let runtime: string
const before = process.env.XDG_RUNTIME_DIR
beforeEach(() => {
  runtime = mkdtempSync('/var/tmp/qi-ctl-')
  process.env.XDG_RUNTIME_DIR = runtime
})
afterEach(() => {
  rmSync(runtime, { recursive: true, force: true })
  if (before === undefined) delete process.env.XDG_RUNTIME_DIR
  else process.env.XDG_RUNTIME_DIR = before
})

const ABOUT = { pid: 42, profile: 'test', command: 'node server.js' }

const STATS: JailStats = {
  backend: 'watchdog',
  uptimeMs: 5,
  paused: false,
  memory: { current: 1, limit: 2 },
  cpu: { usageUs: 3 },
  processes: { current: 1 },
  refusals: 0
}

/** What the server sees of a jail. */
function jail() {
  let end: () => void = () => {}
  const exited = new Promise<void>((resolve) => {
    end = resolve
  })
  const calls: string[] = []
  const fake = Object.assign(new EventEmitter(), {
    exited,
    networkRules: {
      hosts: [
        {
          action: 'allow',
          pattern: { kind: 'name', name: 'a.example' },
          transport: 'tcp',
          low: 443,
          high: 443,
          inspect: false,
          origin: 'config: network.allowedHosts[0]'
        }
      ],
      loopback: [],
      publish: [{ port: 3000, origin: 'config: network.publish[0]' }]
    },
    async allowHost(host: string) {
      if (host === 'bad') throw Object.assign(new Error('bad is no host'), { code: 'QI_NETWORK_HOST' })
      calls.push(`allow ${host}`)
    },
    async denyHost(host: string) {
      calls.push(`deny ${host}`)
    },
    async stats() {
      return STATS
    },
    async pause() {
      calls.push('pause')
    },
    async resume() {
      throw Object.assign(new Error('could not'), { code: 'QI_PAUSE' })
    },
    kill(signal: string) {
      calls.push(`kill ${signal}`)
    }
  })
  return { jail: fake as unknown as Jail, calls, end }
}

describe('the control socket of a jail', () => {
  it('answers while the jail lives, and is gone with it', async () => {
    const { jail: fake, calls, end } = jail()
    const { id } = await serveControl(fake, ABOUT)
    expect(id).toMatch(/^[0-9a-f]{8}$/)
    const path = `${runtime}/qi-jail/${id}.sock`
    expect(lstatSync(`${runtime}/qi-jail`).mode & 0o777).toBe(0o700)
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
    expect(await request(id, { verb: 'status' })).toMatchObject({ ok: true, status: { id, ...ABOUT } })
    expect(await request(id, { verb: 'rules' })).toEqual({
      ok: true,
      rules: [
        { rule: 'host allow exact a.example tcp 443-443', origin: 'config: network.allowedHosts[0]' },
        { rule: 'publish 3000', origin: 'config: network.publish[0]' }
      ]
    })
    await request(id, { verb: 'allow', host: 'b.example:443' })
    await request(id, { verb: 'deny', host: 'c.example' })
    expect(calls).toEqual(['allow b.example:443', 'deny c.example'])
    await expect(request(id, { verb: 'allow', host: 'bad' })).rejects.toMatchObject({ code: 'QI_NETWORK_HOST' })
    end()
    await expect.poll(() => existsSync(path)).toBe(false)
    await expect(request(id, { verb: 'status' })).rejects.toMatchObject({ code: 'QI_CONTROL' })
  })

  it('tells what the jail uses, stops it, lets it go on and ends it', async () => {
    const { jail: fake, calls, end } = jail()
    const { id } = await serveControl(fake, ABOUT)
    expect((await request(id, { verb: 'stats' })).stats).toEqual(STATS)
    // Other tests have jails as well, in the folder for those without XDG_RUNTIME_DIR.
    const ours = (await listStats()).filter((one) => one.id === id)
    expect(ours).toMatchObject([{ profile: 'test', stats: STATS }])
    await request(id, { verb: 'pause' })
    await expect(request(id, { verb: 'resume' })).rejects.toMatchObject({ code: 'QI_PAUSE' })
    await request(id, { verb: 'kill' })
    expect(calls).toEqual(['pause', 'kill SIGKILL'])
    end()
  })

  it('has the name it is given, once', async () => {
    const { jail: fake, end } = jail()
    await serveControl(fake, ABOUT, 'mine')
    await expect(serveControl(jail().jail, ABOUT, 'mine')).rejects.toMatchObject({ code: 'QI_CONTROL', value: 'mine' })
    expect((await list()).filter(({ id }) => id === 'mine')).toHaveLength(1)
    end()
  })

  it.each(['', '.', '..', '../x', 'a/b', 'a b', '-x', 'x'.repeat(65), 'a\0'])('is not named %j', async (id) => {
    await expect(serveControl(jail().jail, ABOUT, id)).rejects.toMatchObject({ code: 'QI_CONTROL' })
  })

  it('what a killed process left is removed', async () => {
    const folder = makeFolder()
    const server = createServer().listen(`${folder}/old.sock`)
    await new Promise((resolve) => server.once('listening', resolve))
    // Closing removes the name; a killed process leaves it.
    const { linkSync } = await import('node:fs')
    linkSync(`${folder}/old.sock`, `${folder}/stale.sock`)
    await new Promise((resolve) => server.close(resolve))
    expect(readdirSync(folder)).toEqual(['stale.sock'])
    expect((await list()).map(({ id }) => id)).not.toContain('stale')
    expect(readdirSync(folder)).toEqual([])
    const { jail: fake, end } = jail()
    expect((await serveControl(fake, ABOUT, 'stale')).id).toBe('stale')
    end()
  })

  it.each(['nonsense\n', '{"verb":"kill"}\n', 'null\n', '[]\n', `${'x'.repeat(9000)}\n`])(
    'survives %.20j',
    async (text) => {
      const { jail: fake, end } = jail()
      const { id } = await serveControl(fake, ABOUT)
      const socket = connect(`${runtime}/qi-jail/${id}.sock`)
      socket.on('error', () => {})
      socket.end(text)
      await new Promise((resolve) => socket.resume().once('close', resolve))
      expect(await request(id, { verb: 'status' })).toMatchObject({ ok: true })
      end()
    }
  )

  it('lies in a folder that nobody else could have made', () => {
    const folder = `${runtime}/qi-jail`
    mkdirSync(folder)
    chmodSync(folder, 0o755)
    expect(trustedFolders()).not.toContain(folder)
    expect(makeFolder()).not.toBe(folder)
    rmSync(folder, { recursive: true })
    symlinkSync(mkdtempSync(`${runtime}/elsewhere-`), folder)
    expect(trustedFolders()).not.toContain(folder)
    rmSync(folder)
    expect(makeFolder()).toBe(folder)
    expect(trustedFolders()).toContain(folder)
  })
})

describe('no jail reaches control sockets', () => {
  const tree = { '/run/user/501/bus': 'socket:', '/var/r/x': '' }
  const env = { PATH: '/usr/bin:/bin', HOME: '/home/u' }
  const denies = (filesystem: object, more = {}) =>
    resolveOn({ argv: ['bash'], tree, env: { ...env, ...more }, config: { filesystem } })
      .denies.filter((deny) => deny.origin.includes('control'))
      .map(({ kind, now, path }) => `${kind} ${now} ${path}`)

  it('their folder is hidden in whatever grant it lies', () => {
    expect(denies({ readOnlyPaths: ['/run'] })).toEqual(['read dir /run/user/501/qi-jail'])
    expect(denies({ allowedPaths: ['/run/user/501'] })).toEqual(['read dir /run/user/501/qi-jail'])
    expect(denies({ readOnlyPaths: ['/var/r'] }, { XDG_RUNTIME_DIR: '/var/r' })).toEqual(['read dir /var/r/qi-jail'])
    expect(denies({ readOnlyPaths: ['/tmp'], tempDirectory: '/scratch' })).toEqual(['read dir /tmp/qi-jail-501'])
    expect(denies({ readOnlyPaths: ['/var'] })).toEqual([])
  })

  it('it is not granted itself, nor what lies in it', () => {
    const inside = { ...tree, '/run/user/501/qi-jail/1.sock': 'socket:', '/run/user/501/qi-jail/d/x': '' }
    for (const path of ['/run/user/501/qi-jail', '/run/user/501/qi-jail/d'])
      for (const list of ['readOnlyPaths', 'allowedPaths']) {
        const config = { filesystem: { [list]: [path] } }
        expect(codeOf(() => resolveOn({ argv: ['bash'], tree: inside, config }))).toBe('QI_PROTECTED_GRANT')
      }
  })

  it('a runtime folder that is no path is none', () => {
    expect(controlFolders({ XDG_RUNTIME_DIR: 'relative' }, 7)).toEqual(['/tmp/qi-jail-7'])
    expect(controlFolders({ XDG_RUNTIME_DIR: '/r' }, 7)).toEqual(['/r/qi-jail', '/tmp/qi-jail-7'])
  })
})
