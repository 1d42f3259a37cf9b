// Makes for the guest, where opening a module costs milliseconds and the package is hundreds of them: dist with its
// dependencies in few files, and every test file in one. Nothing else is changed: what `dist` exports, from which file,
// and where a module believes to lie.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown' // vite's, and so vitest's
import { parse, stringify } from 'yaml'

const root = fileURLToPath(new URL('../../', import.meta.url))
const place = join(root, '.cache/vm')

const OPTIONS = { platform: 'node', cwd: root, transform: { target: 'node20' }, logLevel: 'silent' }

/** Of this checkout, in place of its `dist`. */
export const DIST = '.cache/vm/dist'
/** In place of its `profiles`, what somebody writes whose kernel has no Landlock: they tolerate that. */
export const WITHOUT_LANDLOCK = '.cache/vm/profiles'
export const SUITE = '.cache/vm/suite.mjs'

async function write(input, dir, plugins = []) {
  const bundle = await rolldown({ input, plugins, ...OPTIONS })
  await bundle.write({ dir, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' })
}

/** dist/x.js stays dist/x.js, so that what reads `import.meta.url` finds the package around it. */
async function bundleDist() {
  const names = readdirSync(join(root, 'dist'), { recursive: true }).filter((name) => name.endsWith('.js'))
  const input = Object.fromEntries(names.map((name) => [name.slice(0, -3), join(root, 'dist', name)]))
  const bundle = await rolldown({ input, ...OPTIONS })
  await bundle.write({ dir: join(root, DIST), format: 'esm', entryFileNames: '[name].js' })
}

function tolerantProfiles() {
  const [from, to] = [join(root, 'profiles'), join(root, WITHOUT_LANDLOCK)]
  for (const name of readdirSync(from, { recursive: true }).filter((name) => name.endsWith('.yaml'))) {
    const profile = parse(readFileSync(join(from, name), 'utf8'))
    if (profile.tolerate) profile.tolerate = [...new Set([...profile.tolerate, 'landlockFs', 'mandatoryDenies'])]
    mkdirSync(dirname(join(to, name)), { recursive: true })
    writeFileSync(join(to, name), stringify(profile))
  }
}

/** A test takes vitest from the guest's runner (vitest.mjs), the package from `dist`, and believes to lie where its source does. */
const asInTheCheckout = {
  name: 'as-in-the-checkout',
  resolveId(id, importer) {
    if (id === 'vitest') return { id: join(place, 'vitest.mjs'), external: true }
    const path = id.startsWith('.') && importer ? relative(root, join(dirname(importer), id)) : ''
    if (path.startsWith('src/')) return { id: join(root, 'dist', path.slice(4)), external: true }
  },
  load(id) {
    if (!id.startsWith(`${root}test/`)) return
    const type = id.endsWith('.ts') ? 'ts' : 'js'
    return {
      code: readFileSync(id, 'utf8').replaceAll('import.meta.url', `'${pathToFileURL(id).href}'`),
      moduleType: type
    }
  }
}

export const bundleOf = (file) => join('.cache/vm', file.replace(/\.ts$/, '.mjs'))

/** One for each test file: what a helper remembers is the file's own, as under vitest. */
export async function bundle(files) {
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  tolerantProfiles()
  await bundleDist()
  await write({ suite: join(root, 'test/vm/suite.mjs'), vitest: join(root, 'test/vm/vitest.mjs') }, place)
  for (const file of files) await write({ [file.replace(/\.ts$/, '')]: join(root, file) }, place, [asInTheCheckout])
}
