/**
 * What examples/hostile-server.mjs tries. `errno`: what it may meet, never OK. `syscall`: in the audit event that must tell of
 * it; where there is none, `why` says what stopped the act instead: a thing that is not in the jail is not refused, it is
 * not there.
 */
export const ACTS = [
  { name: 'read_ssh', text: 'read ~/.ssh', errno: ['ENOENT'], why: 'not in the jail' },
  { name: 'read_environ', text: 'read the environment of a host process', errno: ['ENOENT'], why: 'own pid namespace' },
  {
    name: 'read_init_environ',
    text: 'read the environment of pid 1',
    errno: ['EACCES', 'EPERM', 'ENOENT'],
    why: 'hidden in /proc'
  },
  { name: 'read_outside', text: 'read /etc/shadow', errno: ['ENOENT'], why: 'not in the jail' },
  {
    name: 'write_git_hook',
    text: 'write .git/hooks/pre-commit',
    errno: ['EROFS', 'EACCES', 'EPERM'],
    why: 'read-only mount'
  },
  {
    name: 'write_mcp_json',
    text: 'create .mcp.json',
    errno: ['EACCES', 'EPERM', 'EROFS'],
    syscall: ['openat', 'open']
  },
  { name: 'write_system', text: 'write /usr/bin', errno: ['EROFS', 'EACCES'], why: 'read-only mount' },
  {
    name: 'connect_out',
    text: 'connect to 203.0.113.1:443',
    errno: ['EACCES', 'EPERM', 'ENETUNREACH'],
    syscall: ['connect']
  },
  {
    name: 'resolve_name',
    text: 'resolve example.com',
    errno: ['EAI_AGAIN', 'ENOTFOUND'],
    syscall: ['connect', 'sendto']
  },
  { name: 'unshare', text: 'unshare(NEWUSER|NEWNS)', errno: ['EPERM'], syscall: ['unshare'] },
  { name: 'setns', text: 'setns into a mount namespace', errno: ['EPERM'], syscall: ['setns'] },
  { name: 'mount', text: 'mount a tmpfs', errno: ['EPERM'], syscall: ['mount'] },
  { name: 'ptrace', text: 'ptrace pid 1', errno: ['EPERM'], syscall: ['ptrace'] },
  { name: 'vm_readv', text: 'read the memory of pid 1', errno: ['EPERM'], syscall: ['process_vm_readv'] },
  { name: 'io_uring', text: 'io_uring_setup', errno: ['EPERM', 'ENOSYS'], syscall: ['io_uring_setup'] },
  { name: 'add_key', text: 'add a key to the kernel keyring', errno: ['EPERM'], syscall: ['add_key'] },
  { name: 'bpf', text: 'create a bpf map', errno: ['EPERM'], syscall: ['bpf'] },
  { name: 'perf', text: 'perf_event_open', errno: ['EPERM'], syscall: ['perf_event_open'] },
  { name: 'userfaultfd', text: 'userfaultfd', errno: ['EPERM'], syscall: ['userfaultfd'] },
  { name: 'tiocsti', text: 'TIOCSTI: type into the terminal', errno: ['EPERM'], syscall: ['ioctl'] },
  { name: 'packet', text: 'open a packet socket', errno: ['EPERM', 'EACCES', 'EAFNOSUPPORT'], syscall: ['socket'] },
  { name: 'vsock', text: 'open a vsock socket', errno: ['EPERM', 'EACCES', 'EAFNOSUPPORT'], syscall: ['socket'] },
  { name: 'module', text: 'load a kernel module', errno: ['EPERM'], syscall: ['init_module'] },
  { name: 'setuid', text: 'set the set-uid bit on a project file', errno: ['EPERM'], syscall: ['chmod', 'fchmodat'] },
  { name: 'mknod', text: 'make a device node in the project', errno: ['EPERM'], syscall: ['mknod', 'mknodat'] },
  { name: 'fork_bomb', text: 'fork without end', errno: ['EAGAIN'], why: 'stopped at maxProcesses (RLIMIT_NPROC)' }
]

export const CONTROLS = [
  { name: 'write_project', text: 'write a file in the project folder' },
  { name: 'run_program', text: 'start another program' }
]
