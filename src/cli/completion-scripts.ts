/** Completion scripts, each made from the same surfaces. They call nothing of ours: a Tab must not start Node. */
import { listProfiles } from '../policy/profiles.js'
import type { Flag, Surface, Value } from './surface.js'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

export const completionScript = (shell: Shell, all: Surface[], profiles = listProfiles()): string =>
  ({ bash, zsh, fish })[shell](all, profiles)

const names = (flag: Flag): string[] => [flag.long, ...(flag.short ? [flag.short] : [])]
const withValue = (flags: Flag[], value: Value): string[] => flags.filter((flag) => flag.value === value).flatMap(names)

/** A shell word that stands for itself. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const CASES: [kind: Value, act: string][] = [
  ['file', 'file'],
  ['profile', 'profile'],
  ['text', 'text']
]

/** For bash and zsh: what the option before the cursor wants, by verb. */
const valueCases = (all: Surface[]): string =>
  all
    .flatMap(({ name, flags }) =>
      CASES.flatMap(([kind, act]) => {
        const found = withValue(flags, kind)
        return found.length === 0 ? [] : [`    ${found.map((flag) => `${name}:${flag}`).join('|')}) echo ${act} ;;`]
      })
    )
    .join('\n')

const verbCases = (all: Surface[], of: (surface: Surface) => string): string =>
  all.map((surface) => `    ${surface.name}) ${of(surface)} ;;`).join('\n')

const HEAD = '# Made by `qi-jail completions`; a new version of qi-jail makes another.\n'

/** Where the cursor is: shared by bash and zsh, whose arrays differ in where they begin. */
const shared = (all: Surface[]): string => `_qi_jail_value() {
  case "$1:$2" in
${valueCases(all)}
  esac
}

_qi_jail_takes_command() {
  case "$1" in
    ${all
      .filter(({ takesCommand }) => takesCommand)
      .map(({ name }) => name)
      .join('|')}) return 0 ;;
  esac
  return 1
}

# Arguments: the words after qi-jail up to the cursor. Sets qi_verb, and qi_state to first, option, value KIND, command N.
_qi_jail_where() {
  local word skip= position=0 first=1
  qi_verb=run qi_state=option
  for word; do
    position=$((position + 1))
    if [ -n "$skip" ]; then
      skip=
    elif [ "$first" = 1 ] && _qi_jail_is_verb "$word"; then
      qi_verb=$word
    elif [ "$word" = -- ]; then
      qi_state="command $position"
      return
    elif [ "\${word#-}" != "$word" ]; then
      case "$word" in *=*) ;; *) skip=$(_qi_jail_value "$qi_verb" "$word") ;; esac
    elif _qi_jail_takes_command "$qi_verb" && [ "$qi_verb" != why ]; then
      qi_state="command $((position - 1))"
      return
    fi
    first=0
  done
  if [ -n "$skip" ]; then qi_state="value $skip"; elif [ "$first" = 1 ]; then qi_state=first; fi
}

_qi_jail_is_verb() {
  case "$1" in
    ${all.map(({ name }) => name).join('|')}|help) return 0 ;;
  esac
  return 1
}
`

const bash = (all: Surface[], profiles: string[]): string => `${HEAD}${shared(all)}
_qi_jail_options() {
  case "$1" in
${verbCases(all, ({ flags }) => `echo ${quoted(flags.flatMap(names).join(' '))}`)}
  esac
}

_qi_jail() {
  local cur=\${COMP_WORDS[COMP_CWORD]} qi_verb qi_state
  COMPREPLY=()
  _qi_jail_where "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
  case "$qi_state" in
    first)
      COMPREPLY=($(compgen -W ${quoted([...all.map(({ name }) => name), 'help'].join(' '))} -- "$cur"))
      case "$cur" in
        -*) COMPREPLY=($(compgen -W "$(_qi_jail_options run)" -- "$cur")) ;;
        ?*) COMPREPLY+=($(compgen -c -- "$cur")) ;;
      esac ;;
    'value profile') COMPREPLY=($(compgen -W ${quoted(profiles.join(' '))} -- "$cur") $(compgen -f -- "$cur")) ;;
    'value file') COMPREPLY=($(compgen -f -- "$cur")) ;;
    value*) ;;
    command*)
      local at=$((\${qi_state#command } + 1))
      if [ "$COMP_CWORD" -eq "$at" ]; then
        COMPREPLY=($(compgen -c -- "$cur") $(compgen -f -- "$cur"))
      elif declare -F _command_offset >/dev/null; then
        _command_offset "$at"
      else
        COMPREPLY=($(compgen -f -- "$cur"))
      fi ;;
    *)
      case "$qi_verb:$cur" in
        help:*) COMPREPLY=($(compgen -W ${quoted(all.map(({ name }) => name).join(' '))} -- "$cur")) ;;
        *:-*) COMPREPLY=($(compgen -W "$(_qi_jail_options "$qi_verb")" -- "$cur")) ;;
        run:*|explain:*) COMPREPLY=($(compgen -c -- "$cur")) ;;
        *) COMPREPLY=($(compgen -f -- "$cur")) ;;
      esac ;;
  esac
}
complete -o filenames -F _qi_jail qi-jail
`

