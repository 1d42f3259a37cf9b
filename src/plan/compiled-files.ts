/** By what they were compiled for: files beside the bundle, whose script (scripts/bundle.mjs) fills this in. */
export const COMPILED: ReadonlyMap<string, string> = new Map()
