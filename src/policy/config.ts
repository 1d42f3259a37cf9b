import { z } from 'zod'
import { isAnyHost, wrongForRule, wrongForUdp } from '../network/entry.js'
import { parseHostPattern } from '../network/host.js'
import { DENIED_ERRNO, type DeniedErrno } from '../network/types.js'
import { AUDIT_FILES, CAN_BE_OFF, PROTECTIONS, type ProtectionName } from '../profile/types.js'
import { count, number, path, refuse, size } from './fields.js'
import { issueToError } from './issues.js'
import { resources } from './resources.js'
import { syscalls } from './syscalls.js'

// 0xffffffff is (uid_t)-1, which setresuid(2) reads as "leave unchanged"; 0 would make tools believe they are root.
const id = number
  .transform((v, c) =>
    Number.isInteger(v) && v > 0 && v < 0xffffffff
      ? v
      : refuse(c, 'QI_IDENTITY', 'must be a whole number from 1 to 4294967294', 'the payload never runs as id 0')
  )
  .meta({ type: 'integer', minimum: 1, maximum: 0xfffffffe })

const envName = z
  .string()
  .refine((v) => /^[^=\0]+$/.test(v), { params: { qi: 'QI_ENV' }, error: 'is not a variable name' })
const envValue = z.union([
  z.string().refine((v) => !v.includes('\0'), { params: { qi: 'QI_ENV' }, error: 'contains a NUL byte' }),
  z.literal(true)
])

const processIsolation = z.strictObject({
  enabled: z
    .boolean()
    .meta({ const: true })
    .optional()
    .describe('Only `true`: a jail that does not isolate is not offered'),
  uid: id.optional().describe('Plain caller: the uid seen inside. Root: the uid on the host, too'),
  gid: id.optional().describe('As uid, of the group'),
  noNewPrivileges: z.boolean().meta({ const: true }).optional().describe('Only `true`: no program gains rights by exec')
})

const filesystem = z.strictObject({
  readOnlyPaths: z
    .array(path)
    .optional()
    .describe(
      'May be read: files, or folders with all below. `?` at the end: if it exists, here and in the two lists below'
    ),
  allowedPaths: z.array(path).optional().describe('May be read and written'),
  deniedPaths: z.array(path).optional().describe('Neither read nor written, also inside a granted folder'),
  mediate: z
    .boolean()
    .optional()
    .describe(
      'Wild cards in deniedPaths are decided at each open (docs/files.md); nothing is executed in those folders'
    ),
  tempDirectory: path.optional().describe('Where the private, size-limited tmp is seen'),
  maxFileSize: size.optional().describe('The largest file that may be written: bytes, or "1GiB"'),
  allowProtected: z.array(z.string().min(1)).optional().describe('Names of mandatory write-denies to lift, e.g. `.env`')
})

const port = number
  .transform((v, c) =>
    Number.isInteger(v) && v >= 1 && v <= 65535
      ? v
      : refuse(c, 'QI_NETWORK', 'is no port', 'a port is a whole number from 1 to 65535')
  )
  .meta({ type: 'integer', minimum: 1, maximum: 65535 })

const ports = z.array(port).superRefine((list, c) => {
  const twice = list.find((p, i) => list.indexOf(p) !== i)
  if (twice !== undefined) refuse(c, 'QI_NETWORK', `names port ${twice} twice`, 'keep it once')
})

/** A host pattern (docs/network.md); kept as it was written. */
export const hostText = (action: 'allow' | 'deny', transport: 'tcp' | 'udp' = 'tcp') =>
  z.string().superRefine((v, c) => {
    const read = parseHostPattern(v, action)
    const wrong = 'reason' in read ? read : transport === 'udp' ? wrongForUdp(read.value) : undefined
    if (wrong) refuse(c, 'QI_NETWORK_HOST', wrong.reason, wrong.hint)
  })

const hostRule = z
  .strictObject({
    host: z.string().describe('As an entry of allowedHosts, without its port'),
    ports: ports.optional().describe('Instead of one behind the host'),
    inspect: z
      .literal('sni')
      .optional()
      .describe('`sni`: what a connection says first must name the host (TLS server name, HTTP Host)')
  })
  .superRefine((rule, c) => {
    const wrong = wrongForRule(rule)
    if (wrong) refuse(c, 'QI_NETWORK_HOST', wrong.reason, wrong.hint)
  })

