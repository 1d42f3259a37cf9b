import type { SandboxConfig } from '../policy/config.js'

/** The network part of a policy document, as the reference guide writes it. */
export interface NetworkDocument {
  allowed_hosts?: NonNullable<SandboxConfig['network']>['allowedHosts']
  denied_hosts?: string[]
  max_connections?: number
}

/** The same in the words of SandboxConfig; checked there. */
export function toNetwork(document: NetworkDocument): NonNullable<SandboxConfig['network']> {
  const { allowed_hosts: allowedHosts, denied_hosts: deniedHosts, max_connections: maxConnections } = document
  return {
    ...(allowedHosts === undefined ? {} : { allowedHosts }),
    ...(deniedHosts === undefined ? {} : { deniedHosts }),
    ...(maxConnections === undefined ? {} : { maxConnections })
  }
}
