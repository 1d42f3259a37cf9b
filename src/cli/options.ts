import { Command, CommanderError, Help, type Option } from 'commander'
import { QiError } from '../errors.js'
import type { SandboxConfig } from '../policy/index.js'
import { VERSION } from '../version.js'
import { type Example, withExamples } from './examples.js'
import { verbsText } from './verbs.js'

export interface RunOptions {
  profile?: string
  /** --policy FILE; false with --no-policy */
  policy?: string | false
  server?: string
  tool?: string
  ro: string[]
  rw: string[]
  deny: string[]
  mediate?: boolean
  net: string[]
  denyHost: string[]
  allowLoopback: string[]
  publish: string[]
  allowUnixSocket: string[]
  udp: string[]
  maxConnections?: string
  onDenied?: string
  ask?: boolean
  askTimeout?: string
  permissive?: boolean
  id?: string
  env: string[]
  cwd?: string
  memory?: string
  memoryThreshold?: string
  cpu?: string
  pids?: string
  timeout?: string
  grace?: string
  tmpSize?: string
  ioRead?: string
  ioWrite?: string
  /** false with --no-cgroup */
  cgroup?: boolean
  tolerate: string[]
  protection: string[]
  audit?: string
  auditFiles?: string
  json?: boolean
  dryRun?: boolean
  /** false with --no-cache */
  cache?: boolean
  quiet?: boolean
  verbose?: boolean
}

export interface ParsedArguments {
  options: RunOptions
  command: string[]
  /** Text for stdout instead of a run: --help, --version. */
  answer?: string
  /** What is wrong with the arguments; `options` holds what was understood, so that --json applies. */
  fault?: QiError
}

const EXAMPLES: Example[] = [
  ['qi-jail -- node server.js', 'its own files, a private tmp, nothing else'],
  ['qi-jail --ro ~/data --rw ./out -- python3 s.py', 'read one folder, write another'],
  ['qi-jail --profile standard -- npx -y some-mcp', 'the project folder is writable'],
  ['qi-jail --net api.example.com:443 -- node s.js', 'these hosts only, for every program, without proxy variables'],
  ['qi-jail --dry-run -- node server.js', 'show what it would be given; start nothing'],
  ['qi-jail --memory 1GiB --cpu 50% --timeout 10m --audit audit.jsonl -- ./tool', '']
]

export const EXIT_STATUS = `Exit status: the command's own; 128+n when signal n ended it; 125 qi-jail failed; 126 the command cannot be
executed; 127 it was not found.`

/** Without the default of what may be repeated: nothing. */
function optionDescription(option: Option): string {
  const { optionDescription: usual } = Help.prototype
  return Array.isArray(option.defaultValue) ? option.description : usual.call(new Help(), option)
}

const append = (value: string, all: string[]): string[] => [...all, value]

/** `qi-jail run`, and what every verb is listed by. */
export function runProgram(): Command {
  const program = withRunOptions(new Command('qi-jail'))
    .usage('[run] [options] [--] <command> [args...]\n       qi-jail VERB [options]')
    .description('Runs a command in a kernel-enforced jail and reports every call, connection and path it was refused.')
    .argument('[command...]', 'what to run; options end here')
    .optionsGroup('Options:')
    .option('--id <name>', 'name it for qi-jail ctl; without one it gets eight hex digits')
    .option('--json', 'own errors and notices as JSON; with --dry-run its whole output')
    .option('--no-cache', 'neither start from a kept plan nor keep this one')
    .option('--dry-run', 'print the resolved profile and the plan, run nothing')
    .option('-q, --quiet', 'no notices after the run')
    .option('-v, --verbose', 'diagnostics on stderr; QI_LOG=<level> sets their level')
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', verbsText)
    .passThroughOptions()
  return withExamples(program, EXAMPLES).addHelpText('after', `\n${EXIT_STATUS}`)
}