/** Each is a descriptor of qi-monitor's: kMaxPins in native/monitor/unix_sockets.h. */
const MAX_UNIX_SOCKETS = 32

const network = z.strictObject({
  allowedHosts: z
    .array(z.union([hostText('allow'), hostRule]))
    .optional()
    .describe('`example.com`, `*.example.com`, `*`, addresses, networks; each with or without `:port`'),
  allowedPorts: ports.optional().describe('For every allowed host that names no port. Left out: any port'),
  deniedHosts: z.array(hostText('deny')).optional().describe('Stronger than whatever allows it'),
  denyInternet: z.boolean().optional().describe('`false`: every public host, as `*` in allowedHosts'),
  maxConnections: count.optional().describe('Connections at once'),
  allowLoopback: ports.optional().describe("Ports of services on the host's loopback"),
  publish: ports.optional().describe('Ports of servers inside that clients on the host reach'),
  udp: z.array(hostText('allow', 'udp')).optional().describe('`host:port` by UDP'),
  allowUnixSockets: z
    .array(path)
    .max(MAX_UNIX_SOCKETS, `lists more than ${MAX_UNIX_SOCKETS}`)
    .optional()
    .describe(
      "Sockets of the host by path (`$NAME` at the beginning: a variable of the caller's; `?` at the end: if it exists)"
    ),
  onDenied: z
    .enum(Object.keys(DENIED_ERRNO) as [DeniedErrno, ...DeniedErrno[]])
    .optional()
    .describe('What a refused connect gets'),
  updatable: z
    .boolean()
    .optional()
    .describe('The rules may be widened while it runs, although none allows anything now'),
  dangerouslyShareHostNetwork: z
    .boolean()
    .optional()
    .describe('No network namespace: every listener and service of the host is in reach'),
  innerLoopback: z.boolean().optional().describe("The jail's own 127.0.0.1, for its own servers and clients")
})

const NEEDS_ALLOW_LIST = [
  'allowedHosts',
  'allowedPorts',
  'deniedHosts',
  'maxConnections',
  'allowLoopback',
  'publish',
  'udp',
  'onDenied',
  'updatable'
] as const

/** What a person writes; every key is optional and lies over the profile's. */
export const body = {
  processIsolation: processIsolation.optional().describe('Who the payload is'),
  filesystem: filesystem.optional().describe('Files and folders'),
  network: network.optional().describe('Connections (docs/network.md)'),
  resources: resources.optional().describe('Limits of the whole jail (docs/limits.md)'),
  devices: z
    .strictObject({ pty: z.boolean().optional().describe('Terminals of its own') })
    .optional()
    .describe('Devices'),
  syscalls: syscalls.optional().describe('Changes of the built-in table (docs/syscalls.md)'),
  enforcement: z
    .enum(['strict', 'permissive'])
    .optional()
    .describe(
      '`permissive`: what strict would refuse is recorded and, where that is safe, let through (docs/permissive.md)'
    ),
  audit: z
    .strictObject({
      file: path.optional().describe('Where events are appended as JSON lines; `-` is standard error'),
      files: z
        .enum(AUDIT_FILES)
        .optional()
        .describe(
          'Which reads, writes, creations, … of files are events. Default: `denied` with `file` and in permissive, else `off`'
        )
    })
    .optional()
    .describe('What is recorded'),
  env: z
    .union([z.array(envName), z.record(envName, envValue)])
    .optional()
    .describe("Names to pass through, or name -> value (`true` passes the caller's value through)"),
  cwd: path.optional().describe('Working directory; must be granted'),
  tolerate: z
    .array(z.enum(PROTECTIONS))
    .optional()
    .describe('Protections that may be missing on this host without ending the launch'),
  protections: z
    .partialRecord(z.enum(PROTECTIONS), z.enum(['require', 'degrade', 'off']))
    .optional()
    .describe('What each layer may come to: `require` it, `degrade` (as in `tolerate`), or do not even try it: `off`')
}

export const SandboxConfigSchema = z
  .strictObject({
    ...body,
    profile: z.string().min(1).optional().describe('Name or file of the profile that this lies over'),
    tool: z.string().min(1).optional().describe('Entry of security.tools.tool_specific of the policy files')
  })
  .superRefine(refuseUnenforced)

export const profileName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be letters, digits, dot, dash or underscore')
export const oneLine = z
  .string()
  .min(1)
  .regex(/^[^\r\n]*$/, 'must be one line')
  .describe('One line for people')

