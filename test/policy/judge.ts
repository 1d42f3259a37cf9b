import type { Profile } from '../../src/profile/types.js'

/**
 * Who is right about two resolved profiles: not the code under test, but questions about a fixed set of paths, hosts and values.
 */

export const PATHS = ['/w', '/w/a', '/w/a/x', '/w/a/x/y', '/w/b', '/w/b/z', '/v', '/v/q']
export const HOSTS = ['a.example', 'b.example', 'x.a.example', 'corp.example']
export const PORTS = [80, 443, 8443]

/** 0 nothing, 1 read, 2 write. */
export function access({ grants, denies }: Profile, path: string): number {
  const within = (folder: string) => path === folder || path.startsWith(`${folder}/`)
  if (denies.some((deny) => deny.kind === 'read' && within(deny.path))) return 0
  const grant = grants.filter((g) => within(g.path)).sort((a, b) => b.path.length - a.path.length)[0]
  if (grant?.access !== 'rw') return grant ? 1 : 0
  return denies.some((deny) => within(deny.path)) ? 1 : 2
}

/** Every connection out of a fixed set that the rules let through. `local`: names of the host's own table. */
export function reach({ network }: Profile): Set<string> {
  const reached = new Set<string>()
  const { mode, rules } = network
  const isPrivate = (ip: string) => ip.startsWith('10.') || ip.startsWith('192.168.')
  const inNet = (ip: string, address: string, prefix: number): boolean => {
    const bits = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
    if (address.includes(':')) return false
    const block = ip.startsWith('10.') ? 8 : ip.startsWith('192.168.') ? 16 : 0
    const size = 2 ** (32 - prefix)
    return prefix >= block && Math.floor(bits(ip) / size) === Math.floor(bits(address) / size)
  }
  const targets = [
    ...HOSTS.map((name) => ({ name, ip: name === 'corp.example' ? '10.1.2.3' : '93.184.1.1' })),
    { name: 'y.example.org', ip: '93.184.1.2' },
    ...['10.1.2.3', '10.9.9.9', '192.168.1.7', '8.8.8.8'].map((ip) => ({ name: undefined, ip }))
  ]
  for (const { name, ip } of targets)
    for (const transport of ['tcp', 'udp'])
      for (const port of [...PORTS, 4433, 9]) {
        const label = `${transport} ${name ?? ip}:${port}`
        if (mode === 'dangerouslyShareHostNetwork') reached.add(label).add(`${label} uninspected`)
        const matching = (rules?.hosts ?? []).filter((rule) => {
          if (rule.transport !== transport || port < rule.low || port > rule.high) return false
          const { pattern } = rule
          if (pattern.kind === 'any') return !isPrivate(ip)
          if (pattern.kind === 'net') return inNet(ip, pattern.address, pattern.prefix)
          return pattern.kind === 'name' ? name === pattern.name : name?.endsWith(`.${pattern.name}`)
        })
        if (matching.some((rule) => rule.action === 'deny') || matching.length === 0) continue
        reached.add(label)
        if (!matching.some((rule) => rule.inspect)) reached.add(`${label} uninspected`)
      }
  const shares = mode === 'dangerouslyShareHostNetwork'
  for (const port of [5432, 6379])
    if (shares || rules?.loopback.some((r) => r.port === port)) reached.add(`loopback ${port}`)
  for (const port of [3000, 3001])
    if (shares || rules?.publish.some((r) => r.port === port)) reached.add(`publish ${port}`)
  if (shares) reached.add('host').add('inner')
  if (network.innerLoopback) reached.add('inner')
  return reached
}

/** What `after` has and `before` has not. */
export function widened(before: Profile, after: Profile): string[] {
  const out: string[] = []
  const probes = [
    ...PATHS.flatMap((path) => [path, `${path}/f`, `${path}/.env`, `${path}/.vscode`]),
    '/home/u',
    '/scratch',
    '/tmp'
  ]
  for (const path of probes)
    if (access(after, path) > access(before, path))
      out.push(`${path}: ${access(before, path)} -> ${access(after, path)}`)
  const had = reach(before)
  for (const target of reach(after)) if (!had.has(target)) out.push(target)
  const limits = [
    'maxFileSize',
    'maxMemory',
    'maxExecutionTime',
    'maxProcesses',
    'maxFileDescriptors',
    'tmpSize',
    'tmpFiles',
    'terminationGrace'
  ] as const
  for (const name of limits)
    if ((after.limits[name] ?? Number.POSITIVE_INFINITY) > (before.limits[name] ?? Number.POSITIVE_INFINITY))
      out.push(name)
  if (after.limits.executionClock === 'running' && before.limits.executionClock === 'wall') out.push('executionClock')
  if (after.limits.onProcessLimit === 'refuse' && before.limits.onProcessLimit === 'kill') out.push('onProcessLimit')
  if (after.limits.cgroup === 'off' && before.limits.cgroup === 'auto') out.push('cgroup')
  for (const key of ['readBytes', 'writeBytes'] as const)
    if (
      (after.limits.maxIo?.[key] ?? Number.POSITIVE_INFINITY) > (before.limits.maxIo?.[key] ?? Number.POSITIVE_INFINITY)
    )
      out.push(`maxIo.${key}`)
  if (
    (after.network.rules?.maxConnections ?? Number.POSITIVE_INFINITY) >
      (before.network.rules?.maxConnections ?? Number.POSITIVE_INFINITY) &&
    after.network.rules
  )
    out.push('maxConnections')
  const env = new Map(before.env)
  for (const [name, value] of after.env) if (env.get(name) !== value) out.push(`env ${name}`)
  if (after.devices.pty && !before.devices.pty) out.push('pty')
  for (const name of after.tolerate) if (!before.tolerate.includes(name)) out.push(`tolerate ${name}`)
  for (const name of after.off) if (!before.off.includes(name)) out.push(`off ${name}`)
  const recorded = ['off', 'denied', 'all']
  if (recorded.indexOf(after.audit.files) < recorded.indexOf(before.audit.files)) out.push('audit.files')
  if (after.audit.file !== before.audit.file) out.push('audit.file')
  if (after.tempDirectory !== before.tempDirectory) out.push('tempDirectory')
  return out
}
