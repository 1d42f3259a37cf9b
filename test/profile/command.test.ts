import { describe, expect, it } from 'vitest'
import { codeOf, EXECUTABLE, elf, PLAIN, resolveOn, type Tree } from './fake.js'

const run = (argv: string[], tree: Tree = {}, env: Record<string, string> = { PATH: '/usr/bin' }) =>
  resolveOn({ argv, tree, env })

describe('the command', () => {
  it.each<[string, string[], Tree, string]>([
    ['nothing', [], {}, 'QI_COMMAND_MISSING'],
    ['an empty word', [''], {}, 'QI_COMMAND_MISSING'],
    ['an unknown name', ['nope'], {}, 'QI_COMMAND_NOT_FOUND'],
    ['an unknown path', ['./nope'], {}, 'QI_COMMAND_NOT_FOUND'],
    ['a dangling link', ['/x'], { '/x': '-> gone' }, 'QI_COMMAND_NOT_FOUND'],
    ['a file without x', ['/x'], { '/x': '#!/bin/sh\n' }, 'QI_COMMAND_NOT_EXECUTABLE'],
    ['a name without x', ['x'], { '/usr/bin/x': '#!/bin/sh\n' }, 'QI_COMMAND_NOT_EXECUTABLE'],
    ['a folder', ['/usr'], {}, 'QI_COMMAND_NOT_EXECUTABLE'],
    ['text', ['/x'], { '/x': EXECUTABLE('hello') }, 'QI_COMMAND_NOT_EXECUTABLE'],
    ['an empty file', ['/x'], { '/x': EXECUTABLE('') }, 'QI_COMMAND_NOT_EXECUTABLE'],
    ['an empty "#!"', ['/x'], { '/x': EXECUTABLE('#!\n') }, 'QI_COMMAND_NOT_EXECUTABLE'],
    ['"#!/usr/bin/env" alone', ['/x'], { '/x': EXECUTABLE('#!/usr/bin/env\n') }, 'QI_COMMAND_NOT_EXECUTABLE'],
    [
      'scripts in a circle',
      ['/x'],
      { '/x': EXECUTABLE('#!/y\n'), '/y': EXECUTABLE('#!/x\n') },
      'QI_COMMAND_NOT_EXECUTABLE'
    ],
    ['a missing interpreter', ['/x'], { '/x': EXECUTABLE('#!/gone\n') }, 'QI_COMMAND_NOT_FOUND'],
    ['arm64 on x64', ['/x'], { '/x': elf(183) }, 'QI_COMMAND_ARCH'],
    ['i386 on x64', ['/x'], { '/x': elf(3) }, 'QI_COMMAND_ARCH'],
    ['an interpreter for arm64', ['/x'], { '/x': EXECUTABLE('#!/y\n'), '/y': elf(183) }, 'QI_COMMAND_ARCH'],
    ['a NUL in an argument', ['bash', 'a\0b'], {}, 'QI_ARGV'],
    ['128 KiB in one argument', ['bash', 'a'.repeat(131072)], {}, 'QI_ARGV_TOO_LARGE'],
    ['10 MB of arguments', ['bash', ...Array(1000).fill('a'.repeat(10_000))], {}, 'QI_ARGV_TOO_LARGE']
  ])('refuses %s', (_what, argv, tree, code) => expect(codeOf(() => run(argv, tree))).toBe(code))

  it.each<[unknown, string]>([
    [undefined, 'argv'],
    ['bash', 'argv'],
    [['bash', 5], 'argv[1]'],
    [['bash', null], 'argv[1]']
  ])('refuses argv %j, naming it', (argv, field) => {
    expect(() => run(argv as string[])).toThrow(expect.objectContaining({ code: 'QI_ARGV', field }))
  })

  it('takes the longest argument the kernel takes, counted in bytes', () => {
    expect(codeOf(() => run(['bash', 'a'.repeat(131071)]))).toBe('none')
    expect(codeOf(() => run(['bash', 'é'.repeat(65536)]))).toBe('QI_ARGV_TOO_LARGE')
  })

  it('counts the environment', () => {
    expect(codeOf(() => run(['bash'], {}, { PATH: `/usr/bin:${'x'.repeat(140_000)}` }))).toBe('QI_ARGV_TOO_LARGE')
  })

  it('finds arm64 programs on arm64', () => {
    const facts = { ...PLAIN, arch: 'arm64' as const }
    expect(resolveOn({ argv: ['/x'], tree: { '/x': elf(183) }, facts }).command.file).toBe('/x')
    expect(codeOf(() => resolveOn({ argv: ['/x'], tree: { '/x': elf(62) }, facts }))).toBe('QI_COMMAND_ARCH')
  })

  it('never looks in the current folder by an empty or relative PATH entry', () => {
    const tree = { '/home/u/app/tool': elf(), '/tool': elf() }
    expect(codeOf(() => run(['tool'], tree, { PATH: ':.:/usr/bin:' }))).toBe('QI_COMMAND_NOT_FOUND')
    expect(run(['./tool'], tree).command.file).toBe('/home/u/app/tool')
  })

  it('passes over what is not executable', () => {
    const tree = { '/a/tool': 'x', '/b/tool': elf() }
    expect(run(['tool'], tree, { PATH: '/a:/b' }).command.file).toBe('/b/tool')
  })

  it('looks up in the PATH the payload gets', () => {
    const tree = { '/b/tool': elf() }
    expect(resolveOn({ argv: ['tool'], tree, config: { env: { PATH: '/b' } } }).command.file).toBe('/b/tool')
  })

  it('keeps argv as given', () => {
    expect(run(['bash', '-c', 'ünï "x"', '']).command.argv).toEqual(['bash', '-c', 'ünï "x"', ''])
  })
})