/** A profile file: the same body with a name, a purpose and what it extends. */
export const ProfileFileSchema = z
  .strictObject({
    ...body,
    name: profileName.describe('As messages call it'),
    purpose: oneLine,
    extends: z.string().min(1).optional().describe('A built-in profile, or a file: what this lies over')
  })
  .superRefine(refuseUnenforced)

/** What a person may write. */
export type SandboxConfig = z.input<typeof SandboxConfigSchema>
/** The same, checked, with sizes in bytes and durations in milliseconds. */
export type ParsedConfig = z.output<typeof SandboxConfigSchema>
export type ParsedProfileFile = z.output<typeof ProfileFileSchema>

/** Every field is enforced or refused: a key that is read and then ignored would be a promise nobody keeps. */
export function refuseUnenforced(config: z.output<z.ZodObject<typeof body>>, context: z.RefinementCtx): void {
  const issue = (field: string, qi: string, message: string, hint: string) =>
    context.addIssue({ code: 'custom', path: field.split('.'), message, params: { qi, hint } })
  const { processIsolation: isolation, network: net } = config
  if (isolation?.enabled === false)
    issue(
      'processIsolation.enabled',
      'QI_CONFIG',
      'isolation cannot be turned off',
      'start the command without qi-jail'
    )
  if (isolation?.noNewPrivileges === false)
    issue('processIsolation.noNewPrivileges', 'QI_CONFIG', 'no_new_privs is always set', 'leave the key out')
  if (net) refuseContradictions(net, issue)
  refuseProtections(config, issue)
}

const INSTEAD: Partial<Record<ProtectionName, string>> = {
  networkNamespace: 'write network.dangerouslyShareHostNetwork: true',
  mandatoryDenies: 'name what may be written in filesystem.allowProtected',
  memoryLimit: 'leave resources.maxMemory out',
  cpuLimit: 'leave resources.maxCpu and cpuWeight out',
  ioLimit: 'leave resources.maxIo out',
  wallClock: 'leave resources.maxExecutionTime out',
  processLimit: 'raise resources.maxProcesses'
}

function refuseProtections({ protections = {}, tolerate }: z.output<z.ZodObject<typeof body>>, issue: Report): void {
  for (const [name, wanted] of Object.entries(protections) as [ProtectionName, string][]) {
    if (wanted === 'off' && !CAN_BE_OFF.includes(name)) {
      const hint = INSTEAD[name] ?? `write degrade; ${CAN_BE_OFF.join(', ')} can be off`
      issue(`protections.${name}`, 'QI_CONFIG', 'this layer cannot be left out', hint)
    }
    if (wanted === 'require' && tolerate?.includes(name))
      issue(`protections.${name}`, 'QI_CONFIG', 'contradicts the same name in tolerate', 'keep one of the two')
  }
  if (protections.userNamespace === 'off' && protections.landlockFs === 'off')
    issue('protections.landlockFs', 'QI_CONFIG', 'nothing else holds a jail without namespaces', 'keep one of the two')
}

type Report = (field: string, qi: string, message: string, hint: string) => void

/** Within one layer; of several the last has its way (src/network/merge.ts). */
function refuseContradictions(net: z.output<typeof network>, issue: Report): void {
  const everyHost = net.allowedHosts?.some((entry) => isAnyHost(entry))
  if (net.denyInternet === true && everyHost)
    issue('network.denyInternet', 'QI_NETWORK', 'contradicts "*" in allowedHosts', 'keep one of the two')
  if (!net.dangerouslyShareHostNetwork) return
  if (net.denyInternet === true)
    issue('network.denyInternet', 'QI_CONFIG', 'contradicts dangerouslyShareHostNetwork: true', 'keep one of the two')
  for (const key of NEEDS_ALLOW_LIST) {
    const value = net[key]
    if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) continue
    const message = 'cannot be enforced together with dangerouslyShareHostNetwork: true'
    issue(`network.${key}`, 'QI_NETWORK', message, 'keep one of the two')
  }
}

/** @throws QiError QI_CONFIG, QI_PATH, QI_LIMIT, QI_ENV, QI_IDENTITY, QI_NETWORK, QI_NETWORK_HOST, QI_SYSCALLS */
export function parseConfig(input: unknown, where = 'config'): ParsedConfig {
  const result = SandboxConfigSchema.safeParse(input)
  if (!result.success) throw issueToError(result.error, input, SandboxConfigSchema, where)
  return result.data
}
