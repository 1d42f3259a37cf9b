import { colored, type Paint } from './color.js'
import { printable } from './printable.js'

const MAX_WIDTH = 60

/** Rows of cells as text, aligned; the last column as long as it is. `paint` colours what the first cell of a row says. */
export function columns(rows: string[][], paint?: Paint): string {
  const cells = rows.map((row) => row.map(printable))
  const widths = (rows[0] ?? []).map((_, i) =>
    Math.min(MAX_WIDTH, Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  )
  const padded = (row: string[]) => row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell))
  const line = ([first = '', ...rest]: string[]) => [paint ? colored(paint, first) : first, ...rest].join('  ')
  return cells
    .map((row) => `  ${line(padded(row))}`.trimEnd())
    .join('\n')
    .concat('\n')
}

/** A table with a title; nothing without rows. */
export const section = (title: string, rows: string[][], paint?: Paint): string =>
  rows.length === 0 ? '' : `\n${paint ? paint('bold', title) : title}\n${columns(rows, paint)}`
