// Bundles the command line tool into dist/bundle: opening hundreds of modules costs more than all else that a start does.
// CommonJS, whose loader does in one step what the other does in many. Verbs are chunks of their own; YAML and the schemas are
// loaded when somebody first asks for them; profiles of ours go in as they were parsed, the usual filters as they were compiled.
// Needs the dist and the addon of this source.
// node scripts/bundle.mjs [FOLDER-OF-DIST]
import assert from 'node:assert'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('../', import.meta.url))
const dist = join(root, process.argv[2] ?? 'dist')
const compiled = (path) => import(pathToFileURL(join(dist, path)).href)

/** Loaded when a name of theirs is first used: YAML and zod take longer than all the rest. By `import * as` only. */
const ON_DEMAND = {
  config: 'src/policy/config.ts',
  document: 'src/policy/document/schema.ts',
  source: 'src/policy/document/source.ts',
  filters: 'src/plan/filters.ts',
  calls: 'src/policy/syscall-names.ts',
  'oci-file': 'src/policy/oci-file.ts',
  oci: 'src/filter/oci-schema.ts',
  event: 'src/event/schema.ts',
  yaml: 'node_modules/yaml/dist/index.js'
}
/** Parts of Node that few starts use: what is taken from them is called, or made with `new`. */
const BUILT_IN = /^node:(child_process|crypto|net|timers\/promises|tty)$/
/** Node's `module` brings its loader of ES modules along. What is taken from it every CommonJS module has at hand. */
const AT_HAND = {
  "import Module from 'node:module'": 'const Module = module.constructor',
  "import { createRequire } from 'node:module'":
    'const createRequire = () => Object.assign((id) => module.require(id), { cache: module.constructor._cache })'
}
const STATEMENT = /^(?:import|export)\b(?! type\b)([^'"]*?)from '([^']+)'$/gm

function whenCalled(code, names, from) {
  const taken = names.split(/[{},]/).map((each) => each.trim().split(' as '))
  const functions = taken.filter(([name]) => name !== '' && !name.startsWith('type '))
  return functions
    .map(([name, as = name]) => {
      if (/^[a-z]/.test(name)) return `const ${as} = (...args) => require('${from}').${name}(...args)`
      if (new RegExp(`(?:instanceof|extends) ${as}\\b`).test(code))
        throw new Error(`${as} of ${from} is more than made`)
      return `const ${as} = function (...args) { return new (require('${from}').${name})(...args) }`
    })
    .join('\n')
}

/** Commander starts programs only for commands that are files of their own, which we have none of. */
const withoutPrograms = {
  name: 'without-programs',
  resolveId: (from, importer) =>
    from === 'node:child_process' && /\/commander\//.test(importer ?? '') ? '\0no-programs' : undefined,
  load: (id) => (id === '\0no-programs' ? 'export {}' : undefined)
}

const onDemand = {
  name: 'on-demand',
  async transform(code, id) {
    if (!id.startsWith(join(root, 'src'))) return undefined
    // Node's way from an address to a path takes longer than to read a file.
    let out = code.replaceAll('fileURLToPath(import.meta.url)', '__filename')
    for (const [statement, instead] of Object.entries(AT_HAND)) out = out.replace(statement, instead)
    if (out.includes("from 'node:module'")) throw new Error(`${id}: takes more of node:module than is at hand`)
    for (const [statement, names, from] of code.matchAll(STATEMENT)) {
      if (BUILT_IN.test(from)) out = out.replace(statement, whenCalled(code, names, from))
      const path = relative(root, (await this.resolve(from, id))?.id ?? '')
      const found = Object.keys(ON_DEMAND).find((name) => ON_DEMAND[name] === path)
      if (!found && !/node_modules\/(zod|yaml)\//.test(path)) continue
      const [, as] = /^ \* as (\w+) $/.exec(names) ?? []
      if (!found || !as) throw new Error(`${id}: ${statement}: would be loaded at every start`)
      out = out.replace(
        statement,
        `const ${as} = new Proxy({}, { get: (_, key) => require(__dirname + '/${found}.cjs')[key] })`
      )
    }
    return out === code ? undefined : { code: out, moduleType: 'ts' }
  }
}

async function parsedProfiles() {
  const [{ parseProfile }, { nodeFs }] = [await compiled('policy/profiles.js'), await compiled('profile/fs.js')]
  const folder = join(root, 'profiles')
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.yaml'))
  return files.map((name) => {
    const parsed = parseProfile(nodeFs, join(folder, name), name)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(parsed)), parsed, `${name} holds what JSON does not`)
    return [readFileSync(join(folder, name), 'utf8'), JSON.stringify(parsed)]
  })
}

/** What most runs choose: a writable grant or none, an allow-list of hosts or none. */
const CHOICES = [false, true].flatMap((guardCreates) =>
  [false, true].map((hostSockets) => ({
    guardCreates,
    hostSockets,
    sharedNetwork: false,
    choices: { allow: [], deny: [] },
    permissive: false,
    sharedProcesses: false,
    imported: false,
    asCaller: false,
    observeFiles: false,
    mediates: false,
    control: true
  }))
)

/** The filters for those, each a file of its own; on arm64 libseccomp knows no x64 (native/core/filter_compile.cc). */
async function compiledFilters() {
  const [{ filtersOf }, { keyOf, pack, unpack }] = [
    await compiled('plan/filters.js'),
    await compiled('plan/compiled.js')
  ]
  const { compileFilter } = createRequire(import.meta.url)(join(root, 'build/Release/qi_jail.node'))
  const compile = (spec) => new Uint8Array(compileFilter(spec))
  return ['x64', 'arm64']
    .filter((arch) => arch === 'arm64' || process.arch === 'x64')
    .flatMap((arch) =>
      CHOICES.map((choices, i) => {
        const filters = filtersOf(arch, choices, true, compile)
        const key = keyOf(arch, choices)
        const text = JSON.stringify(pack(key, filters))
        assert(isDeepStrictEqual(unpack(JSON.parse(text)), { key, filters }), `${key}: is not what it was packed from`)
        return { key, file: `filters-${arch}-${i}.json`, text }
      })
    )
}
const filterFiles = await compiledFilters()

/** What is read at run time from files around dist, as values. */
const known = {
  'version.ts': `export const VERSION = ${JSON.stringify(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)}`,
  'plan/compiled-files.ts': `export const COMPILED = new Map(${JSON.stringify(filterFiles.map(({ key, file }) => [key, file]))})`,
  'policy/shipped.ts': `export const PARSED = new Map(${JSON.stringify(await parsedProfiles())})`
}
const values = {
  name: 'values',
  load(id) {
    const found = Object.keys(known).find((file) => id === join(root, 'src', file))
    return found && { code: known[found], moduleType: 'ts' }
  }
}

/** Whoever asks whether an error is a QiError asks about one class. */
const ERRORS = join(root, 'src/errors.ts')
const sharedErrors = {
  name: 'shared-errors',
  async resolveId(from, importer) {
    if (!importer || (await this.resolve(from, importer, { skipSelf: true }))?.id !== ERRORS) return undefined
    return { id: './errors.cjs', external: true }
  }
}

/** What a run needs is in three files: what finds kept code, what every start loads, and what a launch loads on top. */
const groups = Object.entries({
  base: 'src/cache/code.ts',
  start: 'src/cli/main.ts',
  run: 'src/cli/run.ts'
}).map(([name, path], i) => {
  const loaded = new Set()
  return { name, priority: 3 - i, entry: join(root, path), loaded, test: (id) => loaded.has(id) }
})
const stages = {
  name: 'stages',
  buildEnd() {
    const follow = (id, loaded) => {
      if (loaded.has(id)) return
      loaded.add(id)
      for (const next of this.getModuleInfo(id)?.importedIds ?? []) follow(next, loaded)
    }
    for (const { entry, loaded } of groups) follow(entry, loaded)
  }
}
const codeSplitting = { groups: groups.map(({ name, priority, test }) => ({ name, priority, test })) }

async function write(input, plugins) {
  const entries = Object.entries(input).map(([name, path]) => [name, join(root, path)])
  const bundle = await rolldown({
    input: Object.fromEntries(entries),
    platform: 'node',
    cwd: root,
    plugins: [values, ...plugins],
    // jsonc-parser's "main" asks for its parts in a way that no bundler sees.
    resolve: { mainFields: ['module', 'main'] },
    transform: { target: 'node20' }
  })
  const { output } = await bundle.write({
    dir: join(dist, 'bundle'),
    format: 'cjs',
    ...(plugins.includes(stages) ? { codeSplitting } : {}),
    entryFileNames: '[name].cjs',
    chunkFileNames: `${Object.keys(input)[0]}-[name].cjs`,
    comments: { legal: true },
    charset: 'ascii',
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } }
  })
  noteLicenses(output)
}

/** Whoever wrote what is bundled is named beside it. */
const licenses = new Map()
function noteLicenses(output) {
  for (const id of output.flatMap((chunk) => Object.keys(chunk.modules ?? {}))) {
    const [folder, name] = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id) ?? []
    if (!folder || licenses.has(name)) continue
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each))
    if (!file) throw new Error(`${folder}: no license`)
    licenses.set(name, readFileSync(join(folder, file), 'utf8').trim())
  }
}

rmSync(join(dist, 'bundle'), { recursive: true, force: true })
await write({ errors: 'src/errors.ts' }, [])
await write({ main: 'src/cli/main.ts', code: 'src/cache/code.ts' }, [onDemand, withoutPrograms, sharedErrors, stages])
await write(ON_DEMAND, [sharedErrors])
for (const { file, text } of filterFiles) writeFileSync(join(dist, 'bundle', file), text)
const texts = [...licenses].sort().map(([name, text]) => `${name}\n\n${text}\n`)
writeFileSync(join(dist, 'bundle/LICENSES'), texts.join(`\n${'-'.repeat(80)}\n\n`))
