import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { requireLandlock } from '../support/kernel.js'
import { drive, enosys, file, folder, type JobRequest, scratch, type User, users } from './driver.js'

/**
 * What the payload tries: list and read a read-only grant, fail to write to it (by the open, by a rename and as a mount
 * below it), write to its writable one, and see itself shut in.
 */
const SCRIPT = `
cd "$1" && ls ro && cat ro/file || exit 10
echo x > ro/file && exit 11
echo x > ro/new && exit 12
mv ro/file rw/stolen && exit 13
echo written > rw/made || exit 14
mkdir rw/dir && rmdir rw/dir || exit 15
echo x > rw/denied && exit 16
cat rw/hidden && exit 17
ls / | grep -qx root && exit 18
test "$(grep ^CapEff /proc/self/status | tr -d -c 0)" = 0000000000000000 || exit 19
grep -q '^NoNewPrivs:.1' /proc/self/status || exit 20
ls /proc/self/fd | wc -l
`

function prepare(user: User): { home: string; job: JobRequest } {
  const home = scratch(user)
  for (const name of ['ro', 'rw', 'tmp']) folder(join(home, name), user)
  file(join(home, 'ro/file'), 'content\n', user)
  for (const name of ['denied', 'hidden']) file(join(home, 'rw', name), 'before', user)
  const rw = join(home, 'rw')
  const denied = ['hidden', 'denied'].map((name) => join(rw, name))
  const filesystem = { readOnlyPaths: [join(home, 'ro')], allowedPaths: [rw], deniedPaths: denied }
  return { home, job: { config: { filesystem }, argv: ['/bin/sh', '-c', SCRIPT, 'sh', home] } }
}

async function launchWithout(calls: string, user: User, config: JobRequest['config'] = {}) {
  const { home, job } = prepare(user)
  const merged = { ...job, config: { ...job.config, ...config } }
  const [result] = await drive(user, home, [merged], [enosys, calls, '--'])
  return { home, result }
}

function expectWhole({ home, result }: Awaited<ReturnType<typeof launchWithout>>): void {
  expect(result?.error).toBeUndefined()
  expect({ exit: result?.exit?.code, stderr: result?.stderr }).toMatchObject({ exit: 0 })
  expect(result?.stdout).toBe('file\ncontent\n4\n')
  expect(readFileSync(join(home, 'ro/file'), 'utf8')).toBe('content\n')
  expect(readFileSync(join(home, 'rw/denied'), 'utf8')).toBe('before')
  expect(readFileSync(join(home, 'rw/made'), 'utf8')).toBe('written\n')
}

const MOUNT_API = 'open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr'
const LANDLOCK = 'landlock_create_ruleset,landlock_add_rule,landlock_restrict_self'
const withoutLandlock = ['landlockFs', 'landlockNet', 'landlockScope', 'mandatoryDenies'] as const
const tolerated: JobRequest['config'] = { tolerate: [...withoutLandlock] }

// Linux 5.0, the oldest that can pass refused calls up.
const OLDEST = `clone3,close_range,openat2,${MOUNT_API},pidfd_open,pidfd_getfd,pidfd_send_signal,${LANDLOCK}`
const EVERYBODY = [
  'clone3',
  'close_range',
  'fsopen',
  'fsopen,fsconfig,fsmount',
  'pidfd_getfd,pidfd_open',
  'pidfd_send_signal'
]
const ORDINARY_USER = ['open_tree', 'mount_setattr', MOUNT_API]

