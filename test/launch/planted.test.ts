import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { isRoot, scratch } from '../escape/support.js'

// What an earlier payload leaves in a folder that it may write must neither stop nor steer the next launch.

const CLI = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))
const cli = (cwd: string, ...args: string[]) => {
  const run = spawnSync(process.execPath, [CLI, ...args], {
    cwd,
    encoding: 'utf8',
    timeout: 120_000,
    killSignal: 'SIGKILL'
  })
  // The host uid of a root launch is drawn anew each time.
  return { status: run.status, stderr: run.stderr, stdout: run.stdout.replace(/^user .*$/m, '') }
}
const fifo = (path: string) => execFileSync('mkfifo', [path])

function project(): string {
  const folder = `${scratch(isRoot ? 'root' : 'plain')}/proj`
  mkdirSync(folder)
  writeFileSync(`${folder}/server.js`, 'console.log("served")\n')
  return folder
}

describe('a FIFO in place of a file that resolving reads', () => {
  it.each<[string, string, string[]]>([
    ['package.json', 'package.json', ['node', 'server.js']],
    ['pyvenv.cfg', 'pyvenv.cfg', ['bin/tool']],
    ['a link to /dev/tty', 'package.json', ['node', 'server.js']]
  ])('%s', (what, name, command) => {
    const folder = project()
    mkdirSync(`${folder}/bin`)
    writeFileSync(`${folder}/bin/tool`, '#!/bin/sh\necho served\n', { mode: 0o755 })
    // Resolved only: what the payload itself does with the FIFO is its own affair.
    const args = ['--dry-run', '--rw', folder, '--', ...command]
    const told = cli(folder, ...args)
    expect(told).toMatchObject({ status: 0, stdout: expect.stringContaining(folder) })
    if (what.startsWith('a link')) symlinkSync('/dev/tty', `${folder}/${name}`)
    else fifo(`${folder}/${name}`)
    expect(cli(folder, ...args)).toEqual(told)
  })
})
