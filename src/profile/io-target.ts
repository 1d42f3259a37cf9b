import { dirname, join, type ReadFs, readText, walk } from './fs.js'

/** The disk that a path lies on, or why it cannot be named. */
export interface IoTarget {
  path: string
  device?: { major: number; minor: number; name: string }
  reason?: string
}

/** Major and minor number of a dev_t, as glibc's makedev(3) puts them together. */
export function deviceNumbers(dev: number): { major: number; minor: number } {
  const bits = BigInt(dev)
  return {
    major: Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n)),
    minor: Number((bits & 0xffn) | ((bits >> 12n) & 0xffffff00n))
  }
}

/** io.max takes whole disks only: a partition gets ENODEV (blk-cgroup.c, blkg_conf_prep). */
export function ioTarget(fs: ReadFs, written: string): IoTarget {
  const path = walk(fs, written).real
  const dev = fs.lstat(path)?.dev
  if (dev === undefined) return { path, reason: `${path} does not exist` }
  const { major, minor } = deviceNumbers(dev)
  // Major 0: a file system with no disk of its own (tmpfs, overlay, network), or with several (btrfs).
  if (major === 0) return { path, reason: `the file system of ${path} names no disk (tmpfs, overlay, btrfs, network)` }
  const found = walk(fs, `/sys/dev/block/${major}:${minor}`)
  if (found.kind !== 'dir') return { path, reason: `/sys does not show the disk ${major}:${minor} of ${path}` }
  const disk = walk(fs, join(found.real, 'partition')).kind === 'file' ? dirname(found.real) : found.real
  const numbers = /^(\d+):(\d+)\n$/.exec(readText(fs, join(disk, 'dev'), 64) ?? '')
  if (!numbers) return { path, reason: `${disk}/dev cannot be read` }
  const name = disk.slice(disk.lastIndexOf('/') + 1)
  return { path, device: { major: Number(numbers[1]), minor: Number(numbers[2]), name } }
}
