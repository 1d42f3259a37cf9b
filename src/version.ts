import { readFileSync } from 'node:fs'

/** Of the package; read once, from the package.json beside dist/. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version
