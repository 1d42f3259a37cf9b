import {
  chmodSync,
  constants,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { own, users } from '../support/user.js'
import { placeOf, type Result, shell } from './cli.js'
import { installInto } from './package.js'

/** A kept plan is of the very files of ours that made it. */
describe.each(users)('a kept plan and its installation (%s)', (user) => {
  const place = placeOf(user)
  const at = (path: string) => join(place.home, path)

  /** In front of node on PATH: tells that it was started. `hook`: JavaScript that it runs first. */
  function useNode(hook = '', node = process.execPath): void {
    writeFileSync(at('hook.cjs'), hook)
    const flags = `--require '${at('hook.cjs')}'`
    const script = `echo start >>'${at('starts')}'\nexec '${node}' ${flags} "$@"`
    writeFileSync(at('bin/node'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }

  const install = (name: string) => {
    installInto(at(name), place.root)
    for (const one of [name, ...readdirSync(at(name), { recursive: true }).map((file) => `${name}/${file}`)])
      own(at(one), user)
  }

  beforeEach(async () => {
    for (const name of readdirSync(place.home)) rmSync(at(name), { recursive: true })
    mkdirSync(at('bin'))
    install('package')
    useNode()
  })

  interface Ran extends Result {
    /** How often Node was started: not at all from a kept plan. */
    starts: number
  }

  async function qi(command: string): Promise<Ran> {
    await new Promise((resolve) => setTimeout(resolve, 60)) // longer than what a change has to be ago
    writeFileSync(at('starts'), '')
    own(at('starts'), user)
    const result = await shell(place, `package/bin/qi-jail --no-policy -- ${command}`, {
      PATH: `${at('bin')}:/usr/bin:/bin`
    })
    return { ...result, starts: readFileSync(at('starts'), 'utf8').split('\n').length - 1 }
  }

  async function keep(): Promise<void> {
    for (const starts of [1, 0]) expect(await qi('/bin/true')).toMatchObject({ status: 0, stderr: '', starts })
  }

  /** Runs `act`, JavaScript in which `file` was just loaded, as often as Node loads one. */
  const onLoad = (act: string) => `const { load } = require('module').prototype
    require('module').prototype.load = function (file) {
      load.call(this, file)
      ${act}
    }`

  it('does not outlive an edit in place of any module that made it', async () => {
    const list = at('loaded')
    writeFileSync(list, '')
    own(list, user)
    useNode(onLoad(`require('fs').appendFileSync('${list}', file + '\\n')`))
    await qi('/bin/true')
    useNode()
    const ours = readFileSync(list, 'utf8')
      .split('\n')
      .filter((file) => file.startsWith(at('package')))
    expect(ours).toContain(at('package/dist/bundle/main.cjs'))
    for (const file of ours) {
      writeFileSync(file, readFileSync(file))
      await keep()
    }
  })

  it('does not outlive the Node that it would go back to', async () => {
    const node = at('node')
    copyFileSync(process.execPath, node, constants.COPYFILE_FICLONE)
    chmodSync(node, 0o755)
    useNode('', node)
    await keep()
    rmSync(node)
    useNode()
    await keep()
  })

  /** What happens to the package while the tool runs, which has loaded its code by then. */
  const UPGRADES: Record<string, string> = {
    'a module, in place': 'writeFileSync(main, readFileSync(main))',
    'a module, by another file': "copyFileSync(main, main + '.new'), renameSync(main + '.new', main)",
    'the bundle': "swap('dist/bundle')",
    'all that was compiled': "swap('dist')",
    'the launchers': "swap('prebuilds')",
    'the package': "swap('.')"
  }

  it.each(Object.entries(UPGRADES))('is none when another installation came meanwhile: %s', async (_, upgrade) => {
    cpSync(at('package'), at('newer'), { recursive: true })
    for (const one of readdirSync(at('newer'), { recursive: true })) own(at(`newer/${one}`), user)
    own(at('newer'), user)
    own(place.home, user)
    useNode(`const { copyFileSync, readFileSync, renameSync, writeFileSync } = require('fs')
      const main = '${at('package/dist/bundle/main.cjs')}'
      const swap = (name) => {
        const [ours, theirs] = ['${at('package')}', '${at('newer')}'].map((root) => require('path').join(root, name))
        renameSync(ours, '${at('older')}')
        renameSync(theirs, ours)
      }
      ${onLoad(`if (file.endsWith('.node')) ${upgrade}`)}`)
    expect(await qi('/bin/true')).toMatchObject({ status: 0, stderr: '', starts: 1 })
    useNode()
    await keep()
  })
})
