import type { ParsedProfileFile } from './config.js'

/**
 * What the texts of profiles/ come to. Filled in by scripts/bundle.mjs, so that a start needs no YAML; by the whole text, so
 * that a changed file is read as ever.
 */
export const PARSED: ReadonlyMap<string, ParsedProfileFile> = new Map()
