import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { own, users } from '../support/user.js'
import { overlay, tmpfs } from './file-systems.js'
import { expectRefused, expectWhole, launchIn, type World } from './support.js'

describe.each(users)('file systems of the project, for %s', (user) => {
  test('tmpfs: whole', () => expectWhole(user, tmpfs()))

  test('tmpfs, noexec, nosuid, nodev: whole', () => expectWhole(user, tmpfs(',noexec,nosuid,nodev')))

  test('overlayfs: whole for a plain user; root is told to be one, for want of id-mapped mounts', () =>
    user === 'plain'
      ? expectWhole(user, overlay)
      : expectRefused(user, overlay, {
          at: 'IdMapGrant EINVAL',
          hint: /no id-mapped mounts: launch as an ordinary user/
        }))

  test('overlayfs that the host’s root mounted, launched by an ordinary user: whole', () =>
    expectWhole('plain', { ...overlay, madeByRoot: true }))

  test('read-only: the payload is told so, and nothing else', async () => {
    const world = { prepare: `${tmpfs().prepare}; mount -o remount,bind,ro "$HOME/project"` }
    const { status, error, stderr, left } = await launchIn(user, world)
    expect({ status, error, left }).toEqual({ status: 10, error: undefined, left: '' })
    expect(stderr).toContain('Read-only file system')
  })
})

describe.each(users)('a noexec /tmp, for %s', (user) => {
  const prepare = 'mkdir "$HOME/tmp"; chmod 777 "$HOME/tmp"; mount -t tmpfs -o noexec,mode=1777 tmpfs "$HOME/tmp"'
  const clear = 'umount "$HOME/tmp"; rmdir "$HOME/tmp"'

  test('is not needed', () =>
    expectWhole(user, { prepare, clear, before: ['sh', '-c', 'TMPDIR=$HOME/tmp exec "$@"', 'sh'] }))

  const program = 'cp /usr/bin/true "$HOME/project/program"; chmod 755 "$HOME/project/program"'
  const lying = (options: string): World => ({
    prepare: `${tmpfs(options).prepare}; ${program}`,
    command: ['./program']
  })

  test('a program that lies there is refused as not executable', async () => {
    const { status, error, left, files } = await launchIn(user, lying(',noexec'))
    expect({ status, code: error?.code, left, files }).toEqual({
      status: 126,
      code: 'QI_COMMAND_NOT_EXECUTABLE',
      left: '',
      files: ['project']
    })
    expect(error?.hint).toMatch(/noexec mount.*move it/)
    expect(await launchIn(user, lying(''))).toMatchObject({ status: 0, left: '' })
  })
})

const PROGRAM = `
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
  struct stat st;
  FILE* made = fopen("made", "w");
  printf("%d %d %d\\n", (int)getuid(), made != NULL, stat("/root", &st));
  return 42;
}`

describe.each(users)('a program of musl, for %s', (user) => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'qi-musl-'))
    own(folder, user)
    writeFileSync(join(folder, 'program.c'), PROGRAM)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each([
    ['static', ['-static']],
    ['dynamic', []]
  ])('%s: runs', async (name, flags) => {
    skipUnless(spawnSync('musl-gcc', ['--version']).status === 0, 'needs musl-gcc')
    const program = join(folder, name)
    const { stderr, status: compiled } = spawnSync('musl-gcc', [...flags, '-o', program, join(folder, 'program.c')])
    expect({ compiled, stderr: stderr.toString() }).toEqual({ compiled: 0, stderr: '' })
    const { error, status, stdout, left, files } = await launchIn(user, { flags: ['--ro', folder], command: [program] })
    expect(error).toBeUndefined()
    const id = user === 'root' ? 1000 : stdout.split(' ')[0]
    expect({ status, stdout, left }).toEqual({ status: 42, stdout: `${id} 1 -1\n`, left: '' })
    expect(files).toEqual(['project', 'project/made'])
  })
})
