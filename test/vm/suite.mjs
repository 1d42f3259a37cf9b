// Runs bundled test files in the guest, one after another, and prints a line of JSON for each. The tests, their runner and
// `expect` are vitest's; what is left out watches, transforms and starts workers, which takes a minute there.
//   suite.mjs TIMEOUT FILE[#PATTERN]…   ms for each test and hook; bundles of test files, and which of their tests
import { pathToFileURL } from 'node:url'
import { startTests } from '@vitest/runner'
import { getTestName } from '@vitest/runner/utils'

const [timeout, ...files] = process.argv.slice(2)

// Where `expect` looks for its settings.
globalThis.__vitest_worker__ = { config: { expect: {} } }

const runner = (pattern) => ({
  config: {
    root: process.cwd(),
    setupFiles: [],
    testTimeout: Number(timeout),
    hookTimeout: Number(timeout),
    maxConcurrency: 1,
    retry: 0,
    tags: [],
    sequence: { hooks: 'stack', setupFiles: 'list', seed: 0 },
    ...(pattern ? { testNamePattern: pattern } : {})
  },
  importFile: (path) => import(pathToFileURL(path).href)
})

const errorsOf = ({ result }) => result?.errors?.map(({ stack, message }) => stack || message) ?? []

/** Every test below `task` that was asked for; a suite whose hook failed stands for itself. */
function results(task, pattern) {
  const { mode, tasks, result } = task
  const errors = errorsOf(task)
  const name = getTestName(task)
  if (tasks) {
    const own = errors.length ? [{ name: task.name, state: 'fail', ms: 0, errors }] : []
    return [...own, ...tasks.flatMap((one) => results(one, pattern))]
  }
  if (pattern && !pattern.test(getTestName(task, ' '))) return []
  const state = mode === 'skip' || mode === 'todo' ? 'skip' : (result?.state ?? 'fail')
  return [{ name, state, ms: Math.round(result?.duration ?? 0), note: result?.note, errors }]
}

// A test that waits for what never comes has to be stopped by its time, not by a process with nothing to do.
setInterval(() => {}, 1 << 30)
for (const one of files) {
  const [path, text] = one.split(/#(.*)/)
  const pattern = text ? new RegExp(text) : undefined
  const began = performance.now()
  const [file] = await startTests([path], runner(pattern))
  const tests = file.tasks.flatMap((task) => results(task, pattern))
  console.log(JSON.stringify({ file: path, ms: Math.round(performance.now() - began), errors: errorsOf(file), tests }))
}
process.exit()
