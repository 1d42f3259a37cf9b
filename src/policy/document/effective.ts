import { isDeepStrictEqual } from 'node:util'
import { QiError } from '../../errors.js'
import { dirname } from '../../profile/fs.js'
import { nearest } from '../issues.js'
import type { Layer } from '../layer.js'
import { widens } from '../narrow.js'
import { isShipped, type LoadedProfile, type LoadOptions } from '../profiles.js'
import { type Chain, ProfileChains } from './chain.js'
import type { FoundPolicy } from './find.js'
import { anchored, profileLayer, securityLayer } from './layers.js'
import { type Selection, type SelectRequest, select } from './select.js'

type Request = SelectRequest & LoadOptions

/** What a set of policy files comes to. */
export interface Effective {
  selection: Selection
  builtIn: LoadedProfile
  definitions: Chain['definitions']
  /** Over those of `builtIn`, each with the file that it is from. */
  layers: { from: FoundPolicy; layer: Layer }[]
}

/**
 * What holds, with every file. Judged by what it comes to: the files that may only take away are added one by one, and each
 * must leave what the others come to as it was. So it matters not by which name, default, server, tool or chain of
 * profiles one of them would bring in more.
 */
export function effective(policies: FoundPolicy[], request: Request): Effective {
  const untrusted = policies.filter(({ narrows }) => narrows)
  const upTo = (count: number) => policies.filter((p) => !p.narrows || untrusted.indexOf(p) < count)
  let before: Effective | undefined
  for (const [i, file] of untrusted.entries()) {
    before ??= comesTo(upTo(0), knownOf(upTo(0), request))
    const after = comesTo(upTo(i + 1), knownOf(upTo(i + 1), request))
    refuseWiderChoice(before, after, file)
    before = after
  }
  return comesTo(policies, request)
}

/** A flag may name what a file further down defines; without that file it is as if nobody had given the flag. */
function knownOf(policies: FoundPolicy[], request: Request): Request {
  const { profile, tool, ...others } = request
  const chains = new ProfileChains(policies, request)
  const knowsProfile = profile !== undefined && (!isShipped(profile) || chains.has(profile, policies.length - 1))
  return {
    ...others,
    ...(knowsProfile ? { profile } : {}),
    ...(tool !== undefined && policies.some((policy) => toolsOf(policy).includes(tool)) ? { tool } : {})
  }
}

/** The names in `tool_specific`. */
export const toolsOf = ({ document }: FoundPolicy): string[] =>
  Object.keys(document.policy.security?.tools?.tool_specific ?? {})

function comesTo(policies: FoundPolicy[], request: Request): Effective {
  const chains = new ProfileChains(policies, request)
  const selection = select(policies, request)
  refuseUnknown(chains, selection, policies.length - 1)
  const { builtIn, definitions } = chains.of(selection.profile, policies.length - 1)
  const layers = policies.flatMap((from, level) => {
    const own = definitions.filter((d) => d.level === level).map((d) => profileLayer(from.document, d.name, d.profile))
    const security = securityLayer(from.document, selection.tool)
    return [...(security ? [security] : []), ...own].map((layer) => ({ from, layer: placed(from, layer) }))
  })
  return { selection, builtIn, definitions, layers }
}

/** What a file names; what a flag names is told by the chain itself. */
function refuseUnknown(chains: ProfileChains, { profile, profileOrigin }: Selection, level: number): void {
  if (profileOrigin === undefined || chains.has(profile, level)) return
  const names = chains.names(level)
  const near = nearest(profile, names)
  throw new QiError(
    'QI_PROFILE_UNKNOWN',
    `${profileOrigin} = ${JSON.stringify(profile)}: there is no such profile here, nor in a file further up`,
    {
      field: 'profile',
      value: profile,
      hint: near === undefined ? `use one of ${names.join(', ')}` : `did you mean "${near}"?`
    }
  )
}

function placed({ level, file, narrows }: FoundPolicy, layer: Layer): Layer {
  const at = level === 'project' ? anchored(layer, dirname(file)) : layer
  return narrows ? { ...at, narrows } : at
}

/** @throws QiError QI_POLICY_WIDENS when `file` changes anything but its own layers. */
function refuseWiderChoice(before: Effective, after: Effective, file: FoundPolicy): void {
  const others = after.layers.filter(({ from }) => from !== file).map(({ layer }) => layer)
  const sameLayers = isDeepStrictEqual(
    others,
    before.layers.map(({ layer }) => layer)
  )
  if (sameLayers && isBaseOf(after.builtIn.layers, before)) return
  const [was, is] = [before.selection, after.selection]
  const refuse = (what: 'profile' | 'tool', origin: string | undefined, value: string, reason: string) =>
    widens({ origin: file.file, marks: { [what]: origin ?? `--${what}` } }, what, value, reason)
  if (is.profile === was.profile && is.tool !== undefined && is.tool !== was.tool)
    throw refuse('tool', is.toolOrigin, is.tool, `is another tool than without this file (${was.tool ?? 'none'})`)
  const { source } = file.document
  const origin =
    is.profile === was.profile
      ? `${source.at(['sandbox', 'profiles', is.profile])}: sandbox.profiles.${is.profile}`
      : is.profileOrigin
  throw refuse('profile', origin, is.profile, `does not extend ${was.profile}, the profile without this file`)
}

/**
 * The same built-in profile, or one that it is built on: strict < standard < dev. Not so of those for one server: their
 * `allowedPorts` hold for the hosts of other layers, too, and would be gone.
 */
function isBaseOf(layers: Layer[], { builtIn, selection }: Effective): boolean {
  if (layers.length < builtIn.layers.length && !GENERAL.has(selection.profile)) return false
  return layers.length <= builtIn.layers.length && isDeepStrictEqual(layers, builtIn.layers.slice(0, layers.length))
}

const GENERAL = new Set(['strict', 'standard', 'dev'])
