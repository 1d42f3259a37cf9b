import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SandboxConfig } from '../../src/index.js'
import { requireHosts } from '../support/kernel.js'
import { skipUnless } from '../support/skip.js'
import { as, type User } from '../support/user.js'
import type { Result, World } from './world.js'

export type Network = NonNullable<SandboxConfig['network']>

/** What every client of the world may read, and the network rules. */
export function configOf(world: World, network: Network): SandboxConfig {
  const { PATH, HOME, ...passed } = world.env
  return {
    filesystem: {
      readOnlyPaths: [world.folder, '/etc/java-17-openjdk?', '/etc/java-11-openjdk?', '/etc/java-21-openjdk?']
    },
    env: Object.keys(passed),
    network
  }
}

export const allowing = (world: World, ...allowedHosts: string[]): SandboxConfig => configOf(world, { allowedHosts })

export interface Refusal {
  action: string
  [key: string]: unknown
}

export const refusals = (result: Result): Refusal[] =>
  result.events
    .filter((event) => event.event.action.endsWith('.refused'))
    .map((event) => ({ action: event.event.action, ...(event.context.parameters as object) }))

const runner = fileURLToPath(new URL('runner.mjs', import.meta.url))

/** A checkout below a private home is out of reach for anybody else. */
export function requireReach(user: User): void {
  requireHosts()
  const [file, args] = as(user, ['test', '-r', runner])
  skipUnless(spawnSync(file, args).status === 0, 'needs a plain user account')
}
