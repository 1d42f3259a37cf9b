import type { Jail } from '../launch/jail.js'

/** To the one process, as kill(1) does, or to the group, as the terminal does with its keys and its hangup. */
const FORWARDED = [
  { signal: 'SIGTERM', group: false },
  { signal: 'SIGUSR1', group: false },
  { signal: 'SIGUSR2', group: false },
  { signal: 'SIGINT', group: true },
  { signal: 'SIGQUIT', group: true },
  { signal: 'SIGHUP', group: true },
  { signal: 'SIGWINCH', group: true },
  { signal: 'SIGCONT', group: true }
] as const

/**
 * Makes our signals the payload's. qi-monitor and the payload have sessions of their own, so the terminal reaches only us.
 * To be called before the launch: the payload may ask for a signal before we learn that it runs. What comes until then is
 * kept for it. Returns what to do with the jail.
 */
export function forwardSignals(): (jail: Jail) => void {
  let running: Jail | undefined
  let stop = false
  const kept: ((jail: Jail) => void)[] = []
  const deliver = (act: (jail: Jail) => void): void => {
    if (running) act(running)
    else kept.push(act)
  }
  for (const { signal, group } of FORWARDED) {
    process.on(signal, () => deliver((jail) => jail.kill(signal, group)))
  }
  process.on('SIGTSTP', () => {
    stop = true
    if (running) stopBoth(running)
  })
  process.on('SIGCONT', () => {
    stop = false
  })
  return (jail) => {
    running = jail
    for (const act of kept) act(jail)
    if (stop) stopBoth(jail) // asked for while the jail was made: not before it can be stopped too
  }
}

/** The payload leads an orphaned process group, in which SIGTSTP is ignored: stop it the hard way, then ourselves. */
function stopBoth(jail: Jail): void {
  jail.kill('SIGSTOP', true)
  process.kill(process.pid, 'SIGSTOP')
}
