import { constants, openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { isatty } from 'node:tty'
import { QiError } from '../errors.js'
import { type AskDecision, type AskRequest, hostAndPort, type OnConnect } from '../launch/ask.js'
import { printable } from './printable.js'

const KEYS: Record<string, AskDecision> = { o: 'once', s: 'session', a: 'always', d: 'deny' }
const POLL_MS = 50

/**
 * Puts questions to the person at the terminal, one at a time. Never by our stdio, which is the payload's.
 * @throws QiError QI_ASK_TERMINAL without a terminal.
 */
export function askOnTerminal(path = '/dev/tty'): OnConnect {
  const terminal = openTerminal(path)
  let last: Promise<unknown> = Promise.resolve()
  return (request) => {
    const turn = last.then(() => question(terminal, request))
    last = turn
    return turn
  }
}

function openTerminal(path: string): number {
  let fd: number
  try {
    // O_NONBLOCK: a read must not hold up our event loop, which passes signals on.
    fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY)
    if (isatty(fd)) return fd
  } catch {
    // told below
  }
  throw new QiError('QI_ASK_TERMINAL', 'there is no terminal to ask on', {
    field: '--ask',
    path,
    hint: 'leave --ask out and allow hosts with --net, or use onConnect of the Node API'
  })
}

async function question(terminal: number, request: AskRequest): Promise<AskDecision> {
  if (request.signal.aborted) return 'deny'
  readAll(terminal) // what was typed before the question is no answer to it
  say(terminal, `${describe(request)}\n[o]nce [s]ession [a]lways [d]eny (denied ${deadline(request)})? `)
  for (let typed = ''; !request.signal.aborted; await delay(POLL_MS)) {
    typed += readAll(terminal)
    if (!typed.includes('\n')) continue
    const word = typed.trim().toLowerCase()
    const decision = KEYS[word] ?? Object.values(KEYS).find((name) => name === word)
    if (decision) return decision
    typed = ''
    say(terminal, 'o, s, a or d? ')
  }
  say(terminal, '\n')
  return 'deny'
}

function describe({ host, port, pid, commandLine }: AskRequest): string {
  const who =
    commandLine === undefined ? '' : `${commandLine.slice(0, 200)}${pid === undefined ? '' : ` (pid ${pid})`} `
  const what = port === undefined ? `looks up ${host}` : `connects to ${hostAndPort(host, port)}`
  return printable(`qi-jail: ${who}${what}`)
}

const deadline = ({ until }: AskRequest): string => `at ${new Date(until).toTimeString().slice(0, 8)}`

/** What waits to be read; empty when nothing does. */
function readAll(terminal: number): string {
  const buffer = Buffer.alloc(256)
  let text = ''
  try {
    for (let size = 1; size > 0; ) {
      size = readSync(terminal, buffer)
      text += buffer.toString('utf8', 0, size)
    }
  } catch {
    // EAGAIN: nothing more; a terminal that hung up says nothing either, and the deadline denies
  }
  return text
}

function say(terminal: number, text: string): void {
  try {
    writeSync(terminal, text)
  } catch {
    // a terminal that hung up: the deadline denies
  }
}
