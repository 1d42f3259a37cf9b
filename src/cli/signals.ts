import type { Jail } from '../launch/jail.js'

/** To the one process, as kill(1) does, or to the group, as the terminal does with its keys and its hangup. */
const FORWARDED = [
  { signal: 'SIGTERM', group: false },
  { signal: 'SIGUSR1', group: false },
  { signal: 'SIGUSR2', group: false },
  { signal: 'SIGINT', group: true },
  { signal: 'SIGQUIT', group: true },
  { signal: 'SIGHUP', group: true },
  { signal: 'SIGWINCH', group: true }
] as const

/**
 * Makes our signals the payload's. qi-monitor and the payload have sessions of their own, so the terminal reaches only us.
 * Before this is called a signal ends us, and thereby the launch.
 */
export function forwardSignals(jail: Jail): void {
  for (const { signal, group } of FORWARDED) process.on(signal, () => jail.kill(signal, group))
  process.on('SIGTSTP', () => {
    // The payload leads an orphaned process group, in which SIGTSTP is ignored: stop it the hard way, then ourselves.
    jail.kill('SIGSTOP', true)
    process.kill(process.pid, 'SIGSTOP')
  })
  process.on('SIGCONT', () => jail.kill('SIGCONT', true))
}
