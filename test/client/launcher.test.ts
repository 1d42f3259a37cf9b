import { realpathSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { launcherFor } from '../../src/client/launcher.js'
import type { Place } from '../../src/client/places.js'
import { monitorPath } from '../../src/launch/locate.js'
import { desk, scratch } from './support.js'

const OWN = realpathSync(fileURLToPath(new URL('../../bin/qi-jail', import.meta.url)))
const FULL = [process.execPath, OWN]
const ENTRY = join(dirname(monitorPath()), 'qi-jail')

test('a client starts us by name, by our path, or by node, as its PATH has it', () => {
  const path = scratch()
  const launcher = () => launcherFor({ scope: 'project' } as Place, { PATH: `relative:/nowhere:${path}` })
  expect(launcher()).toEqual({ full: FULL })
  symlinkSync('/bin/true', join(path, 'node'))
  expect(launcher()).toEqual({ full: FULL }) // another program than the Node that runs us
  const found = scratch()
  symlinkSync(process.execPath, join(found, 'node'))
  const withNode = () => launcherFor({ scope: 'project' } as Place, { PATH: found })
  expect(withNode()).toEqual({ byPath: [ENTRY], full: FULL })
  symlinkSync(OWN, join(found, 'qi-jail'))
  expect(withNode()).toEqual({ byPath: ['qi-jail'], full: FULL })
})

test.each([
  ['qi-jail', true],
  [OWN, true],
  [ENTRY, true],
  ['node', true],
  [process.execPath, false]
])('a PATH of the server decides about %s: %s', (command, decides) => {
  const words = /node$/.test(command) ? [OWN, '--', 'srv'] : ['--', 'srv']
  const it = desk(JSON.stringify({ mcpServers: { a: { command, args: words, env: { PATH: '/tmp/x' } } } }))
  const [change] = it.act('wrap')
  expect(change?.notes?.some((note) => note.includes('its variable PATH'))).toBe(decides)
})
