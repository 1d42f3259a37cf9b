import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Change, placeOfFile, plan, type WrapRequest } from '../../src/client/index.js'

export function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), 'qi-client-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export interface Desk {
  home: string
  file: string
  bytes(): Buffer
  planned(request: WrapRequest): ReturnType<typeof plan>
  /** Does it; what became of each server. */
  act(verb: 'wrap' | 'unwrap', more?: Omit<WrapRequest, 'verb'>): Change[]
}

/** A home of its own with one configuration. */
export function desk(content: string | Buffer, home = scratch()): Desk {
  const file = join(home, 'config.json')
  writeFileSync(file, content)
  const around = { env: { PATH: '/usr/bin:/bin' }, home, cwd: home }
  const planned = (request: WrapRequest) => plan([placeOfFile(file, around)], request, around)
  return {
    home,
    file,
    bytes: () => readFileSync(file),
    planned,
    act(verb, more = {}) {
      const files = planned({ verb, ...more })
      for (const { write } of files) write()
      return files.flatMap(({ changes }) => changes)
    }
  }
}
