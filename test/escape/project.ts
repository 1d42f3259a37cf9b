import { execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { expect } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import { isRoot, PLAIN_ID, scratch, type User } from './support.js'

/** What a payload must not bring into being in a folder that it may write. */
export const MISSING = ['.mcp.json', '.vscode', '.npmrc', '.envrc', '.claude']

/** A folder as a user works in it: a repository, settings, a secret beside it. */
export function project(user: User, parent?: string): string {
  const outer = scratch(user, parent)
  const folder = `${outer}/project`
  for (const dir of ['.git/hooks', '.git/modules', '.config/fish', 'sub/ro', 'plain', 'secrets']) {
    mkdirSync(`${folder}/${dir}`, { recursive: true })
  }
  for (const file of [
    '.git/config',
    '.git/hooks/pre-commit',
    '.env',
    '.config/fish/config.fish',
    'sub/ro/file',
    'file'
  ]) {
    writeFileSync(`${folder}/${file}`, 'original\n')
  }
  writeFileSync(`${folder}/secrets/key`, 'secret\n')
  writeFileSync(`${outer}/beside`, 'secret\n')
  if (isRoot && user === 'plain') execFileSync('chown', ['-R', `${PLAIN_ID}:${PLAIN_ID}`, outer])
  else if (isRoot) chownSync(outer, 0, 0)
  return folder
}

export const writable = (folder: string): SandboxConfig => ({ filesystem: { allowedPaths: [folder] } })

/** The same with every protection that these tests run into lifted. */
export const lifted = (folder: string): SandboxConfig => ({
  filesystem: { allowedPaths: [folder], allowProtected: ['.git', '.env', '.config/fish/config.fish', ...MISSING] }
})

/** What the host must look like after every attempt. */
export function untouched(folder: string): void {
  const read = (path: string) => execFileSync('cat', [`${folder}/${path}`], { encoding: 'utf8' })
  for (const name of MISSING) expect(existsSync(`${folder}/${name}`), `litter: ${name}`).toBe(false)
  expect(readdirSync(`${folder}/.git`).sort()).toEqual(['config', 'hooks', 'modules'])
  expect(readdirSync(`${folder}/.git/hooks`)).toEqual(['pre-commit'])
  for (const file of ['.git/config', '.git/hooks/pre-commit', '.env', '.config/fish/config.fish', 'sub/ro/file']) {
    expect(read(file), file).toBe('original\n')
  }
}
