import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { readAudit } from '../launch/driver.js'
import { skipUnless } from '../support/skip.js'
import { as, checkoutFor, environmentOf, homeOf, own, type User } from '../support/user.js'

/** A host that is not as one would like it, made of namespaces and mounts that end with the test. */
export interface World {
  /** Shell, run with every capability over the namespaces. `$HOME/project` is the folder that the jail may write to. */
  prepare?: string
  /** Shell, run with the same, after the launch: what `prepare` made outside of the namespaces. */
  clear?: string
  /** Put before the command, like `prlimit`; it runs as the user, unless it is for `asRoot`. */
  before?: string[]
  /** Put before the change to the user. */
  asRoot?: string[]
  /** The new pid namespace keeps the /proc of the old one. */
  strangeProc?: boolean
  /** The namespaces are of the host's root also for a plain user: some conditions only root can make. */
  madeByRoot?: boolean
  /** Flags of qi-jail before `--`. */
  flags?: string[]
  /** A verb of qi-jail with its arguments, instead of a launch. */
  verb?: string[]
  /** What runs in the jail, instead of the look around. */
  command?: string[]
}

export interface Outcome {
  status: number
  stdout: string
  error?: { code: string; message: string; stepName?: string; errno?: string; hint?: string; field?: string }
  stderr: string
  protections: Record<string, string>
  /** Processes or mounts that are there after the launch and were not before. */
  left: string
  /** What lies in the user's home afterwards. */
  files: string[]
}

/**
 * What the payload sees of itself: that it can write to its project and nowhere else, without rights, in namespaces of its
 * own, is filtered, sees few processes and no file of the host's.
 */
const LOOK = `
echo made > "$PWD/made" || exit 10
for path in / /usr /etc /proc/sys/kernel/hostname; do ! { echo x > $path/intruder; } 2>/dev/null || exit 11; done
grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
ls / | tr '\\n' ' '
set -- /proc/[0-9]*; echo $#
unshare -Ur true 2>/dev/null && exit 12
exit 42`

/** Runs as pid 1 of its own pid namespace, so that \`kill -0 -1\` finds whatever is left of the launch, without a /proc. */
const DRIVER = `
set -e
[ -n "$STRANGE_PROC" ] || mount -t proc proc /proc
eval "$PREPARE"
set +e
mounts() { wc -l 2>/dev/null < /proc/self/mountinfo; }
before=$(mounts)
env -u PREPARE -u CLEAR -u STRANGE_PROC "$@" 3>&-
status=$?
left=
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  kill -0 -1 2>/dev/null || break
  [ $try = 20 ] && left=processes
  sleep 0.2
done
[ "$before" = "$(mounts)" ] || left="$left mounts"
eval "$CLEAR"
echo "$status $left" >&3`

const ROOTS = ['unshare', '--mount', '--pid', '--fork', '--kill-child']
const ITS_OWN = ['unshare', '--user', '--map-current-user', '--keep-caps', ...ROOTS.slice(1)]
/** Without the capabilities that the user has over its own namespaces: as any program is started there. */
const WITHOUT_RIGHTS = ['setpriv', '--inh-caps=-all', '--ambient-caps=-all', '--']

/** Who makes the namespaces, and who then launches in them. */
function commandFor(user: User, world: World, command: string[]): [file: string, args: string[]] {
  const driver = ['sh', '-c', DRIVER, 'sh', ...(world.asRoot ?? [])]
  if (user === 'root') return as(user, [...ROOTS, ...driver, ...command])
  if (!world.madeByRoot) return as(user, [...ITS_OWN, ...driver, ...WITHOUT_RIGHTS, ...command])
  skipUnless(process.getuid?.() === 0, 'needs root')
  const [file, args] = as(user, command)
  return ['unshare', [...ROOTS.slice(1), ...driver, file, ...args]]
}

/** One launch by `user` in `world`, and all that is left of it. */
export async function launchIn(user: User, world: World = {}): Promise<Outcome> {
  const [checkout, home] = [checkoutFor(user), homeOf(user)]
  try {
    return await launchFrom(checkout.path, home.path, user, world)
  } finally {
    checkout.remove()
    home.remove()
  }
}

