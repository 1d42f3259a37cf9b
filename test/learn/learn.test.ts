import { chmodSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { placeOf, readAudit, shell as shellAt } from '../cli/cli.js'
import { own, type User, users } from '../support/user.js'

const PROGRAM = `
import fs from 'node:fs'
const attempt = (name, act) => { try { console.log(name, act()) } catch (error) { console.log(name, error.code) } }
attempt('note', () => fs.readFileSync(process.env.HOME + '/notes/today.md', 'utf8'))
attempt('secret', () => fs.readFileSync(process.env.HOME + '/.ssh/id_test', 'utf8'))
attempt('out', () => { fs.writeFileSync('out/result', 'r'); return 'written' })
process.stdin.on('data', (text) => console.log('said', String(text).trim()))
`

/** A user's home that is not below /tmp, of which a jail has its own. */
function homeFor(user: User) {
  const place = placeOf(user)
  const at = { home: '', root: '' }
  beforeAll(() => {
    at.home = realpathSync(mkdtempSync('/var/tmp/qi-learn-'))
    at.root = place.root
    // While it is watched, root's payload reads what everybody may.
    chmodSync(at.home, 0o755)
    own(at.home, user)
  })
  afterAll(() => rmSync(at.home, { recursive: true, force: true }))
  const shell = (script: string, env: Record<string, string> = {}) =>
    shellAt(place, `cd && ${script}`, { HOME: at.home, ...env })
  return { at, shell }
}

/** A project beside notes and a key, all the user's own. */
function layOut(home: string, user: User, name: string): string {
  const files = {
    [`${name}/app/main.mjs`]: PROGRAM,
    [`${name}/out/old`]: 'o',
    'notes/today.md': 'milk',
    '.ssh/id_test': 'key'
  }
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split('/')
    for (let i = 1; i <= parts.length; i++) {
      const at = join(home, ...parts.slice(0, i))
      if (i < parts.length) mkdirSync(at, { recursive: true })
      else writeFileSync(at, content)
      own(at, user)
    }
  }
  return join(home, name)
}

