import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { own, users } from '../support/user.js'
import { placeOf, type Result, shell } from './cli.js'
import { installInto, PREBUILDS } from './package.js'

/** bin/qi-jail as npm lays it out, and whatever may be wrong around it: it finds the launcher, or Node, and the run is the same. */
describe.each(users)('bin/qi-jail (%s)', (user) => {
  const place = placeOf(user)
  const at = (path: string) => join(place.home, path)
  const PACKAGE = 'an "odd" place/-it/node_modules/qi-jail'

  const folder = (path: string) => {
    mkdirSync(at(path), { recursive: true })
    for (let one = path; one !== '.'; one = dirname(one)) own(at(one), user)
  }
  const link = (target: string, path: string) => {
    folder(dirname(path))
    symlinkSync(target, at(path))
  }

  beforeAll(() => {
    folder(PACKAGE)
    installInto(at(PACKAGE), place.root)
    folder('path')
    writeFileSync(at('path/node'), `#!/bin/sh\necho start >>'${at('starts')}'\nexec '${process.execPath}' "$@"\n`, {
      mode: 0o755
    })
    link('../qi-jail/bin/qi-jail', `${dirname(PACKAGE)}/.bin/qi-jail`)
    link('../lib/node_modules/qi-jail/bin/qi-jail', 'prefix/bin/qi-jail')
    link(at(PACKAGE), 'prefix/lib/node_modules/qi-jail') // as npm link does
    link('../prefix/bin/qi-jail', 'elsewhere/jail')
    link(`../${PACKAGE}/${PREBUILDS}/qi-jail`, 'native/jail')
    folder('own/lib/node_modules/qi-jail')
    installInto(at('own/lib/node_modules/qi-jail'), place.root)
    folder('hostile/sub')
    folder('hostile/build/Release')
    writeFileSync(at('hostile/build/Release/qi-monitor'), '#!/bin/sh\necho hostile\n', { mode: 0o755 })
  })

  interface Ran extends Result {
    /** How often Node was started: not at all from a kept plan. */
    starts: number
  }

  async function sh(script: string, env: Record<string, string> = {}): Promise<Ran> {
    writeFileSync(at('starts'), '')
    own(at('starts'), user)
    const result = await shell(place, script, { PATH: `${at('path')}:/usr/bin:/bin`, ...env })
    return { ...result, starts: readFileSync(at('starts'), 'utf8').split('\n').length - 1 }
  }

  it('starts from no plan of another installation, which may be an older one', async () => {
    const run = (root: string) => sh(`${quoted(join(root, 'bin/qi-jail'))} --no-policy -- /bin/echo of both`)
    for (const starts of [1, 0]) expect(await run(place.root)).toMatchObject({ status: 0, starts })
    for (const starts of [1, 0]) expect(await run(at(PACKAGE))).toMatchObject({ status: 0, starts })
    expect(await run(place.root)).toMatchObject({ status: 0, starts: 0 })
  })

  /** Ways to start it, and whether Node has to find out where they lead. */
  const WAYS: Record<string, [script: (qi: (path: string) => string) => string, byNode?: true]> = {
    'the file itself': [(qi) => qi(`${PACKAGE}/bin/qi-jail`)],
    'npx and scripts': [(qi) => qi(`${dirname(PACKAGE)}/.bin/qi-jail`)],
    'a prefix, linked': [(qi) => qi('prefix/bin/qi-jail')],
    PATH: [() => `PATH=$PATH:${at('prefix/bin')}; qi-jail`],
    'a relative path': [() => `cd ${quoted(at(PACKAGE))} && bin/../bin/qi-jail`],
    'its own folder': [() => `cd ${quoted(at(`${PACKAGE}/bin`))} && ./qi-jail`],
    'a shell': [() => `cd ${quoted(at(`${PACKAGE}/bin`))} && sh qi-jail`],
    'another shell': [(qi) => `bash ${qi('prefix/bin/qi-jail')}`],
    'a shell that looks on PATH': [
      () => `cd ${quoted(at('hostile/sub'))} && PATH=$PATH:${at('prefix/bin')} bash qi-jail`
    ],
    'a link to a link': [(qi) => qi('elsewhere/jail'), true],
    'the program': [(qi) => qi(`${PACKAGE}/${PREBUILDS}/qi-jail`)],
    'the program, by a relative path': [
      () => `cd ${quoted(at(`${PACKAGE}/bin`))} && '../${PREBUILDS}/../../${PREBUILDS}/qi-jail'`
    ],
    'the program, linked': [(qi) => qi('native/jail')],
    'the program, under another name': [(qi) => `bash -c 'exec -a /nowhere/else "$0" "$@"' ${qi('native/jail')}`]
  }
  const quoted = (text: string) => `'${text}'`

  it.each(Object.entries(WAYS))('finds its package by %s', async (name, [way, byNode]) => {
    const command = `${way((path) => quoted(at(path)))} --no-policy -- /bin/echo "it is" '${name}'`
    expect(await sh(command)).toMatchObject({ status: 0, stderr: '', stdout: Buffer.from(`it is ${name}\n`) })
    const again = await sh(command)
    expect(again).toMatchObject({ status: 0, stderr: '', stdout: Buffer.from(`it is ${name}\n`) })
    expect(again.starts).toBe(byNode ? 1 : 0)
  })

  it('goes on from the plan of the script by the program, and back', async () => {
    const by = (path: string) => sh(`${quoted(at(path))} --no-policy -- /bin/echo "it is" back`)
    const [script, program] = [`${PACKAGE}/bin/qi-jail`, `${PACKAGE}/${PREBUILDS}/qi-jail`]
    for (const [path, starts] of [
      [script, 1],
      [program, 0],
      [script, 0]
    ] as const)
      expect(await by(path)).toMatchObject({ status: 0, stderr: '', starts })
  })

  it('takes the Node of the prefix it was installed in, which a desktop has not on PATH', async () => {
    const prefix = at('own')
    const qi = quoted(join(prefix, 'lib/node_modules/qi-jail', PREBUILDS, 'qi-jail'))
    const sum = (tag: string) => sh(`PATH=/nowhere; ${qi} --no-policy -- /bin/echo ${tag}`)
    expect(await sum('none')).toMatchObject({ status: 127, stderr: expect.stringContaining('QI_HOST') })
    mkdirSync(join(prefix, 'bin'))
    symlinkSync(at('path/node'), join(prefix, 'bin/node'))
    for (const starts of [1, 0])
      expect(await sum('own')).toMatchObject({ status: 0, stdout: Buffer.from('own\n'), starts })
    // An older one of the system's does not take its place.
    folder('older')
    writeFileSync(at('older/node'), '#!/bin/sh\necho older\n', { mode: 0o755 })
    const ran = await sh(`PATH=${at('older')}; ${qi} --no-policy -- /bin/echo newer`)
    expect(ran).toMatchObject({ status: 0, stdout: Buffer.from('newer\n'), starts: 1 })
  })

  it('says where the program belongs when it was copied away from its package', async () => {
    // Also where there are not enough folders around it for a package.
    const high = mkdtempSync('/tmp/qi-copied-')
    chmodSync(high, 0o755)
    folder('copied/a/b')
    try {
      for (const into of [at('copied/a/b'), high]) {
        cpSync(at(`${PACKAGE}/${PREBUILDS}/qi-jail`), join(into, 'qi-jail'))
        own(join(into, 'qi-jail'), user)
        expect(await sh(quoted(join(into, 'qi-jail')))).toMatchObject({
          status: 127,
          stderr: `qi-jail: QI_HOST: cannot start ${into}/qi-monitor: ENOENT (it belongs beside qi-jail: link to qi-jail, do not copy it)\n`
        })
      }
    } finally {
      rmSync(high, { recursive: true })
    }
  })

  it('tells of a launch that fails, also through a link that Node followed', async () => {
    for (const path of ['prefix/bin/qi-jail', 'elsewhere/jail', 'native/jail']) {
      for (let i = 0; i < 2; i++) {
        const { status, stderr } = await sh(`${quoted(at(path))} --no-policy --rw "$HOME/path" -- true </`)
        expect({ status, stderr }).toEqual({
          status: 125,
          stderr: expect.stringMatching(/^qi-jail: QI_[A-Z]+: .*EISDIR/)
        })
      }
    }
  })

  it('has arguments as they were given', async () => {
    const odd = ['', '-', '--', 'a  b', '*', '$HOME', '`id`', "it's", '"', '\\', 'tab\t', 'line\nline', 'ü']
    const script = `for one; do printf '<%s>' "$one"; done`
    const given = [script, 'sh', ...odd].map((text) => quoted(text.replaceAll("'", `'\\''`))).join(' ')
    for (const starts of [1, 0]) {
      const ran = await sh(`${quoted(at('prefix/bin/qi-jail'))} --no-policy -- sh -c ${given}`)
      expect(ran).toMatchObject({ status: 0, stderr: '', starts })
      expect(ran.stdout.toString()).toBe(odd.map((text) => `<${text}>`).join(''))
    }
  })

  it('is not led astray by variables that shells know', async () => {
    const evil = at('evil')
    writeFileSync(evil, 'echo evil; exit 9\n')
    const known = { IFS: '/x_6q', CDPATH: '/usr:/', ENV: evil, BASH_ENV: evil, PWD: '/nowhere', root: evil, here: evil }
    const command = `${quoted(at('prefix/bin/qi-jail'))} --no-policy -- /bin/echo astray`
    for (const env of [{}, known]) {
      expect(await sh(command, { ...env, launcher: '/bin/false' })).toMatchObject({
        status: 0,
        stderr: '',
        stdout: Buffer.from('astray\n')
      })
    }
    expect((await sh(command, known)).starts).toBe(0)
  })

  function theirs(): string {
    if (user === 'plain') return '/root'
    mkdirSync(at('theirs'), { recursive: true, mode: 0o700 })
    own(at('theirs'), 'plain')
    return at('theirs')
  }

  /** Places for the cache of which none is any good. */
  const PLACES: Record<string, () => Record<string, string>> = {
    'is missing': () => ({ XDG_CACHE_HOME: at('no/such/folder') }),
    'is a file': () => ({ XDG_CACHE_HOME: at('starts') }),
    'is relative': () => ({ XDG_CACHE_HOME: 'path', HOME: '/proc' }),
    'cannot be written': () => ({ XDG_CACHE_HOME: '/proc' }),
    'cannot be looked at': () => ({ XDG_CACHE_HOME: `/${'x'.repeat(300)}` }),
    "is somebody else's": () => ({ XDG_CACHE_HOME: theirs() }),
    "is somebody else's home": () => ({ HOME: theirs() }),
    'is a link into nowhere': () => {
      link('nowhere', 'leads/qi-jail')
      return { XDG_CACHE_HOME: at('leads') }
    },
    'is open to all': () => {
      folder('open/qi-jail/plans')
      chmodSync(at('open/qi-jail'), 0o777)
      return { XDG_CACHE_HOME: at('open') }
    }
  }

  it.each(Object.entries(PLACES))('runs without a cache where its place %s', async (_, env) => {
    const around = env()
    for (let i = 0; i < 2; i++) {
      const ran = await sh(`${quoted(at('prefix/bin/qi-jail'))} --no-policy -- /bin/echo hi`, around)
      expect(ran).toMatchObject({ status: 0, stderr: '', stdout: Buffer.from('hi\n'), starts: 1 })
    }
    expect(await sh(`${quoted(at('prefix/bin/qi-jail'))} cache stats --json`, around)).toMatchObject({ status: 0 })
  })

  it('says what is missing: Node, the launcher', async () => {
    const qi = quoted(at('prefix/bin/qi-jail'))
    expect(await sh(`PATH=/nowhere; ${qi} --version`)).toMatchObject({
      status: 127,
      stderr: expect.stringContaining('qi-jail: QI_HOST: cannot start node: ENOENT')
    })
    expect(await sh(`${qi} --version`)).toMatchObject({ status: 0, starts: 1 })
    const monitor = at(`${PACKAGE}/${PREBUILDS}/qi-monitor`)
    chmodSync(monitor, 0o644)
    expect((await sh(`${qi} --no-policy -- true`)).stderr).toContain('QI_MONITOR_MODE')
    rmSync(monitor)
    expect((await sh(`${qi} --no-policy -- true`)).stderr).toContain('QI_ADDON_MISSING')
  })
})
