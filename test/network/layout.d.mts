// Of layout.mjs, what tests use.
export const OWN: readonly string[]
