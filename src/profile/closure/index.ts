import { QiError } from '../../errors.js'
import type { HostFacts } from '../../host/facts.js'
import { findCommand, inspect, notExecutable } from '../command.js'
import { basename, join, walk } from '../fs.js'
import type { Closure } from './closure.js'
import { installation } from './installation.js'
import { interpreterFor, interpreterName, readCommandLine } from './interpreters.js'
import { launchers } from './launchers.js'
import { nodeScript, preload } from './node.js'
import { pythonModule, pythonScript, userSite, virtualEnvironment } from './python.js'

export { Closure } from './closure.js'
export { systemBase, systemFiles, systemLibraries } from './system.js'

/** A program and its arguments. `offset`: index in the user's argv of args[0], absent when they come from elsewhere. */
export interface Target {
  file: string
  args: string[]
  offset?: number
  steered?: boolean
}

// binfmt_script follows four interpreters deep, then ELOOP. fs/exec.c
const MAX_DEPTH = 4

/** Grants what `target` needs to start: itself, its interpreter, and the script it is given. */
export function closeCommand(closure: Closure, arch: HostFacts['arch'], target: Target, depth = 0): void {
  if (depth > MAX_DEPTH) throw notExecutable(target.file, 'its "#!" lines lead in a circle')
  const { file, args } = target
  const found = walk(closure.fs, file)
  if (found.kind !== 'file')
    throw new QiError('QI_COMMAND_NOT_FOUND', `interpreter ${file} does not exist`, {
      path: file,
      errno: 'ENOENT',
      hint: 'install it, or correct the "#!" line'
    })
  closure.programs.push(found.real)
  const steered = target.steered ?? false
  const program = inspect(closure.fs, found.real, arch)
  virtualEnvironment(closure, file, found, steered)
  installation(closure, file, found, program.kind !== 'script', steered)
  if (program.kind === 'script') {
    const shebang = shebangTarget(closure, program.interpreter, program.argument, file)
    closeCommand(closure, arch, { ...shebang, steered: steered || closure.isWritable(found.real) }, depth + 1)
    script(closure, shebang.file, file, 'command', steered)
  }
  commandLine(closure, arch, file, args, target.offset, depth)
}

/** `#!/usr/bin/env -S node --flag`: the program that env(1) will look up, and what stands before the script. */
function shebangTarget(closure: Closure, interpreter: string, argument: string | undefined, script: string): Target {
  const words = argument?.split(/[ \t]+/) ?? []
  if (basename(interpreter) !== 'env') return { file: interpreter, args: [] }
  const rest = envProgram(words)
  if (rest.length === 0) throw notExecutable(script, 'its "#!" line names no interpreter')
  closure.grant(interpreter, 'interpreter')
  return { file: findCommand(closure.fs, rest[0] as string, closure.host.cwd, closure.host.env.PATH).file, args: [] }
}

/** The words of an env(1) command line from the program on. */
function envProgram(words: string[]): string[] {
  let i = 0
  for (; i < words.length; i++) {
    const word = words[i] as string
    if (word === '-u' || word === '-C' || word === '--unset' || word === '--chdir') i++
    else if (word === '--') return words.slice(i + 1)
    else if (!word.startsWith('-') && !/^[A-Za-z_]\w*=/.test(word)) break
  }
  return words.slice(i)
}

function script(closure: Closure, interpreter: string, path: string, origin: string, steered = false): boolean {
  const family = interpreterFor(interpreter)?.family
  if (family === 'node') return nodeScript(closure, path, origin, steered) !== undefined
  if (family === 'python') return pythonScript(closure, path, origin, steered) !== undefined
  return closure.grant(path, origin, { steered })
}

/** What the arguments name: a script, preloaded modules, or another command to start. */
function commandLine(
  closure: Closure,
  arch: HostFacts['arch'],
  file: string,
  args: string[],
  offset: number | undefined,
  depth: number
): void {
  const { fs, host } = closure
  const name = interpreterName(file)
  const nested = (command: string, rest: string[], at: number) => {
    const inner = findCommand(fs, command, host.cwd, host.env.PATH).file
    closeCommand(
      closure,
      arch,
      { file: inner, args: rest, ...(offset === undefined ? {} : { offset: offset + at }) },
      depth + 1
    )
  }
  const pathArgument = (index: number): string => {
    const path = absolute(args[index] as string, host.cwd)
    if (offset !== undefined) closure.pathArguments.push({ index: offset + index, path })
    return path
  }
  if (name === 'env') {
    const rest = envProgram(args)
    if (rest.length > 0) nested(rest[0] as string, rest.slice(1), args.length - rest.length + 1)
    return
  }
  if (Object.hasOwn(launchers, name)) {
    launchers[name]?.(closure, args, {
      nested,
      instead: (command, at) => {
        nested(command, args.slice(at), at)
        if (offset !== undefined) closure.instead = { file: command, from: offset + at }
      },
      pathArgument,
      script: (path, by) => script(closure, by, path, 'script')
    })
    return
  }
  const interpreter = interpreterFor(file)
  if (!interpreter) return
  const line = readCommandLine(interpreter, args)
  for (const { value } of line.preloads) preload(closure, value)
  if (interpreter.family === 'python') userSite(closure)
  if (name === 'java')
    for (const e of fs.list('/etc'))
      if (e.name.startsWith('java')) closure.grant(`/etc/${e.name}`, 'interpreter', { optional: true })
  if (line.module !== undefined) pythonModule(closure, line.module)
  if (line.script !== undefined && !/^[a-z]+:/i.test(args[line.script] as string))
    script(closure, file, pathArgument(line.script), 'script')
}

const absolute = (path: string, cwd: string): string => (path.startsWith('/') ? join(path) : join(cwd, path))
