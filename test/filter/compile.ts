import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import type { FilterAction, FilterSpec } from '../../src/filter/types.js'
import { check, decode, type Instruction } from './evaluator.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const SOURCES = ['native/core/filter_compile.cc', 'native/core/filter_shorten.cc', 'native/test/compile_filter_cli.cc']
let tool: string | undefined

// Not at the exit of the process: a worker is ended without one.
const made: string[] = []
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true })
})

/** The compiler without the addon, so that the filters are tested before and apart from it. Built once per test file. */
function builtTool(): string {
  if (tool) return tool
  const folder = mkdtempSync(join(tmpdir(), 'qi-compile-'))
  made.push(folder)
  tool = join(folder, 'compile')
  const flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-Inative']
  execFileSync('g++', [...flags, ...SOURCES, '-l:libseccomp.a', '-o', tool], { cwd: root })
  return tool
}

const action = (it: FilterAction) => (it.kind === 'errno' ? String(it.errno) : it.kind)

function toText({ arch, fallback, rules }: FilterSpec): string {
  const lines = rules.map(({ number, action: what, args }) =>
    ['rule', number, action(what), ...args.flatMap((m) => [m.arg, m.mask.toString(16), m.value.toString(16)])].join(' ')
  )
  return [`arch ${arch}`, `fallback ${action(fallback)}`, ...lines, ''].join('\n')
}

/** Throws what the compiler said. */
export function compileBytes(spec: FilterSpec): Uint8Array {
  const { status, stdout, stderr } = spawnSync(builtTool(), { input: toText(spec) })
  if (status !== 0) throw new Error(`${stderr}`.trim())
  return stdout
}

export const compile = (spec: FilterSpec): Instruction[] => checked(compileBytes(spec))

/** A program that the kernel would take. */
export function checked(bytes: Uint8Array): Instruction[] {
  const program = decode(bytes)
  check(program)
  return program
}

/** What this kernel itself does with the call under the filter: its errno, or the signal that ended the caller. */
export function callUnder(spec: FilterSpec, nr: number, args: bigint[]): number | string {
  const words = [BigInt(nr), ...args].map((value) => value.toString(16))
  const { status, signal, stdout, stderr } = spawnSync(builtTool(), words, { input: toText(spec) })
  if (signal) return signal
  if (status !== 0) throw new Error(`${stderr}`.trim() || `status ${status}`)
  return Number(stdout)
}
