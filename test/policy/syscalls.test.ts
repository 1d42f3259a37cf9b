import { describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import { FIXED, NEEDED } from '../../src/filter/refused.js'
import { parseConfig } from '../../src/policy/config.js'
import { mergeLayers } from '../../src/policy/merge.js'
import { loadOci } from '../../src/policy/oci-file.js'
import { loadProfile } from '../../src/policy/profiles.js'
import { fakeFs } from '../profile/fake.js'

const thrown = (run: () => unknown): QiError => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(QiError)
    return error as QiError
  }
  throw new Error('nothing was thrown')
}

describe('syscalls.allow and syscalls.deny', () => {
  const parse = (syscalls: object) => parseConfig({ syscalls } as Parameters<typeof parseConfig>[0])

  it('take names and groups', () => {
    expect(parse({ allow: ['ptrace', '@debug'], deny: ['@network', 'kill'] }).syscalls).toBeDefined()
  })

  it.each([...FIXED])('%s can never be allowed: %s', (name, reason) => {
    const error = thrown(() => parse({ allow: [name] }))
    expect(error.code).toBe('QI_SYSCALLS')
    expect(error.message).toContain(`config: syscalls.allow[0] = "${name}": can never be allowed: ${reason}`)
    expect(parse({ deny: [name] }).syscalls?.deny).toEqual([name])
  })

  it.each([...NEEDED])('%s cannot be denied', (name) => {
    const error = thrown(() => parse({ deny: ['kill', name] }))
    expect(error).toMatchObject({ code: 'QI_SYSCALLS', field: 'syscalls.deny[1]', value: name })
    expect(parse({ allow: [name] }).syscalls?.allow).toEqual([name])
  })

  it.each([
    ['ptrase', 'did you mean "ptrace"?'],
    ['@netwrok', 'did you mean "@network"?'],
    ['@nothing-like-it-at-all', 'groups'],
    ['Open', 'did you mean "open"?'],
    ['__proto__', 'manual page'],
    ['x'.repeat(100_000), 'manual page'],
    ['', 'manual page']
  ])('%.30s is unknown', (name, hint) => {
    for (const list of ['allow', 'deny']) {
      const error = thrown(() => parse({ [list]: [name] }))
      expect(error.code).toBe('QI_SYSCALLS')
      if (hint !== 'groups') expect(error.hint).toContain(hint)
    }
  })

  it('a group that can never be allowed says which call and why', () => {
    const error = thrown(() => parse({ allow: ['@keyring'] }))
    expect(error.message).toContain('holds add_key, which can never be allowed: kernel keyrings')
  })

  it('point at the line of a profile file', () => {
    const text = 'name: x\npurpose: x\nsyscalls:\n  allow:\n    - ptrace\n    - bpf\n'
    const error = thrown(() => loadProfile('/p/x.yaml', { fs: fakeFs({ '/p/x.yaml': text }) }))
    expect(error.message).toContain('/p/x.yaml:6:7: syscalls.allow[1] = "bpf": can never be allowed: it loads programs')
  })

  it('add up over layers, spelled out, each with its origin', () => {
    const { syscalls } = mergeLayers([
      { origin: 'one', config: { syscalls: { allow: ['@debug'], oci: '/a' } } },
      { origin: 'two', config: { syscalls: { deny: ['ptrace'], allow: ['fanotify_init'], oci: '/b' } } }
    ])
    expect(syscalls.allow).toContainEqual({
      value: 'kcmp',
      field: 'syscalls.allow[0]',
      origin: 'one: syscalls.allow[0]'
    })
    expect(syscalls.allow.at(-1)?.value).toBe('fanotify_init')
    expect(syscalls.deny).toEqual([{ value: 'ptrace', field: 'syscalls.deny[0]', origin: 'two: syscalls.deny[0]' }])
    expect(syscalls.oci.map(({ value, origin }) => [value, origin])).toEqual([
      ['/a', 'one: syscalls.oci'],
      ['/b', 'two: syscalls.oci']
    ])
  })
})

describe('a project’s file', () => {
  const merge = (config: object, below: object = {}) =>
    mergeLayers([
      { origin: 'user', config: below },
      { origin: 'project', config, narrows: true }
    ])

  it.each([[{ enforcement: 'permissive' }], [{ syscalls: { allow: ['ptrace'] } }]])('cannot widen by %j', (config) => {
    expect(thrown(() => merge(config))).toMatchObject({ code: 'QI_POLICY_WIDENS' })
  })

  it('may deny, narrow by a profile, and be stricter', () => {
    const policy = merge(
      { enforcement: 'strict', syscalls: { deny: ['kill'], oci: '/x' } },
      { enforcement: 'permissive' }
    )
    expect([policy.enforcement, policy.syscalls.deny.length, policy.syscalls.oci.length]).toEqual(['strict', 1, 1])
  })
})

