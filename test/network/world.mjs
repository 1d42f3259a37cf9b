// The namespaces of the test world. Runs as root of fresh network and mount namespaces (world.ts starts it): these are
// the "host", where launchers run; a child in one more network namespace is the internet, a veth pair away. argv[2]: the
// world's folder. Says `ready` on stdout; ends, and all with it, at the end of stdin.
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LINK6, NET4, NET6, OWN } from './layout.mjs'
import { postgresServer } from './postgres.mjs'

const folder = process.argv[2]

function run(...argv) {
  const done = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`${argv.join(' ')}: ${done.stderr}`)
}

const servers = spawn(
  'unshare',
  ['--net', process.execPath, fileURLToPath(new URL('servers.mjs', import.meta.url)), folder],
  { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }
)
const said = (word) =>
  new Promise((resolve, reject) => {
    servers.once('exit', (code) => reject(new Error(`the servers ended with ${code}`)))
    servers.on('message', (message) => message === word && resolve())
  })

run('mount', '--bind', `${folder}/resolv.conf`, '/etc/resolv.conf')
run('mount', '--bind', `${folder}/hosts`, '/etc/hosts')
run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'addr', 'add', `${OWN[0]}/32`, 'dev', 'lo')
run('ip', 'addr', 'add', `${OWN[1]}/128`, 'dev', 'lo', 'nodad')
await said('namespace')
run('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1', 'netns', String(servers.pid))
// No link-local address of the kernel's making: its duplicate detection would hold IPv6 back for the first second.
run('ip', 'link', 'set', 'veth0', 'addrgenmode', 'none')
run('ip', 'addr', 'add', `${LINK6.host}/64`, 'dev', 'veth0', 'nodad')
run('ip', 'addr', 'add', `${NET4.host}/24`, 'dev', 'veth0')
run('ip', 'addr', 'add', `${NET6.host}/64`, 'dev', 'veth0', 'nodad')
run('ip', 'link', 'set', 'veth0', 'up')
servers.send('veth1')
await said('ready')
run('ip', 'route', 'add', 'default', 'via', NET4.server)
run('ip', '-6', 'route', 'add', 'default', 'via', NET6.server)
// Services of the host itself.
for (const port of [5432, 5433])
  await new Promise((resolve, reject) => postgresServer().once('error', reject).listen(port, '::', resolve))
servers.once('exit', (code) => process.exit(code ?? 1))
console.log('ready')
process.stdin.resume().once('end', () => {
  servers.removeAllListeners('exit').disconnect()
  process.exit()
})
