import { describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import { hasLandlock, requireLandlock } from '../support/kernel.js'
import { skipUnless } from '../support/skip.js'
import { ACT, bare, call, isRoot, jailed, PRIVATE, refusals, type User, users, type Word } from './support.js'

/** One hostile act, what it meets in the jail, and the control that shows the same act working elsewhere. */
export interface Row {
  name: string
  /** Words for `act`. `{d}` is the folder that `setup` made. */
  act: string[]
  /** What act prints in the jail. */
  expect: string | RegExp
  /** The audit event, where qi-monitor refused it. */
  event?: { syscall: string; rule: string | RegExp; args?: Record<string, unknown> }
  /** qi-monitor guards names where there is Landlock: it alone refuses this, or the kernel does too, without an event. */
  guard?: 'refuses' | 'tells'
  /** Which layer of the kernel refused it, where no event is due by design. */
  by?: string
  control: Control
  config?: (folder: string) => SandboxConfig
  /** Looks at the host after the jail has ended, before the control. */
  after?: (folder: string) => void
}

export type Control = {
  /** Default: the act itself. */
  act?: string[]
  /** Default /^OK/. Acts that must never work bare show another errno: what refused them in the jail is the jail. */
  expect?: RegExp
} & (
  | { where: 'private' } // root of namespaces of its own
  | { where: 'bare'; needsRoot?: boolean; below?: string[]; as?: 'launcher' }
  | { where: 'jail'; config: (folder: string) => SandboxConfig }
)

export const PRIVATELY: Control = { where: 'private' }
export const BARE: Control = { where: 'bare' }
/** Harmless by its arguments; privileged callers are told so, others that they are not privileged. */
export const otherwise = (expectation: RegExp): Control => ({ where: 'bare', expect: expectation })

/** A single call that the filter passes up and the plan refuses. */
export function refused(
  name: string,
  args: Word[],
  rule: string,
  control: Control,
  decoded?: Record<string, unknown>,
  errno = 'EPERM'
): Row {
  const event = { syscall: name, rule, ...(decoded ? { args: decoded } : {}) }
  const label = decoded ? Object.values(decoded).join(' ') : args.join(' ')
  return { name: `${name} ${label}`, act: ['call', ...call(name, ...args)], expect: errno, event, control }
}

/** Runs every row for every user. `setup` makes a fresh folder per row. */
export function escapes(theme: string, rows: Row[], setup: (user: User) => string = () => '/nowhere'): void {
  describe.each(users)(`${theme}, launched by %s`, (user) => {
    for (const row of rows) it(row.name, () => runRow(user, row, setup(user)))
  })
}

async function runRow(user: User, row: Row, folder: string): Promise<void> {
  if (row.guard === 'refuses') requireLandlock()
  const fill = (words: string[]) => words.map((word) => word.replaceAll('{d}', folder))
  const result = await jailed(user, { argv: [ACT, ...fill(row.act)], config: row.config?.(folder) ?? {} })
  const line = result.stdout.trim()
  if (typeof row.expect === 'string') expect(line || result.exit.signal).toBe(row.expect)
  else expect(line || result.exit.signal).toMatch(row.expect)
  if (row.guard === 'tells' && !hasLandlock()) expect(refusals(result)).toEqual([])
  else if (row.event) {
    const event = refusals(result).find((refusal) => refusal.syscall === row.event?.syscall)
    expect(event, `no event of ${row.event.syscall}: ${JSON.stringify(refusals(result))}`).toBeDefined()
    expect(event?.rule).toMatch(row.event.rule)
    if (row.event.args) expect(event?.arguments).toMatchObject(decodedArgs(row.event.args, folder))
    if (typeof row.expect === 'string') expect(`${event?.verdict}`).toBe(row.expect.split(' ')[0])
  } else expect(row.by ?? 'a row without an event names the layer that refuses', row.name).toBe(row.by)
  row.after?.(folder)
  await checkControl(user, row, folder, fill)
}

const decodedArgs = (args: Record<string, unknown>, folder: string) =>
  JSON.parse(JSON.stringify(args).replaceAll('{d}', folder)) as Record<string, unknown>

async function checkControl(user: User, row: Row, folder: string, fill: (words: string[]) => string[]): Promise<void> {
  const { control } = row
  const argv = [ACT, ...fill(control.act ?? row.act)]
  const wanted = control.expect ?? /^OK/
  if (control.where === 'jail') {
    const result = await jailed(user, { argv, config: control.config(folder) })
    expect(result.stdout.trim(), 'the control, in a jail that allows it').toMatch(wanted)
  } else if (control.where === 'private') {
    outside(bare([...PRIVATE, ...argv]), wanted, 'the control, in namespaces of its own')
  } else if (isRoot || !control.needsRoot) {
    const options = control.as === 'launcher' ? { as: user } : {}
    outside(bare([...(control.below ?? []), ...argv], options), wanted, 'the control, outside')
  }
}

function outside(line: string, wanted: RegExp, what: string): void {
  const unknown = line.startsWith('ENOSYS') && !wanted.test(line)
  skipUnless(!unknown, 'this kernel has no such system call') // refused all the same, as seen above
  expect(line, what).toMatch(wanted)
}
