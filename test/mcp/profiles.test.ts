// The profiles of profiles/servers with the servers they are made for: each starts, is of use, and is held. Those with a
// network: profiles.network.test.ts.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { placeOf, runOnce } from '../cli/cli.js'
import { as, environmentOf, own, users } from '../support/user.js'

interface Answer {
  isError?: boolean
  content: { text: string }[]
}

const textOf = (answer?: Answer): string => answer?.content[0]?.text ?? ''
const entry = (root: string, name: string) =>
  join(root, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`)

describe.each(users)('servers that need no network, as %s', (user) => {
  const place = placeOf(user)

  async function session(name: string, args: string[], calls: object[], more: object = {}, sandbox: object = {}) {
    const profile = `servers/${name}`
    const server = {
      command: 'node',
      args: [entry(place.root, name), ...args],
      ...more,
      sandbox: { profile, ...sandbox }
    }
    const script = join(place.root, 'test/mcp/session.mjs')
    const [file, words] = as(user, [process.execPath, script, JSON.stringify({ server, calls })])
    const env = { ...environmentOf(place.home), CALLER_TOKEN: 'of the caller' }
    const { stdout } = await promisify(execFile)(file, words, { cwd: place.home, env })
    return JSON.parse(stdout) as { tools: string[]; results: Answer[]; exit: object }
  }

  function folder(...names: string[]): string {
    const path = join(place.home, ...names)
    for (let i = 1; i <= names.length; i++) {
      const part = join(place.home, ...names.slice(0, i))
      mkdirSync(part, { recursive: true })
      own(part, user)
    }
    return path
  }

  function file(path: string, content: string): string {
    writeFileSync(path, content)
    own(path, user)
    return path
  }

  test('everything: it sees no variable of the caller but what is passed', async () => {
    const ask = [{ name: 'get-env', arguments: {} }]
    const { tools, results } = await session('everything', [], ask)
    expect(tools).toContain('echo')
    expect(JSON.parse(textOf(results[0]))).toMatchObject({ HOME: place.home })
    expect(textOf(results[0])).not.toContain('CALLER_TOKEN')
    const passed = await session('everything', [], ask, {}, { env: ['CALLER_TOKEN'] })
    expect(JSON.parse(textOf(passed.results[0]))).toMatchObject({ CALLER_TOKEN: 'of the caller' })
  })

  test('sequential-thinking: it thinks', async () => {
    const thought = { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 }
    const { results } = await session('sequential-thinking', [], [{ name: 'sequentialthinking', arguments: thought }])
    expect(JSON.parse(textOf(results[0]))).toMatchObject({ thoughtNumber: 1 })
  })

  test('memory: its graph lies in its folder, and nowhere else', async () => {
    const inside = join(folder('.local', 'share', 'mcp-memory'), 'graph.jsonl')
    const outside = join(folder('elsewhere'), 'graph.jsonl')
    const entities = [{ name: 'qi-jail', entityType: 'program', observations: ['jails servers'] }]
    const calls = [
      { name: 'create_entities', arguments: { entities } },
      { name: 'read_graph', arguments: {} }
    ]
    const kept = await session('memory', [], calls, { env: { MEMORY_FILE_PATH: inside } })
    expect(textOf(kept.results[1])).toContain('jails servers')
    expect(readFileSync(inside, 'utf8')).toContain('jails servers')
    const lost = await session('memory', [], calls.slice(0, 1), { env: { MEMORY_FILE_PATH: outside } })
    expect(lost.results[0]).toMatchObject({ isError: true })
    expect(() => readFileSync(outside)).toThrow('ENOENT')
  })

  test('filesystem: the folders that are granted, of those it is told', async () => {
    const granted = folder('granted')
    const a = file(join(granted, 'a.txt'), 'granted content')
    const b = file(join(folder('other'), 'b.txt'), 'other content')
    const calls = [
      { name: 'read_text_file', arguments: { path: a } },
      { name: 'write_file', arguments: { path: join(granted, 'c.txt'), content: 'written' } },
      { name: 'read_text_file', arguments: { path: b } }
    ]
    const roots = [granted, join(place.home, 'other')]
    const { results } = await session('filesystem', roots, calls, {}, { filesystem: { allowedPaths: [granted] } })
    expect(textOf(results[0])).toBe('granted content')
    expect(readFileSync(join(granted, 'c.txt'), 'utf8')).toBe('written')
    expect(results[2]).toMatchObject({ isError: true })
    const both = await session('filesystem', roots, calls, {}, { filesystem: { allowedPaths: roots } })
    expect(textOf(both.results[2])).toBe('other content')
  })

  test('git: commits with the caller’s name, and leaves no hook', async () => {
    const repo = folder('repo')
    file(join(place.home, '.gitconfig'), '[user]\n\tname = A Person\n\temail = a@example.com\n')
    const jailed = async (script: string) => {
      const shell = ['sh', '-c', script]
      const { status, stdout, stderr } = await runOnce(place, [
        '--profile',
        'servers/git',
        '--rw',
        repo,
        '--cwd',
        repo,
        '--',
        ...shell
      ])
      return { status, text: `${stdout}${stderr}` }
    }
    const [program, args] = as(user, ['git', 'init', '-q', repo])
    await promisify(execFile)(program, args, { env: environmentOf(place.home) })
    file(join(repo, 'x'), 'content')
    expect((await jailed('git add x && git commit -qm one && git log --format=%an')).text).toBe('A Person\n')
    const hook = await jailed('echo exit >.git/hooks/pre-commit')
    expect(hook.text).toMatch(/Read-only file system|Permission denied/)
    expect((await jailed('git config core.hooksPath /tmp')).status).not.toBe(0)
    expect(await jailed('echo exit >pre-commit')).toMatchObject({ status: 0 })
  })

  test('sqlite: the folder of its database, with the journal beside it', async () => {
    const data = folder('data')
    const query = (path: string) =>
      `import sqlite3; c = sqlite3.connect('${path}'); c.execute('create table if not exists t (x)'); c.execute('insert into t values (7)'); c.commit(); print(c.execute('select x from t').fetchall())`
    const jailed = (path: string) =>
      runOnce(place, ['--profile', 'servers/sqlite', '--rw', data, '--', 'python3', '-c', query(path)])
    expect((await jailed(join(data, 'x.db'))).stdout.toString()).toBe('[(7,)]\n')
    const refused = await jailed(join(folder('private'), 'y.db'))
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('unable to open database file')])
  })
})
