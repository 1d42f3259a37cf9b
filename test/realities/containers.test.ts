import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { checkoutFor, homeOf, type User, users } from '../support/user.js'
import { launchIn } from './support.js'

/**
 * Containers of crun, an OCI runtime, with what container engines take away by default: written down here, not taken from an
 * engine. The root folder is the machine's own; control groups are left alone.
 */
interface Container {
  user: number
  /** As --security-opt systempaths=unconfined. */
  wholeProc?: boolean
  /** As --security-opt seccomp=unconfined. */
  unfiltered?: boolean
  capabilities?: string[]
  /** In a user namespace of the container's own, as rootless engines make it. */
  rootless?: boolean
}

/** Docker's default set. */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP']
  .concat(['SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'])
  .map((name) => `CAP_${name}`)
const HIDDEN = ['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi']
const READ_ONLY = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger']

/** What the engines' default filters have in common, as far as it concerns us: no new user namespaces and no mounts. */
const CLONE_NEWUSER = 0x10000000
const ENOSYS = 38
const EPERM = 1
const MOUNTS = ['mount', 'umount2', 'pivot_root', 'open_tree', 'move_mount', 'fsopen', 'fsconfig', 'fsmount']
const SECCOMP = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    { names: [...MOUNTS, 'mount_setattr', 'unshare', 'setns'], action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    {
      names: ['clone'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: EPERM,
      args: [{ index: 0, value: CLONE_NEWUSER, valueTwo: CLONE_NEWUSER, op: 'SCMP_CMP_MASKED_EQ' }]
    }
  ]
}

const namespaces = (rootless: boolean) => ['pid', 'ipc', 'uts', 'mount', ...(rootless ? ['user'] : [])]
const mapped = [{ containerID: 0, hostID: 200000, size: 65536 }]

function specification({ user, wholeProc, unfiltered, capabilities, rootless = false }: Container, box: Box) {
  const held = user === 0 ? (capabilities ?? CAPABILITIES) : []
  const paths = (names: string[]) => (wholeProc ? [] : names.map((name) => `/proc/${name}`))
  return {
    ociVersion: '1.0.2',
    root: { path: 'rootfs', readonly: false },
    process: {
      user: { uid: user, gid: user },
      args: box.command,
      env: Object.entries(box.env).map(([name, value]) => `${name}=${value}`),
      cwd: box.cwd,
      capabilities: { bounding: capabilities ?? CAPABILITIES, effective: held, permitted: held },
      noNewPrivileges: false
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
      { destination: '/sys/fs/cgroup', type: 'tmpfs', source: 'tmpfs', options: ['ro'] }
    ],
    linux: {
      namespaces: namespaces(rootless).map((type) => ({ type: type })),
      ...(rootless ? { uidMappings: mapped, gidMappings: mapped } : {}),
      maskedPaths: paths(HIDDEN),
      readonlyPaths: paths(READ_ONLY),
      ...(unfiltered ? {} : { seccomp: SECCOMP })
    }
  }
}

interface Box {
  command: string[]
  env: Record<string, string>
  cwd: string
}

const LOOK = 'echo made > made; ! echo x > /usr/x; grep ^CapEff /proc/self/status; exit 42'

const START = `
set -e
mount --rbind / "$1/rootfs"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /sys/fs/cgroup
exec crun --cgroup-manager=disabled run --bundle "$1" box`

/** Runs qi-jail in the container; crun's own state lies in a private mount namespace, where no control group is seen. */
function launchInContainer(container: Container, args = ['--json', '--rw', '.', '--', 'sh', '-c', LOOK]) {
  const [checkout, home] = [checkoutFor('plain'), homeOf('root')]
  const bundle = mkdtempSync(join(tmpdir(), 'qi-bundle-'))
  try {
    const project = join(home.path, 'project')
    mkdirSync(project)
    const host = container.rootless ? 200000 + container.user : container.user
    for (const path of [home.path, project]) spawnSync('chown', [`${host}:${host}`, path])
    const box = {
      command: [process.execPath, join(checkout.path, 'bin/qi-jail'), ...args],
      env: { PATH: process.env.PATH ?? '', HOME: home.path },
      cwd: project
    }
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(specification(container, box)))
    mkdirSync(join(bundle, 'rootfs'))
    chmodSync(bundle, 0o755)
    const run = spawnSync('unshare', ['--mount', 'sh', '-c', START, 'sh', bundle], { encoding: 'utf8' })
    const record = run.stderr.split('\n').find((line) => line.startsWith('{"error"'))
    const files = readdirSync(project)
    return {
      status: run.status,
      stdout: run.stdout,
      stderr: run.stderr,
      files,
      error: record && JSON.parse(record).error
    }
  } finally {
    for (const path of [bundle, home.path]) rmSync(path, { recursive: true, force: true })
    checkout.remove()
  }
}

