/** `syscalls.allow` and `syscalls.deny` of a policy, over the table. Deny wins, in whatever order they were written. */
import { EPERM, type Group, refuse } from './group.js'
import { FIXED, isOpen } from './refused.js'

export interface SyscallChoices {
  /** Names; also what no imported profile narrows. */
  allow: readonly string[]
  /** With the rule that the event of a refusal names. */
  deny: readonly { name: string; origin: string }[]
}

/** The groups of the table as they are with these choices: still every call in exactly one. */
export function withChoices(groups: Group[], { allow, deny }: SyscallChoices): Group[] {
  const denied = new Map(deny.map(({ name, origin }) => [name, origin]))
  const opened = new Set(allow)
  const moved: Group[] = []
  const kept = groups.map((group) => {
    const calls = Object.entries(group.calls).filter(([name]) => {
      // What is refused anyway keeps its answer: libraries fall back on ENOSYS alone.
      if (denied.has(name) && !FIXED.has(name)) moved.push(deniedCall(name, denied.get(name) as string))
      else if (opened.has(name) && isOpen(name, group)) moved.push(openedCall(name))
      else return true
      return false
    })
    return { ...group, calls: Object.fromEntries(calls) }
  })
  return [...kept, ...moved]
}

const deniedCall = (name: string, origin: string): Group => ({
  name: origin,
  reason: 'The policy denies it.',
  calls: { [name]: [] },
  otherwise: refuse(EPERM)
})

const openedCall = (name: string): Group => ({
  name: 'syscalls.allow',
  reason: 'The policy allows it.',
  calls: { [name]: [[]] }
})
