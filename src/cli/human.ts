/** Figures as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** 1536 -> `1.5 KiB` */
export function bytes(count: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10))
  const value = count / 1024 ** power
  const digits = value < 10 && !Number.isInteger(value) ? 1 : 0
  return `${value.toFixed(digits)} ${UNITS[power]}`
}

/** Milliseconds -> `850ms`, `12s`, `3m05s`, `2h10m`, `4d03h` */
export function span(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (ms < 1000) return `${Math.round(ms)}ms`
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor) as [
    number,
    number,
    number
  ]
  const two = (value: number) => String(value).padStart(2, '0')
  if (days > 0) return `${days}d${two(hours)}h`
  if (hours > 0) return `${hours}h${two(minutes)}m`
  return minutes > 0 ? `${minutes}m${two(seconds % 60)}s` : `${seconds}s`
}

/** `12 MiB of 64 MiB`, or `-` for what the host cannot tell. */
export const ofLimit = (show: (value: number) => string, now?: number, limit?: number): string =>
  now === undefined ? '-' : limit === undefined ? show(now) : `${show(now)} of ${show(limit)}`