describe('syscalls.oci', () => {
  const written = { value: './p.json', field: 'syscalls.oci', origin: 'config: syscalls.oci' }
  const load = (text: string | undefined, allow: string[] = []) =>
    loadOci(written, '/p.json', allow, fakeFs(text === undefined ? {} : { '/p.json': text }), {
      arch: 'x64',
      kernel: '6.1.0'
    })
  const rule = (more: string) =>
    `{"defaultAction": "SCMP_ACT_ALLOW",\n\t"syscalls": [\n\t\t{"names": ["kill"], ${more}}]}`
  const errno = (args: string) => rule(`"action": "SCMP_ACT_ERRNO", "args": [${args}]`)

  it('refuses what comes to too many rules before it makes them', () => {
    const compare = '{"index":0,"value":1,"op":"SCMP_CMP_NE"}'
    const product = (count: number) => {
      const [names, args] = [Array(count).fill('"kill"').join(), Array(count).fill(compare).join()]
      return `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[${names}],"action":"SCMP_ACT_KILL","args":[${args}]}]}`
    }
    expect(() => load(product(600))).toThrow('syscalls[0]: comes to more than 65536 rules')
    expect(load(product(20)).rules.filter(({ name }) => name === 'kill')).toHaveLength(400)
  })

  it('reads numbers of 64 bits whole', () => {
    const { rules } = load(errno('{"index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_EQ"}'))
    expect(rules[0]?.args).toEqual([{ arg: 1, op: 'EQ', value: '0xffffffffffffffff', masked: '0x0' }])
  })

  it.each([
    ['no file', undefined, 'config: syscalls.oci = "./p.json": /p.json cannot be read'],
    ['no JSON', '{"defaultAction": }', '/p.json: '],
    ['YAML', 'defaultAction: SCMP_ACT_ALLOW', '/p.json: '],
    ['a key twice', '{"defaultAction": "SCMP_ACT_ALLOW",\n "defaultAction": "SCMP_ACT_LOG"}', '/p.json:2:2: Map keys'],
    ['a trap', rule('"action": "SCMP_ACT_TRAP"'), '/p.json:3:33: syscalls[0].action = "SCMP_ACT_TRAP": a signal'],
    ['a tracer', rule('"action": "SCMP_ACT_TRACE"'), 'syscalls[0].action = "SCMP_ACT_TRACE": there is no tracer'],
    ['a listener', rule('"action": "SCMP_ACT_NOTIFY"'), 'syscalls[0].action = "SCMP_ACT_NOTIFY": qi-monitor'],
    ['a default trap', '{"defaultAction": "SCMP_ACT_TRAP"}', '/p.json:1:19: defaultAction = "SCMP_ACT_TRAP"'],
    ['no action', rule('"comment": "x"'), '/p.json:3:3: syscalls[0].action: '],
    ['an unknown action', rule('"action": "ALLOW"'), 'is no action: SCMP_ACT_ALLOW'],
    [
      'an unknown operator',
      errno('{"index": 0, "value": 1, "op": "EQ"}'),
      'syscalls[0].args[0].op = "EQ": is no comparison'
    ],
    ['a seventh argument', errno('{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}'), 'args[0].index = 6: is no argument'],
    ['a negative value', errno('{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}'), 'value = -1: does not fit into 64'],
    ['65 bits', errno('{"index": 0, "value": 18446744073709551616, "op": "SCMP_CMP_EQ"}'), 'does not fit into 64'],
    ['a fraction', errno('{"index": 0, "value": 1.5, "op": "SCMP_CMP_EQ"}'), 'args[0].value: is no whole number'],
    [
      'a mask too small',
      errno('{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}'),
      'valueTwo = 2: has bits outside'
    ],
    ['errno 0', rule('"action": "SCMP_ACT_ERRNO", "errnoRet": 0'), 'errnoRet = 0: is no errno'],
    ['errno too large', rule('"action": "SCMP_ACT_ERRNO", "errnoRet": 4096'), 'errnoRet = 4096: is no errno'],
    ['an unknown errno', rule('"action": "SCMP_ACT_ERRNO", "errno": "EWHAT"'), 'errno = "EWHAT": is no errno'],
    ['two errnos', rule('"action": "SCMP_ACT_ERRNO", "errno": "EIO", "errnoRet": 1'), 'errnoRet and errno differ'],
    ['a flag', '{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}', 'flags[0] = '],
    [
      'a listener path',
      '{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}',
      'listenerPath = "/x": is a key that'
    ],
    [
      'an unknown filter',
      rule('"action": "SCMP_ACT_ALLOW", "includes": {"user": "x"}'),
      'includes.user = "x": is a key'
    ],
    [
      'a kernel',
      rule('"action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}'),
      'minKernel = "new": is no kernel'
    ],
    [
      'another machine',
      '{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_MIPS"]}',
      'architectures: is not for'
    ],
    [
      'neither name',
      '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG"}]}',
      'needs either names'
    ],
    ['no rules', '{"defaultAction": "SCMP_ACT_ERRNO"}', 'does not let execve pass whatever its arguments'],
    [
      'a launch refused',
      '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "close", "action": "SCMP_ACT_KILL"}]}',
      'does not let close pass'
    ],
    [
      'a launch in part',
      '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "sendmsg", "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}]}]}',
      'does not let sendmsg pass'
    ],
    ['too large', ' '.repeat((1 << 20) + 1), 'or is larger than 1 MiB'],
    ['a wrong type', '[]', '/p.json:1:1: '],
    ['deep nesting', `${'['.repeat(5000)}${']'.repeat(5000)}`, '/p.json']
  ])('%s is refused where it stands', (_, text, message) => {
    const error = thrown(() => load(text))
    expect(error).toMatchObject({ code: 'QI_SYSCALLS', field: 'syscalls.oci', path: '/p.json' })
    expect(error.message).toContain(message)
  })

  it('what the launch needs may be lifted by name', () => {
    const refused = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "close", "action": "SCMP_ACT_KILL"}]}'
    expect(load(refused, ['close']).rules).toContainEqual({ name: 'close', action: { kind: 'allow' }, args: [] })
  })
})
