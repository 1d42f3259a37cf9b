import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { QiError } from '../../src/errors.js'
import { buildPlan } from '../../src/plan/build.js'
import { PROFILES_DIR } from '../../src/policy/profiles.js'
import { BASE, fakeFs, PLAIN, resolveOn } from '../profile/fake.js'

/** What is wrong with a limit of a policy file, as `--policy` names it. */
function fault(resources: string, also = ''): QiError {
  const text = `sandbox:\n  default: p\n  profiles:\n    p:\n      resources:\n${resources
    .split('\n')
    .map((line) => `        ${line}\n`)
    .join('')}${also}`
  const strict = join(PROFILES_DIR, 'strict.yaml')
  const tree = { '/p.yaml': text, '/home/u/app/server.js': '', [strict]: readFileSync(strict, 'utf8') }
  const fs = fakeFs({ ...BASE, ...tree })
  const facts = { ...PLAIN, landlockAbi: 6 }
  try {
    const files = { policyFiles: '/p.yaml', systemPolicy: '/none' }
    const profile = resolveOn({ ...files, fs, facts, profile: undefined } as never)
    buildPlan(profile, facts, {
      compile: () => new Uint8Array(8),
      auditHead: '',
      control: false,
      auditFile: false
    })
  } catch (error) {
    return error as QiError
  }
  throw new Error('no fault')
}

it.each([
  [
    'memoryThreshold: 2MB\nmaxMemory: 1MB',
    'QI_LIMIT',
    '/p.yaml:6:26: sandbox.profiles.p.resources.memoryThreshold = 2000000: is not below /p.yaml:7:20: sandbox.profiles.p.resources.maxMemory = 1000000'
  ],
  ['memoryThreshold: 2MB', 'QI_LIMIT', '/p.yaml:6:26: sandbox.profiles.p.resources.memoryThreshold = 2000000: warns'],
  [
    'maxCpu: 1',
    'QI_LIMIT_UNSUPPORTED',
    '/p.yaml:6:17: sandbox.profiles.p.resources.maxCpu = 1: cannot be enforced here'
  ],
  ['maxMemory: 0', 'QI_LIMIT', '/p.yaml:6:20: sandbox.profiles.p.resources.maxMemory = 0']
])('%s is told at its place', (resources, code, message) => {
  const error = fault(resources)
  expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)])
})

it('so is a limit that is not held as the policy wants it', () => {
  const place = '/p.yaml:6:20: sandbox.profiles.p.resources.maxMemory'
  const error = fault('maxMemory: 1GB', '      tolerate: []\n')
  expect(error.code).toBe('QI_PROTECTION')
  expect(error.message).toContain(`${place}: memoryLimit is degraded on this host`)
})
