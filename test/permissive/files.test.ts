// Permissive on files: the host may be read, but for secrets and what is denied; nothing more may be written or reached.
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import { bare, give, isRoot, jailed, PLAIN_ID, scratch, tryJailed, type User, users } from '../escape/support.js'
import { skipUnless } from '../support/skip.js'

const sh = (script: string) => ['/bin/sh', '-c', script]

describe.each(users)('launched by %s', (user: User) => {
  let home: string
  let open: string
  const make = (path: string, content: string, mode = 0o644): void => {
    writeFileSync(path, content)
    chmodSync(path, mode)
    give(path, user)
  }
  beforeAll(() => {
    home = scratch(user)
    open = scratch(user)
    for (const name of ['.ssh', '.aws', 'project', 'private']) {
      mkdirSync(`${home}/${name}`, 0o755)
      give(`${home}/${name}`, user)
    }
    make(`${home}/.ssh/id_test`, 'the-key\n')
    make(`${home}/.aws/credentials`, 'the-cloud\n')
    make(`${home}/private/note`, 'the-note\n')
    make(`${open}/readme`, 'the-text\n')
    make(`${open}/owners`, 'the-owners\n', 0o600)
    symlinkSync(`${home}/.ssh`, `${open}/way-in`)
    execFileSync('mkfifo', ['-m', '666', `${open}/fifo`])
    give(`${open}/fifo`, user)
  })
  const run = (script: string, config: SandboxConfig = {}, mode: 'strict' | 'permissive' = 'permissive') =>
    jailed(user, { config: { ...config, enforcement: mode }, argv: sh(script), env: { HOME: home } })

  it('what its user may read may be read, and strict would not have shown it', async () => {
    expect((await run(`cat ${open}/readme`)).stdout).toBe('the-text\n')
    expect((await run(`ls ${open}/.. >/dev/null && cat ${open}/readme`, {}, 'strict')).stdout).toBe('')
  })

  it('nothing more may be written', async () => {
    const acts = `echo x > ${open}/readme; echo x > ${open}/new; mkdir ${open}/dir; rm ${open}/readme; ln ${open}/readme ${open}/link`
    const { stderr } = await run(acts)
    expect(stderr.match(/Read-only file system|Permission denied/g)?.length).toBeGreaterThanOrEqual(5)
    expect(bare(['ls', '-A', open])).toBe('fifo\nowners\nreadme\nway-in')
    const granted = await run(`echo x > ${home}/project/new && cat ${home}/project/new`, {
      filesystem: { allowedPaths: [`${home}/project`] }
    })
    expect(granted.stdout).toBe('x\n')
  })

  it('folders of secrets are hidden, by every way there', async () => {
    const ways = [
      `${home}/.ssh/id_test`,
      `${home}/.aws/credentials`,
      `${open}/way-in/id_test`,
      `${home}/project/../.ssh/id_test`,
      `/proc/self/root${home}/.ssh/id_test`,
      `/proc/self/cwd${home}/.ssh/id_test`
    ]
    for (const way of ways) expect([way, (await run(`cat ${way}`)).stdout]).toEqual([way, ''])
    expect(bare(['cat', `${home}/.ssh/id_test`], { as: user })).toBe('the-key')
    // Granted by name, as in strict, it is shown.
    const granted = await run(`cat ${home}/.ssh/id_test; cat ${home}/.aws/credentials`, {
      filesystem: { readOnlyPaths: [`${home}/.ssh/id_test`] }
    })
    expect(granted.stdout).toBe('the-key\n')
  })

  it('what the policy denies stays hidden', async () => {
    expect((await run(`cat ${home}/private/note`)).stdout).toBe('the-note\n')
    const { stdout } = await run(`cat ${home}/private/note ${open}/readme`, {
      filesystem: { deniedPaths: [`${home}/private`] }
    })
    expect(stdout).toBe('the-text\n')
    expect((await run(`ls ${open}`, { filesystem: { deniedPaths: ['/var'] } })).stdout).toBe('')
  })

  it('a FIFO of the host cannot be written, although it lies on a read-only mount', async () => {
    const reader = spawn('timeout', ['20', 'cat', `${open}/fifo`], { stdio: ['ignore', 'pipe', 'inherit'] })
    let read = ''
    reader.stdout.on('data', (chunk) => (read += chunk))
    const closed = new Promise((resolve) => reader.once('close', resolve))
    const { stderr } = await run(`echo from-jail > ${open}/fifo`)
    expect(stderr).toContain('Permission denied')
    writeFileSync(`${open}/fifo`, 'from-host\n')
    await closed
    expect(read).toBe('from-host\n')
  })

  it('sockets of the host cannot be connected to', async () => {
    const path = `${open}/../${open.split('/').at(-1)}/sock`
    const server = `import socket,sys,os; s=socket.socket(socket.AF_UNIX); s.bind('${path}'); os.chmod('${path}',0o777); s.listen(9); print('up',flush=True); sys.stdin.read()`
    skipUnless(bare(['python3', '-c', 'print(1)']) === '1', 'needs python3')
    const child = spawn('python3', ['-c', server], { stdio: ['pipe', 'pipe', 'inherit'] })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    try {
      const client = `python3 -c "import socket; socket.socket(socket.AF_UNIX).connect('${path}'); print('in')"`
      expect(bare(sh(client))).toBe('in')
      const result = await run(client)
      expect([result.stdout, result.stderr.includes('PermissionError')]).toEqual(['', true])
      expect(result.events.filter(({ event }) => event.outcome === 'blocked').length).toBeGreaterThan(0)
    } finally {
      child.stdin.end()
    }
  })

  it('the jail keeps what is its own', async () => {
    const { stdout } = await run(
      'id -un; cat /etc/hostname /etc/resolv.conf; ls /dev | wc -l; ls /proc | grep -c "^[0-9]"; ls -A /tmp'
    )
    const [name, host, resolver] = stdout.split('\n')
    expect([name, host, resolver]).toEqual(['jail', 'qi-jail', 'nameserver 127.0.0.1'])
    expect(Number(stdout.split('\n').at(-2))).toBeLessThan(6)
    expect((await run('ls /sys')).stdout).toBe('')
  })

  it('root’s jail reads what everybody may, not what root may', async () => {
    const { stdout, exit } = await run(`cat ${open}/owners`)
    const shown = isRoot && user === 'root' ? '' : 'the-owners\n'
    expect([stdout, exit.code === 0]).toEqual([shown, shown !== ''])
  })

  it('what else is mounted of the same files is hidden with them', async () => {
    skipUnless(isRoot, 'needs root to mount')
    // In a mount namespace of its own, with the home seen a second time.
    const cli = new URL('../../bin/qi-jail', import.meta.url).pathname
    const drop = user === 'plain' ? `setpriv --reuid=${PLAIN_ID} --regid=${PLAIN_ID} --clear-groups ` : ''
    const inside = `cat ${open}/home/private/note; cat ${open}/home/.ssh/id_test`
    const script = `mkdir -p ${open}/home && mount --bind ${home} ${open}/home && cat ${open}/home/.ssh/id_test &&
      HOME=${home} ${drop}${process.execPath} ${cli} -q --permissive -- /bin/sh -c '${inside}'`
    const out = bare(['unshare', '--mount', '--propagation', 'private', ...sh(script)])
    expect(out).toContain('the-key\nthe-note')
    expect(out.match(/the-key/g)?.length).toBe(1)
    expect(out).toContain('Permission denied')
  })

  it('a kernel without Landlock has no permissive', async () => {
    const { probeHost } = await import('../../src/host/probe.js')
    const { buildPlan } = await import('../../src/plan/index.js')
    const { resolve } = await import('../../src/profile/index.js')
    const facts = { ...probeHost(), landlockAbi: 0 }
    const of = (enforcement: 'strict' | 'permissive') => {
      const tolerate = ['landlockFs', 'landlockNet', 'landlockScope', 'mandatoryDenies'] as const
      const config = { enforcement, tolerate: [...tolerate] }
      const profile = resolve({ config, argv: ['/bin/true'], env: {}, cwd: open, home }, facts)
      const options = { compile: () => new Uint8Array(8), auditHead: '', control: true, auditFile: false }
      return () => buildPlan(profile, facts, options)
    }
    expect(of('permissive')).toThrow(/shows the host’s files, and this kernel has no Landlock/)
    expect(of('strict')).not.toThrow()
  })

  it('a launch that cannot be made says so', async () => {
    const { error } = await tryJailed(user, { config: { enforcement: 'loose' } as never, argv: ['/bin/true'] })
    expect(error).toMatchObject({ code: 'QI_CONFIG' })
  })
})
