// The network allow-list's cost, in the test world (test/network): the same clients straight, in a jail, in a jail that
// inspects, and through a CONNECT proxy, in turn. Makes the world and measures inside it (measure.mjs).
// node bench/network/run.mjs [--rounds N] [--gigabytes N] [--only connect,receive,requests,resolve,memory] [--json]
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { flagsOf } from '../lib.mjs'
import { OPTIONS } from './options.mjs'

flagsOf(import.meta.url, OPTIONS)

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const isRoot = process.getuid() === 0
const folder = mkdtempSync('/var/tmp/qi-bench-')
chmodSync(folder, 0o755)

function certificate() {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'server.key']
  const args = ['req', '-x509', ...key, '-out', 'server.pem', '-days', '2', '-subj', '/CN=api.example.test']
  const made = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`)
}

async function withWorld(use) {
  writeFileSync(`${folder}/resolv.conf`, 'nameserver 203.0.113.53\n')
  writeFileSync(`${folder}/hosts`, '127.0.0.1 localhost\n')
  certificate()
  const own = isRoot ? [] : ['--user', '--map-current-user', '--keep-caps']
  const args = [...own, '--net', '--mount', process.execPath, at('../../test/network/world.mjs'), folder]
  const world = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise((resolve, reject) => {
    world.stdout.once('data', resolve)
    world.once('exit', (code) => reject(new Error(`the world ended with ${code}`)))
  })
  try {
    return await use(world.pid)
  } finally {
    world.stdin.end()
    await new Promise((resolve) => world.once('exit', resolve))
  }
}

const code = await withWorld((pid) => {
  const credentials = isRoot ? [] : ['--user', '--preserve-credentials']
  const inside = ['--target', String(pid), ...credentials, '--net', '--mount', '--', process.execPath]
  const args = [...inside, at('measure.mjs'), folder, ...process.argv.slice(2)]
  const child = spawn('nsenter', args, { stdio: 'inherit' })
  return new Promise((resolve) => child.once('exit', resolve))
}).finally(() => rmSync(folder, { recursive: true, force: true }))
process.exitCode = code ?? 1