describe.each(users)('qi-jail learn as %s', (user) => {
  const { at, shell } = homeFor(user)

  test('writes what a program needs, no secret, and the program then runs under it', async () => {
    const project = layOut(at.home, user, 'project')
    const learned = await shell(`cd project && echo hello | "$QI" learn -o p.yaml -- node app/main.mjs`)
    expect([learned.status, learned.stderr]).toEqual([0, expect.stringContaining('left to you: ~/.ssh/id_test')])
    const policy = readFileSync(join(project, 'p.yaml'), 'utf8')
    expect(policy).toMatch(/readOnlyPaths:\n +- \.\/\*\* # .*\n +- ~\/notes\/\*\* # read/)
    expect(policy).toMatch(/allowedPaths:\n +- \.\/out\/\*\* # written/)
    expect(policy).toMatch(/# filesystem\.readOnlyPaths: - "~\/\.ssh\/id_test" {2}# read; holds credentials/)
    const bare = await shell('cd project && echo hello | "$QI" -- node app/main.mjs')
    expect(bare.stdout.toString()).toContain('out ENOENT')
    const under = await shell('cd project && echo hello | "$QI" --policy p.yaml -- node app/main.mjs')
    expect(under.stdout.toString()).toBe('note milk\nsecret ENOENT\nout written\nsaid hello\n')
  })

  test('writes the same file again, keeps one that is there, and adds to it when told', async () => {
    layOut(at.home, user, 'again')
    const learn = (file: string, more = '') =>
      shell(`cd again && echo hello | "$QI" learn -o ${file} ${more} -- node app/main.mjs`)
    await learn('one.yaml')
    await learn('two.yaml')
    const text = (file: string) => readFileSync(join(at.home, 'again', file), 'utf8')
    expect(text('two.yaml')).toBe(text('one.yaml'))
    const refused = await learn('one.yaml')
    expect([refused.status, refused.stderr]).toEqual([125, expect.stringContaining('QI_LEARN_EXISTS')])
    writeFileSync(join(at.home, 'again/mine.yaml'), '# mine\nsandbox:\n  profiles:\n    other: { extends: strict }\n')
    own(join(at.home, 'again/mine.yaml'), user)
    await learn('mine.yaml', '--merge')
    expect(text('mine.yaml')).toMatch(/^# mine\n.*other: \{ extends: strict \}.*- ~\/notes\/\*\*/s)
  })

  test('shows what recorded refusals ask for, and writes it when told', async () => {
    const project = layOut(at.home, user, 'recorded')
    const strict = await shell(
      'cd recorded && echo hi | "$QI" --audit ~/audit.jsonl --audit-files denied -- node app/main.mjs'
    )
    expect(strict.stdout.toString()).toContain('note ENOENT')
    expect(readAudit(readFileSync(join(at.home, 'audit.jsonl'))).length).toBeGreaterThan(2)
    const shown = await shell('cd recorded && "$QI" learn --from ~/audit.jsonl -o p.yaml')
    expect(shown.stdout.toString()).toMatch(/^\+ +- ~\/notes\/\*\* # read/m)
    expect(() => readFileSync(join(project, 'p.yaml'))).toThrow(/ENOENT/)
    await shell('cd recorded && "$QI" learn --from ~/audit.jsonl -o p.yaml --merge')
    const again = await shell('cd recorded && "$QI" learn --from ~/audit.jsonl -o p.yaml')
    expect(again.stdout.toString()).not.toMatch(/^\+/m)
  })

  test.each([
    ['no command', '', 'QI_USAGE'],
    ['a duration that is none', '--for soon -- true', 'QI_LIMIT'],
    ['an audit file that is not there', '--from nowhere', 'QI_AUDIT_FILE'],
    ['a command that is not there', '-- no-such-command', 'QI_COMMAND_NOT_FOUND'],
    ['a folder as its output', '-o . --merge -- true', 'QI_OUTPUT']
  ])('refuses %s', async (_, args, code) => {
    const { status, stderr } = await shell(`"$QI" learn ${args}`)
    expect([status, stderr]).toEqual([expect.any(Number), expect.stringContaining(code)])
    expect(status).toBeGreaterThanOrEqual(125)
  })
})

const message = (id: number, method: string, params: object) => JSON.stringify({ jsonrpc: '2.0', id, method, params })
const initialize = message(1, 'initialize', {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' }
})
const initialized = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })

describe.each(users)('real servers, learned and replayed by %s', (user) => {
  const { at, shell } = homeFor(user)

  test.each([
    ['everything', [], message(2, 'tools/call', { name: 'echo', arguments: { message: 'héllo' } })],
    ['memory', [], message(2, 'tools/call', { name: 'read_graph', arguments: {} })],
    ['filesystem', ['data'], message(2, 'tools/call', { name: 'list_directory', arguments: { path: 'data' } })],
    ['sequential-thinking', [], message(2, 'tools/list', {})],
    ['slack', [], message(2, 'tools/list', {})],
    ['github', [], message(2, 'tools/list', {})]
  ])('%s: 0 refusals', async (name, args, request) => {
    mkdirSync(join(at.home, 'data'), { recursive: true })
    own(join(at.home, 'data'), user)
    const session = `${[initialize, initialized, request].join('\n')}\n`
    writeFileSync(join(at.home, `${name}.jsonl`), session)
    const server = join(at.root, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`)
    const command = `node ${server} ${args.join(' ')}`
    const { stdout, stderr } = await shell(
      `(cat ${name}.jsonl; sleep 3) | "$QI" learn -o ${name}.yaml --for 20s --env SLACK_BOT_TOKEN --env SLACK_TEAM_ID -- ${command}`,
      { SLACK_BOT_TOKEN: 'x', SLACK_TEAM_ID: 'T1' }
    )
    expect(stderr).toMatch(/replayed(?: \d times)?: 0 refusals/)
    expect(stdout.toString()).toContain('"id":2')
  })
})
