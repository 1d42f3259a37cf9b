import { describe, expect, it } from 'vitest'
import { BASE, codeOf, fakeFs, ROOT, resolveOn } from './fake.js'

describe('a denial that spares what the command needs', () => {
  const run = (deniedPaths: string[], sparesCommand: boolean) =>
    resolveOn({
      profile: {
        name: 't',
        purpose: 't',
        layers: [{ origin: 'p', config: { filesystem: { deniedPaths } }, ...(sparesCommand ? { sparesCommand } : {}) }],
        files: []
      }
    })
  const shown = (profile: ReturnType<typeof run>, path: string) =>
    profile.grants.some((grant) => path === grant.path || path.startsWith(`${grant.path}/`))

  it('takes the rest of the system away, and says what it left', () => {
    const profile = run(['/usr/bin'], true)
    expect([shown(profile, '/usr/bin/node'), shown(profile, '/usr/bin/bash')]).toEqual([true, false])
    expect(profile.denies.map(({ path }) => path)).not.toContain('/usr/bin')
    expect(profile.notes.map(({ text }) => text).join()).toContain(
      '/usr/bin is denied but for what the command needs: /usr/bin/node'
    )
    // The control: without the denial both are there.
    expect(shown(run([], true), '/usr/bin/bash')).toBe(true)
  })

  it('of what the command does not need holds as any other', () => {
    const profile = run(['/usr/lib/x'], true)
    expect(shown(profile, '/usr/lib/x') && !profile.denies.some(({ path }) => path === '/usr/lib/x')).toBe(false)
    expect(profile.notes.map(({ text }) => text).join()).not.toContain('denied but for')
  })

  it('is refused where it spares nothing', () => {
    expect(codeOf(() => run(['/usr/bin/node'], false))).toBe('QI_GRANT_CONFLICT')
    expect(codeOf(() => run(['/usr/bin/node'], true))).toBe('none')
  })
})

describe('a working directory that root inherited', () => {
  const at = (mode: number, facts?: typeof ROOT) => {
    const real = fakeFs({ ...BASE, '/usr/lib/own/sub/f': '', '/home/u/app/server.js': '' })
    const fs = {
      ...real,
      lstat: (path: string) => {
        const stat = real.lstat(path)
        return stat && path === '/usr/lib/own' ? { ...stat, mode } : stat
      }
    }
    return resolveOn({ fs, cwd: '/usr/lib/own/sub', argv: ['bash'], ...(facts ? { facts } : {}) }).command
  }

  it('is left where not everybody may enter it: the payload has an id of its own', () => {
    expect(at(0o755, ROOT)).toMatchObject({ cwd: '/usr/lib/own/sub' })
    expect(at(0o750, ROOT)).toMatchObject({ cwd: '/tmp', cwdNote: expect.stringContaining('/usr/lib/own/sub') })
    expect(at(0o750)).toMatchObject({ cwd: '/usr/lib/own/sub' })
  })
})
