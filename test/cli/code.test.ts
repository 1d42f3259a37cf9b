import {
  chmodSync,
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { own, users } from '../support/user.js'
import { placeOf, shell } from './cli.js'

/** Tells of each of our files that is compiled by us whether kept code was at hand, and whether V8 took it. */
const HOOK = `
const vm = require('node:vm')
const { appendFileSync } = require('node:fs')
const Usual = vm.Script
vm.Script = class extends Usual {
  constructor(code, options) {
    super(code, options)
    const how = !options.cachedData ? 'compiled' : this.cachedDataRejected ? 'rejected' : 'kept'
    appendFileSync(process.env.HOME + '/log', how + ' ' + options.filename.split('/').pop() + '\\n')
  }
}`

const NATIVE = ['build/Release/qi-monitor', 'build/Release/qi_jail.node']
const BOTH = ['main-start.cjs', 'main-run.cjs']

describe.each(users)('the code of the command line tool (%s)', (user) => {
  const place = placeOf(user)
  const at = (path: string) => join(place.home, path)
  const folder = () => at('.cache/qi-jail/code')
  const files = () => readdirSync(folder()).map((name) => join(folder(), name))

  beforeEach(() => {
    for (const name of readdirSync(place.home)) rmSync(at(name), { recursive: true, force: true })
    writeFileSync(at('hook.cjs'), HOOK)
  })

  /** What came of each file, of a run that starts Node; `first` comes before the arguments. */
  async function run(args = '--no-cache -- /bin/echo hi', env: Record<string, string> = {}, qi = '"$QI"') {
    writeFileSync(at('log'), '')
    own(at('log'), user)
    const { status, stdout, stderr } = await shell(place, `${qi} ${args}`, {
      NODE_OPTIONS: `-r ${at('hook.cjs')}`,
      ...env
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return { said: stdout.toString(), loaded: readFileSync(at('log'), 'utf8').trim().split('\n') }
  }

  const all = (how: string) => BOTH.map((file) => `${how} ${file}`)

  /** As it is from the second run on. */
  async function keep(): Promise<void> {
    expect(await run()).toEqual({ said: 'hi\n', loaded: all('compiled') })
    expect(await run()).toEqual({ said: 'hi\n', loaded: all('kept') })
  }

  it('is compiled once', async () => {
    await keep()
    expect(files()).toHaveLength(2)
    expect([folder(), ...files()].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o600, 0o600])
  })

  it('is not kept where Node is told to keep none, or without a home', async () => {
    expect((await run(undefined, { NODE_DISABLE_COMPILE_CACHE: '1' })).loaded).toEqual([''])
    expect((await run(undefined, { XDG_CACHE_HOME: 'relative', HOME: `${place.home}/./` })).loaded).toEqual(
      all('compiled')
    )
  })

  it('is compiled again where a bit of it is another', async () => {
    await keep()
    for (const file of files()) {
      const bytes = readFileSync(file)
      bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
      writeFileSync(file, bytes)
    }
    expect((await run()).loaded).toEqual(all('compiled'))
    expect((await run()).loaded).toEqual(all('kept'))
  })

  it('is compiled again where one file has the place of another', async () => {
    await keep()
    const [one = '', other = ''] = files()
    renameSync(one, `${one}-aside`)
    renameSync(other, one)
    renameSync(`${one}-aside`, other)
    expect((await run()).loaded).toEqual(all('compiled'))
  })

  it('is compiled again where somebody else could have written it', async () => {
    await keep()
    for (const file of files()) chmodSync(file, 0o644)
    expect((await run()).loaded).toEqual(all('compiled'))
    chmodSync(folder(), 0o755)
    expect((await run()).loaded).toEqual(all('compiled'))
  })

  it('is not taken from behind a link', async () => {
    await keep()
    for (const file of files()) {
      renameSync(file, at(`aside-${file.slice(-8)}`))
      symlinkSync(at(`aside-${file.slice(-8)}`), file)
    }
    expect((await run()).loaded).toEqual(all('compiled'))
  })

  it('is compiled again for other options of V8', async () => {
    await keep()
    const NODE_OPTIONS = `-r ${at('hook.cjs')} --stack-trace-limit=5`
    expect((await run(undefined, { NODE_OPTIONS })).loaded).toEqual(all('compiled'))
  })

  it('is compiled again of another text of the same length', async () => {
    for (const name of ['bin', 'dist/bundle', 'profiles', 'package.json', ...NATIVE])
      cpSync(join(place.root, name), join(at('copy'), name), { recursive: true })
    const qi = '"$HOME/copy/bin/qi-jail"'
    await run(undefined, {}, qi)
    expect((await run(undefined, {}, qi)).loaded).toEqual(all('kept'))
    const [start, said] = [join(at('copy'), 'dist/bundle/main-start.cjs'), 'Runs a command in a kernel-enforced jail']
    writeFileSync(start, readFileSync(start, 'latin1').replace(said, said.toUpperCase()), 'latin1')
    const help = await run('--help', {}, qi)
    expect(help.said).toContain(said.toUpperCase())
    expect(help.loaded).toEqual(['compiled main-start.cjs'])
  })

  it('is in no jail, whatever that is granted', async () => {
    await keep()
    const look = 'ls -A "$HOME" | grep cache; ls -A "$HOME/.cache/qi-jail" 2>/dev/null; echo over'
    expect((await run(`--no-cache --ro "$HOME" -- /bin/sh -c '${look}'`)).said).toBe('.cache\nover\n')
  })

  it('goes with the plans', async () => {
    await keep()
    await shell(place, '"$QI" cache clear')
    expect(files()).toEqual([])
  })
})
