import { randomUUID } from 'node:crypto'
import { closeSync, writeSync } from 'node:fs'
import { QiError } from '../errors.js'
import { auditHead } from '../event/head.js'
import { ownDirectory } from '../host/cwd.js'
import { openAudit, STDERR } from '../launch/audit-file.js'
import { loadAddon } from '../launch/locate.js'
import { checkArguments, findCommand } from '../profile/command.js'
import type { JailDisabled } from '../profile/disabled.js'
import { nodeFs, readText } from '../profile/fs.js'
import { printable, printableLines } from './printable.js'
import { rawArguments, rawEnvironment } from './raw.js'
import type { Reporter } from './report.js'

/**
 * Becomes the command, with no jail around it: a policy file says so. Never in silence, whatever the flags are, and in the
 * audit file before it runs. By exec, so that process id, signals, terminal and exit status are those of a bare run.
 */
export function runBare({ origin, launch }: JailDisabled, command: string[], reporter: Reporter): never {
  const { cwd, auditFile, env: set } = launch
  const all = Object.entries({ ...process.env, ...set }).filter(
    (each): each is [string, string] => each[1] !== undefined
  )
  checkArguments(command, all)
  const at = cwd ?? ownDirectory()
  const { file } = findCommand(nodeFs, command[0] as string, at, set.PATH ?? process.env.PATH)
  const { execute } = loadAddon()
  record(auditFile, origin, command)
  reporter.warning(`WARNING: NO JAIL: ${origin} = "disabled": ${command[0]} runs with all your rights`, {
    code: 'QI_POLICY_DISABLED',
    origin,
    command: file
  })
  if (cwd !== undefined) process.chdir(cwd)
  const rawArgv = rawArguments(command, command)
  const rawEnv = rawEnvironment(process.env)
  const variable = ([name, value]: [string, string]): Buffer => {
    const raw = set[name] === undefined ? rawEnv.get(name) : undefined
    return Buffer.concat([Buffer.from(`${name}=`), raw ?? Buffer.from(value)])
  }
  try {
    return execute(
      file,
      command.map((text, i) => Buffer.from(rawArgv.get(i) ?? Buffer.from(text))),
      all.map(variable),
      openFiles()
    )
  } catch (cause) {
    throw notExecuted(file, cause)
  }
}

const OPEN_FILES = /^Max open files +(\d+) +(\d+) /m

/**
 * The soft limit that we were started with. Node raises it before our first line and does not say from where: our parent has
 * it still, unless its hard limit is another one, too.
 */
function openFiles(): number {
  const of = (process: number | 'self') => OPEN_FILES.exec(readText(nodeFs, `/proc/${process}/limits`) ?? '') ?? []
  const [, soft, hard] = of(process.ppid)
  return soft !== undefined && hard === of('self')[2] ? Number(soft) : Number.MAX_SAFE_INTEGER
}

function notExecuted(file: string, cause: unknown): QiError {
  const errno = loadAddon().errnoName((cause as { errno: number }).errno)
  const details = { path: file, errno, syscall: 'execve', hint: 'start it by its interpreter', cause }
  return new QiError('QI_COMMAND_NOT_EXECUTABLE', `${file} cannot be executed: ${errno}`, details)
}

/** The one event of a run that no qi-monitor watches. @throws QiError QI_AUDIT_FILE */
function record(file: string | undefined, origin: string, command: string[]): void {
  const audit = openAudit(file, false)
  if (audit < 0) return
  const head = auditHead({ sessionId: randomUUID(), userId: String(process.getuid?.()) })
  const event = {
    eventId: randomUUID(),
    timestamp: new Date().toISOString(),
    ...JSON.parse(`{${head}}`),
    event: { category: 'config', action: 'jail.disabled', outcome: 'success', severity: 'critical' },
    context: { parameters: { origin, commandLine: command.join(' ').slice(0, 2048) } }
  }
  try {
    writeSync(audit, `${JSON.stringify(event)}\n`)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'EIO'
    const details = { field: 'audit.file', value: file, errno, hint: 'make room, or name another file', cause }
    throw new QiError('QI_AUDIT_FILE', `cannot append to the audit file ${file}: ${errno}`, details)
  } finally {
    if (audit > STDERR) closeSync(audit)
  }
}

/** What --dry-run, explain and why say of it: there is nothing else to tell. */
export function noJail({ origin }: JailDisabled, json: boolean): string {
  const text = `${origin} = "disabled": the command runs without a jail`
  if (!json) return `NO JAIL  ${printable(text)}\n`
  return `${printableLines(JSON.stringify({ enforcement: 'disabled', origin, reason: text }, null, 2))}\n`
}
