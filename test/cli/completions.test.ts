import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completionScript, SHELLS, type Shell } from '../../src/cli/completion-scripts.js'
import { manual } from '../../src/cli/manual.js'
import { type Surface, surfaces } from '../../src/cli/surface.js'
import { VERBS } from '../../src/cli/verbs.js'
import { VERSION } from '../../src/version.js'
import { skipUnless } from '../support/skip.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'qi-completions-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let all: Surface[] = []
beforeAll(async () => {
  all = await surfaces()
  for (const shell of SHELLS) writeFileSync(join(folder, shell), completionScript(shell, all))
  writeFileSync(join(folder, 'afile'), '')
})

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined
const sh = (program: string, script: string): string => {
  const { stdout, stderr, status } = spawnSync(program, ['-c', script], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: folder }
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}
const quoted = (word: string) => `'${word}'`

/** What bash's own machinery would offer for the last word. */
function bash(...typed: string[]): string[] {
  const words = ['qi-jail', ...typed].map(quoted).join(' ')
  const script = `source ./bash; COMP_WORDS=(${words}); COMP_CWORD=${typed.length}; _qi_jail; printf '%s\\n' "\${COMPREPLY[@]}"`
  return sh('bash', script).split('\n').filter(Boolean)
}

describe('bash completes', () => {
  it('verbs, and options of a run', () => {
    expect(bash('exp')).toContain('explain')
    expect(bash('')).toEqual(expect.arrayContaining([...Object.keys(VERBS), 'run', 'help']))
    expect(bash('--me')).toEqual(expect.arrayContaining(['--memory', '--memory-threshold']))
    expect(bash('--ro', '/etc', '--rw')).toEqual(['--rw'])
    expect(bash('run', '--dry')).toEqual(['--dry-run'])
  })

  it('options of each verb, and no others', () => {
    for (const { name, flags } of all) {
      const offered = bash(name, '-')
      expect(offered).toEqual(expect.arrayContaining(flags.map(({ long }) => long)))
      expect(offered.length).toBe(flags.length + flags.filter(({ short }) => short).length)
    }
    expect(bash('doctor', '--ro')).toEqual([])
  })

  it('values: profiles, files, and nothing where anything may stand', () => {
    expect(bash('--profile', 'st')).toEqual(expect.arrayContaining(['strict', 'standard']))
    expect(bash('--ro', 'af')).toEqual(['afile'])
    expect(bash('--memory', '')).toEqual([])
    expect(bash('explain', '--profile', 'stri')).toEqual(['strict'])
    expect(bash('help', 'doc')).toEqual(['doctor'])
  })

  it('the command after the options, and then what is the command’s', () => {
    expect(bash('--', 'bas')).toContain('bash')
    expect(bash('--ro', '/etc', '--', 'bas')).toContain('bash')
    expect(bash('explain', '--', 'bas')).toContain('bash')
    expect(bash('--', 'cat', '--me')).toEqual([])
    expect(bash('cat', '--me')).toEqual([])
    expect(bash('--', 'cat', 'af')).toEqual(['afile'])
  })

  it('registered itself', () => expect(sh('bash', 'source ./bash; complete -p qi-jail')).toContain('-F _qi_jail'))
})

describe('zsh', () => {
  const where = (...typed: string[]) =>
    sh('zsh', `compdef() { :; }; source ./zsh; _qi_jail_where ${typed.map(quoted).join(' ')}; print $qi_verb $qi_state`)

  it('reads the script and finds out what is typed', () => {
    skipUnless(has('zsh'), 'needs zsh')
    expect(where()).toBe('run first\n')
    expect(where('--ro')).toBe('run value file\n')
    expect(where('--profile')).toBe('run value profile\n')
    expect(where('why', '--net')).toBe('why value text\n')
    expect(where('explain', '--json')).toBe('explain option\n')
    expect(where('--ro', '/etc', '--', 'cat')).toBe('run command 3\n')
    expect(where('--quiet', 'cat')).toBe('run command 1\n')
  })
})

describe('fish', () => {
  const fish = (typed: string) =>
    sh('fish', `source ./fish; complete -C ${quoted(typed)}`)
      .split('\n')
      .map((line) => line.split('\t')[0])

  it('completes verbs, options and profiles', () => {
    skipUnless(has('fish'), 'needs fish')
    expect(fish('qi-jail exp')).toContain('explain')
    expect(fish('qi-jail --dry')).toContain('--dry-run')
    expect(fish('qi-jail --profile st')).toEqual(expect.arrayContaining(['strict', 'standard']))
    expect(fish('qi-jail doctor --')).not.toContain('--dry-run')
    expect(fish('qi-jail doctor --')).toContain('--json')
    expect(fish('qi-jail help doc')).toContain('doctor')
  })
})

it.each(SHELLS)('%s is offered every verb and option there is', (shell: Shell) => {
  const script = completionScript(shell, all)
  for (const { name, flags } of all) {
    expect(script).toContain(name)
    for (const { long } of flags) expect(script).toContain(shell === 'fish' ? `-l ${long.slice(2)}` : long)
  }
})

describe('man/qi-jail.1', () => {
  const file = join(root, 'man/qi-jail.1')

  it('is what the definitions say now (npm run manual)', () => {
    expect(readFileSync(file, 'utf8')).toBe(manual(all, VERSION))
  })

  it('has every verb, option and example', () => {
    const page = readFileSync(file, 'utf8').replaceAll('\\-', '-')
    for (const { name, flags, examples } of all) {
      if (name !== 'run') expect(page).toContain(`QI-JAIL ${name.toUpperCase()}`)
      for (const { long } of flags.filter((flag) => flag.long !== '--help')) expect(page).toContain(long)
      for (const [line] of examples) expect(page).toContain(line.replaceAll('\\', '\\e'))
    }
  })

  it('is rendered without a complaint', () => {
    skipUnless(has('groff'), 'needs groff')
    const { stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', file], { encoding: 'utf8' })
    expect(stderr).toBe('')
    // Bold is a letter over itself.
    const letters = stdout.replaceAll(/.[\b]/g, '')
    expect(letters).toContain('EXIT STATUS')
  })

  it('is good by mandoc', () => {
    skipUnless(has('mandoc') || spawnSync('mandoc', ['-?']).error === undefined, 'needs mandoc')
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', file], { encoding: 'utf8' })
    expect(stdout.replaceAll(/.*missing date.*\n/g, '')).toBe('')
  })
})
