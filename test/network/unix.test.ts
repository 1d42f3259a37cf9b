import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import {
  ACT,
  bare,
  call,
  chain,
  give,
  isRoot,
  jailed,
  PLAIN_ID,
  type Request,
  refusals,
  scratch,
  tryJailed,
  type User,
  users
} from '../escape/support.js'
import { requireHosts, requireLandlock } from '../support/kernel.js'
import { skipUnless } from '../support/skip.js'

const PAYLOAD = fileURLToPath(new URL('unix-payload.mjs', import.meta.url))
const PASSING = fileURLToPath(new URL('passing.py', import.meta.url))
const PASSED = readFileSync(PASSING, 'utf8')
const [UNIX, STREAM, DGRAM, SEQPACKET] = [1, 1, 2, 5]
const STRANGER = 'named sockets of programs outside the jail'
const REPLACED = 'network.allowUnixSockets: the socket was replaced'
const bytes = (path: string) => Buffer.from(path).toString('hex')
const address = (path: string) => `0100${bytes(path)}00`
const socket = (type: number) => call('socket', UNIX, type, 0)
/** As a shell takes it: `$0` is not its own. */
const shell = (words: string[]) => [ACT, 'call', ...words].map((word) => `'${word}'`).join(' ')
const connecting = (path: string, type = STREAM) =>
  chain(socket(type), call('connect', '$0', `b:${address(path)}`, 'len'))

const closers: (() => void)[] = []
afterAll(() => {
  for (const close of closers) close()
})

