// What is measured of each contender. Each gives milliseconds (or what its unit says) of one round.
import { clock, HELLO } from '../lib.mjs'
import { besides } from '../processes.mjs'
import { STAGE } from './contenders.mjs'

const NODE = process.execPath
const SERVER = `${STAGE}/node_modules/@modelcontextprotocol/server-everything/dist/index.js`
const CALLS = `${STAGE}/build/Release/test-tools/calls`
const STAGED = { readable: [STAGE] }
const HOST = 'api.example.test'
const GETPIDS = '400000'
const PATIENCE_MS = 5000
const MEGABYTE = 1e6

const text = async (stream) => {
  let all = ''
  for await (const chunk of stream ?? []) all += chunk
  return all
}

/** The line of a complaint that says most: Node's name themselves, others end with it. */
function gist(complaint) {
  const lines = complaint.trim().split('\n')
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1)
}

/** Starts it, with what comes before outside of the clock; `use(child, took)` gives the round's value. */
async function started(contender, [argv, stdio, options], use) {
  const launcher = (await contender.ready?.(argv, stdio, options)) ?? contender
  const took = clock()
  try {
    return await use(await launcher.start(argv, stdio, options), took)
  } finally {
    await launcher.close?.()
  }
}

/** Start to exit; a status other than 0 is the contender's error, in its words. */
const finished = (contender, argv, options, stdout = 'ignore') =>
  started(contender, [argv, ['ignore', stdout, 'pipe'], options], async (child, took) => {
    const output = [text(child.stdout), text(child.stderr)]
    const { code, signal } = await child.exited
    const ms = took()
    const [said, complaint] = await Promise.all(output)
    if (code !== 0) throw new Error(gist(complaint) || `ended with ${signal ?? code}`)
    return { ms, said }
  })

const finishes = (argv, options) => async (contender) => (await finished(contender, argv, options)).ms

/** Until the child's first line; then `use` and its end. */
const answered = (contender, argv, options, hello, use) =>
  started(contender, [argv, ['pipe', 'pipe', 'pipe'], options], async (child, took) => {
    const complaint = text(child.stderr)
    const ended = child.exited.then(async () => {
      throw new Error(gist(await complaint) || 'ended without an answer')
    })
    ended.catch(() => {})
    child.stdin.on('error', () => {})
    child.stdin.write(hello)
    await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), ended])
    const result = await use(took())
    child.stdout.resume()
    child.stdin.end() // ends the payload too: what a killed wrapper leaves behind would disturb the next
    const late = setTimeout(child.kill, PATIENCE_MS)
    await child.exited
    clearTimeout(late)
    return result
  })

/**
 * `hosts`: only for who has an allow-list. `notFloor`: needs more than /usr. `share`: this part of the rounds. `calls`: measures
 * calls. `settle`: ms
 * before each start: the kernel takes namespaces down when their last process is gone, and nobody's server shall start beside
 * the end of another's.
 */
export const SCENARIOS = {
  true: { title: 'start to exit of /bin/true', unit: 'ms', run: finishes(['/bin/true']), share: 1 },
  node: {
    title: 'start to exit of node -e 0',
    unit: 'ms',
    run: finishes([NODE, '-e', '0']),
    share: 0.5,
    notFloor: true
  },
  mcp: {
    title: 'start to first MCP response (server-everything)',
    unit: 'ms',
    run: (contender) => answered(contender, [NODE, SERVER], STAGED, HELLO, (ms) => ms),
    share: 1,
    settle: 50,
    notFloor: true
  },
  http: {
    title: 'start to exit of curl to an allowed host',
    unit: 'ms',
    run: finishes(['/usr/bin/curl', '-sSf', '-o', '/dev/null', `http://${HOST}/`], { hosts: [HOST] }),
    share: 0.35,
    hosts: true
  },
  memory: {
    title: 'memory of all its processes but the payload, which waits',
    unit: 'MB PSS',
    run: (contender) =>
      answered(contender, ['/bin/cat'], {}, 'ready\n', () => besides(process.pid, /^\/bin\/cat$/) / MEGABYTE),
    share: 0.05
  },
  getpid: {
    title: 'one getpid(2)',
    unit: 'ns',
    run: async (contender) => Number((await finished(contender, [CALLS, 'getpid', GETPIDS], STAGED, 'pipe')).said),
    share: 0.1,
    calls: true,
    notFloor: true
  }
}
