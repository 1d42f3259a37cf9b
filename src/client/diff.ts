import { applyEdits, type Edit, type Node } from 'jsonc-parser'

/** Lines that go and lines that come, counted from 1 as in a unified diff. */
export interface Hunk {
  oldStart: number
  oldLines: string[]
  newStart: number
  newLines: string[]
}

const AROUND = 60

/** What `edits` do to `text`, without lines around them, the values of variables masked and long lines cut. */
export function hunks(text: string, edits: Edit[], secrets: Node[]): Hunk[] {
  const masks = secrets.map(({ offset, length }) => ({ offset, length, content: '"…"' }))
  let [line, seen, shift] = [1, 0, 0]
  return ranges(text, edits).map(({ start, end, edits: here }) => {
    line += count(text.slice(seen, start))
    seen = start
    const masked = masks.filter(({ offset, length }) => offset >= start && offset + length <= end)
    const moved = (list: Edit[]) => list.map((edit) => ({ ...edit, offset: edit.offset - start }))
    const slice = text.slice(start, end)
    // What goes with its line needs no mask there.
    const kept = masked.filter((mask) => !here.some((edit) => overlap(mask, edit)))
    const [before, after] = [applyEdits(slice, moved(masked)), applyEdits(slice, moved([...kept, ...here]))]
    const [oldLines, newLines] = cut(before.split(/\r?\n/), after.split(/\r?\n/))
    const hunk = { oldStart: line, oldLines, newStart: line + shift, newLines }
    shift += newLines.length - oldLines.length
    return hunk
  })
}

const overlap = (a: Edit, b: Edit): boolean => a.offset < b.offset + b.length && b.offset < a.offset + a.length

const count = (text: string): number => text.split('\n').length - 1

/** Whole lines that the edits touch; edits of one line together. */
function ranges(text: string, edits: Edit[]): { start: number; end: number; edits: Edit[] }[] {
  const out: { start: number; end: number; edits: Edit[] }[] = []
  for (const edit of [...edits].sort((a, b) => a.offset - b.offset)) {
    const start = text.lastIndexOf('\n', edit.offset - 1) + 1
    const found = text.indexOf('\n', edit.offset + edit.length)
    const end = found < 0 ? text.length : found
    const last = out.at(-1)
    if (last && start <= last.end) {
      last.end = Math.max(last.end, end)
      last.edits.push(edit)
    } else {
      out.push({ start, end, edits: [edit] })
    }
  }
  return out
}

/** A configuration of one line can have a megabyte: what the two have in common is cut short. */
function cut(before: string[], after: string[]): [string[], string[]] {
  if (before.length !== 1 || after.length !== 1) return [before.map(shorten), after.map(shorten)]
  const [a = '', b = ''] = [before[0], after[0]]
  let head = 0
  while (head < a.length && a[head] === b[head]) head++
  let tail = 0
  while (tail < Math.min(a.length, b.length) - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++
  const clip = (line: string) => {
    const [from, to] = [Math.max(0, head - AROUND), Math.min(line.length, line.length - tail + AROUND)]
    return shorten(`${from > 0 ? '…' : ''}${line.slice(from, to)}${to < line.length ? '…' : ''}`)
  }
  return [[clip(a)], [clip(b)]]
}

const MAX_LINE = 2000

const shorten = (line: string): string => (line.length <= MAX_LINE ? line : `${line.slice(0, MAX_LINE)}…`)

export const hunkText = ({ oldStart, oldLines, newStart, newLines }: Hunk): string[] => [
  `@@ -${oldStart},${oldLines.length} +${newStart},${newLines.length} @@`,
  ...oldLines.map((line) => `-${line}`),
  ...newLines.map((line) => `+${line}`)
]
