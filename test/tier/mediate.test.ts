import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { requireLandlock } from '../support/kernel.js'
import { HOWS, Site } from './support.js'

const ID = 61247
let site: Site
beforeEach(() => {
  requireLandlock()
  site = new Site(ID)
  site.dir('project/sub')
  for (const name of ['open', 'sub/open']) site.file(`project/${name}`, 'open\n')
  for (const name of ['key.pem', 'sub/key.pem']) site.file(`project/${name}`, 'secret\n')
})
afterEach(() => site.remove())

const SCRIPT = `
for f in open sub/open key.pem sub/key.pem sub/../key.pem /proc/self/cwd/key.pem; do cat $f 2>/dev/null || echo "no $f"; done
for act in 'echo x > new.pem' 'mv sub/key.pem free' 'ln key.pem free' 'rm key.pem' 'mv open a.pem' 'chmod 777 key.pem' 'ln -s open a.pem'; do
  (eval "$act") 2>/dev/null && echo "did $act"; done
echo more >> open && cat open && mv sub moved && cat moved/open && echo x > .env || echo protected`

it.each(HOWS)('names denied by pattern, where user namespaces are taken away by %s', async (how) => {
  const flags = ['--profile', 'dev', '--rw', '.', '--deny', '**/*.pem', '--audit', '~/audit.jsonl']
  const result = await site.run(how, [...flags, '--mediate', '--', 'sh', '-c', SCRIPT])
  expect(result.stderr).not.toMatch(/QI_/)
  expect(result.stdout).toBe(
    'open\nopen\nno key.pem\nno sub/key.pem\nno sub/../key.pem\nno /proc/self/cwd/key.pem\nopen\nmore\nopen\nprotected\n'
  )
  expect(readFileSync(join(site.project, 'key.pem'), 'utf8')).toBe('secret\n')
  const refused = site.audit().filter(({ event }) => event.action === 'filesystem.refused')
  expect(refused.map(({ context }) => context.parameters?.path)).toContain(join(site.project, 'key.pem'))
  const unmediated = await site.run(how, [...flags, '--', 'true'])
  expect(unmediated.stderr).toContain('QI_GLOB')
  const control = await site.run(how, [...flags.filter((word) => !/deny|pem/.test(word)), '--', 'cat', 'key.pem'])
  expect(control.stdout).toBe('secret\n')
})
