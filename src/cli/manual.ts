import { EXIT_STATUS } from './options.js'
import type { Flag, Surface } from './surface.js'

/** qi-jail.1 for man(7), from what --help is made from. No date: the same source is the same text. */
export function manual(all: Surface[], version: string): string {
  const [run, ...verbs] = all
  if (!run) throw new TypeError('no surface')
  return [
    `.TH QI\\-JAIL 1 "" "qi\\-jail ${text(version)}" "User Commands"`,
    '.SH NAME',
    'qi\\-jail \\- run a command in a kernel\\-enforced jail',
    '.SH SYNOPSIS',
    ...['[run] [options] [--] command [args...]', ...verbs.map(({ name, usage }) => `${name} ${usage}`)].flatMap(
      (usage, i) => [...(i === 0 ? [] : ['.br']), `.B qi\\-jail\n${text(usage)}`]
    ),
    '.SH DESCRIPTION',
    paragraph(run.description),
    '.SH OPTIONS',
    ...run.flags.flatMap(option),
    ...verbs.flatMap(verbSection),
    '.SH EXAMPLES',
    ...examples(run),
    '.SH EXIT STATUS',
    paragraph(EXIT_STATUS.replace(/^Exit status: /, '').replaceAll('\n', ' ')),
    '.SH ENVIRONMENT',
    ...item('NO_COLOR, FORCE_COLOR', 'no colours, or colours although the output is no terminal; the first wins'),
    ...item('QI_LOG=level', 'the level of diagnostics on standard error: trace, debug, info, warn, error, fatal'),
    ...item('XDG_RUNTIME_DIR', 'where the control sockets of running jails lie, in qi-jail/'),
    '.SH SEE ALSO',
    paragraph('The documents in docs/ of the package: explain.md, network.md, limits.md, clients.md, errors.md.'),
    ''
  ]
    .join('\n')
    .replaceAll(/(\.SH [^\n]*\n)(?:\.PP\n)+/g, '$1') // a section begins a paragraph itself
}

function verbSection({ name, description, args, flags, ...surface }: Surface): string[] {
  // What a run takes is told once, above.
  const own = surface.takesCommand ? flags.slice(flags.findIndex(({ long }) => long === '--ask-timeout') + 1) : flags
  return [
    `.SH QI\\-JAIL ${text(name).toUpperCase()}`,
    paragraph(description),
    ...args.flatMap((each) => item(each.name, each.description)),
    ...own.filter(({ long }) => long !== '--help').flatMap(option),
    ...(surface.takesCommand ? [paragraph('And the options above that decide what a jail gets.')] : []),
    '.PP',
    'Examples:',
    ...examples({ ...surface, name, description, args, flags })
  ]
}

const option = ({ long, short, placeholder, description }: Flag): string[] =>
  item([short, long].filter(Boolean).join(', ') + (placeholder ? ` ${placeholder}` : ''), description)

const item = (term: string, description: string): string[] => ['.TP', `.B ${text(term)}`, text(description)]

const examples = ({ examples: all }: Surface): string[] =>
  all.flatMap(([line, meaning]) => [
    ...(meaning ? ['.PP', `${text(meaning)}:`] : []),
    '.PP',
    '.nf',
    `    ${text(line)}`,
    '.fi'
  ])

const paragraph = (words: string): string => `.PP\n${text(words)}`

/** As itself: neither escapes nor, at the start of a line, requests. */
function text(words: string): string {
  const escaped = words.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('’', "'").replaceAll('—', '\\(em')
  return escaped.replace(/^[.']/, '\\&$&')
}
