import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

export const PREBUILDS = `prebuilds/linux-${process.arch}`

/** What npm would put into `folder`, of the checkout at `root`. */
export function installInto(folder: string, root: string): void {
  mkdirSync(join(folder, PREBUILDS), { recursive: true })
  for (const name of ['bin', 'profiles', 'package.json', 'dist/bundle', 'dist/cli/main.js'])
    cpSync(join(root, name), join(folder, name), { recursive: true })
  const built = join(root, 'build/Release')
  for (const name of ['qi-monitor', 'qi-jail']) cpSync(join(built, name), join(folder, PREBUILDS, name))
  for (const libc of ['glibc', 'musl'])
    cpSync(join(built, 'qi_jail.node'), join(folder, PREBUILDS, `qi-jail.${libc}.node`))
}
