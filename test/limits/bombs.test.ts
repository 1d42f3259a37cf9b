import { describe, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import {
  bystander,
  hog,
  hogs,
  lastLine,
  NOT_OF_THE_JAIL,
  ofTheJail,
  parametersOf,
  reached,
  type User,
  users
} from './support.js'

const LIMIT = 64
const config = (more = {}) => ({ resources: { maxProcesses: LIMIT, ...more } })
/** Seconds after which hog gives up by itself, whatever happens. */
const GUARD = ['--seconds', '200']

const BOMBS: [name: string, words: string[], within: string[]][] = [
  ['processes', ['processes', '5000'], ['processes', '20']],
  ['threads', ['threads', '5000'], ['threads', '20']],
  ['daemons that were forked twice, in sessions of their own', ['daemons', '5000'], ['daemons', '20']],
  ['zombies that nobody waits for', ['zombies', '5000'], ['zombies', '20']]
]

describe.each(users)('too many processes, launched by %s', (user: User) => {
  const { meanwhile } = bystander()

  it.each(BOMBS)('%s end at the limit', async (_, words, within) => {
    const result = await meanwhile(() => hog(user, { hog: [...words, ...GUARD], config: config() }))
    expect(lastLine(result)).toMatch(/^EAGAIN \d+$/)
    expect(reached(result)).toBeLessThanOrEqual(LIMIT)
    if (ofTheJail(result)) expect(reached(result)).toBeGreaterThan(LIMIT - 5)
    expect(result.exit).toMatchObject({ code: 1, terminationReason: 'exit' })
    const control = await hog(user, { hog: [...within, ...GUARD], config: config() })
    expect(lastLine(control)).toBe('OK 20')
    expect(parametersOf(control, 'limit.exceeded')).toEqual([])
  })

  it('a fork bomb never has more than the limit, however often it tries', async () => {
    const words = ['bomb', '1000000', '--seconds', '18']
    const result = await meanwhile(() => hog(user, { hog: words, config: config() }))
    expect(lastLine(result)).toMatch(/^EAGAIN \d+$/)
    expect(reached(result)).toBeLessThanOrEqual(LIMIT)
    expect(Number(result.stdout.match(/^refused (\d+)$/m)?.[1])).toBeGreaterThan(LIMIT)
    const control = await hog(user, { hog: ['bomb', '20', ...GUARD], config: config() })
    expect(lastLine(control)).toMatch(/^OK 2\d$/)
  })

  it('whoever is at the limit is reported', async () => {
    const words = ['processes', '5000', '--hold', ...GUARD]
    const script = [['event', 'limit.exceeded'], ['kill']] as const
    const result = await meanwhile(() => hog(user, { hog: words, config: config(), script: [...script] as never }))
    skipUnless(ofTheJail(result), NOT_OF_THE_JAIL)
    const [event] = parametersOf(result, 'limit.exceeded')
    expect(event).toMatchObject({ limit: 'maxProcesses', limitValue: LIMIT, unit: 'processes' })
    expect(event?.enforcedBy).toBeOneOf(['pids.max', 'RLIMIT_NPROC'])
    expect(event?.value).toBeOneOf([LIMIT, LIMIT + 1])
    expect(result.exit.terminationReason).toBe('killed')
  })

  it('reaching the limit ends the jail where that was asked for', async () => {
    const words = ['processes', '5000', '--hold', ...GUARD]
    const result = await meanwhile(() => hog(user, { hog: words, config: config({ onProcessLimit: 'kill' }) }))
    skipUnless(ofTheJail(result), NOT_OF_THE_JAIL)
    expect(result.exit).toMatchObject({ code: null, signal: 'SIGKILL', terminationReason: 'pids' })
    expect(parametersOf(result, 'limit.exceeded')[0]).toMatchObject({ limit: 'maxProcesses', limitValue: LIMIT })
    const control = await hog(user, {
      hog: ['processes', '20', ...GUARD],
      config: config({ onProcessLimit: 'kill' })
    })
    expect(lastLine(control)).toBe('OK 20')
  })

  it('a storm of processes that fork and end does not outrun its end', async () => {
    const words = ['storm', '30', '--hold', ...GUARD]
    const script = [['line', 'OK'], ['sleep', 300], ['kill']]
    const result = await meanwhile(() => hog(user, { hog: words, config: config(), script: script as never }))
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
    const control = await hog(user, { hog: ['storm', '4', ...GUARD], config: config() })
    expect(control.exit.code).toBe(0)
  })

  it('a fork bomb is ended with all of it', async () => {
    const words = ['bomb', '1000000', '--seconds', '180']
    const script = [['sleep', 1500], ['kill']]
    const result = await meanwhile(() => hog(user, { hog: words, config: config(), script: script as never }))
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'killed' })
  })

  it('two jails of one user have a limit each', async () => {
    const words = ['processes', '40', '--hold', '--seconds', '8']
    const both = await hogs(user, [
      { hog: words, config: config() },
      { hog: words, config: config() }
    ])
    skipUnless(both.every(ofTheJail), NOT_OF_THE_JAIL)
    expect(both.map(lastLine)).toEqual(['OK 40', 'OK 40'])
  })
})