/** What decides a jail: for a run, and for the verbs that tell what one would come to. */
export function withRunOptions(command: Command): Command {
  return command
    .configureHelp({ optionDescription })
    .option('--profile <name|file>', 'strict (default), standard, dev, servers/NAME, or a profile file')
    .option('--ro <path>', 'may be read (repeatable)', append, [])
    .option('--rw <path>', 'may be read and written (repeatable)', append, [])
    .option('--deny <path>', 'neither, also inside a granted folder (repeatable)', append, [])
    .option('--mediate', 'wild cards in --deny, decided at each open (docs/files.md)')
    .option('--env <name[=value]>', 'pass a variable on, or set it (repeatable)', append, [])
    .option('--cwd <dir>', 'working directory; must be granted')
    .option('--audit <file|->', 'append audit events as JSON lines; - is stderr')
    .option(
      '--permissive',
      'record what strict would refuse, and let it through where that is safe (docs/permissive.md)'
    )
    .option('--audit-files <what>', 'events of files: denied (default with --audit), all, off')
    .optionsGroup('Policy files (docs/policy.md):')
    .option('--policy <file>', 'one more, over those of the system, the user and the project')
    .option('--no-policy', 'none: the profile and these flags alone')
    .option('--server <name>', 'what the MCP client calls it, for servers:')
    .option('--tool <name>', 'the entry of security.tools.tool_specific that holds')
    .optionsGroup('Protections (docs/distributions.md; qi-jail doctor tells what this host has):')
    .option('--tolerate <name>', 'may be missing or degraded on this host', append, [])
    .option('--protection <name=wanted>', 'require, degrade, or off: do not even try', append, [])
    .optionsGroup('Limits (of the whole jail; docs/limits.md):')
    .option('--memory <size>', 'memory with the private tmp, e.g. 512MB')
    .option('--memory-threshold <size>', 'report from there on (default nine tenths of --memory)')
    .option('--cpu <cores>', 'processor time: 0.5, 2, or 50% of one core; needs a cgroup')
    .option('--pids <n>', 'processes and threads')
    .option('--timeout <duration>', 'wall clock, e.g. 30s, 5m')
    .option('--grace <duration>', 'between SIGTERM and SIGKILL when it is over (default 2s)')
    .option('--tmp-size <size>', 'the private tmp, which lies in memory')
    .option('--io-read <size>', "from the working directory's disk, per second; needs a cgroup")
    .option('--io-write <size>', 'to it')
    .option('--no-cgroup', 'make no cgroup, although the host has one: qi-monitor watches instead')
    .optionsGroup('Network (none without these, but what the profile says):')
    .option(
      '--net <host[:port]>',
      'may be connected to: name, *.domain, address, network; "*" is every public host',
      append,
      []
    )
    .option('--deny-host <host[:port]>', 'may not, whatever allows it', append, [])
    .option('--udp <host:port>', 'datagrams', append, [])
    .option('--allow-loopback <port>', "a service on the host's own loopback", append, [])
    .option('--allow-unix-socket <path>', 'a socket of the host, e.g. $SSH_AUTH_SOCK (repeatable)', append, [])
    .option('--publish <port>', 'a server inside that clients on the host reach', append, [])
    .option('--max-connections <n>', 'at once')
    .option('--on-denied <errno>', 'what a refused connect gets: EACCES (default), ECONNREFUSED, ENETUNREACH')
    .option('--ask', 'ask on the terminal about every other host')
    .option('--ask-timeout <duration>', 'how long an answer may take before it is a no (default 30s)')
}

/** Our arguments up to the command; from there on they are the command's, untouched. */
export function parseArguments(args: string[]): ParsedArguments {
  const program = runProgram().exitOverride()
  let answer = ''
  program.configureOutput({ writeOut: (text) => (answer += text), writeErr: () => {} })
  const result = (more: Partial<ParsedArguments>): ParsedArguments => ({
    options: program.opts<RunOptions>(),
    command: program.args,
    ...more
  })
  try {
    program.parse(args[0] === 'run' ? args.slice(1) : args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return result(error.exitCode === 0 ? { answer } : { fault: usageError(error) })
  }
  const swallowed = Object.entries(program.opts()).find(([, value]) => [value].flat().includes('--'))
  if (swallowed)
    return result({ fault: usageError({ message: `option '--${swallowed[0]}' needs a value before "--"` }) })
  if (program.args.length > 0) return result({})
  const hint = 'write it after the options: qi-jail [options] -- command; see qi-jail --help'
  return result({ fault: new QiError('QI_COMMAND_MISSING', 'no command given', { field: 'command', hint }) })
}

/** Commander says `error: unknown option '--x'\n(Did you mean --y?)`: the first line is the fault, the second the remedy. */
function usageError({ message }: { message: string }): QiError {
  const [fault = '', guess = ''] = message.replace(/^error: /, '').split('\n')
  const flag = /'(-[^' ]*)/.exec(fault)?.[1]
  return new QiError('QI_USAGE', fault, {
    ...(flag ? { field: flag, value: flag } : {}),
    hint: guess ? guess.replace(/^\(|\)$/g, '') : 'qi-jail --help lists the options'
  })
}

