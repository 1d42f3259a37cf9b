import { describe, expect, it } from 'vitest'
import { type Caller, findCgroup } from '../../src/host/cgroup.js'
import { fakeReader, folder, group, type Host, MOUNTED, socket, systemdHost, type Things } from './fake-cgroups.js'

const ENV = { XDG_RUNTIME_DIR: '/run/user/1000', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/1000/bus' }
const find = (host: Host, { uid = host.uid ?? 1000, env = ENV, ...more }: Partial<Caller> = {}) =>
  findCgroup(fakeReader({ uid, ...host }), { uid, env, ...more })

const APP = '/user.slice/user-1000.slice/user@1000.service/app.slice/app-editor.scope'
const SSH = '/user.slice/user-1000.slice/session-3.scope'

describe('a logged-in user', () => {
  it('of a laptop gets a scope, with what its manager has', () => {
    const found = find({ things: systemdHost(APP) })
    expect(found).toMatchObject({
      version: 2,
      mount: '/sys/fs/cgroup',
      source: 'scope',
      busSocket: '/run/user/1000/bus',
      controllers: ['cpu', 'memory', 'pids']
    })
    expect(found.path).toBeUndefined()
    expect(found.reason).toContain('user@1000.service is divided by a systemd')
  })

  it('over ssh gets one too, also where the environment says nothing of the bus', () => {
    expect(find({ things: systemdHost(SSH) }).source).toBe('scope')
    expect(find({ things: systemdHost(SSH) }, { env: {} }).busSocket).toBe('/run/user/1000/bus')
  })

  it('over ssh without a bus gets none, and is told where one was looked for', () => {
    const found = find({ things: systemdHost(SSH, { bus: false }) })
    expect(found).toMatchObject({ version: 2, source: 'none', controllers: [] })
    expect(found.reason).toContain('no user bus of this user (/run/user/1000/bus)')
    expect(found.reason).toContain(`no cgroup was delegated to this process (it is in /sys/fs/cgroup${SSH})`)
  })

  it('has the controllers of an old manager, which has no cpu', () => {
    expect(find({ things: systemdHost(APP, { userControllers: 'memory pids' }) }).controllers).toEqual([
      'memory',
      'pids'
    ])
  })

  it('reads the address of the bus as D-Bus writes it', () => {
    const things = {
      ...systemdHost(APP, { bus: false }),
      '/home/u/my bus': folder(1000),
      '/home/u/my bus/s': socket(1000)
    }
    const env = { DBUS_SESSION_BUS_ADDRESS: 'tcp:host=x;unix:guid=1,path=/home/u/my%20bus/s,x=y' }
    expect(find({ things }, { env }).busSocket).toBe('/home/u/my bus/s')
  })

  it.each<[string, Things]>([
    ['a socket of another user', { '/run/user/1000/bus': socket(1001) }],
    ['a folder that others may write', { '/run/user/1000': folder(1000, 0o777) }],
    ['a folder of another user', { '/run/user/1000': folder(0, 0o755) }],
    ['no socket at all', { '/run/user/1000/bus': 'a file' }]
  ])('asks nobody at %s', (_, over) => {
    expect(find({ things: { ...systemdHost(APP), ...over } }).source).toBe('none')
  })

  it.each(['/run/user/../1000/bus', 'relative/bus', '/run/user/1000/bus/', `/${'x'.repeat(120)}`, '%zz'])(
    'leaves an address out that is no plain path: %s',
    (path) => {
      const things = systemdHost(APP, { bus: false })
      const found = find({ things }, { env: { DBUS_SESSION_BUS_ADDRESS: `unix:path=${path}` } })
      expect(found.source).toBe('none')
      expect(found.reason).toContain('(/run/user/1000/bus)')
    }
  )
})

describe('a delegated group', () => {
  const SERVICE = '/sys/fs/cgroup/system.slice/runner.service'
  const service = (over: Parameters<typeof group>[1], own = '/system.slice/runner.service'): Things => ({
    ...systemdHost(own, { bus: false }),
    ...group(SERVICE, { uid: 1000, delegate: 'user.delegate', ...over }),
    ...(own.endsWith('/main') ? group(`${SERVICE}/main`, { uid: 1000, procs: [4242] }) : {})
  })

  it('with the caller in a leaf of it is taken first', () => {
    expect(find({ things: service({}, '/system.slice/runner.service/main') })).toEqual({
      version: 2,
      mount: '/sys/fs/cgroup',
      source: 'subtree',
      path: SERVICE,
      controllers: ['cpu', 'io', 'memory', 'pids'],
      reason: ''
    })
  })

  it('with the launcher alone in it is taken when the launcher may be moved', () => {
    const things = service({ procs: [4242] })
    expect(find({ things }, { launcherPid: 4242 })).toMatchObject({
      source: 'subtree',
      path: SERVICE,
      launcherPid: 4242
    })
    const host = find({ things })
    expect(host).toMatchObject({ source: 'none' })
    expect(host.reason).toContain(`${SERVICE} is delegated, but has a process in it`)
    expect(host.launcherPid).toBeUndefined()
  })

  it('with others in it is left alone', () => {
    const found = find({ things: service({ procs: [4242, 7] }) }, { launcherPid: 4242 })
    expect(found.source).toBe('none')
  })

  it('moves nobody who is not in the way', () => {
    const found = find({ things: service({}, '/system.slice/runner.service/main') }, { launcherPid: 4242 })
    expect(found.source).toBe('subtree')
    expect(found.launcherPid).toBeUndefined()
  })

  it('without its mark is somebody’s, whoever may write it', () => {
    const things = { ...service({}), [SERVICE]: folder(1000) }
    expect(find({ things }, { launcherPid: 4242 }).source).toBe('none')
  })

  it('that may not be written is no use', () => {
    const things = service({}, '/system.slice/runner.service/main')
    const found = find({ things, locked: (path) => path === `${SERVICE}/cgroup.subtree_control` })
    expect(found).toMatchObject({ source: 'none' })
    expect(found.reason).toContain(`${SERVICE}/cgroup.subtree_control may not be written`)
  })

  it('in which a systemd lives is that one’s', () => {
    const things = { ...service({}, '/system.slice/runner.service/main'), [`${SERVICE}/init.scope`]: folder(1000) }
    expect(find({ things }).reason).toContain('is divided by a systemd')
  })

  it('marked as root alone can read it counts too', () => {
    const things = service({ delegate: 'trusted.delegate', uid: 0 }, '/system.slice/runner.service/main')
    expect(find({ things, uid: 0 }).source).toBe('subtree')
  })
})

describe('root', () => {
  it('asks the system’s manager', () => {
    const found = find({ things: systemdHost('/system.slice/cron.service'), uid: 0 }, { env: {} })
    expect(found).toMatchObject({ source: 'scope', busSocket: '/run/dbus/system_bus_socket' })
    expect(found.controllers).toEqual(['cpu', 'io', 'memory', 'pids'])
  })

  it('does not where another is pid 1, or the bus is not root’s', () => {
    const things = systemdHost('/system.slice/cron.service')
    expect(find({ things: { ...things, '/proc/1/comm': 'bash\n' }, uid: 0 }).source).toBe('none')
    expect(find({ things: { ...things, '/run/dbus/system_bus_socket': socket(5) }, uid: 0 }).source).toBe('none')
  })

  const PLAIN: Things = {
    '/proc/self/mountinfo': MOUNTED,
    '/proc/self/cgroup': '0::/\n',
    '/proc/1/comm': 'init\n',
    ...group('/sys/fs/cgroup', { top: true, procs: [1, 4242] })
  }
  it('without systemd takes the root of the hierarchy, which may have processes', () => {
    expect(find({ things: PLAIN, uid: 0 })).toMatchObject({ source: 'root', path: '/sys/fs/cgroup' })
  })

  it('a plain user there gets none', () => {
    const found = find({ things: PLAIN }, { env: {} })
    expect(found).toMatchObject({ version: 2, source: 'none' })
    expect(found.reason).toContain('systemd does not run here')
  })
})

describe('containers', () => {
  const container = (over: Parameters<typeof group>[1], root = '/', own = '/'): Things => ({
    '/proc/self/mountinfo': `9 1 0:26 ${root} /sys/fs/cgroup rw - cgroup2 cgroup rw\n`,
    '/proc/self/cgroup': `0::${own}\n`,
    '/proc/1/comm': 'node\n',
    ...group('/sys/fs/cgroup', over)
  })

  it('Docker: the cgroup is mounted read-only', () => {
    const found = find({ things: container({ procs: [1] }), uid: 0, locked: () => true })
    expect(found).toMatchObject({ version: 2, source: 'none' })
    expect(found.reason).toContain('/sys/fs/cgroup may not be written')
  })

  it('Docker with a cgroup of its own that may be written: pid 1 is in it', () => {
    expect(find({ things: container({ procs: [1, 7] }), uid: 0 }).reason).toContain('has 2 processes in it')
    expect(find({ things: container({ procs: [1] }), uid: 0 }, { launcherPid: 1 })).toMatchObject({
      source: 'subtree',
      path: '/sys/fs/cgroup',
      launcherPid: 1
    })
  })

  it('whose processes were moved aside: the top is free', () => {
    const things = { ...container({}, '/', '/init'), ...group('/sys/fs/cgroup/init', { procs: [1] }) }
    expect(find({ things, uid: 0 })).toMatchObject({ source: 'subtree', path: '/sys/fs/cgroup' })
  })

  it('with the host’s cgroup namespace: paths are read from where the mount begins', () => {
    const things = {
      ...container({ procs: [] }, '/docker/abc', '/docker/abc/work'),
      ...group('/sys/fs/cgroup/work', { procs: [1] })
    }
    expect(find({ things, uid: 0 })).toMatchObject({ source: 'subtree', path: '/sys/fs/cgroup' })
    const elsewhere = { ...things, '/proc/self/cgroup': '0::/docker/other\n' }
    expect(find({ things: elsewhere, uid: 0 })).toMatchObject({ source: 'none' })
    const above = { ...things, '/proc/self/cgroup': '0::/../../x\n' }
    expect(find({ things: above, uid: 0 }).reason).toContain('outside of what is mounted here')
  })

  it('Kubernetes: read-only, as a plain user', () => {
    const found = find({ things: container({ procs: [1] }), locked: () => true }, { env: {} })
    expect(found.source).toBe('none')
  })
})

describe('other hosts', () => {
  it('a runner of GitHub: a service that nothing was delegated to, no bus', () => {
    const things = systemdHost('/system.slice/hosted-compute-agent.service', { bus: false })
    expect(find({ things }, { env: {} })).toMatchObject({ version: 2, source: 'none' })
  })

  it('WSL2 without systemd', () => {
    const things: Things = {
      '/proc/self/mountinfo': MOUNTED.replace('/sys/fs/cgroup', '/sys/fs/cgroup/unified'),
      '/proc/self/cgroup': '0::/\n',
      ...group('/sys/fs/cgroup/unified', { top: true })
    }
    expect(find({ things }, { env: {} })).toMatchObject({ version: 2, source: 'none', mount: '/sys/fs/cgroup/unified' })
  })

  it('both versions, with everything of use in the first', () => {
    const things: Things = {
      '/proc/self/mountinfo':
        '1 0 0:5 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n2 0 0:6 / /sys/fs/cgroup/unified rw - cgroup2 x rw\n',
      '/proc/self/cgroup': '4:memory:/x\n0::/\n',
      ...group('/sys/fs/cgroup/unified', { top: true, controllers: 'hugetlb misc' })
    }
    expect(find({ things, uid: 0 })).toEqual({
      version: 1,
      mount: '/sys/fs/cgroup/unified',
      source: 'none',
      controllers: [],
      reason: 'memory, cpu and io belong to cgroup v1 here; cgroup v2 at /sys/fs/cgroup/unified has none of them'
    })
  })

  it('version 1 alone, and none', () => {
    const v1 = { '/proc/self/mountinfo': '1 0 0:5 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n' }
    expect(find({ things: v1 })).toMatchObject({ version: 1, source: 'none' })
    expect(find({ things: {} })).toMatchObject({ version: 'none', source: 'none', controllers: [] })
    expect(find({ things: { '/proc/self/mountinfo': 'nonsense\n - cgroup2\n' } })).toMatchObject({ version: 'none' })
  })

  it('a mount point with a space in its name', () => {
    const things: Things = {
      '/proc/self/mountinfo': '30 24 0:26 / /my\\040cgroup rw - cgroup2 cgroup2 rw\n',
      '/proc/self/cgroup': '0::/\n',
      ...group('/my cgroup', { top: true })
    }
    expect(find({ things, uid: 0 })).toMatchObject({ source: 'root', path: '/my cgroup' })
  })
})
