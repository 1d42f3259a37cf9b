import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JailExit, SandboxedServerParameters } from '../../src/index.js'
import { as, checkoutFor, environmentOf, homeOf, own, users } from '../support/user.js'

interface Session {
  name: string
  tools: string[]
  results: { isError?: boolean; content: { type: string; text: string }[] }[]
  stderr: string
  events: string[]
  protections: Record<string, string>
  exit: JailExit
}

interface Call {
  name: string
  arguments: Record<string, unknown>
}

const textOf = (session: Session, i: number): string => session.results[i]?.content[0]?.text ?? ''

describe.each(users)('a session with a server jailed by %s, profile strict', (user) => {
  let root: string
  let home: string
  const remove: (() => void)[] = []
  beforeAll(() => {
    const [checkout, own] = [checkoutFor(user), homeOf(user)]
    remove.push(checkout.remove, own.remove)
    root = checkout.path
    home = own.path
  })
  afterAll(() => {
    for (const each of remove) each()
  })

  async function session(server: SandboxedServerParameters, calls: Call[]): Promise<Session> {
    const request = JSON.stringify({ server, calls })
    const [file, args] = as(user, [process.execPath, join(root, 'test/mcp/session.mjs'), request])
    const { stdout } = await promisify(execFile)(file, args, { cwd: home, env: environmentOf(home) })
    return JSON.parse(stdout)
  }

  const npm = (name: string, ...args: string[]): SandboxedServerParameters => ({
    command: 'node',
    args: [join(root, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`), ...args]
  })

  function folder(name: string, files: Record<string, string> = {}): string {
    const path = join(home, name)
    mkdirSync(path)
    own(path, user)
    for (const [file, content] of Object.entries(files)) {
      writeFileSync(join(path, file), content)
      own(join(path, file), user)
    }
    return path
  }

  /** The server ended by itself when its stdin did, and whatever this host can enforce was enforced. */
  function expectQuiet({ exit, events, protections }: Session) {
    expect(exit).toMatchObject({ lostEvents: 0, terminationReason: 'exit' })
    expect(events.filter((action) => action !== 'jail.launch')).toEqual(['jail.exit'])
    expect(protections).toMatchObject({ privateRoot: 'enforced', seccomp: 'enforced', networkNamespace: 'enforced' })
  }

  test('everything', async () => {
    const calls = [
      { name: 'echo', arguments: { message: 'héllo' } },
      { name: 'get-sum', arguments: { a: 19, b: 23 } },
      { name: 'get-tiny-image', arguments: {} }
    ]
    const result = await session(npm('everything'), calls)
    expect(result.tools).toEqual(expect.arrayContaining(['echo', 'get-sum']))
    expect(textOf(result, 0)).toContain('héllo')
    expect(textOf(result, 1)).toContain('42')
    expect(result.results[2]?.content.map(({ type }) => type)).toContain('image')
    expectQuiet(result)
  })

  test('filesystem', async () => {
    const granted = folder('granted', { 'a.txt': 'granted content' })
    const other = folder('other', { 'b.txt': 'other content' })
    const server = { ...npm('filesystem', granted, other), sandbox: { filesystem: { allowedPaths: [granted] } } }
    const calls = [
      { name: 'read_text_file', arguments: { path: join(granted, 'a.txt') } },
      { name: 'write_file', arguments: { path: join(granted, 'c.txt'), content: 'written' } },
      { name: 'read_text_file', arguments: { path: join(granted, 'c.txt') } },
      { name: 'read_text_file', arguments: { path: join(other, 'b.txt') } }
    ]
    const result = await session(server, calls)
    expect(textOf(result, 0)).toBe('granted content')
    expect(textOf(result, 2)).toBe('written')
    expect(result.results[3]?.isError).toBe(true)
    expect(JSON.stringify(result.results[3])).not.toContain('other content')
    expectQuiet(result)
  })

  test('memory', async () => {
    const store = folder('memory')
    const server = {
      ...npm('memory'),
      env: { MEMORY_FILE_PATH: join(store, 'graph.jsonl') },
      sandbox: { filesystem: { allowedPaths: [store] } }
    }
    const entity = { name: 'qi-jail', entityType: 'program', observations: ['jails servers'] }
    const calls = [
      { name: 'create_entities', arguments: { entities: [entity] } },
      { name: 'read_graph', arguments: {} }
    ]
    const result = await session(server, calls)
    expect(textOf(result, 1)).toContain('jails servers')
    expectQuiet(result)
  })

  test('sequential-thinking', async () => {
    const thought = { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 }
    const result = await session(npm('sequential-thinking'), [{ name: 'sequentialthinking', arguments: thought }])
    expect(JSON.parse(textOf(result, 0))).toMatchObject({ thoughtNumber: 1, thoughtHistoryLength: 1 })
    expectQuiet(result)
  })

  test('Python, standard library only', async () => {
    const notes = folder('notes', { 'note.txt': 'read by python' })
    const server = {
      command: 'python3',
      args: [join(root, 'examples/python-server.py')],
      sandbox: { filesystem: { readOnlyPaths: [notes] } }
    }
    const calls = [
      { name: 'echo', arguments: { text: 'héllo' } },
      { name: 'readfile', arguments: { path: join(notes, 'note.txt') } },
      { name: 'readfile', arguments: { path: '/etc/shadow' } }
    ]
    const result = await session(server, calls)
    expect(result.name).toBe('python-stdlib')
    expect(textOf(result, 0)).toBe('héllo')
    expect(textOf(result, 1)).toBe('read by python')
    expect(result.results[2]).toMatchObject({ isError: true })
    expect(textOf(result, 2)).toContain('FileNotFoundError')
    expectQuiet(result)
  })
})