/** A server of the host's that says `name` to whoever connects. */
async function serve(path: string, name: string, user: User): Promise<Server> {
  const server = createServer((peer) => {
    peer.on('error', () => {})
    peer.end(name)
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  give(path, user)
  chmodSync(path, 0o600)
  closers.push(() => server.close())
  return server
}

/** A program that serves, until the tests are over; resolved once its socket is there. */
async function start(argv: string[], path: string, user: User): Promise<ChildProcess> {
  const drop = ['setpriv', `--reuid=${PLAIN_ID}`, `--regid=${PLAIN_ID}`, '--clear-groups']
  const [file, ...args] = user === 'plain' && isRoot ? [...drop, ...argv] : argv
  const child = spawn(file as string, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  closers.push(() => child.kill('SIGKILL'))
  await expect.poll(() => existsSync(path), { timeout: 20_000 }).toBe(true)
  return child
}

describe.each(users)('local sockets of the host, launched by %s', (user: User) => {
  let folder = ''
  const config = (sockets: string[], more: SandboxConfig = {}): SandboxConfig => ({
    ...more,
    network: { ...more.network, allowUnixSockets: sockets }
  })
  const run = async (words: string[], setup: SandboxConfig, more: Partial<Request> = {}) => {
    const result = await jailed(user, { argv: [ACT, 'call', ...words], config: setup, ...more })
    return { line: result.stdout.trim(), refused: refusals(result) }
  }
  const act = async (args: string[], setup: SandboxConfig) => {
    const result = await jailed(user, { argv: [process.execPath, PAYLOAD, ...args], config: setup })
    expect(result.stderr).toBe('')
    return { said: JSON.parse(result.stdout), refused: refusals(result) }
  }

  beforeAll(async () => {
    folder = scratch(user)
    await serve(`${folder}/listed`, 'listed', user)
    await serve(`${folder}/other`, 'other', user)
  })

  const nets: [string, NonNullable<SandboxConfig['network']>][] = [
    ['no network', {}],
    ['a list of hosts', { allowedHosts: ['192.0.2.1:1'] }],
    ['the network of the host', { dangerouslyShareHostNetwork: true }]
  ]
  it.each(nets)('with %s the listed one is reached and no other', async (_, network) => {
    if (network.allowedHosts) requireHosts()
    const setup = config([`${folder}/listed`], { network, filesystem: { readOnlyPaths: [folder] } })
    const { said, refused } = await act(['ask', `${folder}/listed`, `${folder}/other`], setup)
    expect(said).toEqual(['listed', 'EACCES'])
    expect(refused).toHaveLength(1)
    expect(refused[0]).toMatchObject({ syscall: 'connect', rule: STRANGER, path: `${folder}/other` })
    const without = await run(connecting(`${folder}/listed`), { network, filesystem: { readOnlyPaths: [folder] } })
    expect(without).toMatchObject({ line: 'EACCES #1', refused: [{ rule: STRANGER, path: `${folder}/listed` }] })
  })

  it('it is seen at its path without its neighbours', async () => {
    const setup = config([`${folder}/listed`])
    const argv = ['/bin/sh', '-c', `test -S ${folder}/listed && ls ${folder}`]
    expect((await jailed(user, { argv, config: setup })).stdout).toBe('listed\n')
    expect((await act(['ask', `${folder}/listed`, `${folder}/other`], setup)).said).toEqual(['listed', 'ENOENT'])
    expect((await act(['http', `${folder}/http`], config([await http()]))).said).toEqual({ status: 200, body: 'http' })
  })
  const http = async (): Promise<string> => {
    const server = createHttp((_, response) => response.end('http'))
    await new Promise<void>((resolve) => server.listen(`${folder}/http`, resolve))
    closers.push(() => server.close())
    give(`${folder}/http`, user)
    return `${folder}/http`
  }

  it('by whatever name leads to it', async () => {
    const setup = config([`${folder}/listed`])
    const ways = [
      chain(call('chdir', `s:${folder}`), socket(STREAM), call('connect', '$1', `b:${address('listed')}`, 'len')),
      chain(
        call('symlinkat', `s:${folder}`, -100, 's:/tmp/l'),
        socket(STREAM),
        call('connect', '$1', `b:${address('/tmp/l/./listed')}`, 'len')
      ),
      // Without the NUL at the end, and with more behind the first one. unix(7)
      chain(socket(STREAM), call('connect', '$0', `b:0100${bytes(`${folder}/listed`)}`, 'len')),
      chain(socket(STREAM), call('connect', '$0', `b:${address(`${folder}/listed`)}${bytes('/other')}`, 'len'))
    ]
    for (const words of ways) expect((await run(words, setup)).line).toBe('OK 0')
    const child = ['/bin/sh', '-c', `(${shell(connecting(`${folder}/listed`))}) & wait`]
    const granted = { ...setup, filesystem: { readOnlyPaths: [ACT] } }
    expect((await jailed(user, { argv: child, config: granted })).stdout).toBe('OK 0\n')
  })

  it('a path of 108 bytes without a NUL', async () => {
    const long = `${folder}/${'x'.repeat(107 - folder.length)}`
    linkSync(`${folder}/listed`, long)
    const words = chain(socket(STREAM), call('connect', '$0', `b:0100${bytes(long)}`, 110))
    expect((await run(words, config([long]))).line).toBe('OK 0')
    const tooLong = chain(socket(STREAM), call('connect', '$0', `b:0100${bytes(`${long}x`)}`, 111))
    expect((await run(tooLong, config([long]))).line).toBe('EINVAL #1')
  })

  it('sequenced packets, and no datagrams', async () => {
    const path = `${folder}/packets`
    const bound = (type: number) => chain(socket(type), call('bind', '$0', `b:${address(path)}`, 'len'))
    const words = chain(bound(SEQPACKET), call('listen', '$0', 5), call('accept4', '$0', 0, 0, 0))
    const server = await start([ACT, 'call', ...words], path, user)
    expect((await run(connecting(path), config([path]))).line).toBe('EPROTOTYPE #1')
    expect((await run(connecting(path, SEQPACKET), config([path]))).line).toBe('OK 0')
    await expect.poll(() => server.exitCode).toBe(0)
    const datagrams = await run(connecting(path, DGRAM), config([path]))
    expect(datagrams).toMatchObject({ line: 'EPERM', refused: [{ syscall: 'socket', rule: 'socket-families' }] })
  })

  it('a listener that is busy keeps its caller waiting and nobody else', async () => {
    const path = `${folder}/busy`
    const program = `use Socket; $| = 1; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un($ARGV[0])); listen(S, 0);
      <STDIN>; while (accept(C, S)) { push @c, C; close C }`
    const server = await start(['/usr/bin/perl', '-e', program, path], path, user)
    await expect.poll(() => bare([ACT, 'call', ...connecting(path)])).toBe('OK 0') // fills its queue
    const setup = config([path, `${folder}/listed`], { filesystem: { readOnlyPaths: [ACT] } })
    const nonblock = chain(call('socket', UNIX, STREAM | 0o4000, 0), call('connect', '$0', `b:${address(path)}`, 'len'))
    expect((await run(nonblock, setup)).line).toBe('EAGAIN #1')
    const wait = shell(connecting(path))
    const other = shell(connecting(`${folder}/listed`))
    const jail = jailed(user, { argv: ['/bin/sh', '-c', `${wait} & sleep 0.3; ${other}; wait`], config: setup })
    await new Promise((resolve) => setTimeout(resolve, 1000))
    server.stdin?.write('go\n')
    expect((await jail).stdout).toBe('OK 0\nOK 0\n')
    server.kill('SIGKILL')
  })

  it('variables, and what is not there', async () => {
    const env = { MY_SOCKET: `${folder}/listed` }
    const said = async (written: string) => (await run(connecting(`${folder}/listed`), config([written]), { env })).line
    expect(await said('$MY_SOCKET')).toBe('OK 0')
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the other way to write a variable
    expect(await said('${MY_SOCKET}')).toBe('OK 0')
    expect(await said('$NO_SUCH_SOCKET?')).toBe('ENOENT #1')
    expect(await said(`${folder}/none?`)).toBe('ENOENT #1')
    mkdirSync(`${folder}/folder`)
    const bad: [string, string, RegExp][] = [
      ['$NO_SUCH_SOCKET', 'QI_UNIX_SOCKET', /allowUnixSockets\[0\] = "\$NO_SUCH_SOCKET": \$NO_SUCH_SOCKET is not set/],
      [`${folder}/none`, 'QI_UNIX_SOCKET', /does not exist/],
      [`${folder}/folder`, 'QI_UNIX_SOCKET', /is no socket/],
      ['/dev/null', 'QI_UNIX_SOCKET', /is no socket/]
    ]
    for (const [written, code, message] of bad) {
      const { error } = await tryJailed(user, { argv: ['/bin/true'], config: config([written]) })
      expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
    }
    mkdirSync(`${folder}/qi-jail`)
    linkSync(`${folder}/listed`, `${folder}/qi-jail/1.sock`)
    const control = config([`${folder}/qi-jail/1.sock`])
    const own = await tryJailed(user, { argv: ['/bin/true'], config: control, env: { XDG_RUNTIME_DIR: folder } })
    expect(own.error).toMatchObject({ code: 'QI_PROTECTED_GRANT' })
    expect((await tryJailed(user, { argv: ['/bin/true'], config: control })).error).toBeUndefined()
    const denied = config([`${folder}/listed`], { filesystem: { deniedPaths: [folder] } })
    const { error } = await tryJailed(user, { argv: ['/bin/true'], config: denied })
    expect(error).toMatchObject({ code: 'QI_GRANT_CONFLICT' })
  })

  describe('in a folder that the payload may write', () => {
    let place = ''
    const writable = () => config([`${place}/listed`], { filesystem: { allowedPaths: [place] } })
    beforeEach(async () => {
      place = scratch(user)
      await serve(`${place}/listed`, 'listed', user)
      await serve(`${place}/other`, 'other', user)
    })

    it.each(['link', 'name'])('a %s that changes places while it is connected to', async (how) => {
      if (how === 'link') symlinkSync('other', `${place}/at`)
      const { said, refused } = await act(['swap', how, place, '2000'], writable())
      expect(said.listed).toBeGreaterThan(0)
      expect(said.EACCES).toBeGreaterThan(0)
      expect(said.other).toBeUndefined()
      expect(refused[0]).toMatchObject({ syscall: 'connect', arguments: { address: { family: 'AF_UNIX' } } })
    })

    it('another socket under the listed name', async () => {
      const { said, refused } = await act(['impostor', `${place}/listed`, `${place}/other`], writable())
      expect(said).toBe('EACCES')
      expect(refused).toMatchObject([{ rule: REPLACED, path: `${place}/listed` }])
      expect((await act(['own', '/tmp/own'], writable())).said).toBe('own')
    })

    it('a listed link is refused at the next launch', async () => {
      symlinkSync('other', `${place}/at`)
      const setup = config([`${place}/at`], { filesystem: { allowedPaths: [place] } })
      const { error } = await tryJailed(user, { argv: ['/bin/true'], config: setup })
      expect(error).toMatchObject({ code: 'QI_GRANT_LINK' })
      // Where the payload may not write, links are followed, and are there in the jail.
      const readable = config([`${place}/at`])
      expect((await act(['ask', `${place}/at`], readable)).said).toEqual(['other'])
    })

    it.each(nets)('an address that another thread rewrites, with %s', async (_, network) => {
      if (network.allowedHosts) requireHosts()
      let reached = 0
      const other = await serve(`${place}/counted`, 'counted', user)
      other.on('connection', () => reached++)
      const swap = (decoy: string) => [ACT, 'swap-connect', '300', `${place}/counted`, decoy]
      const setup = { ...writable(), network: { ...writable().network, ...network } }
      for (const decoy of ['unspec', '127.0.0.1', `${place}/listed`]) {
        const { stdout } = await jailed(user, { argv: swap(decoy), config: setup })
        expect(stdout).toMatch(decoy.endsWith('listed') ? /^(EACCES|OK connected)\n$/ : /^EACCES\n$/)
      }
      expect(reached).toBe(0)
      expect(bare(swap('unspec'))).toBe('OK connected')
      await expect.poll(() => reached).toBe(1)
    })

    it('a server that was started anew is another one', async () => {
      renameSync(`${place}/listed`, `${place}/gone`)
      renameSync(`${place}/gone`, `${place}/listed`)
      const before = statSync(`${place}/listed`).ino
      const words = [
        '/bin/sh',
        '-c',
        `mkdir ${place}/up; while test ! -e ${place}/go; do sleep 0.05; done; exec ${shell(connecting(`${place}/listed`))}`
      ]
      const setup = config([`${place}/listed`], { filesystem: { allowedPaths: [place], readOnlyPaths: [ACT] } })
      const jail = jailed(user, { argv: words, config: setup })
      await expect.poll(() => existsSync(`${place}/up`), { timeout: 60_000 }).toBe(true)
      rmSync(`${place}/listed`)
      await serve(`${place}/listed`, 'anew', user)
      expect(statSync(`${place}/listed`).ino).not.toBe(before)
      mkdirSync(`${place}/go`)
      const result = await jail
      expect(result.stdout).toBe('EACCES #1\n')
      expect(refusals(result)).toMatchObject([{ rule: REPLACED }])
    })
  })

  it('a socket where PostgreSQL has its own', async () => {
    // As root in the very folder: the jail's /run is its own.
    const place = `${isRoot ? '/run' : folder}/qi-postgresql-${process.pid}-${user}`
    mkdirSync(place)
    closers.push(() => rmSync(place, { recursive: true }))
    give(place, user)
    const path = `${place}/.s.PGSQL.5432`
    await serve(path, 'postgres', user)
    await serve(`${place}/.s.PGSQL.5433`, 'another', user)
    writeFileSync(`${path}.lock`, '1')
    const { said } = await act(['ask', path, `${place}/.s.PGSQL.5433`], config([`${path}?`]))
    expect(said).toEqual(['postgres', 'ENOENT'])
    const argv = ['/bin/ls', '-A', place]
    expect((await jailed(user, { argv, config: config([path]) })).stdout).toBe('.s.PGSQL.5432\n')
  })

  it('a file that a server passes is the payload’s; a folder opens nothing', async () => {
    requireLandlock()
    const place = scratch(user)
    writeFileSync(`${place}/secret`, 'secret')
    await start(['/usr/bin/python3', PASSING, 'give', place], `${place}/giver`, user)
    const words = ['/usr/bin/python3', '-c', PASSED, 'take', place]
    const { stdout, stderr } = await jailed(user, { argv: words, config: config([`${place}/giver`]) })
    expect(stderr).toBe('')
    const took = { 'by its path': 'ENOENT', 'as it was passed': 'secret', 'in the folder': 'EACCES' }
    expect(JSON.parse(stdout)).toEqual(took)
    const outside = { 'by its path': 'secret', 'as it was passed': 'secret', 'in the folder': 'secret' }
    expect(JSON.parse(bare(words))).toEqual(outside)
  })

  it.each([
    ['stays inside', {}, 'ECONNREFUSED'],
    ['is the host’s in its network', { dangerouslyShareHostNetwork: true }, 'own']
  ] as const)('a name that the kernel chooses %s', async (_, network, outside) => {
    const place = scratch(user)
    const words = ['/usr/bin/python3', '-c', PASSED, 'name', place]
    const jail = jailed(user, { argv: words, config: { network, filesystem: { allowedPaths: [place] } } })
    await expect.poll(() => existsSync(`${place}/name`), { timeout: 60_000 }).toBe(true)
    const name = readFileSync(`${place}/name`, 'utf8')
    expect(name).toMatch(/^[0-9a-f]{5}$/)
    const answer = execFileSync('/usr/bin/python3', [PASSING, 'reach', name], { encoding: 'utf8' }).trim()
    mkdirSync(`${place}/go`)
    expect(answer).toBe(outside)
    expect((await jail).stdout).toBe('answered\n')
  })

  it('ssh-agent', async () => {
    const tools = ['/usr/bin/ssh-agent', '/usr/bin/ssh-add']
    skipUnless(
      tools.every((tool) => existsSync(tool)),
      'needs ssh-agent and ssh-add'
    )
    const path = `${scratch(user)}/agent`
    await start([tools[0] as string, '-D', '-a', path], path, user)
    const env = { SSH_AUTH_SOCK: path }
    const list = (sockets: string[]) =>
      jailed(user, { argv: [tools[1] as string, '-l'], config: { env: ['SSH_AUTH_SOCK'], ...config(sockets) }, env })
    expect((await list(['$SSH_AUTH_SOCK'])).stdout).toBe('The agent has no identities.\n')
    expect((await list([])).exit.code).toBe(2)
  })
})

it('the listed socket of another user stays out of reach', async () => {
  skipUnless(isRoot, 'needs root')
  const folder = scratch('root')
  await serve(`${folder}/roots`, 'roots', 'root')
  const words = {
    argv: [ACT, 'call', ...connecting(`${folder}/roots`)],
    config: { network: { allowUnixSockets: [`${folder}/roots`] } }
  }
  expect((await jailed('plain', words)).stdout).toBe('EACCES #1\n')
  expect((await jailed('root', words)).stdout).toBe('OK 0\n')
  execFileSync('chmod', ['666', `${folder}/roots`])
  expect((await jailed('plain', words)).stdout).toBe('OK 0\n')
})
