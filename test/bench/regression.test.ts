import { expect, test } from 'vitest'

const bench = (path: string) => import(new URL(`../../bench/${path}`, import.meta.url).href)
const { isGood, verdicts } = await bench('regression.mjs')
const { count } = await bench('syscalls.mjs')

const baseline = { start: { value: 1, tolerance: 0.1 } }
const verdictOf = (repeats: Record<string, number[]>) =>
  verdicts(baseline, repeats).map(({ row, verdict }: { row: string; verdict: string }) => [row, verdict])

test.each([
  ['as it was', [1, 1.01, 0.99], 'ok'],
  ['better', [0.5, 0.6, 0.5], 'ok'],
  ['worse in every repeat', [1.2, 1.25, 1.21], 'worse'],
  ['just within the tolerance', [1.1, 1.1, 1.1], 'ok'],
  ['just above it', [1.11, 1.11, 1.11], 'worse'],
  ['one repeat that the machine was busy in', [1.01, 9, 1.02], 'ok'],
  ['two of those, and one as ever', [1.01, 9, 8], 'ok'],
  ['two bad ones, and one that is above half the tolerance', [1.06, 1.3, 1.2], 'worse'],
  ['nothing measured', [], 'missing'],
  ['no number', [Number.NaN, Number.NaN], 'missing'],
  ['a repeat without a number beside two bad ones', [Number.NaN, 1.3, 1.2], 'worse']
])('%s: %s is %s', (_what, repeats, verdict) => {
  expect(verdictOf({ start: repeats })).toEqual([['start', verdict]])
  expect(isGood({ verdict })).toBe(verdict === 'ok')
})

test('a row that nobody measured any more fails, one that is new does not', () => {
  expect(verdictOf({ other: [3] })).toEqual([
    ['start', 'missing'],
    ['other', 'new']
  ])
  expect(verdicts({}, { other: [3] }).every(isGood)).toBe(true)
})

test('system calls count from qi-monitor to the exec of the payload, however they are interleaved', () => {
  const lines = [
    '1 read(0, "", 1) = 0',
    '1 execve("/here/bin/../build/Release/qi-monitor", ["qi-jail"], 0x0 /* 2 vars */ <unfinished ...>',
    '9 futex(0x0, FUTEX_WAIT) = 0',
    '1 <... execve resumed>) = 0',
    '1 clone3({...} <unfinished ...>',
    '2 prctl(PR_SET_NAME) = 0',
    '1 <... clone3 resumed>) = 2',
    '2 execve("/bin/true", ["/bin/true"], 0x0 /* 1 var */ <unfinished ...>',
    '1 close(3) = 0',
    '2 <... execve resumed>) = 0',
    '2 brk(NULL) = 0x0',
    '2 +++ exited with 0 +++'
  ]
  expect(count(lines)).toBe(6)
  expect(() => count(lines.slice(0, 1))).toThrow('saw no launch')
})
