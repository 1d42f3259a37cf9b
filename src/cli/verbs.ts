import type { Command } from 'commander'

/** One of our own verbs: what is no run. */
export interface Verb {
  /** Its definition: help, completions and the manual are made from it. */
  program: () => Command
  /** Prints its answer, or the error. The status to exit with. */
  run: (args: string[]) => Promise<number>
}

export interface VerbEntry {
  summary: string
  load: () => Promise<Verb>
}

/** Each loaded when it is asked for. A command of such a name is written after `--`. */
export const VERBS: Record<string, VerbEntry> = {
  explain: {
    summary: 'every rule of a jail, where it comes from, and what this host enforces',
    load: async () => (await import('./explain.js')).explain
  },
  why: {
    summary: 'may it read, reach or call this? by which rule, and what would change it',
    load: async () => (await import('./why.js')).why
  },
  learn: {
    summary: 'runs a command once, and writes the policy that it needs',
    load: async () => (await import('./learn.js')).learnVerb
  },
  ps: { summary: 'the jails of this user that run', load: async () => (await import('./jails.js')).ps },
  top: { summary: 'the same, live', load: async () => (await import('./top.js')).top },
  stats: { summary: 'everything that one jail uses', load: async () => (await import('./jails.js')).stats },
  ctl: {
    summary: 'rules of a running jail; pause, resume or end it',
    load: async () => (await import('./ctl.js')).ctl
  },
  policy: {
    summary: 'policy files: which are read, what is wrong with one, trusting one of a project',
    load: async () => (await import('./policy.js')).policy
  },
  profiles: {
    summary: 'profiles: which there are, what one says, what is wrong with a file',
    load: async () => (await import('./profiles.js')).profiles
  },
  init: {
    summary: 'writes a .qi-jail.yaml for the project here: three questions, or flags',
    load: async () => (await import('./init.js')).init
  },
  cache: {
    summary: 'plans that are kept, so that the same run starts at once',
    load: async () => (await import('./cache.js')).cache
  },
  doctor: {
    summary: 'what this host lets a jail have, and what would give it more',
    load: async () => (await import('./doctor.js')).doctor
  },
  completions: {
    summary: 'completion for bash, zsh or fish',
    load: async () => (await import('./completions.js')).completions
  },
  mcp: {
    summary: 'wrap the servers in the configuration of MCP clients',
    load: async () => (await import('./mcp.js')).mcp
  }
}

/** For --help. */
export const verbsText = (): string => {
  const width = Math.max(...Object.keys(VERBS).map((name) => name.length))
  const rows = Object.entries(VERBS).map(([name, { summary }]) => `  qi-jail ${name.padEnd(width)}  ${summary}`)
  return `\nVerbs (qi-jail help VERB; a command of that name goes after --):\n${rows.join('\n')}`
}