const SECCOMP_HINT = /seccomp=unconfined/
const PROC_HINT = /systempaths=unconfined/
const ROOT_HINT = /run as an ordinary user \(docker run --user 1000/
const REFUSED: [what: string, container: Container, code: string, at: string | undefined, hint: RegExp][] = [
  ['defaults, a plain user', { user: 1000 }, 'QI_LAUNCH', 'CloneJail EPERM', SECCOMP_HINT],
  ['without its filter, a plain user', { user: 1000, unfiltered: true }, 'QI_LAUNCH', 'MountProc EPERM', PROC_HINT],
  ['with a whole /proc, a plain user', { user: 1000, wholeProc: true }, 'QI_LAUNCH', 'CloneJail EPERM', SECCOMP_HINT],
  ['defaults, root', { user: 0 }, 'QI_ROOT_UNPRIVILEGED', undefined, ROOT_HINT],
  [
    'no filter, whole /proc, root',
    { user: 0, unfiltered: true, wholeProc: true },
    'QI_ROOT_UNPRIVILEGED',
    undefined,
    ROOT_HINT
  ],
  [
    'rootless, root',
    { user: 0, rootless: true, unfiltered: true, wholeProc: true },
    'QI_ROOT_UNPRIVILEGED',
    undefined,
    ROOT_HINT
  ],
  ['rootless, defaults, a plain user', { user: 1000, rootless: true }, 'QI_LAUNCH', 'CloneJail EPERM', SECCOMP_HINT]
]

const WHOLE: [what: string, container: Container][] = [
  ['no filter, whole /proc, a plain user', { user: 1000, unfiltered: true, wholeProc: true }],
  ['the same, rootless', { user: 1000, unfiltered: true, wholeProc: true, rootless: true }],
  ['the same, no capability to be had', { user: 1000, unfiltered: true, wholeProc: true, capabilities: [] }],
  [
    'no filter, whole /proc, root with CAP_SYS_ADMIN',
    { user: 0, unfiltered: true, wholeProc: true, capabilities: [...CAPABILITIES, 'CAP_SYS_ADMIN'] }
  ]
]

describe.each(users.filter((user) => user === 'root'))('%s starts a container', () => {
  test.each(REFUSED)('%s: refused', (_what, container, code, at, hint) => {
    skipUnless(spawnSync('crun', ['--version']).status === 0, 'needs crun')
    const { status, stdout, stderr, files, error } = launchInContainer(container)
    expect({ status, stdout, files, code: error?.code }, stderr).toEqual({ status: 125, stdout: '', files: [], code })
    if (at) expect(`${error.stepName} ${error.errno}`).toBe(at)
    expect(error.hint).toMatch(hint)
  })

  test.each(WHOLE)('%s: whole', (_what, container) => {
    skipUnless(spawnSync('crun', ['--version']).status === 0, 'needs crun')
    const { status, stdout, stderr, files } = launchInContainer(container)
    expect({ status, files, stdout }, stderr).toEqual({
      status: 42,
      files: ['made'],
      stdout: 'CapEff:\t0000000000000000\n'
    })
  })
})

describe.each(users.filter((user) => user === 'root'))('qi-jail doctor in a container that %s starts', () => {
  const inside = (container: Container) => {
    skipUnless(spawnSync('crun', ['--version']).status === 0, 'needs crun')
    const { status, stdout, stderr, files } = launchInContainer(container, ['doctor', '--json'])
    expect(files, stderr).toEqual([])
    return { status, found: JSON.parse(stdout) }
  }

  test.each<[what: string, container: Container, hint: RegExp]>([
    ['defaults: the filter is in the way', { user: 1000 }, SECCOMP_HINT],
    ['without its filter: the hidden /proc is', { user: 1000, unfiltered: true }, PROC_HINT],
    ['defaults, root', { user: 0 }, ROOT_HINT]
  ])('%s', (_what, container, hint) => {
    const { status, found } = inside(container)
    expect({ status, ok: found.ok, launch: found.launch.ok }).toEqual({ status: 1, ok: false, launch: false })
    expect(found.restrictions.filtered).toBe(container.unfiltered !== true)
    expect(found.remedies.join('\n')).toMatch(hint)
  })

  test('no filter, whole /proc: a jail can be had', () => {
    const { status, found } = inside({ user: 1000, unfiltered: true, wholeProc: true })
    expect({ status, ok: found.ok, filtered: found.restrictions.filtered }).toEqual({
      status: 0,
      ok: true,
      filtered: false
    })
    expect(found.host).toMatchObject({ userNamespaces: { usable: true }, seccomp: { userNotif: true } })
  })
})

describe.each(users)('nested, for %s', (user: User) => {
  const { path } = checkoutFor(user)
  const inner = [process.execPath, join(path, 'bin/qi-jail'), '--json', '--', 'true']

  test('qi-jail in a jail of qi-jail: refused, and the outer jail goes on', async () => {
    const around = ['sh', '-c', '"$@" >&2; echo "inner: $?"; echo more > more && cat more', 'sh', ...inner]
    const world = { flags: ['--profile', 'dev', '--ro', path], command: around }
    const { stdout, stderr, status, left } = await launchIn(user, world)
    expect({ stdout, status, left }, stderr).toEqual({ stdout: 'inner: 125\nmore\n', status: 0, left: '' })
    const { error } = JSON.parse(stderr.split('\n').find((line) => line.startsWith('{"error"')) ?? '{}')
    expect(error).toMatchObject({ code: 'QI_LAUNCH', stepName: 'CloneJail', errno: 'EPERM' })
    expect(error.hint).toMatch(/inside a qi-jail/)
  })
})