async function launchFrom(checkout: string, home: string, user: User, world: World): Promise<Outcome> {
  const project = join(home, 'project')
  mkdirSync(project)
  own(project, user)
  const flags = ['--json', '--rw', '.', '--audit', join(home, 'audit.jsonl'), ...(world.flags ?? [])]
  const qi = [process.execPath, join(checkout, 'bin/qi-jail')]
  const asked = world.verb ?? [...flags, '--', ...(world.command ?? ['sh', '-c', LOOK])]
  const enter = ['sh', '-c', 'cd "$HOME/project" && exec "$@"', 'sh', ...(world.before ?? [])]
  const [file, args] = commandFor(user, world, [...enter, ...qi, ...asked])
  const { PATH, ...env } = environmentOf(home)
  const { texts, code } = await run(file, args, {
    ...env,
    PATH: `${PATH}:/usr/sbin:/sbin`,
    PREPARE: world.prepare ?? '',
    CLEAR: world.clear ?? '',
    STRANGE_PROC: world.strangeProc ? '1' : ''
  })
  const { 1: stdout = '', 2: stderr = '', 3: report = '' } = texts
  const [, status, left = ''] = /^(\d+) (.*)$/m.exec(report) ?? []
  if (status === undefined) throw new Error(`the world was not made: ${code}: ${stderr}`)
  return { status: Number(status), stdout, stderr, left, ...told(stderr, home) }
}

async function run(file: string, args: string[], env: Record<string, string>) {
  const child = spawn(file, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const texts: Record<number, string> = {}
  for (const fd of [1, 2, 3])
    child.stdio[fd]?.on('data', (chunk: Buffer) => (texts[fd] = (texts[fd] ?? '') + chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { texts, code }
}

function told(stderr: string, home: string): Pick<Outcome, 'error' | 'protections' | 'files'> {
  const records = stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
  const { error } = records.find((record) => record.error) ?? {}
  const audit = readAudit(join(home, 'audit.jsonl'))
  const launch = audit.find(({ event }) => event.action === 'jail.launch')
  const protections = (launch?.context.parameters?.protections ?? {}) as Record<string, string>
  const files = readdirSync(home, { recursive: true }) as string[]
  return { ...(error ? { error } : {}), protections, files: files.filter((name) => !OURS.test(name)).sort() }
}

/** What the tool itself leaves below home: the events, and plans and code for the next start. */
const OURS = /^(audit\.jsonl|\.cache(\/qi-jail(\/(plans|code)(\/[0-9a-f]{32})?)?)?)$/

const ordinary = new Map<User, Promise<Outcome>>()

/** What a launch in an ordinary world comes to: the same has every other launch to come to that is not refused. */
export function ordinaryFor(user: User): Promise<Outcome> {
  const known = ordinary.get(user) ?? launchIn(user)
  ordinary.set(user, known)
  return known
}

/** Works, with every protection that there is without the condition, and leaves nothing. */
export async function expectWhole(user: User, world: World): Promise<void> {
  const { error, status, stdout, protections, left } = await launchIn(user, world)
  expect(error).toBeUndefined()
  const control = await ordinaryFor(user)
  expect({ status, stdout, protections, left }).toEqual({
    status: 42,
    stdout: control.stdout,
    protections: control.protections,
    left: ''
  })
}

export interface Refusal {
  code?: string
  /** `Step ERRNO`. */
  at?: string
  /** What the hint names. */
  hint: RegExp
}

/** Nothing ran, nothing is left, and the remedy is told. */
export async function expectRefused(
  user: User,
  world: World,
  { code = 'QI_LAUNCH', at, hint }: Refusal
): Promise<void> {
  const { error, status, stdout, left, files, stderr } = await launchIn(user, world)
  expect({ status, code: error?.code, stdout, left, files }, stderr).toEqual({
    status: 125,
    code,
    stdout: '',
    left: '',
    files: ['project']
  })
  if (at) expect(`${error?.stepName} ${error?.errno}`).toBe(at)
  expect(error?.hint).toMatch(hint)
}