/** What the flags say, as the configuration that the Node API takes. */
export function toConfig(options: RunOptions): SandboxConfig {
  const filesystem = {
    ...(options.ro.length ? { readOnlyPaths: options.ro } : {}),
    ...(options.rw.length ? { allowedPaths: options.rw } : {}),
    ...(options.deny.length ? { deniedPaths: options.deny } : {}),
    ...(options.mediate ? { mediate: true } : {})
  }
  const network = networkOf(options)
  const resources = limitsOf(options)
  const audit = {
    ...(options.audit === undefined ? {} : { file: options.audit }),
    ...(options.auditFiles === undefined ? {} : { files: options.auditFiles as 'denied' }) // checked with the rest
  }
  return {
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.tool === undefined ? {} : { tool: options.tool }),
    ...(Object.keys(filesystem).length ? { filesystem } : {}),
    ...(Object.keys(network).length ? { network } : {}),
    ...(Object.keys(resources).length ? { resources } : {}),
    ...(options.env.length ? { env: Object.fromEntries(options.env.map(variable)) } : {}),
    ...(options.permissive ? { enforcement: 'permissive' as const } : {}),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(Object.keys(audit).length ? { audit } : {}),
    ...protectionsOf(options)
  }
}

/** --tolerate adds to what the profile tolerates, as --protection does. */
function protectionsOf({ tolerate, protection }: RunOptions): Pick<SandboxConfig, 'protections'> {
  const written = [...tolerate.map((name) => [name, 'degrade']), ...protection.map((each) => split(each))]
  return written.length > 0 ? { protections: Object.fromEntries(written) } : {} // checked with the rest
}

const split = (written: string): string[] => {
  const [name, wanted] = written.split('=')
  if (name && wanted !== undefined) return [name, wanted]
  const details = { field: '--protection', value: written, hint: 'write --protection landlockScope=degrade' }
  throw new QiError('QI_USAGE', `--protection = ${JSON.stringify(written)}: is not NAME=require|degrade|off`, details)
}

function limitsOf(options: RunOptions): NonNullable<SandboxConfig['resources']> {
  const { memory, memoryThreshold, cpu, pids, timeout, grace, tmpSize, ioRead, ioWrite } = options
  const io = {
    ...(ioRead === undefined ? {} : { readBytes: ioRead }),
    ...(ioWrite === undefined ? {} : { writeBytes: ioWrite })
  }
  return {
    ...(memory === undefined ? {} : { maxMemory: memory }),
    ...(memoryThreshold === undefined ? {} : { memoryThreshold }),
    ...(cpu === undefined ? {} : { maxCpu: cpu }),
    ...(pids === undefined ? {} : { maxProcesses: wholeNumber('--pids', pids) }),
    ...(timeout === undefined ? {} : { maxExecutionTime: timeout }),
    ...(grace === undefined ? {} : { terminationGrace: grace }),
    ...(tmpSize === undefined ? {} : { tmpSize }),
    ...(Object.keys(io).length ? { maxIo: io } : {}),
    ...(options.cgroup === false ? { cgroup: 'off' } : {})
  }
}

function networkOf(options: RunOptions): NonNullable<SandboxConfig['network']> {
  const ports = (flag: string, written: string[]) => written.map((text) => wholeNumber(flag, text))
  return {
    ...(options.net.length ? { allowedHosts: options.net } : {}),
    ...(options.denyHost.length ? { deniedHosts: options.denyHost } : {}),
    ...(options.udp.length ? { udp: options.udp } : {}),
    ...(options.allowLoopback.length ? { allowLoopback: ports('--allow-loopback', options.allowLoopback) } : {}),
    ...(options.allowUnixSocket.length ? { allowUnixSockets: options.allowUnixSocket } : {}),
    ...(options.publish.length ? { publish: ports('--publish', options.publish) } : {}),
    ...(options.maxConnections === undefined
      ? {}
      : { maxConnections: wholeNumber('--max-connections', options.maxConnections) }),
    ...(options.onDenied === undefined ? {} : { onDenied: options.onDenied as 'EACCES' }) // checked with the rest
  }
}

function variable(written: string): [string, string | true] {
  const at = written.indexOf('=')
  return at < 0 ? [written, true] : [written.slice(0, at), written.slice(at + 1)]
}

function wholeNumber(flag: string, written: string): number {
  if (/^-?\d+$/.test(written)) return Number(written)
  throw new QiError('QI_LIMIT', `${flag} = ${JSON.stringify(written)}: is not a whole number`, {
    field: flag,
    value: written,
    hint: `write ${flag} 64`
  })
}

