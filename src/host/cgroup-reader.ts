import { accessSync, constants, lstatSync, readFileSync } from 'node:fs'
import { loadAddon } from '../launch/locate.js'
import type { CgroupReader } from './cgroup.js'

export const hostReader: CgroupReader = {
  read(path) {
    try {
      return readFileSync(path, 'latin1')
    } catch {
      return undefined
    }
  },
  writable(path) {
    try {
      accessSync(path, constants.W_OK)
      return true
    } catch {
      return false
    }
  },
  stat(path) {
    try {
      const stat = lstatSync(path, { throwIfNoEntry: false })
      return stat && { uid: stat.uid, mode: stat.mode, isSocket: stat.isSocket(), isDirectory: stat.isDirectory() }
    } catch {
      return undefined
    }
  },
  xattr: (path, name) => loadAddon().getXattr(path, name) ?? undefined
}
