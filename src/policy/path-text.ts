/** A backslash may stand before each dot of a pattern, and "if it exists" behind them. */
export const CLIMBS = /(?:^|\/)\\?\.\\?\.(?:\/|\??$)/

/** What is wrong with a path as it was written, and what to do about it. */
export function faultOfPath(written: string): { reason: string; hint: string } | undefined {
  if (written === '') return { reason: 'is an empty path', hint: 'name a path, or leave it out' }
  // A NUL ends the string for the kernel, a newline forges lines in logs, `..` says something else after a rename.
  if (written.includes('\0')) return { reason: 'contains a NUL byte', hint: 'remove it' }
  if (/[\r\n]/.test(written)) return { reason: 'contains a newline', hint: 'rename the file or folder' }
  if (CLIMBS.test(written)) return { reason: 'contains a ".." segment', hint: 'write the path it means' }
  return undefined
}
