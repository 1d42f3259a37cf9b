// A rootless OCI bundle over the host's own root, read-only: what crun, runc and runsc need to run a command of the host.
import { mkdirSync, writeFileSync } from 'node:fs'

const NAMESPACES = ['pid', 'ipc', 'uts', 'mount', 'network', 'user']
const id = (host) => [{ containerID: 0, hostID: host, size: 1 }]
const mount = (destination, type) => ({ destination, type, source: type })

/** @returns the bundle's folder, made for this command. */
export function bundleOf(folder, root, argv, env) {
  mkdirSync(folder, { recursive: true })
  const capabilities = { bounding: [], effective: [], permitted: [], inheritable: [] }
  const config = {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: argv,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      capabilities,
      noNewPrivileges: true
    },
    root: { path: root, readonly: true },
    mounts: [mount('/proc', 'proc'), mount('/dev', 'tmpfs'), mount('/tmp', 'tmpfs')],
    linux: {
      namespaces: NAMESPACES.map((type) => ({ type })),
      uidMappings: id(process.getuid()),
      gidMappings: id(process.getgid())
    }
  }
  writeFileSync(`${folder}/config.json`, JSON.stringify(config))
  return folder
}