const FLAGS: [key: string, flag: string, given: (options: RunOptions) => boolean][] = [
  ['filesystem\\.readOnlyPaths(?:\\[\\d+\\])?', '--ro', (o) => o.ro.length > 0],
  ['filesystem\\.allowedPaths(?:\\[\\d+\\])?', '--rw', (o) => o.rw.length > 0],
  ['filesystem\\.deniedPaths(?:\\[\\d+\\])?', '--deny', (o) => o.deny.length > 0],
  ['filesystem\\.mediate', '--mediate', (o) => o.mediate === true],
  ['network\\.allowedHosts(?:\\[\\d+\\])?', '--net', (o) => o.net.length > 0],
  ['network\\.deniedHosts(?:\\[\\d+\\])?', '--deny-host', (o) => o.denyHost.length > 0],
  ['network\\.udp(?:\\[\\d+\\])?', '--udp', (o) => o.udp.length > 0],
  ['network\\.allowLoopback(?:\\[\\d+\\])?', '--allow-loopback', (o) => o.allowLoopback.length > 0],
  ['network\\.allowUnixSockets(?:\\[\\d+\\])?', '--allow-unix-socket', (o) => o.allowUnixSocket.length > 0],
  ['network\\.publish(?:\\[\\d+\\])?', '--publish', (o) => o.publish.length > 0],
  ['network\\.maxConnections', '--max-connections', (o) => o.maxConnections !== undefined],
  ['network\\.onDenied', '--on-denied', (o) => o.onDenied !== undefined],
  ['resources\\.maxMemory', '--memory', (o) => o.memory !== undefined],
  ['resources\\.memoryThreshold', '--memory-threshold', (o) => o.memoryThreshold !== undefined],
  ['resources\\.maxCpu', '--cpu', (o) => o.cpu !== undefined],
  ['resources\\.terminationGrace', '--grace', (o) => o.grace !== undefined],
  ['resources\\.tmpSize', '--tmp-size', (o) => o.tmpSize !== undefined],
  ['resources\\.maxIo\\.readBytes', '--io-read', (o) => o.ioRead !== undefined],
  ['resources\\.maxIo\\.writeBytes', '--io-write', (o) => o.ioWrite !== undefined],
  ['resources\\.maxIo', '--io-read/--io-write', (o) => o.ioRead !== undefined || o.ioWrite !== undefined],
  ['resources\\.cgroup', '--no-cgroup', (o) => o.cgroup === false],
  ['resources\\.maxProcesses', '--pids', (o) => o.pids !== undefined],
  ['resources\\.maxExecutionTime', '--timeout', (o) => o.timeout !== undefined],
  ['enforcement(?= =|$)', '--permissive', (o) => o.permissive === true],
  ['audit\\.files', '--audit-files', (o) => o.auditFiles !== undefined],
  ['protections\\.', '--tolerate/--protection ', (o) => o.tolerate.length + o.protection.length > 0],
  ['audit\\.file', '--audit', (o) => o.audit !== undefined],
  ['env\\.', '--env ', (o) => o.env.length > 0],
  ['cwd(?= =|$)', '--cwd', (o) => o.cwd !== undefined],
  ['tool(?= =|$)', '--tool', (o) => o.tool !== undefined],
  ['server(?= =|$)', '--server', (o) => o.server !== undefined]
]

/** The configuration's own words in the words of who typed flags. Keys that a profile file set keep their names. */
export function inFlags(text: string, options: RunOptions): string {
  const ours = '(?<!\\.ya?ml(?::\\d+:\\d+)?: |:\\d+:\\d+: )(?<![\\w./])(?:config: )?'
  return FLAGS.filter(([, , given]) => given(options)).reduce(
    (out, [key, flag]) => out.replace(new RegExp(`${ours}${key}`, 'g'), flag),
    text
  )
}

/** The same error, told in flags. */
export function rephrase(error: unknown, options: RunOptions): unknown {
  if (!(error instanceof QiError)) return error
  const message = inFlags(error.message, options)
  const { field } = error
  if (field === undefined) return Object.create(error, { message: { value: message } }) as QiError
  const isProfiles = message.split(/\.ya?ml(?::\d+:\d+)?: /).some((rest, i) => i > 0 && rest.startsWith(field))
  const told = isProfiles ? field : inFlags(field, options)
  return Object.create(error, { message: { value: message }, field: { value: told } }) as QiError
}
