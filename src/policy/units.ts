/** Sizes and durations as people write them. All throw a plain reason (string); the schema adds field and value. */

const SIZE_UNITS: Record<string, number> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4
}

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }

const WRITTEN = /^([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)$/i

/** What is taken at most, for editors; JSON Schema has no flags. */
export const SIZE = /^\s*[0-9]+(?:\.[0-9]+)?\s*(?:[bB]|[kKmMgGtT](?:[iI]?[bB])?)?\s*$/
export const DURATION = /^\s*[0-9]+(?:\.[0-9]+)?\s*(?:[mM]?[sS]|[mM](?:[iI][nN])?|[hH]|[dD])?\s*$/
export const PERCENT = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*$/

export interface UnitResult {
  value?: number
  /** Why `value` is missing. */
  reason?: string
}

/** Bytes. `MB` is 10^6, `MiB` and a bare `M` are 2^20. */
export function parseSize(written: number | string): UnitResult {
  return parse(written, SIZE_UNITS, '', 'bytes, or a string like "512MB" or "1GiB"')
}

/** Milliseconds. */
export function parseDuration(written: number | string): UnitResult {
  return parse(written, DURATION_UNITS, '', 'milliseconds, or a string like "30s" or "5m"')
}

/** A whole number of at least one. */
export function parseCount(written: number): UnitResult {
  return positive(written, 'a whole number of at least 1')
}

// The kernel's shortest quota is 1 ms of the 100 ms we count by, its widest number of processors far below this.
const [LEAST_CORES, MOST_CORES] = [0.01, 8192]

/** Cores, as 0.5 or 2, or "50%" of one. */
export function parseCores(written: number | string): UnitResult {
  const expected = 'a number of cores like 0.5 or 2, or a share of one like "50%"'
  const match = typeof written === 'number' ? undefined : PERCENT.exec(written)
  if (match === null) return { reason: `is not ${expected}` }
  const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : (written as number)
  if (!Number.isFinite(value)) return { reason: `is not a finite number; write ${expected}` }
  if (value <= 0) return { reason: `must be greater than 0; leave the key out for the profile's value` }
  if (value < LEAST_CORES) return { reason: 'is less than the kernel can give, 1% of a core' }
  return value > MOST_CORES ? { reason: `is more than ${MOST_CORES} cores; leave the key out` } : { value }
}

function parse(written: number | string, units: Record<string, number>, bare: string, expected: string): UnitResult {
  if (typeof written === 'number') return positive(written, expected)
  const match = WRITTEN.exec(written.trim())
  if (!match) return { reason: `is not ${expected}` }
  const unit = (match[2] as string).toLowerCase() || bare
  const factor = unit === '' ? 1 : units[unit]
  if (factor === undefined) return { reason: `has the unknown unit "${match[2]}"; write ${expected}` }
  return positive(Number(match[1]) * factor, expected)
}

// Zero is refused, not read as "no limit": in rlimits it means "nothing allowed", in other tools "unlimited".
function positive(value: number, expected: string): UnitResult {
  if (!Number.isFinite(value)) return { reason: `is not a finite number; write ${expected}` }
  if (value <= 0) return { reason: `must be greater than 0; leave the key out for the profile's value` }
  if (value > Number.MAX_SAFE_INTEGER)
    return { reason: `is larger than 2^53-1; leave the key out for the profile's value` }
  if (!Number.isInteger(value)) return { reason: `must come to a whole number; write ${expected}` }
  return { value }
}
