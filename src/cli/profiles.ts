import { Command } from 'commander'
import * as yaml from 'yaml'
import { QiError } from '../errors.js'
import { type Chain, ProfileChains } from '../policy/document/chain.js'
import { type FoundPolicy, findPolicies } from '../policy/document/find.js'
import { profileLayer } from '../policy/document/layers.js'
import { checkProfile, type LoadedProfile, loadProfile } from '../policy/profiles.js'
import { join, nodeFs } from '../profile/fs.js'
import { withExamples } from './examples.js'
import { caller } from './policy.js'
import { printable, printableLines } from './printable.js'
import { lines, usage, verb } from './subcommand.js'
import { columns } from './table.js'

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail profiles list', 'those of the package and of the policy files that hold here'],
    ['qi-jail profiles show servers/git', 'what it says, the profile that it extends first'],
    ['qi-jail profiles validate ./mine.yaml', 'every fault with file:line:column; status 1 when there is one']
  ])

const definition = (): Command =>
  new Command('qi-jail profiles')
    .description('Lists, shows and checks profiles. What one comes to on this host: qi-jail explain --profile NAME.')
    .usage('[options] list | show <name|file> | validate <file...>')
    .argument('<action>', 'list, show or validate')
    .argument('[name...]', 'of a profile, or its file')
    .option('--json', 'one JSON object a line')
    .helpOption('-h, --help', 'print this help')

export const profiles = verb(program, async (command, json) => {
  const [action, ...names] = command.args
  if (action === 'list' && names.length === 0) return list(json)
  if (action === 'show' && names.length === 1) return show(names[0] as string, json)
  if (action === 'validate' && names.length > 0) return validate(names, json)
  throw usage(
    command,
    `profiles takes list, show NAME or validate FILE..., not ${JSON.stringify(command.args.join(' '))}`
  )
})

/** One that its file has wrong is listed with what is wrong: the others are none the worse for it. */
function list(json: boolean): string {
  const { policies } = findPolicies(caller())
  const chains = new ProfileChains(policies, { fs: nodeFs })
  const top = policies.length - 1
  const rows = chains.names(top).map((name) => {
    const files = policies.filter(({ document }) => Object.hasOwn(document.policy.sandbox?.profiles ?? {}, name))
    const from = files.length > 0 ? files.map(({ file }) => file).join(', ') : 'built-in'
    try {
      return { name, from, purpose: purposeOf(chains.of(name, top)) }
    } catch (error) {
      if (error instanceof QiError) return { name, from, fault: `${error.code}: ${error.message}` }
      throw error
    }
  })
  if (json) return lines(rows)
  return columns(rows.map(({ name, from, purpose, fault }) => [name, from, purpose ?? (fault as string)]))
}

const purposeOf = ({ builtIn, definitions }: Chain): string =>
  definitions.findLast(({ profile }) => profile.purpose)?.profile.purpose ?? builtIn.purpose

/** As it is written, layer by layer, the base first: a document for each, sizes in bytes and times in milliseconds. */
function show(name: string, json: boolean): string {
  const who = caller()
  const { policies } = findPolicies(who)
  const chain = new ProfileChains(policies, who).of(name, policies.length - 1)
  const { builtIn, definitions } = chain
  const own = definitions.map((d) => profileLayer((policies[d.level] as FoundPolicy).document, d.name, d.profile))
  const layers = [...builtIn.layers, ...own].map(({ origin, config }) => ({ origin, config }))
  const purpose = purposeOf(chain)
  if (json) return lines([{ name, purpose, layers }])
  const documents = layers.map(({ origin, config }) => `---\n# ${printable(origin)}\n${yaml.stringify(config)}`)
  return printableLines(`# ${printable(`${name}: ${purpose}`)}\n${documents.join('')}`)
}

/** Each file by itself; then, as only a whole chain can tell, what it extends. */
function validate(files: string[], json: boolean): { text: string; status: number } {
  const { cwd } = caller()
  const faults = files.flatMap((written) => {
    const file = written.startsWith('/') ? join(written) : join(cwd, written)
    const errors = checkProfile(nodeFs, file)
    const found = errors.length > 0 ? errors : faultOf(() => loadProfile(file))
    return found.map(({ code, message, field, hint }) => ({ file, code, field, message, hint }))
  })
  const text = json
    ? lines(faults)
    : faults.map(({ code, message }) => `${printable(`${code}: ${message}`)}\n`).join('')
  return { text, status: faults.length > 0 ? 1 : 0 }
}

function faultOf(load: () => LoadedProfile): QiError[] {
  try {
    load()
    return []
  } catch (error) {
    if (error instanceof QiError) return [error]
    throw error
  }
}
