import { spawnSync } from 'node:child_process'
import { hintFor } from '../launch/failure.js'
import { loadAddon, monitorPath } from '../launch/locate.js'
import { STEPS } from '../launch/steps.gen.js'
import type { UserNamespaces } from './facts.js'

let known: UserNamespaces | undefined

/** By qi-monitor, since AppArmor decides by the program; once per process. */
export function probeUserNamespaces(): UserNamespaces {
  known ??= probe()
  return known
}

function probe(): UserNamespaces {
  const { stdout, error } = spawnSync(monitorPath(), ['--probe-namespaces'], {
    encoding: 'utf8',
    env: {},
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const [, step, errno, detail] = /^(\d+) (\d+) (.*)$/m.exec(stdout ?? '') ?? []
  // One that cannot be started, or dies of it, has nothing to say about namespaces: the launch will tell.
  if (error || step === undefined || step === '0') return { usable: true, reason: '' }
  const { name, what } = STEPS[Number(step)] ?? { name: `step ${step}`, what: 'make namespaces' }
  const answer = loadAddon().errnoName(Number(errno))
  const remedy = hintFor(answer, name)
  const reason = `could not ${what}: ${answer}${detail ? ` (${detail})` : ''}`
  return { usable: false, reason, ...(remedy ? { remedy } : {}) }
}
