import { execFileSync } from 'node:child_process'
import { appendFileSync, copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Arch } from '../../src/filter/types.js'
import { loadAddon } from '../../src/launch/locate.js'
import { unpack } from '../../src/plan/compiled.js'
import { filtersOf } from '../../src/plan/filters.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Which files of its own `qi-jail ARGS` loads, started from the installation at `from`; what it would launch is not. */
function loaded(args: string[], from = root): string[] {
  const program = `
    require(${JSON.stringify(join(from, 'build/Release/qi_jail.node'))}).becomeMonitor = () => process.exit()
    process.on('exit', () => console.log(JSON.stringify(Object.keys(require.cache))))
    require(process.argv[1]).main(process.argv.slice(2))`
  const argv = ['-e', program, join(from, 'dist/bundle/main.cjs'), ...args]
  const printed = execFileSync(process.execPath, argv, { encoding: 'utf8' })
  return (JSON.parse(printed.trim().split('\n').at(-1) as string) as string[]).map((file) => basename(file))
}

const TRUE = ['--', '/bin/true']
const SCHEMAS = 'config.cjs'
const YAML = 'source.cjs'

describe('what a start loads', () => {
  it.each([
    ['a profile of ours', []],
    [
      'what flags say in their usual forms',
      ['--profile', 'strict', '--ro', '/usr', '--net', 'example.com', '--pids', '64']
    ]
  ])('neither schemas nor YAML for %s', (_, flags) => {
    const files = loaded(['--dry-run', '--no-policy', ...flags, ...TRUE])
    expect(files).toContain('main.cjs')
    expect(files.filter((file) => [SCHEMAS, YAML, 'main-pino.cjs'].includes(file))).toEqual([])
  })

  it('the schemas for what only they can tell', () => {
    const files = loaded(['--dry-run', '--no-policy', '--grace', '1s', ...TRUE])
    expect(files).toContain(SCHEMAS)
    expect(files).not.toContain(YAML)
  })

  it('no launcher for its version', () => {
    expect(loaded(['--version']).filter((file) => /-(run|spawn)\.cjs$/.test(file))).toEqual([])
  })
})

/** What makes filters: none of it is loaded where they are taken as they were compiled. */
const FILTERS = 'filters.cjs'

describe('the usual filters', () => {
  const folder = join(root, 'dist/bundle')
  const files = readdirSync(folder).filter((name) => /^filters-.*\.json$/.test(name))

  it('are there, for each architecture that can be compiled for here', () => {
    const archs = process.arch === 'x64' ? ['arm64', 'x64'] : ['arm64']
    expect(files.sort()).toEqual(archs.flatMap((arch) => [0, 1, 2, 3].map((i) => `filters-${arch}-${i}.json`)))
  })

  it.each(files)('%s: are what libseccomp makes of the table', (name) => {
    const { key, filters } = unpack(JSON.parse(readFileSync(join(folder, name), 'utf8')))
    const [, arch, choices] = /^(\S+) (.*)$/.exec(key) as RegExpExecArray
    const compile = (spec: Parameters<ReturnType<typeof loadAddon>['compileFilter']>[0]) =>
      new Uint8Array(loadAddon().compileFilter(spec))
    expect(filters).toEqual(filtersOf(arch as Arch, JSON.parse(choices as string), true, compile))
  })

  it.each([[[]], [['--rw', '.']], [['--net', 'example.com']]])('with %j nothing is compiled', (flags) => {
    expect(loaded(['--no-cache', '--no-policy', ...flags, ...TRUE])).not.toContain(FILTERS)
  })

  it('with another choice they are', () => {
    expect(loaded(['--no-cache', '--no-policy', '--audit-files', 'all', ...TRUE])).toContain(FILTERS)
  })
})

describe('a profile of ours', () => {
  let copy: string
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'qi-bundle-'))
    for (const name of ['dist/bundle', 'profiles', 'build/Release/qi_jail.node', 'build/Release/qi-monitor'])
      cpSync(join(root, name), join(copy, name), { recursive: true })
    copyFileSync(join(root, 'package.json'), join(copy, 'package.json'))
  })
  afterAll(() => rmSync(copy, { recursive: true, force: true }))

  const strict = ['--dry-run', '--no-policy', '--profile', 'strict', ...TRUE]

  it('is taken as it was parsed, as long as its file says the same', () => {
    expect(loaded(strict, copy)).not.toContain(YAML)
    appendFileSync(join(copy, 'profiles/strict.yaml'), '\n# changed\n')
    expect(loaded(strict, copy)).toContain(YAML)
  })
})
