/** One line of proc_pid_mountinfo(5). */
export interface Mount {
  id: string
  point: string
  /** What of the file system lies at the mount point. */
  root: string
  type: string
}

export const readMounts = (mountinfo: string): Mount[] => mountinfo.split('\n').flatMap((line) => readMount(line) ?? [])

function readMount(line: string): Mount | undefined {
  const [before = '', after = ''] = line.split(' - ')
  const [id = '', , , root, point] = before.split(' ')
  const type = after.split(' ')[0]
  if (root === undefined || point === undefined || type === undefined) return undefined
  return { id, root: unescaped(root), point: unescaped(point), type }
}

/** Spaces and the like are written as three octal digits. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)))
