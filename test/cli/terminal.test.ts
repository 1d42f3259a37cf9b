import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

// Names that an earlier payload chose end up in our errors and in --dry-run: they must not reach the terminal as commands.
const CLI = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))
const home = mkdtempSync('/var/tmp/qi-terminal-')
afterAll(() => rmSync(home, { recursive: true, force: true }))

const qi = (cwd: string, ...args: string[]) =>
  spawnSync(process.execPath, [CLI, ...args], { cwd, encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' })

// An escape sequence, DEL, a C1 control that some terminals take for one, a forged line of ours.
const NASTY = 'a\x1b]0;owned\x07\x7f\u009b31m\nqi-jail: all is well'
const controls = (text: string) => [...text].filter((c) => c !== '\n' && /\p{Cc}/u.test(c))

function project(name: string): string {
  const folder = mkdtempSync(`${home}/p-`)
  mkdirSync(`${folder}/${name}`)
  writeFileSync(`${folder}/${name}/tool`, '#!/bin/sh\necho hi\n')
  chmodSync(`${folder}/${name}/tool`, 0o755)
  symlinkSync(`${folder}/${name}/tool`, `${folder}/tool`)
  return folder
}

test.each<[string, string[], string[]]>([
  ['an error', ['--ro', 'tool', '--rw', '.', '--', 'true'], ['qi-jail: QI_GRANT_LINK']],
  ['an error as JSON', ['--json', '--ro', 'tool', '--rw', '.', '--', 'true'], ['"code":"QI_GRANT_LINK"']],
  ['--dry-run', ['--dry-run', '--ro', 'tool', '--', 'true'], ['links', 'grants']],
  ['--dry-run as JSON', ['--dry-run', '--json', '--ro', 'tool', '--', 'true'], ['"grants"']]
])('%s shows a planted name without its control characters', (_, args, told) => {
  for (const name of ['plain', NASTY]) {
    const { stdout, stderr } = qi(project(name), ...args)
    for (const text of told) expect(stdout + stderr).toContain(text)
    expect(controls(stdout + stderr)).toEqual([])
    expect(`${stdout}${stderr}`).not.toMatch(/^qi-jail: all is well/m)
  }
})

test('an audit event on the terminal holds no control characters either', () => {
  const script = `cd /tmp; mkdir -p "$1"; cd "$1"; unshare -U true; mount -t tmpfs x "$1"`
  for (const name of ['plain', NASTY]) {
    const { stderr } = qi(tmpdir(), '--quiet', '--audit', '-', '--', 'sh', '-c', script, 'sh', name)
    const events = stderr.split('\n').filter((line) => line.startsWith('{'))
    expect(events.map((line) => JSON.parse(line).event.action)).toContain('syscall.refused')
    expect(controls(events.join('\n'))).toEqual([])
    if (name === NASTY) expect(stderr).toContain('\\u001b]0;owned')
  }
})
