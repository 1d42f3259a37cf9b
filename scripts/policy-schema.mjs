// Writes schema/{policy,profile}.schema.json from the zod schemas of src/policy; `--check` fails if they are stale. Bundled from
// the sources, so that it needs no build.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown' // vite's, and so vitest's

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const bundled = at(`.cache/json-schema-${process.pid}.mjs`)
const bundle = await rolldown({ input: at('src/policy/json-schema.ts'), external: /^[^./]/, platform: 'node' })
await bundle.write({ file: bundled, format: 'esm' })
try {
  const { JSON_SCHEMAS } = await import(bundled)
  for (const [name, make] of Object.entries(JSON_SCHEMAS)) writeOrCheck(`schema/${name}.schema.json`, make())
} finally {
  rmSync(bundled)
}

function writeOrCheck(path, schema) {
  const text = `${JSON.stringify(schema, null, 2)}\n`
  if (!process.argv.includes('--check')) {
    writeFileSync(at(path), text)
  } else if (read(path) !== text) {
    console.error(`${path} is stale: run npm run generate`)
    process.exitCode = 1
  }
}

function read(path) {
  try {
    return readFileSync(at(path), 'utf8')
  } catch {
    return ''
  }
}
