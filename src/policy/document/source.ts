import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  visit
} from 'yaml'
import { QiError } from '../../errors.js'

/** A YAML text that was read as data, and where in it each value stands. */
export interface Source {
  /** How messages name it. */
  file: string
  data: unknown
  /** `file:line:col` of the value at `path`; of `key` in it (known or not) when one is named. Nearest when there is none. */
  at(path: readonly PropertyKey[], key?: string): string
}

export const MAX_POLICY_BYTES = 1 << 20
// Far more than any policy has. The parser recurses: without a bound its depth is the writer's choice.
const MAX_DEPTH = 24
const MAX_INDENT = 160
// Some thousand lines. The parser takes tens of seconds for what fits into a megabyte.
const MAX_TOKENS = 20_000

type SyntaxCode = 'QI_POLICY_SYNTAX' | 'QI_PROFILE_SYNTAX'
type Refuse = (offset: number, reason: string, hint: string) => never

/** @throws QiError `code` with file:line:column */
export function readSource(text: string, file: string, code: SyntaxCode = 'QI_POLICY_SYNTAX'): Source {
  const place = placer(text, file)
  const refuse: Refuse = (offset, reason, hint) => {
    throw new QiError(code, `${place(offset)}: ${reason}`, { path: file, hint })
  }
  if (Buffer.byteLength(text) > MAX_POLICY_BYTES)
    refuse(0, 'the file is larger than 1 MiB', 'a policy is a page of text')
  refuseHuge(text, refuse)
  // Their own search for duplicate keys compares each key with every other one.
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, merge: false })
  const fault = document.errors[0] ?? document.warnings[0]
  if (fault) refuse(fault.pos[0], `${sentence(fault.message)}${lineAt(text, fault.pos[0])}`, remedy(fault.code))
  refuseOddities(document, refuse)
  return { file, data: document.toJS() ?? {}, at: (path, key) => place(offsetOf(document, path, key)) }
}

function placer(text: string, file: string): (offset: number) => string {
  const lines = new LineCounter()
  lines.addNewLine(0)
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1)
  return (offset) => {
    const { line, col } = lines.linePos(Math.min(offset, text.length))
    return `${file}:${line}:${col}`
  }
}

const sentence = (message: string): string => (message.split('\n')[0] as string).replace(/ at line \d+.*$/, '')

/** The line that the parser stopped at, as far as it says something. */
function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  const line = text.slice(start, start + 200).split('\n')[0] as string
  const shown = line.trim().slice(0, 60)
  return shown === '' ? '' : `: ${JSON.stringify(shown)}`
}

function remedy(code: string): string {
  if (code === 'TAB_AS_INDENT') return 'indent with spaces'
  if (code === 'MULTIPLE_DOCS') return 'write one document a file'
  if (code === 'BLOCK_AS_IMPLICIT_KEY' || code === 'MISSING_CHAR')
    return 'check the colon, the quotes and the indentation'
  return 'correct the YAML'
}

// What the lexer puts between the pieces of the text: start of a document, end of a flow, start of a scalar.
const MARKERS = new Set(['\u0002', '\u0018', '\u001f', '\ufeff'])

/** Before anything parses it or recurses over it: its length in words, brackets, `- - -` in one line, indentation. */
function refuseHuge(text: string, refuse: Refuse): void {
  let [flow, inline, offset, tokens] = [0, 0, 0, 0]
  for (const token of new Lexer().lex(text)) {
    if (MARKERS.has(token)) continue
    if (++tokens > MAX_TOKENS) refuse(offset, 'the file is longer than any policy', 'keep what is needed')
    if (token === '[' || token === '{') flow++
    else if (token === ']' || token === '}') flow--
    else if (token === '-' || token === '?' || token === ':') inline++
    else if (token.includes('\n')) inline = 0
    const isIndent = inline === 0 && token.length > MAX_INDENT && token.trim() === ''
    if (flow > MAX_DEPTH || (flow === 0 && inline > MAX_DEPTH) || isIndent)
      refuse(offset, `is nested deeper than ${MAX_DEPTH}`, 'no policy is')
    offset += token.length
  }
}

/** What YAML allows and a policy must not hold: a key twice, anchors, keys that are no text. */
function refuseOddities(document: Document.Parsed, refuse: Refuse): void {
  const at = (node: unknown) => startOf(node, 0)
  visit(document, (_, node) => {
    if (isAlias(node)) refuse(at(node), `*${node.source} is an alias`, 'write out what it stands for')
    if (isNode(node) && 'anchor' in node && node.anchor)
      refuse(at(node), `&${node.anchor} is an anchor`, 'leave it out')
    if (!isMap(node)) return
    const seen = new Set<string>()
    for (const { key } of node.items) {
      const text = isScalar(key) ? key.value : undefined
      if (typeof text !== 'string') return refuse(at(key), `the key ${String(text ?? 'here')} is no text`, 'quote it')
      if (seen.has(text)) refuse(at(key), `the key ${JSON.stringify(text)} is there twice`, 'keep one of the two')
      seen.add(text)
    }
  })
}

/** Where the value at `path` begins, or the innermost thing around it that is there. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[], key?: string): number {
  let node: unknown = document.contents
  let offset = startOf(node, 0)
  for (const [i, part] of [...path, ...(key === undefined ? [] : [key])].entries()) {
    const isKey = key !== undefined && i === path.length
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === String(part))
      if (!isPair(pair)) break
      // A value that was left out has no place of its own.
      offset = isKey || !isNode(pair.value) ? startOf(pair.key, offset) : startOf(pair.value, offset)
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(part)]
      if (!isNode(node)) break
      offset = startOf(node, offset)
    } else break
  }
  return offset
}

const startOf = (node: unknown, otherwise: number): number =>
  isNode(node) ? (node.range?.[0] ?? otherwise) : otherwise
