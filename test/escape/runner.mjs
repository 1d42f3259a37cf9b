// Launches jails for the escape suite as the user it was started as, one JSON line a request and a result. One process for
// many acts: loading the package takes longer than the jail.
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { auditHead } from '../../dist/event/head.js'
import { SYSCALLS } from '../../dist/filter/syscalls.gen.js'
import { probeHost } from '../../dist/host/probe.js'
import { spawnSandboxed } from '../../dist/index.js'
import { Jail } from '../../dist/launch/jail.js'
import { loadAddon, monitorPath } from '../../dist/launch/locate.js'
import { buildPlan, encodePlan } from '../../dist/plan/index.js'
import { resolve } from '../../dist/profile/index.js'

const collect = async (stream) => {
  const chunks = []
  if (stream) for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** The filter with some calls let through, as if it had never heard of them. */
const lettingThrough = (names) => (spec) => {
  const numbers = names.map((name) => SYSCALLS[name][spec.arch])
  const rules = spec.rules.filter((rule) => !numbers.includes(rule.number))
  const allowed = numbers.map((number) => ({ number, action: { kind: 'allow' }, args: [] }))
  return loadAddon().compileFilter({
    ...spec,
    rules: spec.fallback.kind === 'notify' ? [...rules, ...allowed] : spec.rules
  })
}

/** As spawnSandboxed, with layers left out, to see what the others do on their own. */
async function spawnWithout({ calls, landlock }, config, argv, { stdio, cwd = '/' }) {
  const profile = resolve({ config, argv, env: process.env, cwd, home: process.env.HOME }, probeHost())
  const head = auditHead({ sessionId: '00000000-0000-4000-8000-000000000000', userId: '0' })
  const options = { compile: lettingThrough(calls), auditHead: head, control: true, auditFile: false }
  const { plan, protections } = buildPlan(profile, probeHost(), options)
  const none = { landlockFs: 0n, landlockNet: 0n, landlockScope: 0n, landlockRules: [] }
  const bytes = encodePlan(landlock ? { ...plan, ...none } : plan)
  const fds = stdio.map((one) => (one === 'pipe' ? -1 : one === 'ignore' ? -2 : one))
  const jail = new Jail({
    ...loadAddon().spawn({ monitor: monitorPath(), plan: bytes, stdio: fds, auditFd: -1 }),
    protections,
    network: profile.network
  })
  await jail.ready()
  return jail
}

/** `files[i]`: [path, flags] opened here, as the caller would have, and handed in as descriptor i. */
async function run({ config, argv, files = [], cwd, env, killAfterMs, without }) {
  const opened = []
  const stdio = [0, 1, 2].map((i) => {
    if (!files[i]) return i === 0 ? 'ignore' : 'pipe'
    opened.push(openSync(...files[i]))
    return opened.at(-1)
  })
  try {
    const options = { stdio, ...(cwd ? { cwd } : {}), ...(env ? { env: { ...process.env, ...env } } : {}) }
    const jail = await (without ? spawnWithout(without, config, argv, options) : spawnSandboxed(config, argv, options))
    const events = []
    jail.on('event', (event) => events.push(event))
    const seen = (async () => {
      for await (const event of jail.events()) if (!events.includes(event)) events.push(event)
    })()
    if (killAfterMs) setTimeout(() => jail.kill('SIGKILL'), killAfterMs)
    const [stdout, stderr, exit] = await Promise.all([collect(jail.stdout), collect(jail.stderr), jail.exited])
    await seen
    return { stdout, stderr, exit, events }
  } catch (error) {
    return { error: { code: error.code, message: error.message } }
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line)
  void run(request).then((result) => process.stdout.write(`${JSON.stringify({ id, ...result })}\n`))
}