describe.each(users)('launched by %s on a kernel', (user) => {
  test.each([...EVERYBODY, ...(user === 'plain' ? ORDINARY_USER : [])])(
    'without %s: the jail is whole',
    async (calls) => {
      expectWhole(await launchWithout(calls, user))
    }
  )

  // What a filter refuses of clone3 includes CLONE_INTO_CGROUP: pid 1 is moved into its group afterwards.
  test('without clone3: in its cgroup all the same, where there are any', async () => {
    const { home, job } = prepare(user)
    const script = `${SCRIPT}\ncat /proc/self/cgroup`
    const limited = { ...job, argv: ['/bin/sh', '-c', script, 'sh', home] }
    limited.config = { ...job.config, resources: { maxMemory: '512M' }, tolerate: ['memoryLimit', ...withoutLandlock] }
    limited.options = { traceSteps: true }
    const [control] = await drive(user, home, [limited])
    const [result] = await drive(user, home, [limited], [enosys, 'clone3', '--'])
    for (const one of [control, result]) {
      expect(one?.exit).toMatchObject({ code: 0 })
      expect(one?.stdout).toMatch(/^file\ncontent\n4\n(?:\d+:.*:\/\n)*$/) // of all groups it sees the root
    }
    expect(result?.protections).toEqual(control?.protections)
  })

  // Both came with 5.2: no kernel is like this, but a container's filter may be.
  test('without move_mount, but with fsopen: refused', async () => {
    const { result } = await launchWithout('move_mount', user)
    expect(result?.error).toMatchObject({ code: 'QI_LAUNCH', stepName: 'MountRoot', errno: 'ENOSYS' })
  })

  test('without openat2: whole, when no missing name has to be guarded', async () => {
    expectWhole(await launchWithout(`openat2,${LANDLOCK}`, user, tolerated))
  })

  test('without openat2: refused, when one has to be', async () => {
    requireLandlock()
    const { result } = await launchWithout('openat2', user)
    expect(result?.error).toMatchObject({ code: 'QI_LAUNCH', stepName: 'OpenJailRoot', errno: 'ENOSYS' })
    expect(result?.error?.hint).toContain('openat2')
  })

  test('without Landlock: refused, unless that is tolerated', async () => {
    requireLandlock()
    const { result } = await launchWithout(LANDLOCK, user)
    expect(result?.error).toMatchObject({ code: 'QI_PROTECTION' })
    expect(result?.error?.hint).toContain('tolerate')
  })

  test('without Landlock, tolerated: whole, and says what is off', async () => {
    const launched = await launchWithout(LANDLOCK, user, tolerated)
    expectWhole(launched)
    const states = launched.result?.protections?.filter((one) => one.state !== 'enforced').map((one) => one.name)
    expect(states).toEqual(expect.arrayContaining(['landlockFs', 'landlockScope', 'mandatoryDenies']))
  })

  test('without Landlock: names are not denied by pattern, whatever is tolerated', async () => {
    const denied = { filesystem: { readOnlyPaths: ['/var/tmp'], deniedPaths: ['**/*.pem'], mediate: true } }
    const { result } = await launchWithout(LANDLOCK, user, { ...tolerated, ...denied })
    expect(result?.error).toMatchObject({ code: 'QI_PROTECTION' })
    expect(result?.error?.message).toContain('filesystem.mediate: true needs Landlock')
  })

  test('whose Landlock fails half way: refused', async () => {
    requireLandlock()
    const { result } = await launchWithout('landlock_restrict_self', user)
    expect(result?.error).toMatchObject({ code: 'QI_LAUNCH', stepName: 'LandlockRestrict', errno: 'ENOSYS' })
  })

  test('below another seccomp listener: refused, and says why', async () => {
    const { home, job } = prepare(user)
    const [result] = await drive(user, home, [job], [enosys, '--listener', '--'])
    expect(result?.error).toMatchObject({ code: 'QI_LAUNCH', stepName: 'InstallFilter', errno: 'EBUSY' })
    expect(result?.error?.hint).toContain('nested')
  })
})

test.each(users)('launched by %s on the oldest kernel there is for it', async (user) => {
  if (user === 'plain') return expectWhole(await launchWithout(OLDEST, user, tolerated))
  for (const calls of ['mount_setattr', 'open_tree', MOUNT_API, OLDEST]) {
    const { result } = await launchWithout(calls, user, tolerated)
    expect(result?.error).toMatchObject({ code: 'QI_LAUNCH', errno: 'ENOSYS' })
    expect(['OpenGrant', 'IdMapGrant']).toContain(result?.error?.stepName)
    expect(result?.error?.hint).toContain('Linux 5.12')
  }
})

// Without Landlock, so that the mounts alone have to say no.
test.each([LANDLOCK, `${LANDLOCK},mount_setattr`, OLDEST])(
  'without %s: what is mounted below a grant is as read-only as the grant',
  async (calls) => {
    const { home } = prepare('plain')
    const inner = join(home, 'ro/inner')
    folder(inner, 'plain')
    folder(join(home, 'ro/a b\\c'), 'plain') // mountinfo escapes these
    const script = `cd "$1/ro" && for d in inner a*; do cat $d/x 2>/dev/null; ls -d "$d/seen" && ! mkdir "$d/new" || exit 1; done`
    const config = { ...tolerated, filesystem: { readOnlyPaths: [join(home, 'ro')] } }
    const mounts = `for d in "${home}"/ro/inner "${home}"/ro/a*; do mount -t tmpfs tmpfs "$d" && mkdir "$d/seen"; done && exec "$@"`
    const namespace = ['unshare', '--user', '--mount', '--map-current-user', '--keep-caps', 'sh', '-c', mounts, 'sh']
    const job = { config, argv: ['/bin/sh', '-c', script, 'sh', home] }
    const [result] = await drive('plain', home, [job], [...namespace, enosys, calls, '--'])
    expect(result?.error).toBeUndefined()
    expect(result).toMatchObject({ exit: { code: 0 }, stdout: 'inner/seen\na b\\c/seen\n' })
    expect(result?.stderr).toContain('Read-only file system')
  }
)
