import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { inFolder, type Kept, list, remove } from '../cache/files.js'
import { keptFolder } from '../cache/folder.js'
import { QiError } from '../errors.js'
import { entryPath } from '../launch/locate.js'
import { cacheFolder } from '../profile/control.js'
import { join } from '../profile/fs.js'
import { withExamples } from './examples.js'
import { bytes as inBytes } from './human.js'
import { place } from './run.js'
import { usage, verb } from './subcommand.js'

/** `qi-jail cache clear|stats` */
const program = (): Command =>
  withExamples(
    new Command('qi-jail cache')
      .usage('clear|stats [--json]')
      .description('Plans of runs that were made before: the same run starts from one without Node.js.')
      .argument('<what>', 'clear: remove them all; stats: how many there are')
      .option('--json', 'as JSON'),
    [
      ['qi-jail cache stats', 'how many plans are kept, where, and the program that starts from them soonest'],
      ['qi-jail cache clear', 'every run is resolved anew']
    ]
  )

export const cache = verb(program, async (command, json) => {
  const [what = ''] = command.args
  if (what !== 'clear' && what !== 'stats') throw usage(command, `there is no ${JSON.stringify(what)}: clear or stats`)
  const { env, home } = place()
  const own = cacheFolder(env, home)
  const act = what === 'clear' ? clear : stats
  if (what === 'clear') clearCode(env, home)
  const folder = keptFolder(env, home, 'plans')
  const found = folder === undefined ? undefined : inFolder(folder, (opened) => act(own, list(opened), opened))
  const answer = found ?? act(own, [])
  return json ? `${JSON.stringify(answer.record)}\n` : `${answer.text}\n`
})

/** Of our own (src/cache/code.ts), which the next run compiles again. */
function clearCode(env: NodeJS.ProcessEnv, home: string): void {
  const folder = keptFolder(env, home, 'code')
  if (folder === undefined) return
  inFolder(folder, (opened) => {
    for (const { name } of list(opened)) remove(join(opened, name))
  })
}

interface Answer {
  text: string
  record: object
}

function clear(own: string, kept: Kept[], opened = own): Answer {
  const isLeft = (file: string) => !remove(file) && existsSync(file) // or somebody else was first
  const left = kept.find(({ name }) => isLeft(join(opened, name)))
  if (left !== undefined) {
    const [path, hint] = [join(own, 'plans', left.name), 'remove it yourself']
    throw new QiError('QI_OUTPUT', `cannot remove ${path}`, { path, hint })
  }
  const { length } = kept.filter(({ whole }) => whole)
  return { text: `${plans(length)} removed`, record: { removed: length } }
}

function stats(folder: string, all: Kept[]): Answer {
  const kept = all.filter(({ whole }) => whole)
  const size = kept.reduce((sum, one) => sum + one.bytes, 0)
  const program = programHere()
  const by = program === undefined ? '' : `\nstarted from without a shell by ${program}`
  return {
    text: `${plans(kept.length)} in ${folder}${kept.length > 0 ? `, ${inBytes(size)}` : ''}${by}`,
    record: { folder, plans: kept.length, bytes: size, program: program ?? null }
  }
}

/** None without a build for this machine, which is for a run to tell. */
function programHere(): string | undefined {
  try {
    return entryPath()
  } catch {
    return undefined
  }
}

const plans = (count: number): string => (count === 1 ? '1 plan' : `${count} plans`)
