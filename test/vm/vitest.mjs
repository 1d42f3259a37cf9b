// In the guest in place of vitest: a hook with a time of its own was given what it needs on a real machine.
import { afterAll as after, beforeAll as before } from 'vitest'

export * from 'vitest'
export const beforeAll = (run) => before(run)
export const afterAll = (run) => after(run)
