import { describe, expect, test } from 'vitest'
import { listServerProfiles } from '../../src/policy/profiles.js'
import { desk } from './support.js'

const recognised = (command: string, args: string[]) => {
  const it = desk(JSON.stringify({ mcpServers: { a: { command, args } } }))
  const [change] = it.act('wrap')
  const words: string[] = JSON.parse(it.bytes().toString()).mcpServers.a.args
  const own = words.slice(words.indexOf('--profile'), words.indexOf('--'))
  return change?.outcome === 'wrapped' ? own.slice(1).join(' ') : change?.state
}

describe('the profile of a server', () => {
  test.each<[string, string, string[]]>([
    ['servers/memory', 'npx', ['-y', '@modelcontextprotocol/server-memory']],
    ['servers/github', 'npx', ['-y', '@modelcontextprotocol/server-github@2025.4.8']],
    ['servers/github', '/usr/bin/npx', ['--registry', 'https://r.example', '@modelcontextprotocol/server-github']],
    ['servers/slack', 'npx', ['--package=@modelcontextprotocol/server-slack', 'mcp-server-slack']],
    ['servers/playwright', 'npx', ['@playwright/mcp@latest', '--headless']],
    ['servers/everything', 'npm', ['exec', '-y', '--', '@modelcontextprotocol/server-everything']],
    ['servers/everything', 'pnpm', ['dlx', '@modelcontextprotocol/server-everything']],
    ['servers/fetch', 'uvx', ['mcp-server-fetch']],
    ['servers/fetch', 'uvx', ['--from', 'mcp-server-fetch==1.0', 'mcp-server-fetch']],
    ['servers/time', 'uv', ['tool', 'run', 'mcp-server-time', '--local-timezone=Europe/Berlin']],
    ['servers/time', 'python3', ['-m', 'mcp_server_time']],
    ['servers/fetch', 'pipx', ['run', 'mcp-server-fetch']],
    ['servers/brave-search', 'node', ['/srv/node_modules/@modelcontextprotocol/server-brave-search/dist/index.js']],
    ['servers/postgres', 'mcp-server-postgres', ['postgresql://localhost/db']],
    ['strict', 'npx', ['-y', '@modelcontextprotocol/server-unheard-of']],
    ['strict', 'npx', ['-y', 'evil-server-memory']],
    ['strict', 'npx', []],
    ['strict', 'python3', ['server.py', '-m']],
    ['strict', 'node', ['constructor']],
    ['container', 'docker', ['run', '-i', '--rm', 'mcp/github']],
    ['container', '/usr/bin/podman', ['run', 'x']]
  ])('%s for %s %j', (profile, command, args) => {
    expect(recognised(command, args)).toBe(profile)
  })

  test.each<[string, string, string[]]>([
    ['servers/filesystem --rw /a b --rw ~/n', 'npx', ['-y', '@modelcontextprotocol/server-filesystem', '/a b', '~/n']],
    ['servers/filesystem --rw /a', 'mcp-server-filesystem', ['/a', '--x', '', '/b?']],
    [
      'servers/postgres --net db.example.com:5432',
      'npx',
      ['@modelcontextprotocol/server-postgres', 'postgresql://u:p@db.example.com/d']
    ],
    ['servers/postgres --net db.example.com:99', 'mcp-server-postgres', ['postgres://db.example.com:99/d']],
    ['servers/postgres', 'mcp-server-postgres', ['postgresql://localhost/db']],
    ['servers/git --rw /src/p', 'uvx', ['mcp-server-git', '--repository', '/src/p']],
    ['servers/sqlite --rw /data', 'uvx', ['mcp-server-sqlite', '--db-path', '/data/x.db']],
    ['servers/sqlite --rw /data', 'npx', ['-y', 'mcp-server-sqlite-npx', '/data/x.db']]
  ])('with the folders that it is told to work on: %s', (own, command, args) => {
    expect(recognised(command, args)).toBe(own)
  })

  test('is one that there is', () => {
    expect(listServerProfiles()).toEqual(expect.arrayContaining(['servers/filesystem', 'servers/github']))
  })
})
