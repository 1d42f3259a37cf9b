import type { Edit, Node } from 'jsonc-parser'
import type { Parts } from './document.js'
import type { Launcher, Wrapped } from './launcher.js'

/**
 * The wrapped form holds the unwrapped one: the command's own text stands before the old arguments, which stay untouched
 * where they are. Taking our words away again gives the old bytes, and the right meaning when others reformatted the file.
 * `run` among our words says that the list of arguments was there and empty; without arguments it had not been there.
 */
export function wrapEdits(text: string, parts: Parts, [command, ...more]: Launcher, own: string[]): Edit[] {
  const { command: node, args } = parts
  const old = text.slice(node.offset, node.offset + node.length)
  const first = args?.array.children?.[0]
  const marker = args && !first ? ['run'] : []
  const inserted = [...[...more, ...marker, ...own, '--'].map(literal), old].join(', ')
  const replaced = { offset: node.offset, length: node.length, content: literal(command) }
  if (first) return [replaced, insert(first.offset, `${inserted}, `)]
  if (args) return [replaced, insert(args.array.offset + 1, inserted)]
  return [replaced, insert(endOf(node), `,${lineBreak(text, parts)}"args": [${inserted}]`)]
}

export function unwrapEdits(text: string, parts: Parts, { head, hadArgs }: Wrapped): Edit[] {
  const { command, property, args } = parts
  const words = args?.array.children ?? []
  const [first, inner, next, last] = [words[0], words[head], words[head + 1], words.at(-1)]
  if (!args || !first || !inner || !last) return []
  const restored = replace(command.offset, endOf(command), text.slice(inner.offset, endOf(inner)))
  if (next) return [restored, replace(first.offset, next.offset, '')]
  if (hadArgs) return [restored, replace(first.offset, endOfWords(text, args.array, last), '')]
  return [restored, removal(property, args.property)]
}

/** Another profile, everything else as it is. */
export function profileEdits(parts: Parts, { optionsAt, profileAt }: Wrapped, profile: string): Edit[] {
  const words = parts.args?.array.children ?? []
  const at = words[profileAt ?? optionsAt]
  if (!at) return []
  if (profileAt === undefined) return [insert(at.offset, `"--profile", ${literal(profile)}, `)]
  const value = at.value === '--profile' ? (words[profileAt + 1] ?? at) : at
  return [replace(value.offset, endOf(value), literal(value === at ? `--profile=${profile}` : profile))]
}

const literal = (value: string): string => JSON.stringify(value)
const endOf = ({ offset, length }: { offset: number; length: number }): number => offset + length
const insert = (offset: number, content: string): Edit => ({ offset, length: 0, content })
const replace = (from: number, to: number, content: string): Edit => ({ offset: from, length: to - from, content })

/** What stands before the member `command`: a line of its own gives the next one such a line, too. */
function lineBreak(text: string, { property }: Parts): string {
  const start = text.lastIndexOf('\n', property.offset - 1) + 1
  const indent = text.slice(start, property.offset)
  if (start === 0 || !/^[ \t]*$/.test(indent)) return ' '
  return `${text[start - 2] === '\r' ? '\r\n' : '\n'}${indent}`
}

/** A comma that somebody put after the last word goes with it. */
function endOfWords(text: string, array: Node, last: Node): number {
  const rest = text.slice(endOf(last), endOf(array) - 1)
  return endOf(last) + (/^\s*,/.exec(rest)?.[0].length ?? 0)
}

/** The member `args` with the comma that joins it to the others. `command` is one of these, so there is a comma. */
function removal(command: Node, args: Node): Edit {
  const siblings = args.parent?.children ?? [command, args]
  const at = siblings.indexOf(args)
  const [before, after] = [siblings[at - 1], siblings[at + 1]]
  if (before) return replace(endOf(before), endOf(args), '')
  return replace(args.offset, after?.offset ?? endOf(args), '')
}
