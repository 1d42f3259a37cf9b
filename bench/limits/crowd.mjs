// Ten jails at their limits and an eleventh that serves MCP requests.

import { mkdtempSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SandboxedStdioTransport } from '../../dist/index.js'
import { clock, quantile } from '../lib.mjs'
import { backendOf, HOG, MB, start } from './hogs.mjs'

const server = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url)
)
const LIMITS = { maxMemory: 64 * MB, maxProcesses: 64, tmpSize: 16 * MB, tmpFiles: 2000 }
const GUARD = ['--seconds', '900']

/** Each stays at its limit, or goes on running against it. */
const mix = (disk) => [
  ['memory', ['shared', '56M', '--hold', ...GUARD]],
  ['memory', ['family', '48M', '--hold', ...GUARD]],
  ['memory', ['heap', '52M', '--hold', ...GUARD]],
  ['processes', ['bomb', '100000000', ...GUARD]],
  ['processes', ['bomb', '100000000', ...GUARD]],
  ['processes', ['processes', '100000', '--hold', ...GUARD]],
  ['processor', ['spin', '4', ...GUARD]],
  ['processor', ['spin', '4', ...GUARD]],
  ['files', ['tiny', '10000000', '/tmp', '--hold', ...GUARD]],
  ['files', ['pagecache', '512M', `${disk}/hog`, '--hold', ...GUARD], { allowedPaths: [disk], maxFileSize: '1GB' }]
]

async function connect(resources) {
  const sandbox = { tolerate: ['memoryLimit', 'cpuLimit', 'landlockNet', 'landlockScope'], resources }
  const transport = new SandboxedStdioTransport({
    command: process.execPath,
    args: [server],
    stderr: 'ignore',
    sandbox
  })
  const client = new Client({ name: 'qi-jail-bench', version: '1.0.0' })
  await client.connect(transport)
  return client
}

async function measure(client, calls) {
  const samples = []
  for (let i = 0; i < calls; i++) {
    const took = clock()
    await client.callTool({ name: 'echo', arguments: { message: `${i}` } })
    samples.push(took())
    await sleep(5)
  }
  return samples
}

/** `hogs`: what each of the ten may take of the processor; `served`: the eleventh's. */
export async function crowd({ calls, hogs = {}, served = {}, prefix = [] }) {
  const disk = mkdtempSync('/var/tmp/qi-bench-')
  const client = await connect(served)
  const jails = []
  try {
    await measure(client, 50)
    const idle = await measure(client, calls)
    for (const [, words, filesystem] of mix(disk)) {
      const readable = { readOnlyPaths: [HOG], ...filesystem } // the command's own files are those of `prefix`
      jails.push(await start([...prefix, ...words], { ...LIMITS, ...hogs }, readable))
    }
    await sleep(2000)
    const busy = await measure(client, calls)
    const gone = jails.filter(({ jail }) => jail.exitCode !== null || jail.signalCode !== null).length
    const again = await settle(jails, client, calls)
    return row({ backend: backendOf(jails[0].jail), idle: [...idle, ...again], busy, gone })
  } finally {
    for (const { jail } of jails) jail.kill('SIGKILL')
    await Promise.all(jails.map(({ jail }) => jail.exited))
    await client.close()
    rmSync(disk, { recursive: true, force: true })
  }
}

async function settle(jails, client, calls) {
  for (const { jail } of jails) jail.kill('SIGKILL')
  await Promise.all(jails.map(({ jail }) => jail.exited))
  await sleep(1000)
  return measure(client, calls)
}

function row({ backend, idle, busy, gone }) {
  const [a, b] = [quantile(idle, 0.95), quantile(busy, 0.95)]
  return {
    'limits held by': backend,
    'p50 ms idle': +quantile(idle, 0.5).toFixed(2),
    'p50 ms': +quantile(busy, 0.5).toFixed(2),
    'p95 ms idle': +a.toFixed(2),
    'p95 ms': +b.toFixed(2),
    'p95 to idle': +(b / a).toFixed(2),
    'jails that ended': gone
  }
}
