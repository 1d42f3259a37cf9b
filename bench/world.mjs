// The test world (test/network/world.mjs) for benchmarks: a mount and a network namespace of ours, in which names like
// api.example.test lead to servers a veth pair away. Nothing measured in it can reach a network of the machine.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const isRoot = process.getuid() === 0

function certificate(folder) {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'server.key']
  const args = ['req', '-x509', ...key, '-out', 'server.pem', '-days', '2', '-subj', '/CN=api.example.test']
  const made = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`)
}

async function withWorld(folder, use) {
  writeFileSync(`${folder}/resolv.conf`, 'nameserver 203.0.113.53\n')
  writeFileSync(`${folder}/hosts`, '127.0.0.1 localhost\n')
  certificate(folder)
  const own = isRoot ? [] : ['--user', '--map-current-user', '--keep-caps']
  const script = fileURLToPath(new URL('../test/network/world.mjs', import.meta.url))
  const args = [...own, '--net', '--mount', process.execPath, script, folder]
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

/** Runs a module inside, with the world's folder and then our own arguments, and ends as it does. */
export async function measureInWorld(module, stdio = 'inherit') {
  const folder = mkdtempSync('/var/tmp/qi-bench-')
  chmodSync(folder, 0o755)
  const inWorld = (pid) => {
    const credentials = isRoot ? [] : ['--user', '--preserve-credentials']
    const inside = ['--target', String(pid), ...credentials, '--net', '--mount', '--', process.execPath]
    const child = spawn('nsenter', [...inside, fileURLToPath(module), folder, ...process.argv.slice(2)], { stdio })
    return new Promise((resolve) => child.once('exit', resolve))
  }
  const code = await withWorld(folder, inWorld).finally(() => rmSync(folder, { recursive: true, force: true }))
  process.exitCode = code ?? 1
}
