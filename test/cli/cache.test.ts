import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { own, users } from '../support/user.js'
import { placeOf, type Result, shell } from './cli.js'

/** Longer than what `ObservedFs` takes for unsettled. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 60))

describe.each(users)('a kept plan (%s)', (user) => {
  const place = placeOf(user)
  const at = (path: string) => join(place.home, path)
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), text)
    chmodSync(at(path), mode)
    for (let one = path; one !== '.'; one = dirname(one)) own(at(one), user)
  }
  /** In front of node on PATH: tells that it was started. */
  const counter = (flags = '') =>
    put('bin/node', `#!/bin/sh\necho start >>'${at('starts/log')}'\nexec '${process.execPath}' ${flags} "$@"\n`, 0o755)

  interface Ran extends Result {
    /** How often Node was started: not at all from a kept plan. */
    starts: number
  }

  async function qi(args: string, env: Record<string, string> = {}): Promise<Ran> {
    writeFileSync(at('starts/log'), '')
    own(at('starts/log'), user)
    const PATH = [at('early'), at('bin'), '/usr/bin', '/bin'].join(':')
    const result = await shell(place, `cd '${at('work')}' && "$QI" ${args}`, { PATH, ...env })
    return { ...result, starts: readFileSync(at('starts/log'), 'utf8').split('\n').length - 1 }
  }

  beforeEach(async () => {
    for (const name of readdirSync(place.home)) rmSync(at(name), { recursive: true, force: true })
    for (const folder of ['early', 'work', 'starts', 'bin', 'data']) {
      mkdirSync(at(folder))
      own(at(folder), user)
    }
    counter()
    put('bin/tool', '#!/bin/sh\necho "$LANG $TOKEN $1"\n', 0o755)
    put('profile.yaml', 'name: mine\npurpose: of a test\nextends: strict\n')
    await settle()
  })

  const RUN = '--profile "$HOME/profile.yaml" --rw "$HOME/data" --env TOKEN -- tool one'

  /** Runs it until it is kept. */
  async function keep(args = RUN, env: Record<string, string> = {}): Promise<void> {
    expect(await qi(args, env)).toMatchObject({ status: 0, stderr: '', starts: 1 })
    expect(await qi(args, env)).toMatchObject({ status: 0, stderr: '', starts: 0 })
  }

  const entry = () => {
    const plans = at('.cache/qi-jail/plans')
    return join(plans, readdirSync(plans).find((name) => !name.startsWith('.')) as string)
  }

  it('is what the same run starts from, without Node', async () => {
    await keep()
    expect(statSync(entry()).mode & 0o777).toBe(0o600)
    expect(statSync(dirname(entry())).mode & 0o777).toBe(0o700)
  })

  it('has what variables say now', async () => {
    await keep(RUN, { TOKEN: 'old' })
    const { stdout, starts } = await qi(RUN, { TOKEN: 'new, and longer', LANG: 'C.UTF-8' })
    expect(stdout.toString()).toBe('C.UTF-8 new, and longer one\n')
    expect(starts).toBe(1) // LANG came to be
    const again = await qi(RUN, { TOKEN: 'newer', LANG: 'C' })
    expect(again).toMatchObject({ starts: 0 })
    expect(again.stdout.toString()).toBe('C newer one\n')
    expect(readFileSync(entry(), 'latin1')).not.toContain('newer')
  })

  it('gives the same status, and the same words at the end', async () => {
    const refused = '--no-policy -- sh -c "cat /proc/1/mem; exit 3"'
    const first = await qi(refused)
    const second = await qi(refused)
    expect([first.starts, second.starts]).toEqual([1, 0])
    expect([second.status, second.stderr]).toEqual([first.status, first.stderr])
    expect(first.status).toBe(3)
  })

  /** Everything a plan is made of: what is done to it, after which the next run may not start from the plan that was kept. */
  const CHANGES: Record<string, () => unknown> = {
    'an argument': () => ({ args: RUN.replace('one', 'two') }),
    'the working directory': () => {
      mkdirSync(at('other'))
      own(at('other'), user)
      return { args: `--version >/dev/null; cd ../other; "$QI" ${RUN}` }
    },
    PATH: () => ({ env: { PATH: [at('bin'), '/usr/bin', '/bin'].join(':') } }),
    'a variable that comes to be': () => ({ env: { LC_TIME: 'C' } }),
    'a variable that was not set': () => ({ env: { TOKEN: 'is now' } }),
    XDG_CONFIG_HOME: () => ({ env: { XDG_CONFIG_HOME: at('data') } }),
    'a program of that name earlier on PATH': () => put('early/tool', '#!/bin/sh\necho other\n', 0o755),
    'the program': () => put('bin/tool', '#!/bin/sh\necho changed\n', 0o755),
    'the program, with its time put back': () => {
      const { atime, mtime } = statSync(at('bin/tool'))
      put('bin/tool', '#!/bin/sh\necho "$LANG $TOKEN $2"\n', 0o755)
      utimesSync(at('bin/tool'), atime, mtime)
    },
    'the mode of the program': () => chmodSync(at('bin/tool'), 0o700),
    'the profile': () => put('profile.yaml', 'name: mine\npurpose: of a test\nextends: standard\n'),
    'a policy file of the user': () =>
      put('.config/qi-jail/policy.yaml', 'version: "1.0"\nprofiles:\n  other:\n    extends: strict\n'),
    'a policy file of the project': () => {
      put('work/.qi-jail.yaml', 'version: "1.0"\nprofiles:\n  other:\n    extends: strict\n')
      mkdirSync(at('work/.git'))
    },
    HOME: () => ({ env: { HOME: at('data'), XDG_CACHE_HOME: at('.cache') }, args: '--no-policy -- /bin/true' }),
    'what else Node is to run': () => ({ env: { NODE_OPTIONS: '--no-warnings' } }),
    'what is loaded into Node': () => ({ env: { LD_PRELOAD: at('none.so') } }),
    XDG_RUNTIME_DIR: () => ({ env: { XDG_RUNTIME_DIR: at('data') } }),
    'the list of trusted policy files': () => put('.local/state/qi-jail/trusted', 'x\n'),
    'its groups': () => {
      skipUnless(user === 'root', 'needs root')
      return { args: `--version >/dev/null; exec setpriv --groups=4242 -- "$QI" ${RUN}` }
    },
    'its capabilities': () => {
      skipUnless(user === 'root', 'needs root')
      return {
        args: `--version >/dev/null; exec setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice -- "$QI" ${RUN}`
      }
    },
    'the group of a granted folder': () => {
      skipUnless(process.getuid?.() === 0, 'needs root')
      chownSync(at('data'), statSync(at('data')).uid, 4242)
    },
    'a granted folder, for another': () => {
      renameSync(at('data'), at('moved'))
      mkdirSync(at('data'))
      own(at('data'), user)
    },
    'a granted folder that became a link': () => {
      renameSync(at('data'), at('moved'))
      symlinkSync('moved', at('data'))
    },
    'a protected name in a writable folder': () => {
      mkdirSync(at('data/.git'))
      own(at('data/.git'), user)
    }
  }

  it.each(Object.entries(CHANGES))('does not outlive a change of %s', async (_, change) => {
    await keep()
    const { args = RUN, env = {} } = (change() ?? {}) as { args?: string; env?: Record<string, string> }
    await settle()
    const { starts } = await qi(args, env)
    expect(starts).toBeGreaterThanOrEqual(1)
  })

  /** What somebody may have done to the cache; the run goes as ever, and is kept anew. */
  const SPOILED: Record<string, (file: string) => void> = {
    'a bit of it is another': (file) => {
      const bytes = readFileSync(file)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
      writeFileSync(file, bytes)
    },
    'it ends early': (file) => writeFileSync(file, readFileSync(file).subarray(0, 4096)),
    'it is empty': (file) => writeFileSync(file, ''),
    'others may read it': (file) => chmodSync(file, 0o644),
    'others may write its folder': (file) => chmodSync(dirname(file), 0o722),
    'it is a link': (file) => {
      renameSync(file, at('elsewhere'))
      symlinkSync(at('elsewhere'), file)
    }
  }

  it.each(Object.entries(SPOILED))('is made anew where %s', async (_, spoil) => {
    await keep()
    spoil(entry())
    expect(await qi(RUN)).toMatchObject({ status: 0, starts: 1 })
    chmodSync(dirname(entry()), 0o700)
    await qi(RUN)
    expect(await qi(RUN)).toMatchObject({ status: 0, starts: 0 })
  })

  it('is not taken for another run, whatever its name', async () => {
    await keep()
    const first = entry()
    const before = readFileSync(first)
    await keep(RUN.replace('one', 'two'))
    const second = readdirSync(dirname(first)).find((name) => !first.endsWith(name)) as string
    writeFileSync(join(dirname(first), second), before)
    const { stdout, starts } = await qi(RUN.replace('one', 'two'))
    expect(starts).toBe(1)
    expect(stdout.toString()).toMatch(/ two\n$/)
  })

  it('is neither used nor made where its folder is a link', async () => {
    await keep()
    const plans = dirname(entry())
    renameSync(plans, at('elsewhere'))
    symlinkSync(at('elsewhere'), plans)
    for (let i = 0; i < 2; i++) expect(await qi(RUN)).toMatchObject({ status: 0, starts: 1 })
  })

  it('is neither used nor made where somebody says so', async () => {
    await keep()
    expect(await qi(RUN, { QI_JAIL_NO_CACHE: '1' })).toMatchObject({ status: 0, starts: 1 })
    const uncached = `--no-cache ${RUN}`
    expect(await qi(uncached)).toMatchObject({ status: 0, starts: 1 })
    expect(await qi(uncached)).toMatchObject({ status: 0, starts: 1 })
  })

  it('is not needed: a home that cannot be written', async () => {
    const unwritable = { HOME: '/proc/nowhere' }
    expect(await qi('--no-policy -- /bin/true', unwritable)).toMatchObject({ status: 0, starts: 1 })
    expect(await qi('--no-policy -- /bin/true', unwritable)).toMatchObject({ status: 0, starts: 1 })
  })

  it('is not made in the home of another user', async () => {
    skipUnless(process.getuid?.() === 0, 'needs root')
    for (const [home, whose] of [
      ['ours', user],
      ['theirs', user === 'root' ? 'plain' : 'root']
    ] as const) {
      mkdirSync(at(home), { mode: 0o777 })
      chmodSync(at(home), 0o777)
      own(at(home), whose)
      expect(await qi('--no-policy -- /bin/true', { HOME: at(home) })).toMatchObject({ status: 0, starts: 1 })
      expect(readdirSync(at(home))).toEqual(home === 'ours' ? ['.cache'] : [])
    }
  })

  it('is out of reach of a jail that is given all around it', async () => {
    await keep()
    const read = await qi(`--no-policy --ro "$HOME" -- sh -c 'ls -A ~ && ls -A ~/.cache/qi-jail'`)
    expect(read.stdout.toString()).toContain('.cache')
    expect(read.stdout.toString()).not.toContain('plans')
    const write = await qi(
      `--no-policy --rw "$HOME/.cache" -- sh -c 'echo x >~/.cache/free && echo x >~/.cache/qi-jail/x'`
    )
    expect(write.status).not.toBe(0)
    expect(readdirSync(at('.cache'))).toContain('free')
    expect(readdirSync(at('.cache/qi-jail'))).toEqual(['code', 'plans'])
  })

  it.each(['--no-cache', '--id older-than-any', '--verbose'])(
    'is out of reach of a jail that was there before it (%s)',
    async (flag) => {
      const waits =
        'echo up; until test -e ~/go; do sleep 0.05; done; ls -A ~; ls -A ~/.cache/qi-jail ~/.cache/qi-jail/plans'
      const older = `"$QI" ${flag} --no-policy --ro "$HOME" -- sh -c '${waits}' >"$HOME/out" 2>&1`
      const script = `${older} & until grep -q up "$HOME/out"; do sleep 0.05; done
        "$QI" --no-policy -- true && "$QI" --no-policy -- true; touch "$HOME/go"; wait; ls "$HOME/.cache/qi-jail/plans"`
      const { stdout } = await shell(place, script)
      expect(stdout.toString()).toMatch(/^[0-9a-f]{32}\n$/)
      expect(readFileSync(at('out'), 'utf8')).toMatch(/^data$/m)
      expect(readFileSync(at('out'), 'utf8')).not.toMatch(/^(?:plans|[0-9a-f]{32})$/m)
    }
  )

  it('is out of reach wherever XDG_CACHE_HOME leads', async () => {
    const env = { XDG_CACHE_HOME: at('data') }
    const script = 'cd "$0" && echo x >free && ! ls qi-jail 2>&1 && ! touch qi-jail/x 2>&1'
    await keep(`--no-policy --rw "$HOME/data" -- sh -c '${script}' "$HOME/data"`, env)
    expect(readdirSync(at('data'))).toEqual(['free', 'qi-jail'])
    expect(readdirSync(at('data/qi-jail'))).toEqual(['code', 'plans'])
    const inside = await qi('--no-policy --ro "$HOME/data/qi-jail" -- true', env)
    expect(inside).toMatchObject({ status: 125, stderr: expect.stringContaining('QI_PROTECTED_GRANT') })
  })

  it('is signed by what no jail reads', async () => {
    await keep()
    const { uid } = statSync(entry())
    const folder = '/tmp'
    const key = join(folder, `qi-jail-${uid}`, 'cache-key')
    expect([statSync(key).size, statSync(key).mode & 0o777, statSync(key).uid]).toEqual([16, 0o600, uid])
    const beside = join(folder, `qi-cache-test-${uid}`)
    writeFileSync(beside, 'readable', { mode: 0o644 })
    put('wide.yaml', 'name: wide\npurpose: of a test\nextends: strict\nfilesystem: { tempDirectory: /var/tmp }\n')
    await settle()
    try {
      const read = `cat '${beside}'; cat '${key}' || exit 7`
      const { stdout, status } = await qi(`--profile "$HOME/wide.yaml" --ro '${folder}' -- sh -c "${read}"`)
      expect([stdout.toString(), status]).toEqual(['readable', 7])
    } finally {
      rmSync(beside)
    }
  })

  it('is signed by nothing in a folder that may come to be while a jail sees its parent', async () => {
    skipUnless(user === 'root', 'needs root')
    const inRun = 'mount -t tmpfs none /run && mkdir -p /run/user/0 && chmod 700 /run/user/0'
    const command = '"$QI" --no-policy -- /bin/true && find /run /tmp/qi-jail-0/cache-key -name cache-key'
    const { stdout } = await shell(place, `unshare -m sh -c '${inRun} && ${command}'`)
    expect(stdout.toString()).toBe('/tmp/qi-jail-0/cache-key\n')
  })

  it('is in no grant where a jail has no root of its own', async () => {
    skipUnless(user === 'plain', 'needs a plain user account')
    await keep()
    put('data/file', 'readable')
    const tier = (grant: string, flags = '') =>
      qi(`${flags} --profile dev --protection userNamespace=off --ro "$HOME${grant}" -- cat "$HOME/data/file"`)
    expect((await tier('/data')).stdout.toString()).toBe('readable')
    rmSync(at('.cache'), { recursive: true })
    expect((await tier('/data', '--no-cache')).status).toBe(0)
    expect(await tier('', '--no-cache')).toMatchObject({ status: 125, stderr: expect.stringContaining('own cache') })
    expect(await tier('')).toMatchObject({ status: 125, stderr: expect.stringContaining("qi-jail's own cache") })
  })

  /** What Node does in place of a call that names the folder of plans, or a file in it; `real(...args)` is the call. */
  const instead = (call: string, act: string) => {
    put(
      'hook.cjs',
      `const fs = require('node:fs')
      const real = fs.${call}
      fs.${call} = (...args) => {
        if (!/\\/plans(?:\\/|$)|^\\/proc\\/self\\/fd\\//.test(args[0])) return real(...args)
        ${act}
      }`
    )
    counter('--require "$HOME/hook.cjs"')
  }

  /** The call at which Node is killed, and what is done of it before. */
  const DEATHS: Record<string, [call: string, before: string]> = {
    'the folder is made': ['mkdirSync', 'real(...args)'],
    'there is room': ['readdirSync', ''],
    'it is written': ['writeFileSync', ''],
    'half of it is written': ['writeFileSync', 'real(args[0], args[1].subarray(99), args[2])'],
    'it gets its name': ['renameSync', ''],
    'all is done': ['renameSync', 'real(...args)']
  }

  it.each(Object.entries(DEATHS))('comes to be although the tool is killed as %s', async (_, [call, before]) => {
    instead(call, `${before}; process.kill(process.pid, 'SIGKILL')`)
    expect((await qi(RUN)).status).toBe(137)
    counter()
    await settle()
    await qi(RUN)
    expect(await qi(RUN)).toMatchObject({ status: 0, stderr: '', starts: 0 })
    expect(JSON.parse((await qi('cache stats --json')).stdout.toString())).toMatchObject({ plans: 1 })
    const names = () => readdirSync(at('.cache/qi-jail/plans'))
    // What may still be written to stays; a minute later nobody does.
    expect(names().length).toBeLessThanOrEqual(2)
    for (const name of names()) utimesSync(at(`.cache/qi-jail/plans/${name}`), 1e9, 1e9)
    await keep(RUN.replace('one', 'two'))
    expect(names().filter((name) => !/^[0-9a-f]{32}$/.test(name))).toEqual([])
    expect(names()).toHaveLength(2)
  })

  it('goes to no folder that takes the place of its own meanwhile', async () => {
    await keep()
    const plans = dirname(entry())
    mkdirSync(at('theirs'), { mode: 0o700 })
    for (let i = 0; i < 300; i++) put(`theirs/${i.toString().padStart(32, '0')}`, 'of somebody else')
    await settle()
    instead(
      'readdirSync',
      `fs.renameSync('${plans}', '${plans}.moved')
      fs.symlinkSync('${at('theirs')}', '${plans}')
      fs.readdirSync = real
      return real(...args)`
    )
    expect(await qi(RUN.replace('one', 'two'))).toMatchObject({ status: 0, stderr: '', starts: 1 })
    expect(readdirSync(at('theirs'))).toHaveLength(300)
    expect(readdirSync(`${plans}.moved`)).toHaveLength(2)
  })

  it('is one of 256, whatever was killed on the way', async () => {
    await keep()
    const first = entry()
    const plans = dirname(first)
    utimesSync(first, 1e9, 1e9)
    for (let i = 0; i < 300; i++) {
      const name = i % 2 === 0 ? `.${i.toString().padStart(16, '0')}` : i.toString().padStart(32, '0')
      put(`.cache/qi-jail/plans/${name}`, 'x', 0o600)
    }
    put('.cache/qi-jail/plans/of somebody else', 'x')
    chmodSync(at('.cache/qi-jail'), 0o700)
    chmodSync(plans, 0o700)
    await keep(RUN.replace('one', 'two'))
    const names = readdirSync(plans)
    expect(names).toContain('of somebody else')
    expect(names).not.toContain(basename(first))
    expect(names.length).toBeLessThanOrEqual(257)
    expect((await qi('cache clear')).stdout.toString()).toMatch(/ plans removed\n$/)
    expect(readdirSync(plans)).toEqual(['of somebody else'])
    expect(await qi(RUN)).toMatchObject({ status: 0, starts: 1 })
  })

  it('is not kept where it is more than is read again', async () => {
    const word = (length: number) => `$(printf %0${length}d 0)`
    const run = (length: number) => qi(`--no-policy -- true ${word(length)} ${word(length)} ${word(length)}`)
    for (const starts of [1, 0]) expect(await run(1000)).toMatchObject({ status: 0, starts })
    for (let i = 0; i < 2; i++) expect(await run(70_000)).toMatchObject({ status: 0, stderr: '', starts: 1 })
    expect(JSON.parse((await qi('cache stats --json')).stdout.toString())).toMatchObject({ plans: 1 })
  })

  /** `script` with a folder of its own for the secret, which nobody else sees; in it, \`qi ARGS\` tells how often Node is started. */
  async function withOwnSecret(size: string, script: string): Promise<string> {
    skipUnless(process.getuid?.() === 0, 'needs root')
    const id = statSync(place.home).uid
    put(
      'script',
      `qi() { : >"$HOME/starts/log"; "$QI" "$@" || echo "failed: $?"; wc -l <"$HOME/starts/log"; }\n${script}`
    )
    const folder = `/tmp/qi-jail-${id}`
    const mount = `mkdir -p -m 700 ${folder} && chown ${id}:${id} ${folder} &&
      mount -t tmpfs -o mode=700,uid=${id},gid=${id},${size} none ${folder}`
    const become = `exec setpriv --reuid=${id} --regid=${id} --clear-groups -- sh "$HOME/script"`
    const PATH = `${at('bin')}:/usr/bin:/bin`
    const env = { PATH, SECRET: folder }
    const { stdout, stderr } = await shell({ ...place, user: 'root' }, `unshare -m sh -c '${mount} && ${become}'`, env)
    expect(stderr).toBe('')
    return stdout.toString()
  }

  it.each([
    ['is empty', ': >"$SECRET/cache-key"'],
    ['is cut short', 'truncate -s 9 "$SECRET/cache-key"'],
    ['may be read by others', 'chmod 644 "$SECRET/cache-key"'],
    ['is a link', 'mv "$SECRET/cache-key" "$SECRET/moved" && ln -s moved "$SECRET/cache-key"'],
    ['is a folder', 'rm "$SECRET/cache-key" && mkdir "$SECRET/cache-key"'],
    ['is gone', 'rm "$SECRET/cache-key"']
  ])('is signed anew where what signs it %s', async (_, damage) => {
    const run = 'qi --no-policy -- /bin/true'
    const told = await withOwnSecret(
      'size=64k',
      `${run}; ${run}; ${damage}; ${run}; ${run}; stat -c %F,%s,%a "$SECRET/cache-key"`
    )
    expect(told).toBe('1\n0\n1\n0\nregular file,16,600\n')
  })

  it('leaves nothing where there is no room for what signs it', async () => {
    const full = 'head -c 100000 /dev/zero >"$SECRET/full" 2>/dev/null'
    const run = 'qi --no-policy -- /bin/true'
    expect(await withOwnSecret('size=4k', `${full}; ${run}; ${run}; ls "$SECRET"`)).toBe('1\n1\nfull\n')
  })

  it('is counted and removed by qi-jail cache', async () => {
    await keep()
    expect(JSON.parse((await qi('cache stats --json')).stdout.toString())).toMatchObject({
      plans: 1,
      program: join(place.root, 'build/Release/qi-jail')
    })
    expect((await qi('cache clear')).stdout.toString()).toBe('1 plan removed\n')
    expect(await qi(RUN)).toMatchObject({ status: 0, starts: 1 })
  })
})
