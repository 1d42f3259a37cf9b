import { SYSCALL_GROUPS } from '../filter/named-groups.js'
import { FIXED, isSyscall, NEEDED } from '../filter/refused.js'
import { SYSCALLS } from '../filter/syscalls.gen.js'
import { nearest } from './issues.js'

export type List = 'allow' | 'deny'
type Read = { calls: readonly string[] } | { reason: string; hint: string }

/** The calls that one entry of a list means, or what is wrong with it. */
export function readSyscall(written: string, list: List): Read {
  const group = Object.hasOwn(SYSCALL_GROUPS, written) ? SYSCALL_GROUPS[written] : undefined
  const calls = group?.calls ?? (isSyscall(written) ? [written] : undefined)
  if (!calls) return unknown(written)
  const never = (name: string) => (list === 'allow' ? FIXED.has(name) : NEEDED.has(name))
  const wrong = calls.find(never)
  if (wrong === undefined) return { calls }
  const why =
    list === 'allow'
      ? `can never be allowed: ${FIXED.get(wrong)}`
      : 'cannot be denied: no command starts or ends without it'
  if (!group) return { reason: why, hint: 'leave it out' }
  return { reason: `holds ${wrong}, which ${why}`, hint: 'leave it out' }
}

function unknown(written: string): Read {
  const groups = Object.keys(SYSCALL_GROUPS)
  const known = written.startsWith('@') ? groups : Object.keys(SYSCALLS)
  const near = nearest(written, known)
  const all = `write a call as its manual page does, or a group: ${groups.join(', ')}`
  return {
    reason: 'is no system call or group that qi-jail knows',
    hint: near ? `did you mean "${near}"?` : all
  }
}
