import { execFileSync, spawnSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { give, isRoot, jailed, scratch, users } from './support.js'

const CLI = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))
const cli = (cwd: string, ...args: string[]) =>
  spawnSync(process.execPath, [CLI, ...args], { cwd, encoding: 'utf8', timeout: 120_000, killSignal: 'SIGKILL' })
const fifo = (path: string) => execFileSync('mkfifo', [path])

function project(): string {
  const folder = `${scratch(isRoot ? 'root' : 'plain')}/proj`
  mkdirSync(folder)
  return folder
}

describe('the audit file', () => {
  it('is a FIFO that nobody reads: an error, not a wait', () => {
    const folder = project()
    expect(cli(folder, '--audit', 'log', '--', 'true').status).toBe(0)
    fifo(`${folder}/pipe`)
    const { status, stderr } = cli(folder, '--audit', 'pipe', '--', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('QI_AUDIT_FILE')])
  })

  it('has a second name, by which a payload could write it', () => {
    const folder = project()
    writeFileSync(`${folder}/log`, '')
    expect(cli(folder, '--audit', 'log', '--rw', folder, '--', 'true').status).toBe(0)
    linkSync(`${folder}/log`, `${folder}/other`)
    expect(cli(folder, '--audit', 'log', '--', 'true').status).toBe(0) // nothing is writable
    const { status, stderr } = cli(folder, '--audit', 'log', '--rw', folder, '--', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('QI_AUDIT_FILE')])
  })

  it('is a FIFO in a writable grant, which a read-only mount does not protect', () => {
    const folder = project()
    fifo(`${folder}/pipe`)
    const { status, stderr } = cli(folder, '--audit', 'pipe', '--rw', folder, '--', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('QI_PROTECTED_GRANT')])
  })

  it.each(users)('in a writable grant, made by this very launch, is not the payload’s to write (%s)', async (user) => {
    const folder = `${scratch(user)}/p`
    mkdirSync(folder)
    give(folder, user)
    const audit = `${folder}/audit.jsonl`
    const acts = ['true > F', 'echo forged >> F', 'mv F G', 'ln -f F G', 'rm -f F', 'mv H F', 'ln -f H F']
    // The same acts on a file that records nothing, so that each is seen to work.
    for (const file of [`${folder}/free`, audit]) {
      // At once and whole words only: a folder's random name may hold these letters.
      const paths: Record<string, string> = { F: file, G: `${folder}/G`, H: `${folder}/H` }
      const script = acts.map((act) => act.replace(/\b[FGH]\b/g, (name) => paths[name] as string))
      const result = await jailed(user, {
        config: { filesystem: { allowedPaths: [folder] }, audit: { file: audit } },
        argv: ['sh', '-c', script.map((act) => `true > ${folder}/H; true > ${file}; ${act} && echo did`).join('\n')]
      })
      expect(result.stdout, result.stderr).toBe(file === audit ? '' : 'did\n'.repeat(acts.length))
      const lines = readFileSync(audit, 'utf8').trim().split('\n')
      const actions = lines.map((line) => JSON.parse(line).event.action)
      expect(actions).toContain('jail.launch')
      expect(actions.at(-1)).toBe('jail.exit')
      rmSync(audit)
    }
  })
})
