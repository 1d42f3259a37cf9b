import type { World } from './support.js'

/** The user's project lies on another file system than the rest. */
export const overlay: World = {
  prepare: `
    mount -t tmpfs tmpfs /dev/shm; cd /dev/shm; mkdir upper work; chown --reference "$HOME/project" upper work
    mount -t overlay -o userxattr,lowerdir="$HOME/project",upperdir=upper,workdir=work overlay "$HOME/project"; cd /`
}

export const tmpfs = (options = ''): World => ({
  prepare: `cd "$HOME"; mount -t tmpfs -o mode=777${options} tmpfs project; cd /`
})
