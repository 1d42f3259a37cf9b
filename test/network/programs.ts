import { execFileSync, spawnSync } from 'node:child_process'
import { accessSync, constants, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const sources = fileURLToPath(new URL('clients/', import.meta.url))
const checkout = fileURLToPath(new URL('../../', import.meta.url))

const has = (program: string) => spawnSync('sh', ['-c', 'command -v "$0"', program]).status === 0

/** Programs that the clients are run with, and whether this machine has them. */
export const HAS = Object.fromEntries(
  ['go', 'javac', 'git', 'curl', 'wget', 'nc', 'openssl', 'python3', 'musl-gcc', 'bash'].map((name) => [
    name,
    has(name)
  ])
) as Record<string, boolean>

/** Puts the clients as they are written into `folder`/clients; those in Python and JavaScript need no more. */
export function copyScripts(folder: string): string {
  const clients = `${folder}/clients`
  mkdirSync(clients)
  for (const name of readdirSync(sources)) copyFileSync(`${sources}/${name}`, `${clients}/${name}`)
  copyFileSync(fileURLToPath(new URL('dns-wire.mjs', import.meta.url)), `${clients}/dns-wire.mjs`)
  return clients
}

/** Of what Go compiled before: in the checkout, where that may be written. */
function goCache(folder: string): string {
  try {
    accessSync(checkout, constants.W_OK)
    return `${checkout}.cache/go`
  } catch {
    return `${folder}/go-cache`
  }
}

/** Puts every client into `folder`/clients, compiled where it has to be, and a repository for git into `folder`/git. */
export function buildPrograms(folder: string): void {
  const clients = copyScripts(folder)
  const run = (program: string, args: string[], env = {}) =>
    execFileSync(program, args, { cwd: clients, stdio: 'pipe', env: { ...process.env, ...env } })
  if (HAS.go) {
    const env = { CGO_ENABLED: '0', GOCACHE: goCache(folder), GOFLAGS: '-mod=mod', GO111MODULE: 'off' }
    run('go', ['build', '-tags', 'netgo', '-o', 'go-client', 'main.go'], env)
  }
  if (HAS.javac) {
    run('javac', ['Fetch.java'])
    const store = ['-keystore', 'trust.p12', '-storepass', 'secret', '-noprompt']
    run('keytool', ['-importcert', '-alias', 'ca', '-file', `${folder}/ca.pem`, ...store])
  }
  if (HAS['musl-gcc']) run('musl-gcc', ['-static', '-O1', '-o', 'musl-client', 'resolver.c'])
  run('gcc', ['-O1', '-o', 'glibc-client', 'resolver.c'])
  if (HAS.git) makeRepository(folder)
}

/** Served as plain files: git's "dumb" HTTP protocol. */
function makeRepository(folder: string): void {
  const work = `${folder}/work`
  mkdirSync(work)
  writeFileSync(`${work}/hello`, 'ok cloned\n')
  const env = { ...process.env, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' }
  const git = (...args: string[]) => execFileSync('git', args, { cwd: work, stdio: 'pipe', env })
  git('init', '-q')
  git('add', 'hello')
  git('-c', 'user.name=t', '-c', 'user.email=t@example.test', 'commit', '-q', '-m', 'hello')
  git('clone', '-q', '--bare', work, `${folder}/git/repo.git`)
  execFileSync('git', ['update-server-info'], { cwd: `${folder}/git/repo.git`, env })
}