/** For _describe: a colon ends the word. */
const described = (word: string, text: string): string => quoted(`${word.replaceAll(':', '\\:')}:${text}`)

const zsh = (all: Surface[], profiles: string[]): string => `#compdef qi-jail
${HEAD}${shared(all)}
_qi_jail_options() {
  local -a flags
  case "$1" in
${verbCases(all, ({ flags }) => `flags=(${flags.flatMap((flag) => names(flag).map((name) => described(name, flag.description))).join(' ')})`)}
  esac
  _describe -o option flags
}

_qi_jail_verbs() {
  local -a verbs
  verbs=(${[...all.map(({ name, summary }) => described(name, summary)), described('help', 'of a verb')].join(' ')})
  _describe verb verbs
}

_qi_jail() {
  local qi_verb qi_state
  _qi_jail_where "\${(@)words[2,CURRENT-1]}"
  case "$qi_state" in
    first) if [[ $PREFIX == -* ]]; then _qi_jail_options run; else _qi_jail_verbs; _command_names -e; fi ;;
    'value profile') compadd -- ${profiles.map(quoted).join(' ')}; _files ;;
    'value file') _files ;;
    value*) ;;
    command*) shift \${qi_state#command } words; (( CURRENT -= \${qi_state#command } )); shift words; (( CURRENT -= 1 )); _normal ;;
    *)
      if [[ $qi_verb == help ]]; then _qi_jail_verbs
      elif [[ $PREFIX == -* ]]; then _qi_jail_options "$qi_verb"
      elif _qi_jail_takes_command "$qi_verb" && [[ $qi_verb != why ]]; then _command_names -e
      else _files
      fi ;;
  esac
}
if [ "$funcstack[1]" = _qi_jail ]; then _qi_jail "$@"; else compdef _qi_jail qi-jail; fi
`

function fish(all: Surface[], profiles: string[]): string {
  const verbs = all.map(({ name }) => name)
  const line = (...parts: string[]) => `complete -c qi-jail ${parts.filter(Boolean).join(' ')}`
  const condition = (name: string) => `-n ${quoted(name === 'run' ? 'not __qi_jail_verb' : `__qi_jail_verb ${name}`)}`
  const values = { none: '', text: '-x', file: '-r -F', profile: `-r -F -a ${quoted(profiles.join(' '))}` }
  const option = (surface: Surface, { long, short, description, value }: Flag) =>
    line(
      condition(surface.name),
      `-l ${long.slice(2)}`,
      short ? `-s ${short.slice(1)}` : '',
      values[value],
      `-d ${quoted(description)}`
    )
  return `${HEAD}
function __qi_jail_verb
    set -l words (commandline -opc)
    test (count $words) -ge 2; or return 1
    if test (count $argv) -eq 0
        contains -- $words[2] ${verbs.filter((name) => name !== 'run').join(' ')} help
    else
        test $words[2] = $argv[1]
    end
end

function __qi_jail_first
    test (count (commandline -opc)) -eq 1
end

${all.map(({ name, summary }) => line('-n __qi_jail_first', `-a ${name}`, `-d ${quoted(summary)}`)).join('\n')}
${line('-n __qi_jail_first', '-a help', `-d ${quoted('of a verb')}`)}
${line(`-n ${quoted('__qi_jail_verb help')}`, '-f', `-a ${quoted(verbs.join(' '))}`)}
${line('-n __qi_jail_first', `-a ${quoted('(__fish_complete_command)')}`)}
${all.flatMap((surface) => surface.flags.map((flag) => option(surface, flag))).join('\n')}
`
}
