export interface Log {
  debug(members: object, text: string): void
  info(members: object, text: string): void
}

const SILENT: Log = { debug() {}, info() {} }

/** Diagnostics for whoever looks for a fault. Off unless asked for; pino is loaded only then, since it costs a start. */
export async function openLog(verbose: boolean, level = process.env.QI_LOG): Promise<Log> {
  if (!verbose && !level) return SILENT
  const { pino } = await import('pino')
  const known = level !== undefined && Object.hasOwn(pino.levels.values, level)
  const log: Log = pino({ name: 'qi-jail', level: known ? level : 'debug' }, pino.destination({ dest: 2, sync: true }))
  return log
}
