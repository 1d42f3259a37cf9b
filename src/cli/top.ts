import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import { QiError } from '../errors.js'
import { listStats } from '../launch/ctl-client.js'
import { parseDuration } from '../policy/units.js'
import { withExamples } from './examples.js'
import { type Listed, row, tableHead } from './jails.js'
import { lines, verb } from './subcommand.js'
import { columns } from './table.js'

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail top', 'every jail of yours'],
    ['qi-jail top 1a2b3c4d --interval 250ms', 'one of them, four times a second'],
    ['qi-jail top --json', 'one look, a line each']
  ])

const definition = (): Command =>
  new Command('qi-jail top')
    .description('Shows the running jails and what they use, again and again; q ends it. On a pipe: once.')
    .argument('[id]', 'only this one')
    .option('--interval <duration>', 'between two looks', '1s')
    .option('--json', 'once, as JSON')
    .helpOption('-h, --help', 'print this help')

/** Below it, looking would be the load that is seen. */
const LEAST_MS = 100
/** What one frame on a pipe measures processor time over. */
const ONE_LOOK_MS = 500

export const top = verb(program, async (command, json) => {
  const [id] = command.args
  const interval = intervalOf(command.opts<{ interval: string }>().interval)
  if (process.stdout.isTTY && process.stdin.isTTY && !json) {
    await live(id, interval)
    return ''
  }
  const before = await look(id)
  await delay(ONE_LOOK_MS)
  const now = await look(id)
  return json ? lines(now.map((jail) => ({ ...jail, cpuPercent: share(jail, before) ?? null }))) : frame(now, before)
})

function intervalOf(written: string): number {
  const { value, reason } = parseDuration(written)
  if (value !== undefined && value >= LEAST_MS) return value
  const message = `--interval = ${JSON.stringify(written)}: ${reason ?? `is shorter than ${LEAST_MS} ms`}`
  throw new QiError('QI_LIMIT', message, { field: '--interval', value: written, hint: 'write 1s' })
}

async function look(id: string | undefined): Promise<Listed[]> {
  const found = (await listStats()).filter((jail) => id === undefined || jail.id === id)
  if (id === undefined || found.length > 0) return found
  throw new QiError('QI_CONTROL', `no jail with the id ${JSON.stringify(id)} runs`, {
    field: 'id',
    value: id,
    hint: 'qi-jail ps lists those that do'
  })
}

/** Per cent of one core since the look before. */
export function share({ id, stats }: Listed, before: Listed[]): number | undefined {
  const was = before.find((jail) => jail.id === id)?.stats
  if (stats?.cpu.usageUs === undefined || was?.cpu.usageUs === undefined) return undefined
  const elapsedUs = (stats.uptimeMs - was.uptimeMs) * 1000
  return elapsedUs > 0 ? Math.max(0, Math.round(((stats.cpu.usageUs - was.cpu.usageUs) / elapsedUs) * 100)) : undefined
}

export function frame(now: Listed[], before: Listed[]): string {
  if (now.length === 0) return 'no jail runs\n'
  const percent = (jail: Listed) => {
    const value = share(jail, before)
    return value === undefined ? '-' : `${value}%`
  }
  return columns([tableHead, ...now.map((jail) => row(jail, percent(jail)))])
}

const [ENTER, LEAVE] = ['\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l']
const [HOME, TO_END, REST] = ['\x1b[H', '\x1b[K', '\x1b[J']

// q, Q, and what ^C and ^D are in raw mode.
const END_KEYS = [0x71, 0x51, 3, 4]

/** Until q, ^C or the end of the terminal. The screen that was there comes back. */
async function live(id: string | undefined, interval: number): Promise<void> {
  const stop = new AbortController()
  const { stdin, stdout } = process
  const onKey = (keys: Buffer) => {
    if (keys.some((key) => END_KEYS.includes(key))) stop.abort()
  }
  const end = () => stop.abort()
  stdin.setRawMode(true)
  stdin.on('data', onKey).on('end', end)
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.on(signal, end)
  stdout.write(ENTER)
  try {
    for (let before: Listed[] = []; !stop.signal.aborted; ) {
      const now = await look(id)
      stdout.write(HOME + clipped(frame(now, before), stdout.columns, stdout.rows) + REST)
      before = now
      await delay(interval, undefined, { signal: stop.signal }).catch(() => {}) // told to stop
    }
  } finally {
    stdout.write(LEAVE)
    stdin.setRawMode(false)
    stdin.off('data', onKey).pause()
  }
}

/** A line that wraps would push the others off the screen. */
export const clipped = (text: string, width = 80, height = 24): string =>
  text
    .trimEnd()
    .split('\n')
    .slice(0, height - 1)
    .map((line) => `${line.slice(0, width)}${TO_END}\r\n`)
    .join('')
