import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import { join, type ReadFs, type Walk, walk } from './fs.js'

// MAX_ARG_STRLEN of the kernel: 32 pages, the NUL included. execve(2)
const MAX_ARGUMENT = 131072
// A quarter of the usual 8 MiB stack, less some slack for the auxiliary vector.
const MAX_TOTAL = 2 * 1024 * 1024 - 8192

/** What execve(2) would refuse, refused here with a name. */
export function checkArguments(argv: string[], env: [string, string][]): void {
  const odd = Array.isArray(argv) ? argv.findIndex((text) => typeof text !== 'string') : -1
  if (!Array.isArray(argv) || odd >= 0) {
    const field = odd >= 0 ? `argv[${odd}]` : 'argv'
    throw new QiError('QI_ARGV', `${field} is not ${odd >= 0 ? 'a text' : 'a list of texts'}`, {
      field,
      value: odd >= 0 ? argv[odd] : argv,
      hint: "give the command and each argument as one text: ['node', 'server.js']"
    })
  }
  if (argv.length === 0 || argv[0] === '') {
    throw new QiError('QI_COMMAND_MISSING', 'no command given', { field: 'argv', hint: 'write it after "--"' })
  }
  let total = 0
  const count = (text: string, field: string) => {
    if (text.includes('\0')) {
      throw new QiError('QI_ARGV', `${field} contains a NUL byte`, {
        field,
        hint: 'remove it; the kernel would cut the text there'
      })
    }
    const size = Buffer.byteLength(text) + 1
    total += size + 8
    if (size > MAX_ARGUMENT) tooLarge(`${field} has ${size - 1} bytes, the kernel takes ${MAX_ARGUMENT - 1}`, field)
  }
  for (const [i, text] of argv.entries()) count(text, `argv[${i}]`)
  for (const [name, value] of env) count(`${name}=${value}`, `env.${name}`)
  if (total > MAX_TOTAL)
    tooLarge(`arguments and environment come to ${total} bytes, the kernel takes ${MAX_TOTAL}`, 'argv')
}

function tooLarge(message: string, field: string): never {
  throw new QiError('QI_ARGV_TOO_LARGE', message, { field, errno: 'E2BIG', hint: 'pass it through a file or stdin' })
}

export const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin'

/** Looks `name` up as execvp(3) does, but never in the current folder by an empty or relative PATH entry. */
export function findCommand(fs: ReadFs, name: string, cwd: string, path = DEFAULT_PATH): { file: string; walk: Walk } {
  const candidates = name.includes('/')
    ? [name.startsWith('/') ? join(name) : join(cwd, name)]
    : path
        .split(':')
        .filter((p) => p.startsWith('/'))
        .map((p) => join(p, name))
  let blocked: string | undefined
  for (const file of candidates) {
    const found = walk(fs, file)
    if (found.kind === 'file' && (found.mode & 0o111) !== 0) return { file, walk: found }
    if (found.kind === 'file' || (found.kind === 'dir' && name.includes('/'))) blocked ??= file
  }
  if (blocked !== undefined) throw notExecutable(blocked, 'no execute permission, or a folder')
  throw new QiError('QI_COMMAND_NOT_FOUND', `command ${JSON.stringify(name)} not found`, {
    field: 'argv[0]',
    value: name,
    errno: 'ENOENT',
    hint: name.includes('/') ? 'check the path' : 'install it, or write its full path'
  })
}

export function notExecutable(file: string, reason: string): QiError {
  return new QiError('QI_COMMAND_NOT_EXECUTABLE', `${file} cannot be executed: ${reason}`, {
    field: 'argv[0]',
    value: file,
    path: file,
    errno: 'EACCES',
    hint: 'chmod +x it, or start it by its interpreter'
  })
}

export type Executable =
  | { kind: 'elf' }
  | { kind: 'script'; interpreter: string; argument?: string }
  | { kind: 'opaque' }

// e_machine, elf(5)
const MACHINES: Record<number, string> = {
  3: 'i386',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv',
  21: 'ppc64',
  22: 's390x'
}

/** What kind of program it is. `opaque`: may be run but not read. */
export function inspect(fs: ReadFs, file: string, arch: HostFacts['arch']): Executable {
  const head = fs.read(file, 512)
  if (!head) return { kind: 'opaque' }
  if (head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46) {
    const machine = head[5] === 2 ? ((head[18] ?? 0) << 8) | (head[19] ?? 0) : (head[18] ?? 0) | ((head[19] ?? 0) << 8)
    const name = MACHINES[machine] ?? `machine ${machine}`
    if (name !== arch) {
      const hint = `install its ${arch} build`
      throw new QiError('QI_COMMAND_ARCH', `${file} is built for ${name}, this host is ${arch}`, {
        path: file,
        value: name,
        errno: 'ENOEXEC',
        hint
      })
    }
    return { kind: 'elf' }
  }
  const line = /^#![ \t]*([^ \t\n]+)(?:[ \t]+([^\n]*?))?[ \t\r]*(?:\n|$)/.exec(Buffer.from(head).toString('latin1'))
  if (!line) throw notExecutable(file, 'neither an ELF program nor a script with a "#!" line')
  return { kind: 'script', interpreter: line[1] as string, ...(line[2] ? { argument: line[2] } : {}) }
}
