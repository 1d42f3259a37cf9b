import { describe, expect, test } from 'vitest'
import { judgeSyscall } from '../../src/explain/syscalls.js'
import type { OciAction, OciProfile } from '../../src/filter/oci.js'
import { HOST, resolved } from './world.js'

const ALLOW: OciAction = { kind: 'allow' }
const EPERM: OciAction = { kind: 'errno', errno: 1 }
const IN_SOME_CASES = [{ arg: 0, op: 'EQ' as const, value: '1', masked: '0' }]

const imported = (name: string, part: Partial<OciProfile>): OciProfile => ({
  origin: `config: ${name}`,
  fallback: ALLOW,
  rules: [],
  ...part
})

const judged = (call: string, ...oci: OciProfile[]) => {
  const profile = resolved()
  return judgeSyscall({ ...profile, syscalls: { ...profile.syscalls, oci } }, HOST, call)
}

describe('what an imported profile says of a system call', () => {
  const deniesUname = imported('one', { rules: [{ name: 'uname', action: EPERM, args: [] }] })

  test('nothing: the built-in list answers', () => {
    expect(judged('getpid', deniesUname)).toMatchObject({ state: 'allowed', origin: 'built-in: processes' })
    expect(judged('uname')).toMatchObject({ state: 'allowed' })
  })

  test('that it is refused', () => {
    expect(judged('uname', deniesUname)).toMatchObject({ state: 'refused', origin: 'config: one', errno: 'EPERM' })
  })

  test('that it is not in its list', () => {
    const list = imported('two', { fallback: { kind: 'kill' }, rules: [{ name: 'read', action: ALLOW, args: [] }] })
    expect(judged('uname', list)).toMatchObject({ state: 'refused', origin: 'config: two', errno: 'killed' })
    expect(judged('read', list)).toMatchObject({ state: 'allowed' })
  })

  test('that it depends on the arguments', () => {
    const some = imported('three', { fallback: EPERM, rules: [{ name: 'uname', action: ALLOW, args: IN_SOME_CASES }] })
    expect(judged('uname', some)).toMatchObject({ state: 'depends', origin: 'config: three', errno: 'EPERM' })
  })

  test('the strictest of several counts, whatever their order', () => {
    const allows = imported('four', { rules: [{ name: 'uname', action: ALLOW, args: [] }] })
    for (const order of [
      [allows, deniesUname],
      [deniesUname, allows]
    ])
      expect(judged('uname', ...order)).toMatchObject({ state: 'refused', origin: 'config: one' })
  })

  test('its permission gives nothing that the built-in list refuses', () => {
    const allows = imported('five', { rules: [{ name: 'init_module', action: ALLOW, args: [] }] })
    expect(judged('init_module', allows)).toMatchObject({ state: 'refused' })
  })
})
