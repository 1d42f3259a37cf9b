import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { users } from '../support/user.js'
import { placeOf, run, start, until } from './cli.js'

const RULES = ['--net', 'a.example', '--net', '*.B.example:443', '--publish', '3000', '--allow-loopback', '5432']
const MORE = ['--udp', 't.example:123', '--deny-host', 'x.zip', '--max-connections', '9', '--on-denied', 'ECONNREFUSED']

describe.each(users)('the network of a run, as %s', (user) => {
  const place = placeOf(user)
  const told = async (...flags: string[]) =>
    JSON.parse((await run(place, ['--dry-run', '--json', ...flags, '--', 'true'])).stdout.toString()).network

  test('--dry-run tells each rule and where it comes from', async () => {
    expect(await told(...RULES, ...MORE)).toMatchObject({
      mode: 'allowList',
      rules: [
        { rule: 'host deny exact x.zip tcp 1-65535', origin: '--deny-host' },
        { rule: 'host deny exact x.zip udp 1-65535', origin: '--deny-host' },
        { rule: 'host allow exact a.example tcp 1-65535', origin: '--net' },
        { rule: 'host allow below b.example tcp 443-443', origin: '--net' },
        { rule: 'host allow exact t.example udp 123-123', origin: '--udp' },
        { rule: 'loopback 5432', origin: '--allow-loopback' },
        { rule: 'publish 3000', origin: '--publish' }
      ],
      maxConnections: 9,
      onDenied: 'ECONNREFUSED',
      resolver: { nameservers: expect.any(Array) }
    })
    const { stdout } = await run(place, ['--dry-run', ...RULES, '--', 'true'])
    expect(stdout.toString()).toMatch(/^hosts\n {2}host allow exact a\.example tcp 1-65535 +--net$/m)
    expect(stdout.toString()).toMatch(/^network {3}allowList, others get EACCES$/m)
  })

  test('--net over a shared network means these hosts; --ask is told; none is none', async () => {
    const shared = join(place.home, 'shared.yaml')
    const network = 'network:\n  dangerouslyShareHostNetwork: true\n'
    writeFileSync(shared, `name: shared\npurpose: a test\nextends: strict\n${network}`)
    expect(await told('--profile', shared)).toEqual({ mode: 'dangerouslyShareHostNetwork', innerLoopback: false })
    expect(await told('--profile', shared, '--net', '*')).toMatchObject({
      rules: [{ rule: 'public allow tcp 1-65535' }]
    })
    expect(await told('--ask', '--ask-timeout', '5s')).toMatchObject({ mode: 'allowList', askMs: 5000, rules: [] })
    expect(await told('--max-connections', '3')).toEqual({ mode: 'none', innerLoopback: false })
  })

  test('--dry-run tells the sockets of the host and what they could be used for', async () => {
    const path = join(place.home, 'docker.sock')
    const server = createServer().listen(path)
    await once(server, 'listening')
    const flags = ['--allow-unix-socket', path, '--dry-run']
    const { unixSockets } = JSON.parse((await run(place, [...flags, '--json', '--', 'true'])).stdout.toString())
    expect(unixSockets).toEqual([
      { path, origin: '--allow-unix-socket', risk: expect.stringMatching(/root on the host/) }
    ])
    expect((await run(place, [...flags, '--', 'true'])).stdout.toString()).toMatch(
      /^sockets of the host\n {2}\S+docker\.sock +--allow-unix-socket +RISK: .*as root on the host$/m
    )
    server.close()
  })

  test('--ask without a terminal starts nothing', async () => {
    const marker = join(place.home, 'marker')
    const { status, stderr } = await run(place, ['--ask', '--', 'touch', marker])
    expect(stderr).toMatch(/^qi-jail: QI_ASK_TERMINAL: .*\n$/)
    expect(status).toBe(125)
    expect(existsSync(marker)).toBe(false)
  })

  test('qi-jail ctl finds a run by its name while it lasts', async () => {
    const runtime = { XDG_RUNTIME_DIR: place.home }
    const ctl = async (...args: string[]) => {
      const { status, stdout, stderr } = await run(place, ['ctl', ...args], runtime)
      return { status, stdout: stdout.toString(), stderr }
    }
    // This user's other jails, of which /tmp may have some, are listed as well.
    const idle = await ctl()
    expect(idle).toMatchObject({ status: 0, stderr: '' })
    expect(idle.stdout).not.toMatch(/^ {2}mine /m)
    const running = start(place, ['--id', 'mine', '--', 'sh', '-c', 'echo ready; cat'], runtime)
    await running.says('ready')
    const folder = join(place.home, 'qi-jail')
    await until(() => existsSync(join(folder, 'mine.sock')), 'its control socket')
    expect((await ctl()).stdout).toMatch(/^ {2}mine +\d+ +strict +\S+ +sh -c echo ready; cat$/m)
    const records = (await ctl('--json')).stdout.trimEnd().split('\n')
    expect(records.map((record) => JSON.parse(record))).toContainEqual(
      expect.objectContaining({ id: 'mine', profile: 'strict' })
    )
    expect(await ctl('mine')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^no rules/) })
    expect(await ctl('mine', 'allow', 'a.example')).toEqual({
      status: 125,
      stdout: '',
      stderr: expect.stringMatching(/^qi-jail: QI_NETWORK: .*launch it with at least one rule.*\n$/)
    })
    const second = await run(place, ['--id', 'mine', '--', 'true'], runtime)
    expect(second).toMatchObject({ status: 125, stderr: expect.stringContaining('QI_CONTROL') })
    for (const args of [
      ['other', 'rules'],
      ['../mine', 'rules'],
      ['other', 'allow', 'a.example']
    ])
      expect((await ctl(...args)).stderr).toMatch(/^qi-jail: QI_CONTROL: no jail with the id/)
    for (const args of [['mine', 'frob', 'x'], ['mine', 'allow'], ['mine', 'rules', 'x', 'y'], ['--frob']])
      expect((await ctl(...args)).stderr).toMatch(/^qi-jail: QI_USAGE: /)
    running.child.stdin?.end()
    expect((await running.result).status).toBe(0)
    // Confined, a launch by root has no right to the folder any more; whoever looks next removes what it left.
    expect((await ctl()).stdout).not.toMatch(/^ {2}mine /m)
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('a running jail', () => {
  const place = placeOf(users[0] as 'root' | 'plain')

  test('gets further hosts from qi-jail ctl, and tells its rules', async () => {
    const runtime = { XDG_RUNTIME_DIR: place.home }
    const running = start(place, ['--id', 'mine', '--net', 'a.example', '--', 'sh', '-c', 'echo ready; cat'], runtime)
    await running.says('ready')
    await until(() => existsSync(join(place.home, 'qi-jail/mine.sock')), 'its control socket')
    const ctl = (...args: string[]) => run(place, ['ctl', 'mine', ...args], runtime)
    expect(await ctl('allow', 'b.example:443')).toMatchObject({ status: 0, stderr: '' })
    expect(await ctl('deny', '10.0.0.0/8:80')).toMatchObject({ status: 0, stderr: '' })
    expect((await ctl('allow', '127.1')).stderr).toMatch(/^qi-jail: QI_NETWORK_HOST: /)
    expect((await ctl('rules')).stdout.toString().split('\n')).toEqual([
      '  host allow exact a.example tcp 1-65535  --net',
      '  host allow exact b.example tcp 443-443  qi-jail ctl',
      '  net deny 10.0.0.0/8 tcp 80-80           qi-jail ctl',
      '  net deny 10.0.0.0/8 udp 80-80           qi-jail ctl',
      ''
    ])
    running.child.stdin?.end()
    await running.result
  })

  test('--ask: the person at the terminal says no, and the name does not exist', async () => {
    const cli = join(place.root, 'bin/qi-jail')
    const child = spawn('script', ['-qec', `${process.execPath} ${cli} --ask -- getent hosts a.invalid`, '/dev/null'], {
      cwd: place.home
    })
    let shown = ''
    child.stdout.on('data', (chunk) => {
      shown += chunk
    })
    const status = new Promise((resolve) => child.once('close', resolve))
    await until(() => shown.includes('looks up a.invalid'), 'the question')
    child.stdin.write('d\n')
    expect(await status).toBe(2) // getent(1): not found
  })
})

test('qi-jail ctl --help', () => {
  const cli = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'ctl', '--help'], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain('[id] [allow|deny <host[:port]> | rules | pause | resume | kill]')
})

test('questions come one at a time, each answered by its own word, the unanswered denied', async () => {
  const session = fileURLToPath(new URL('ask-session.mjs', import.meta.url))
  const dist = fileURLToPath(new URL('../../dist', import.meta.url))
  // script(1) gives it a terminal of its own.
  const child = spawn('script', ['-qec', `${process.execPath} ${session} ${dist}`, '/dev/null'])
  let shown = ''
  child.stdout.on('data', (chunk) => {
    shown += chunk
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  await until(() => shown.includes('a.example:443\r\n'), 'the first question')
  expect(shown).not.toContain('b.example')
  child.stdin.write('what\n')
  await until(() => shown.includes('o, s, a or d?'), 'the question again')
  child.stdin.write('S\n')
  await until(() => shown.includes('looks up b.example'), 'the second question')
  child.stdin.write('always\n')
  await ended
  expect(shown).toContain('ANSWERS ["session","always","deny"]')
  expect(shown).not.toContain('[::1]:80') // its time was over before its turn
  expect(shown).toContain('tool \\u001b[31m\\u000aqi-jail: all is well (pid 7) connects to a.example:443')
})
