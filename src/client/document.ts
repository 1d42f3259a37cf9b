import { createScanner, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser'
import { QiError } from '../errors.js'
import type { Place } from './places.js'
import { maskWords } from './secrets.js'

/** One server of a configuration, as it is written. */
export interface Entry {
  name: string
  /** The folder whose servers ~/.claude.json keeps. */
  project?: string
  /** `unclear`: clients may read it in more than one way, or not at all. */
  kind: 'stdio' | 'remote' | 'unclear'
  /** Why it is unclear. */
  reason?: string
  /** The parts of one that is started by a command. */
  parts?: Parts
  /** Values of its variables and headers, and arguments that hold a secret: nobody's to be shown. */
  secrets: Node[]
}

export interface Parts {
  /** The member `"command": …`, and its value. */
  property: Node
  command: Node
  args?: { property: Node; array: Node }
  /** Names of its variables. */
  env: string[]
  hasEnvFile: boolean
}

const MAX_DEPTH = 100
const OPTIONS = { allowTrailingComma: true, allowEmptyContent: true }

/** The servers in `text`, which anybody may have written: bounded, and nothing in it is looked up by name in an object. */
export function readEntries(text: string, place: Place): Entry[] {
  refuseDepth(text, place.file)
  const errors: ParseError[] = []
  const root = parseTree(text, errors, OPTIONS)
  const fault = errors[0]
  if (fault) throw unreadable(place.file, text, fault.offset, printParseErrorCode(fault.error))
  if (root === undefined) return []
  if (root.type !== 'object') throw unreadable(place.file, text, root.offset, 'not an object')
  const folders = [
    ...place.keys.flatMap((key) => only(root, key, place.file, text)).map((at) => ({ at })),
    ...(place.projects ? only(root, 'projects', place.file, text).flatMap(members) : []).flatMap(([project, value]) =>
      only(value, 'mcpServers', place.file, text).map((at) => ({ at, project }))
    )
  ]
  return folders.flatMap(({ at, ...where }) => {
    const all = members(at)
    return all.map(([name, value]) => {
      const twice = all.filter(([other]) => other === name).length > 1
      const server = twice ? unclear(`there are two servers of this name`) : entry(value)
      return { name, ...where, ...server }
    })
  })
}

// SyntaxKind of the library, whose enum cannot be imported by a module that is compiled alone.
const TOKEN = { openBrace: 1, closeBrace: 2, openBracket: 3, closeBracket: 4, end: 17 }

/** The parser recurses. */
function refuseDepth(text: string, file: string): void {
  const scanner = createScanner(text, true)
  let depth = 0
  for (let kind = scanner.scan(); kind !== TOKEN.end; kind = scanner.scan()) {
    if (kind === TOKEN.openBrace || kind === TOKEN.openBracket) depth++
    if (kind === TOKEN.closeBrace || kind === TOKEN.closeBracket) depth--
    if (depth > MAX_DEPTH) throw unreadable(file, text, scanner.getTokenOffset(), `nested deeper than ${MAX_DEPTH}`)
  }
}

export function unreadable(file: string, text: string, offset: number, reason: string): QiError {
  const before = text.slice(0, offset)
  const [line, column] = [before.split('\n').length, offset - before.lastIndexOf('\n')]
  return new QiError('QI_CLIENT_CONFIG', `${file}:${line}:${column}: ${reason}`, {
    path: file,
    hint: 'correct it; nothing was changed'
  })
}

/** `"name": value` of an object, in order; duplicates too. */
function members(node: Node): [name: string, value: Node, property: Node][] {
  if (node.type !== 'object') return []
  return (node.children ?? []).flatMap((property) => {
    const [key, value] = property.children ?? []
    return key && value ? [[String(key.value), value, property] as [string, Node, Node]] : []
  })
}

/** The one member of that name. JSON readers differ in which of two they take. */
function only(node: Node, name: string, file: string, text: string): Node[] {
  const [first, second] = members(node).filter(([key]) => key === name)
  if (second) throw unreadable(file, text, second[2].offset, `the key ${JSON.stringify(name)} is there twice`)
  if (first && first[1].type !== 'object' && first[1].type !== 'null')
    throw unreadable(file, text, first[1].offset, `${JSON.stringify(name)} is not an object`)
  return first ? [first[1]] : []
}

const unclear = (reason: string, secrets: Node[] = []): Omit<Entry, 'name'> => ({ kind: 'unclear', reason, secrets })

const READ = ['type', 'url', 'serverUrl', 'httpUrl', 'command', 'args', 'env', 'envFile']

function entry(node: Node): Omit<Entry, 'name'> {
  const found = new Map<string, { value: Node; property: Node }>()
  const all = members(node)
  const secrets = all.flatMap(([key, value]) => secretsOf(key, value))
  for (const [key, value, property] of all) {
    if (READ.includes(key) && found.has(key)) return unclear(`the key "${key}" is there twice`, secrets)
    found.set(key, { value, property })
  }
  const type = found.get('type')?.value.value
  const isRemote = ['url', 'serverUrl', 'httpUrl'].some((key) => found.has(key))
  const command = found.get('command')
  if (type !== undefined && type !== 'stdio' && !command) return { kind: 'remote', secrets }
  if (isRemote && !command) return { kind: 'remote', secrets }
  if (!command) return unclear('it has neither a command nor a URL', secrets)
  if (isRemote || (type !== undefined && type !== 'stdio')) return unclear('it has a command and a URL', secrets)
  const args = found.get('args')
  const env = found.get('env')?.value
  const reason = faultOf(command.value, args?.value, env)
  if (reason !== undefined) return unclear(reason, secrets)
  const parts: Parts = {
    property: command.property,
    command: command.value,
    ...(args ? { args: { property: args.property, array: args.value } } : {}),
    env: [...new Set(env ? members(env).map(([name]) => name) : [])],
    hasEnvFile: found.has('envFile')
  }
  return { kind: 'stdio', parts, secrets }
}

function secretsOf(key: string, value: Node): Node[] {
  if (key === 'env' || key === 'headers') return members(value).map(([, secret]) => secret)
  if (key === 'command') return []
  const words = key === 'args' ? (value.children ?? []) : [value]
  const texts = words.map(({ value: text }) => (typeof text === 'string' ? text : ''))
  const masked = maskWords(texts)
  return words.filter((_, i) => texts[i] !== masked[i])
}

function faultOf(command: Node, args: Node | undefined, env: Node | undefined): string | undefined {
  const isText = (node: Node) => node.type === 'string' && !node.value.includes('\0')
  if (!isText(command) || command.value === '') return 'its command is not a text'
  if (args && (args.type !== 'array' || !(args.children ?? []).every(isText))) return 'its args are not a list of texts'
  if (env && env.type !== 'object') return 'its env is not an object'
  const odd = (env ? members(env) : []).find(([name]) => !/^[^-=\0][^=\0]*$/.test(name))
  return odd && `${JSON.stringify(odd[0])} is no name of a variable`
}

export const commandOf = ({ command }: Parts): string => command.value
export const argsOf = ({ args }: Parts): string[] => (args?.array.children ?? []).map((node) => node.value)
