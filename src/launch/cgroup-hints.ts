const PARENT = ['OpenCgroupParent', 'MakeCgroup']
const WITHOUT = 'resources.cgroup: off (--no-cgroup) leaves memory to the watchdog'

/** Why the jail's cgroup could not be had, and what to change. Same form as in failure.ts. */
export const CGROUP_HINTS: { steps: string[]; errno: string[]; hint: string }[] = [
  {
    steps: ['AskForScope'],
    errno: ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'],
    hint: `the user's bus went away: log in anew, or loginctl enable-linger; ${WITHOUT}`
  },
  {
    steps: ['AskForScope'],
    errno: ['ETIMEDOUT', 'EAGAIN'],
    hint: `systemd did not answer in time: is the user's manager alive (systemctl --user status)? ${WITHOUT}`
  },
  {
    steps: ['AskForScope'],
    errno: ['EACCES', 'EPERM', 'EPROTO', 'EREMOTEIO', 'ESRCH', 'EMSGSIZE'],
    hint: `systemd refused the scope (journalctl --user -e tells why); ${WITHOUT}`
  },
  {
    steps: ['OpenCgroupParent'],
    errno: ['EBUSY'],
    hint: 'other processes are in the delegated cgroup, which then gives none to its children: start qi-jail in a service with DelegateSubgroup=, or by systemd-run --user --scope -p Delegate=yes qi-jail …'
  },
  {
    steps: ['OpenCgroupParent', 'LimitCgroup', 'OpenCgroupFiles'],
    errno: ['ENODEV', 'ENOENT'],
    hint: `this cgroup has no such controller: add it to Delegate= of the unit, or leave the limit out; ${WITHOUT}`
  },
  {
    steps: [...PARENT, 'LimitCgroup', 'EnterCgroup'],
    errno: ['EACCES', 'EPERM', 'EROFS'],
    hint: `the cgroup is not this user's to divide any more: start qi-jail anew in a delegated one; ${WITHOUT}`
  },
  {
    steps: PARENT,
    errno: ['EAGAIN'],
    hint: 'too many cgroups below this one: see cgroup.max.descendants and cgroup.max.depth around it'
  },
  {
    steps: ['LimitCgroup'],
    errno: ['EINVAL', 'ERANGE', 'EBUSY'],
    hint: 'the kernel did not take the limit as it was written: the file is named above; choose another value'
  },
  {
    steps: ['EnterCgroup'],
    errno: ['EBUSY', 'EOPNOTSUPP', 'ESRCH'],
    hint: `the process could not be put into its cgroup; ${WITHOUT}`
  },
  {
    steps: ['HideCgroup'],
    errno: ['EPERM', 'EACCES', 'ENOSPC'],
    hint: 'no cgroup namespace is to be had: raise user.max_cgroup_namespaces, or allow unshare(CLONE_NEWCGROUP) in this container'
  }
]
