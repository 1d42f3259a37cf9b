import { expect, it } from 'vitest'
import type { ReadFs } from '../../src/profile/fs.js'
import { deviceNumbers, ioTarget } from '../../src/profile/io-target.js'
import { fakeFs, type Tree } from './fake.js'

const SYS = '/sys/devices/pci/block'
const TREE: Tree = {
  '/srv/data': null,
  '/link': '-> srv/data',
  '/sys/dev/block/8:1': `-> ../../devices/pci/block/sda/sda1`,
  '/sys/dev/block/8:0': `-> ../../devices/pci/block/sda`,
  '/sys/dev/block/253:3': '-> ../../devices/virtual/block/dm-3',
  [`${SYS}/sda/dev`]: '8:0\n',
  [`${SYS}/sda/sda1/dev`]: '8:1\n',
  [`${SYS}/sda/sda1/partition`]: '1\n',
  '/sys/devices/virtual/block/dm-3/dev': '253:3\n'
}
const makedev = (major: number, minor: number): number => major * 256 + (minor & 0xff) + (minor >> 8) * 2 ** 20

/** The tree, with everything in /srv on the device. */
function on(major: number, minor: number, tree: Tree = TREE): ReadFs {
  const fs = fakeFs(tree)
  return {
    ...fs,
    lstat(path) {
      const found = fs.lstat(path)
      return found && { ...found, dev: makedev(major, minor) }
    }
  }
}

it.each([
  [8, 1],
  [259, 3],
  [253, 300]
])('takes device %d:%d apart', (major, minor) => {
  expect(deviceNumbers(makedev(major, minor))).toEqual({ major, minor })
})

it('a partition stands for its disk, a disk for itself, a mapped one too', () => {
  const sda = { major: 8, minor: 0, name: 'sda' }
  expect(ioTarget(on(8, 1), '/srv/data')).toEqual({ path: '/srv/data', device: sda })
  expect(ioTarget(on(8, 0), '/srv/data')).toEqual({ path: '/srv/data', device: sda })
  expect(ioTarget(on(253, 3), '/srv/data').device).toEqual({ major: 253, minor: 3, name: 'dm-3' })
})

it('follows links to what is meant', () => {
  expect(ioTarget(on(8, 1), '/link').path).toBe('/srv/data')
})

it('says why a disk has no name', () => {
  expect(ioTarget(on(0, 42), '/srv/data').reason).toContain('names no disk')
  expect(ioTarget(on(9, 9), '/srv/data').reason).toContain('9:9')
  expect(ioTarget(on(8, 1), '/nowhere').reason).toContain('does not exist')
  const { [`${SYS}/sda/dev`]: _gone, ...rest } = TREE
  expect(ioTarget(on(8, 1, rest), '/srv/data')).toEqual({ path: '/srv/data', reason: `${SYS}/sda/dev cannot be read` })
})
