// The system calls of a launch, counted: a figure that no other load changes. Instructions are finer (instructions.mjs), but the
// kernel's work for a launch, most of it, is not among them.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { at } from './lib.mjs'

const PAYLOAD = '/bin/true'

/** Of a launch from a kept plan: those of qi-monitor, of pid 1 and of the payload until its exec; the beginning of each exec counts. */
export function launchSyscalls(env) {
  const folder = mkdtempSync('/var/tmp/qi-syscalls-')
  try {
    spawnSync(at('bin/qi-jail'), ['--', PAYLOAD], { env }) // from now on there is a kept plan
    const argv = ['-f', '-o', `${folder}/calls`, at('bin/qi-jail'), '--', PAYLOAD]
    const { status, stderr, error } = spawnSync('strace', argv, { encoding: 'utf8', env })
    if (status !== 0) throw new Error(`strace: ${error?.message ?? stderr}`)
    return count(readFileSync(`${folder}/calls`, 'utf8').split('\n'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param lines of strace -f: each begins with a pid, and a call that another one interrupts has a second line. */
export function count(lines) {
  const execOf = (path) => lines.findIndex((line) => new RegExp(`^\\d+ +execve\\("[^"]*${path}"`).test(line))
  const [from, exec] = [execOf('/Release/qi-monitor'), execOf(PAYLOAD)]
  if (from < 0 || exec < from) throw new Error('strace saw no launch')
  const payload = lines[exec].split(' ')[0]
  const calls = lines.slice(from).filter((line) => /^\d+ +\w+\(/.test(line))
  const afterwards = lines.slice(exec + 1).filter((line) => line.startsWith(`${payload} `) && /^\d+ +\w+\(/.test(line))
  return calls.length - afterwards.length
}
