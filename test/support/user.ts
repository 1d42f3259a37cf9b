import { spawnSync } from 'node:child_process'
import { chownSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Who runs a program of a test. `plain` is, when root tests, an id without an account: nothing of ours may need one. */
export type User = 'root' | 'plain'

const PLAIN_ID = 61234
const checkout = fileURLToPath(new URL('../../', import.meta.url))
const isRoot = process.getuid?.() === 0

export const users: User[] = isRoot ? ['root', 'plain'] : ['plain']

/** `argv`, to be run as `user`. `id`: of a plain one that nobody else uses, where processes are told by whose they are. */
export function as(user: User, argv: string[], id: number = PLAIN_ID): [file: string, args: string[]] {
  const change = ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--']
  const [file, ...args] = user === 'plain' && isRoot ? [...change, ...argv] : argv
  return [file as string, args]
}

/** A new folder of the user's own, as canonical path. */
export function homeOf(user: User, id: number = PLAIN_ID): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'qi-home-'))
  own(path, user, id)
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

export function own(path: string, user: User, id: number = PLAIN_ID): void {
  if (user === 'plain' && isRoot) chownSync(path, id, id)
}

/** A minimal environment: nothing of the developer's own decides a test. */
export const environmentOf = (home: string): Record<string, string> => ({
  PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
  HOME: home
})

const NEEDED = ['package.json', 'bin', 'dist', 'profiles', 'build/Release', 'examples', 'node_modules', 'test/mcp']

/** The checkout, or a copy that `user` can read where the checkout lies in a private folder. */
export function checkoutFor(user: User): { path: string; remove: () => void } {
  const [file, args] = as(user, ['test', '-r', join(checkout, 'package.json')])
  if (spawnSync(file, args).status === 0) return { path: checkout, remove: () => {} }
  const copy = homeOf(user)
  for (const name of NEEDED)
    cpSync(join(checkout, name), join(copy.path, name), { recursive: true, verbatimSymlinks: true })
  return copy
}
