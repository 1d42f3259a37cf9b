import { QiError } from '../errors.js'

const WHY: Record<string, [message: string, hint: string]> = {
  ENOENT: ['was deleted', 'change into a folder that exists'],
  // uv_cwd: the kernel's getcwd(2) has no room for more
  ERANGE: ['has a path longer than the kernel tells (4095 bytes)', 'change into a folder with a shorter path'],
  EACCES: ['lies below a folder that this user may not read', 'change into another folder']
}

/** Our own working directory. @throws QiError QI_CWD where it has no path to tell. */
export function ownDirectory(): string {
  try {
    return process.cwd()
  } catch (cause) {
    const { code = 'ENOENT' } = cause as NodeJS.ErrnoException
    const [message, hint] = WHY[code] ?? ['has no path', 'change into another folder']
    throw new QiError('QI_CWD', `the working directory ${message}`, { field: 'cwd', errno: code, hint, cause })
  }
}
