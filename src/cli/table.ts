import { printable } from './printable.js'

const MAX_WIDTH = 60

/** Rows of cells as text, aligned; the last column as long as it is. */
export function columns(rows: string[][]): string {
  const cells = rows.map((row) => row.map(printable))
  const widths = (rows[0] ?? []).map((_, i) =>
    Math.min(MAX_WIDTH, Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  )
  const line = (row: string[]) =>
    row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell)).join('  ')
  return cells
    .map((row) => `  ${line(row)}`.trimEnd())
    .join('\n')
    .concat('\n')
}
