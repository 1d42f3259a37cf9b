// Writes man/qi-jail.1 from the definitions of the command line; --check tells whether it is fresh. Needs dist/.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { manual } from '../dist/cli/manual.js'
import { surfaces } from '../dist/cli/surface.js'
import { VERSION } from '../dist/version.js'

const file = fileURLToPath(new URL('../man/qi-jail.1', import.meta.url))
const made = manual(await surfaces(), VERSION)
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== made) {
    console.error('man/qi-jail.1 is stale: npm run manual')
    process.exitCode = 1
  }
} else {
  mkdirSync(fileURLToPath(new URL('../man', import.meta.url)), { recursive: true })
  writeFileSync(file, made)
}
