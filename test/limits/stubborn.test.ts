import { describe, expect, it } from 'vitest'
import { bystander, hog, parametersOf, type Step, type User, users } from './support.js'

const config = (more = {}) => ({ resources: { maxProcesses: 64, maxExecutionTime: 1500, ...more } })
const GUARD = ['--seconds', '200']

const STUBBORN: [name: string, words: string[]][] = [
  ['that ignores and holds back every signal, with its children', ['deaf', '5']],
  ['that stops itself, with its children', ['stopped', '5']],
  ['that has another name and cannot be read', ['deaf', '5', '--renamed']],
  ['that forks and ends without end', ['storm', '20', '--hold']],
  ['that spins on every core', ['spin', '8']]
]

describe.each(users)('time, launched by %s', (user: User) => {
  const { meanwhile } = bystander()

  it.each(STUBBORN)('is over for a payload %s', async (_, words) => {
    const result = await meanwhile(() =>
      hog(user, { hog: [...words, ...GUARD], config: config({ terminationGrace: 300 }) })
    )
    expect(result.exit).toMatchObject({ code: null, terminationReason: 'time' })
    expect(result.ms).toBeGreaterThan(1500)
    const [event, ...more] = parametersOf(result, 'limit.exceeded')
    expect(more).toEqual([])
    expect(event).toMatchObject({ limit: 'maxExecutionTime', limitValue: 1500, unit: 'ms', enforcedBy: 'timer' })
    expect(event?.value).toBeGreaterThanOrEqual(1500)
  })

  it('is over after a TERM and its grace, not before', async () => {
    const result = await hog(user, { hog: ['deaf', '0', ...GUARD], config: config({ terminationGrace: 1000 }) })
    expect(result.exit).toMatchObject({ signal: 'SIGKILL', terminationReason: 'time' })
    expect(result.ms).toBeGreaterThan(2500)
  })

  it('is over for one that is paused', async () => {
    const script: Step[] = [['line', 'reached 10'], ['pause']]
    const words = ['processes', '10', '--hold', ...GUARD]
    const result = await hog(user, { hog: words, config: config({ terminationGrace: 300 }), script })
    expect(result.exit).toMatchObject({ code: null, terminationReason: 'time' })
  })

  it('does not pass while it is paused, where running time is what counts', async () => {
    const script: Step[] = [['line', 'reached 10'], ['pause'], ['sleep', 3000], ['resume']]
    const words = ['processes', '10', '--seconds', '1', '--hold']
    const limited = config({ maxExecutionTime: 2500, executionClock: 'running' })
    const result = await hog(user, { hog: words, config: limited, script })
    expect(result.exit).toMatchObject({ code: 0, terminationReason: 'exit' })
    expect(result.ms).toBeGreaterThan(3000)
    const wall = await hog(user, { hog: words, config: config({ maxExecutionTime: 2500 }), script })
    expect(wall.exit.terminationReason).toBe('time')
  })

  it('is not over for one that ends in time', async () => {
    const result = await hog(user, { hog: ['processes', '5'], config: config({ maxExecutionTime: '200s' }) })
    expect(result.exit).toMatchObject({ code: 0, terminationReason: 'exit' })
    expect(parametersOf(result, 'limit.exceeded')).toEqual([])
  })

  it('a KILL ends what is stopped, deaf or paused', async () => {
    for (const [words, script] of [
      [
        ['deaf', '5'],
        [['line', 'ready'], ['kill']]
      ],
      [
        ['stopped', '5'],
        [['line', 'ready'], ['sleep', 100], ['kill']]
      ],
      [
        ['processes', '10', '--hold'],
        [['line', 'reached 10'], ['pause'], ['sleep', 100], ['kill']]
      ]
    ] as [string[], Step[]][]) {
      const result = await hog(user, { hog: [...words, ...GUARD], config: { resources: { maxProcesses: 64 } }, script })
      expect(result.exit).toMatchObject({ code: null, signal: 'SIGKILL', terminationReason: 'killed' })
    }
  })
})
