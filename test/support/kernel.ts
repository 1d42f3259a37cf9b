import { release } from 'node:os'
import { probeHost } from '../../src/host/probe.js'
import { skipUnless } from './skip.js'

/** By its version: tests say by it what may be expected, where the package itself asks the kernel. */
export function kernelBefore(major: number, minor: number): boolean {
  const [a = 0, b = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10))
  return a < major || (a === major && b < minor)
}

/** Without SO_NETNS_COOKIE a launch with hosts is refused, which test/launch/failures.test.ts looks at. */
export const hasHosts = (): boolean => !kernelBefore(5, 14)
export const requireHosts = (): void => skipUnless(hasHosts(), 'an allow-list of hosts needs Linux 5.14')

export const hasLandlock = (): boolean => probeHost().landlockAbi > 0
export const requireLandlock = (): void => skipUnless(hasLandlock(), 'needs Landlock')

/** Before, who wins a race may bind a port of the host, where nothing listens then (SECURITY.md). */
export const requireTcpRules = (): void =>
  skipUnless(probeHost().landlockAbi >= 4, "needs Landlock's rules for TCP (ABI 4)")
