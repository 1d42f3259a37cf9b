import { isWithin, join } from './fs.js'

interface Mount {
  device: string
  /** What of the file system is mounted. */
  root: string
  at: string
  type: string
}

/** proc_pid_mountinfo(5); spaces and the like are octal there. */
function parse(text: string): Mount[] {
  const plain = (field: string) =>
    field.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)))
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ')
    const [, , device, root, at] = fields
    const type = fields[fields.indexOf('-') + 1]
    return device && root && at && type ? [{ device, root: plain(root), at: plain(at), type }] : []
  })
}

/** The mount that a path is seen through: the innermost, of several at one place the last. */
const mountOf = (mounts: Mount[], path: string): Mount | undefined =>
  mounts.reduce<Mount | undefined>(
    (best, each) => (isWithin(path, each.at) && (!best || each.at.length >= best.at.length) ? each : best),
    undefined
  )

// They show processes, devices and settings of the host; the jail has its own at /proc, /sys and /dev.
const KERNEL_TYPES = new Set(
  `proc sysfs devtmpfs devpts cgroup cgroup2 debugfs tracefs securityfs selinuxfs bpf configfs efivarfs pstore fusectl
  binfmt_misc mqueue nsfs rpc_pipefs hugetlbfs resctrl`.split(/\s+/)
)

/** Where the host has file systems of the kernel's mounted, a change root's /proc for one. */
export const kernelMounts = (mountInfo: string): string[] =>
  parse(mountInfo).flatMap(({ type, at }) => (KERNEL_TYPES.has(type) ? [at] : []))

const below = (path: string, folder: string): string => (folder === '/' ? path : path.slice(folder.length))

/** Where else the file at `path` is seen, by other mounts of its file system. */
export function otherPaths(mountInfo: string, path: string): string[] {
  const mounts = parse(mountInfo)
  const own = mountOf(mounts, path)
  if (!own) return []
  const inside = join(own.root, below(path, own.at))
  return mounts.flatMap((mount) => {
    if (mount === own || mount.device !== own.device || !isWithin(inside, mount.root)) return []
    const there = join(mount.at, below(inside, mount.root))
    return there !== path && mountOf(mounts, there) === mount ? [there] : []
  })
}
