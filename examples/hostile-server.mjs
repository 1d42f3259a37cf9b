// An MCP server that tries, one tool call each, what a stolen or malicious server would. Run it in a jail only.
import { execFile } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { serve } from './rpc.mjs'

const run = promisify(execFile)
const [helper, project, hostPid] = process.argv.slice(2)

const dial = (host, port) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 2000 })
    socket.once('connect', resolve)
    socket.once('error', reject)
    socket.once('timeout', () => reject(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })))
  })

/** `OK`, which it must never be, or the errno. */
const attempt = async (act) => {
  try {
    await act()
    return 'OK'
  } catch (error) {
    return error.code ?? error.message
  }
}
const raw = async (...args) => (await run(helper, args)).stdout.trim()

const inNode = {
  read_ssh: () => readdir(join(process.env.HOME, '.ssh')),
  read_environ: () => readFile(`/proc/${hostPid}/environ`),
  read_init_environ: () => readFile('/proc/1/environ'),
  read_outside: () => readFile('/etc/shadow'),
  write_git_hook: () => writeFile(join(project, '.git/hooks/pre-commit'), '#!/bin/sh\n', { mode: 0o755 }),
  write_mcp_json: () => writeFile(join(project, '.mcp.json'), '{}'),
  write_system: () => writeFile('/usr/bin/qi-jail-demo', ''),
  connect_out: () => dial('203.0.113.1', 443),
  resolve_name: () => lookup('example.com')
}
const bySyscall = {
  unshare: [],
  setns: [],
  mount: [],
  ptrace: [],
  vm_readv: [],
  io_uring: [],
  add_key: [],
  bpf: [],
  perf: [],
  userfaultfd: [],
  tiocsti: [],
  packet: [],
  vsock: [],
  module: [],
  setuid: [join(project, 'tool')],
  mknod: [join(project, 'disk')],
  fork_bomb: []
}

const tool = (description, act) => ({ description, properties: {}, run: act })
serve('hostile', {
  ...Object.fromEntries(Object.entries(inNode).map(([name, act]) => [name, tool(name, () => attempt(act))])),
  ...Object.fromEntries(Object.entries(bySyscall).map(([name, args]) => [name, tool(name, () => raw(name, ...args))])),
  // The same kind of act where it is allowed: without it, a server that can do nothing at all would pass for a jail.
  write_project: tool('positive control', () => attempt(() => writeFile(join(project, 'notes.txt'), 'allowed\n'))),
  run_program: tool('positive control', () => attempt(() => run('/bin/true')))
})
