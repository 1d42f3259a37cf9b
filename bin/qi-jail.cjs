// The command line tool under Node: from its bundle, or in a checkout where `tsc` alone was run since, from what that made.
const { existsSync, statSync } = require('node:fs')
const { join } = require('node:path')

const dist = join(__dirname, '../dist')
const written = (path) => statSync(join(dist, path), { throwIfNoEntry: false })?.mtimeMs ?? 0

const needed = existsSync(join(__dirname, '../tsconfig.json')) ? written('cli/main.js') : 1
const isBundled = written('bundle/main.cjs') >= needed
async function load() {
  if (!isBundled) return import(require('node:url').pathToFileURL(join(dist, 'cli/main.js')))
  require(join(dist, 'bundle/code.cjs')).useKeptCode()
  return require(join(dist, 'bundle/main.cjs'))
}

load().then(
  ({ main }) => main(process.argv.slice(2)),
  (error) => {
    const hint = error.code === 'EMFILE' ? ' (too few descriptors: raise the limit, as in ulimit -n 1024)' : ''
    process.stderr.write(`qi-jail: QI_HOST: cannot load its own modules: ${error.message.split('\n')[0]}${hint}\n`)
    process.exitCode = 125
  }
)
