import { spawn } from 'node:child_process'
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requireLandlock } from '../support/kernel.js'
import { project, untouched, writable } from './project.js'
import { ACT, bare, jailed, refusals, scratch, tryJailed, type User, users } from './support.js'

const MS = '300'
const LAUNCHES = 20

describe.each(users)('races, launched by %s', (user: User) => {
  let server: Server
  let reached = 0
  let path = ''
  beforeAll(async () => {
    path = `${scratch(user)}/s`
    server = createServer((peer) => {
      reached++
      peer.destroy()
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    chmodSync(path, 0o777)
  })
  afterAll(() => {
    server.close()
  })
  const granted = () => ({ network: { innerLoopback: true }, filesystem: { readOnlyPaths: [path.slice(0, -2)] } })

  // What the decoy would be is let go on; at one time the address could become a host's socket after it was looked at.
  it.each(['unspec', 'netlink', '127.0.0.1', '/tmp/none'])(
    'an address swapped for %s while it is judged',
    async (decoy) => {
      reached = 0
      const result = await jailed(user, { argv: [ACT, 'swap-connect', MS, path, decoy], config: granted() })
      expect(result.stdout).toBe('EACCES\n')
      expect(refusals(result)[0]).toMatchObject({ syscall: 'connect' })
      expect(reached).toBe(0)
      expect(bare([ACT, 'swap-connect', MS, path, decoy])).toBe('OK connected')
      await expect.poll(() => reached).toBe(1)
    }
  )

  it('an event tells of the address that was judged, not of the one that came after', async () => {
    const result = await jailed(user, { argv: [ACT, 'swap-connect', MS, path, '203.0.113.7'], config: granted() })
    const seen = refusals(result).filter((refusal) => refusal.syscall === 'connect')
    expect(seen.length).toBeGreaterThan(1)
    const paths: unknown[] = []
    for (const { rule, arguments: words } of seen) {
      const { address } = words as { address: { family: string; path?: string } }
      if (rule === 'no network') expect(address.family).toBe('AF_INET')
      if (rule !== 'named sockets of programs outside the jail') continue
      expect(address.family).toBe('AF_UNIX')
      paths.push(address.path)
    }
    // The copy itself may be half of one and half of the other: no family, or some other path.
    expect(paths).toContain(path)
  })

  it('a descriptor swapped for another while it is judged', async () => {
    reached = 0
    const result = await jailed(user, { argv: [ACT, 'swap-fd', MS, path], config: granted() })
    expect(result.stdout).toBe('EACCES\n')
    expect(reached).toBe(0)
    expect(bare([ACT, 'swap-fd', MS, path])).toBe('OK connected')
    await expect.poll(() => reached).toBe(1)
  })

  it.each(['/var/tmp', '/tmp'])('a path swapped while it is judged, below %s', async (parent) => {
    requireLandlock()
    const folder = project(user, parent)
    const words = (decoy: string) => [ACT, 'swap-path', MS, `${folder}/.mcp.json`, decoy]
    for (const decoy of [`${folder}/decoy`, '/tmp/decoy']) {
      const result = await jailed(user, { argv: words(decoy), config: writable(folder) })
      expect(result.stdout).toBe('EACCES\n')
      untouched(folder)
    }
    expect(bare(words(`${folder}/decoy`))).toMatch(/^OK made/)
  })

  it('a folder swapped while it is judged', async () => {
    requireLandlock()
    const folder = project(user)
    const result = await jailed(user, {
      argv: ['/bin/sh', '-c', `rmdir ${folder}/plain; exec ${ACT} swap-folder ${MS} ${folder} .mcp.json`],
      config: { filesystem: { allowedPaths: [folder], readOnlyPaths: [ACT] } }
    })
    expect(result.stdout).toMatch(/^E\w+\n$/)
    expect(existsSync(`${folder}/.mcp.json`)).toBe(false)
    const control = project(user)
    expect(bare([ACT, 'swap-folder', MS, control, '.mcp.json'])).toMatch(/^OK made/)
  })

  it('callers that die while they wait leave the next ones served', async () => {
    const result = await jailed(user, { argv: [ACT, 'die-asking', '60'] })
    expect(result.stdout).toBe('EACCES\n')
    expect(result.exit).toMatchObject({ code: 0, lostEvents: 0 })
    expect(refusals(result).at(-1)).toMatchObject({ syscall: expect.any(String) })
  })

  it('arguments that are unmapped while they are read', async () => {
    const result = await jailed(user, { argv: [ACT, 'unmap-asking', MS] })
    expect(result.stdout).toBe('EACCES\n')
    expect(result.exit.code).toBe(0)
  })

  it('a host that replaces a denied and a protected file again and again stops no launch', async () => {
    const folder = project(user)
    writeFileSync(`${folder}/denied`, 'secret', { mode: 0o644 })
    const replace = `
      import os
      while True:
        for name in ('denied', '.env'):
          with open('.new', 'w') as file: file.write('secret')
          os.rename('.new', name)`
    const host = spawn('python3', ['-c', replace.replace(/^ {6}/gm, '')], { cwd: folder, stdio: 'ignore' })
    try {
      await expect.poll(() => statSync(`${folder}/.env`).size, { timeout: 60_000 }).toBe('secret'.length)
      const config = { filesystem: { allowedPaths: [folder], deniedPaths: [`${folder}/denied`] } }
      for (let launch = 0; launch < LAUNCHES; launch++) {
        const result = await tryJailed(user, { config, argv: ['/bin/true'] })
        expect(result).toMatchObject({ exit: { code: 0 } })
      }
    } finally {
      host.kill('SIGKILL')
    }
  })
})
