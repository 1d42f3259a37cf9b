import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readAudit } from '../launch/driver.js'
import { as, checkoutFor, environmentOf, homeOf, own } from '../support/user.js'

/** How user namespaces are taken from a plain user here. */
export const FORBIDDERS = {
  'a seccomp filter': (checkout: string) => [join(checkout, 'build/Release/test-tools/enosys'), '--no-userns', '--'],
  'max_user_namespaces=0': () => [
    'unshare',
    '--user',
    '--map-current-user',
    '--keep-caps',
    'sh',
    '-c',
    'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all -- "$@"',
    'sh'
  ]
} as const
export type Forbidder = keyof typeof FORBIDDERS

/** `off`: nobody forbids them, the policy does without. */
export type How = Forbidder | 'off'
export const HOWS: How[] = [...(Object.keys(FORBIDDERS) as Forbidder[]), 'off']

export interface Ended {
  status: number | null
  stdout: string
  stderr: string
}

/** A home with a project in it, as a person has them. */
export class Site {
  private readonly folder: ReturnType<typeof homeOf>
  private readonly code = checkoutFor('plain')
  readonly home: string
  readonly project: string

  /** `id`: of the plain user, when root tests. */
  constructor(private readonly id?: number) {
    this.folder = homeOf('plain', id)
    this.home = this.folder.path
    this.project = join(this.home, 'project')
    for (const name of ['.ssh', 'project', 'project/.git', 'project/.git/hooks', 'project/read-only']) this.dir(name)
    for (const name of ['victim-file', 'doomed', 'moved', 'project/.git/config', 'project/read-only/file'])
      this.file(name, 'host\n')
    this.file('.ssh/id', 'secret')
  }

  dir(name: string): void {
    mkdirSync(join(this.home, name))
    own(join(this.home, name), 'plain', this.id)
  }

  file(name: string, text: string): void {
    writeFileSync(join(this.home, name), text, { mode: 0o644 })
    own(join(this.home, name), 'plain', this.id)
  }

  /** Any program, as the plain user in the project. */
  start(argv: string[], env: Record<string, string> = {}): ChildProcess {
    const [file, args] = as('plain', ['sh', '-c', 'cd "$HOME/project" && exec "$@"', 'sh', ...argv], this.id)
    return spawn(file, args, { cwd: '/', env: { ...environmentOf(this.home), ...env }, stdio: 'pipe' })
  }

  qi(how: How | 'free', flags: string[]): string[] {
    const before = how === 'off' || how === 'free' ? [] : FORBIDDERS[how](this.code.path)
    const own = how === 'off' && flags[0] !== 'doctor' ? ['--protection', 'userNamespace=off'] : []
    return [...before, process.execPath, join(this.code.path, 'bin/qi-jail'), ...own, ...flags]
  }

  run(how: How | 'free', flags: string[], env: Record<string, string> = {}): Promise<Ended> {
    return ended(this.start(this.qi(how, flags), env))
  }

  audit() {
    return readAudit(join(this.home, 'audit.jsonl'))
  }

  /** Parameters of the first event. */
  launch(): Record<string, unknown> {
    return this.audit()[0]?.context.parameters ?? {}
  }

  remove(): void {
    this.folder.remove()
    this.code.remove()
  }
}

export async function ended(child: ChildProcess): Promise<Ended> {
  const texts: [string, string] = ['', '']
  child.stdout?.on('data', (chunk: Buffer) => (texts[0] += chunk))
  child.stderr?.on('data', (chunk: Buffer) => (texts[1] += chunk))
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { status, stdout: texts[0], stderr: texts[1] }
}

/** The next line of a stream that matches. */
export function line(child: ChildProcess, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk
      const found = text.split('\n').find((each) => wanted.test(each))
      if (found !== undefined) resolve(found)
    })
    child.once('close', () => reject(new Error(`ended without ${wanted}: ${text}`)))
  })
}
