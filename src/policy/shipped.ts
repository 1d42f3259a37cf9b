/**
 * What the texts of profiles/ come to, as JSON. Filled in by scripts/bundle.mjs, so that a start needs no YAML; by the whole text, so
 * that a changed file is read as ever.
 */
export const PARSED: ReadonlyMap<string, string> = new Map()
