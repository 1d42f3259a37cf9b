import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { probeHost } from '../../src/host/probe.js'
import { prepare } from '../../src/launch/prepare.js'

const root = realpathSync(mkdtempSync('/var/tmp/qi-prepare-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Older than what prepare takes for settled. */
const settle = () => delay(60)

function launch(folder: string) {
  const request = {
    config: {},
    argv: ['node', `${folder}/sub/server.js`],
    env: process.env,
    cwd: '/',
    home: '/nonexistent'
  }
  const { profile } = prepare(request, probeHost(), {})
  return { profile, grants: profile.grants.map((g) => g.path).filter((path) => path.startsWith(root)) }
}

it.each(['a file', 'a link'])('a kept plan is made anew when what it was read from changes: %s', async (kind) => {
  const folder = mkdtempSync(`${root}/p-`)
  mkdirSync(`${folder}/sub`)
  mkdirSync(`${folder}/elsewhere`)
  writeFileSync(`${folder}/package.json`, '{"name":"outer"}')
  writeFileSync(`${folder}/sub/server.js`, '')
  const real = kind === 'a link' ? `${folder}/elsewhere/package.json` : `${folder}/sub/package.json`
  writeFileSync(real, '{}')
  if (kind === 'a link') symlinkSync(real, `${folder}/sub/package.json`)
  await settle()
  expect(launch(folder).grants).toEqual([folder]) // its own has no name
  let kept = false
  for (let tries = 0; tries < 50 && !kept; tries++) {
    await settle() // a folder above ours may have changed meanwhile
    const { profile } = launch(folder)
    kept = launch(folder).profile === profile
  }
  expect(kept).toBe(true)
  writeFileSync(real, '{"name":"inner"}')
  await settle()
  expect(launch(folder).grants).toEqual([`${folder}/sub`])
})
