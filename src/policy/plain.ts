import { parseHostPattern } from '../network/host.js'
import type { ParsedConfig } from './config.js'
import { faultOfPath } from './path-text.js'
import { parseCount, parseDuration, parseSize, type UnitResult } from './units.js'

/** What the schema makes of a value; undefined where only the schema can tell, faults above all. */
type Take = (value: unknown) => unknown

const text: Take = (v) => (typeof v === 'string' && v !== '' ? v : undefined)
const path: Take = (v) => (typeof v === 'string' && faultOfPath(v) === undefined ? v : undefined)
const host: Take = (v) => (typeof v === 'string' && 'value' in parseHostPattern(v) ? v : undefined)
const count: Take = (v) => (typeof v === 'number' ? parseCount(v).value : undefined)
const amount =
  (parse: (written: number | string) => UnitResult): Take =>
  (v) =>
    typeof v === 'number' || typeof v === 'string' ? parse(v).value : undefined
const variable: Take = (v) => (v === true || (typeof v === 'string' && !v.includes('\0')) ? v : undefined)

function list(item: Take): Take {
  return (v) => {
    if (!Array.isArray(v)) return undefined
    const taken = Array.from(v, item)
    return taken.includes(undefined) ? undefined : taken
  }
}

function record(take: (key: string) => Take | undefined): Take {
  return (v) => {
    if (!isPlainObject(v)) return undefined
    const taken = Object.entries(v).map(([key, value]) => [key, take(key)?.(value)] as const)
    return taken.every(([, value]) => value !== undefined) ? Object.fromEntries(taken) : undefined
  }
}

const isPlainObject = (v: unknown): v is object =>
  typeof v === 'object' && v !== null && Object.getPrototypeOf(v) === Object.prototype

const fields = (known: Record<string, Take>) => record((key) => (Object.hasOwn(known, key) ? known[key] : undefined))

const config = fields({
  profile: text,
  tool: text,
  filesystem: fields({ readOnlyPaths: list(path), allowedPaths: list(path), deniedPaths: list(path) }),
  network: fields({ allowedHosts: list(host) }),
  resources: fields({
    maxMemory: amount(parseSize),
    maxExecutionTime: amount(parseDuration),
    maxProcesses: count,
    tmpSize: amount(parseSize)
  }),
  env: record((name) => (/^[A-Za-z]\w*$/.test(name) ? variable : undefined)),
  cwd: path,
  audit: fields({ file: path })
})

/**
 * What `parseConfig` gives back, for what people write most; undefined where it has to be asked. Loading the schemas takes
 * longer than all the rest of a start.
 */
export const plainConfig = (written: unknown): ParsedConfig | undefined => config(written) as ParsedConfig | undefined
