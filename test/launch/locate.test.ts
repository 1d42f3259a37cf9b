import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { QiError } from '../../src/errors.js'
import { loadAddon, locate, monitorPath } from '../../src/launch/locate.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qi-locate-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (name: string) => ({ addon: join(folder, name), monitor: join(folder, 'qi-monitor') })

function failure(run: () => unknown): QiError {
  try {
    run()
  } catch (error) {
    return error as QiError
  }
  throw new Error('it did not throw')
}

it('loads the addon of this checkout and finds the qi-monitor beside it', () => {
  expect(loadAddon().errnoName(13)).toBe('EACCES')
  expect(monitorPath()).toMatch(/\/build\/Release\/qi-monitor$/)
})

it('names every place it tried and the remedy', () => {
  const error = failure(() => locate([at('a.node'), at('b.node')]))
  expect(error.code).toBe('QI_ADDON_MISSING')
  expect(error.message).toContain(`${folder}/a.node: does not exist`)
  expect(error.message).toContain(`${folder}/b.node: does not exist`)
  expect(error.hint).toContain('scripts/setup.sh')
})

it('takes an addon without its qi-monitor for missing', () => {
  writeFileSync(join(folder, 'a.node'), '')
  const error = failure(() => locate([at('a.node')]))
  expect(error.code).toBe('QI_ADDON_MISSING')
  expect(error.message).toContain(`${folder}/qi-monitor: does not exist`)
})

it('reports what the dynamic loader says, and that the files are foreign', () => {
  writeFileSync(join(folder, 'a.node'), 'MZ this is no ELF file')
  writeFileSync(join(folder, 'qi-monitor'), '')
  const error = failure(() => locate([at('a.node')]))
  expect(error.code).toBe('QI_ADDON_MISSING')
  expect(error.message).toMatch(/a\.node: .*(invalid ELF header|file too short)/)
  expect(error.hint).toContain('another platform')
})

it('refuses a qi-monitor that lost its run bit, with the command that gives it back', () => {
  const addon = join(monitorPath(), '..', 'qi_jail.node')
  const monitor = join(folder, 'qi-monitor')
  writeFileSync(monitor, '')
  chmodSync(monitor, 0o644)
  const error = failure(() => locate([{ addon, monitor }]))
  expect(error.code).toBe('QI_MONITOR_MODE')
  expect(error.message).toContain('0644')
  expect(error.hint).toBe(`run: chmod 0755 ${monitor}`)
})
