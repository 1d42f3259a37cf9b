import { QiError } from '../../errors.js'
import { dirname } from '../../profile/fs.js'
import { nearest } from '../issues.js'
import type { Layer } from '../layer.js'
import { type LoadedProfile, loadProfile } from '../profiles.js'
import { ProfileChains } from './chain.js'
import { type FindRequest, type FoundPolicy, findPolicies } from './find.js'
import { anchored, profileLayer, securityLayer } from './layers.js'
import { refuseWiderChoice, type Selection, type SelectRequest, select } from './select.js'
import { type Unenforced, unenforced } from './unenforced.js'

/** What the policy files came to, besides the layers. */
export interface LoadedPolicy {
  /** In the order in which they were merged. */
  files: { file: string; level: FoundPolicy['level']; trust: 'own' | 'trusted' | 'narrows' }[]
  selection: Selection
  unenforced: Unenforced[]
}

export interface PolicyRequest extends FindRequest, SelectRequest {
  profilesDir?: string
}

/** A profile with every policy file that is there; exactly `loadProfile` where there is none. */
export function loadPolicy(request: PolicyRequest): LoadedProfile & { policy?: LoadedPolicy } {
  const { policies, guarded } = findPolicies(request)
  if (policies.length === 0) {
    if (request.tool !== undefined) throw unknownTool(policies, { profile: '', matched: false, tool: request.tool })
    const loaded = loadProfile(request.profile, request)
    return { ...loaded, files: [...loaded.files, ...guarded] }
  }
  const chains = new ProfileChains(policies, request)
  for (const [level, { narrows }] of policies.entries())
    if (narrows) refuseWiderChoice(policies, level, chains, request)
  const selection = select(policies, request)
  if (selection.tool !== undefined && !knowsTool(policies, selection.tool)) throw unknownTool(policies, selection)
  refuseUnknown(chains, selection, policies.length - 1)
  const { builtIn, definitions } = chains.of(selection.profile, policies.length - 1)
  const layers = policies.flatMap((found, level) => {
    const own = definitions.filter((d) => d.level === level).map((d) => profileLayer(found.document, d.name, d.profile))
    const security = securityLayer(found.document, selection.tool)
    return [...(security ? [security] : []), ...own].map((layer) => placed(found, layer))
  })
  const purpose = definitions.map((d) => d.profile.purpose).filter((text) => text !== undefined)
  return {
    name: selection.profile,
    purpose: purpose.at(-1) ?? builtIn.purpose,
    layers: [...builtIn.layers, ...layers],
    files: [...builtIn.files, ...guarded],
    policy: {
      files: policies.map(({ file, level, narrows }) => ({
        file,
        level,
        trust: level !== 'project' ? 'own' : narrows ? 'narrows' : 'trusted'
      })),
      selection,
      unenforced: policies.flatMap(({ document }) => unenforced(document, selection.tool))
    }
  }
}

/** What a file names; what a flag names is told by the chain itself. */
function refuseUnknown(chains: ProfileChains, { profile, profileOrigin }: Selection, level: number): void {
  if (profileOrigin === undefined || chains.has(profile, level)) return
  const names = chains.names(level)
  const near = nearest(profile, names)
  throw new QiError('QI_PROFILE_UNKNOWN', `${profileOrigin} = ${JSON.stringify(profile)}: there is no such profile`, {
    field: 'profile',
    value: profile,
    hint: near === undefined ? `use one of ${names.join(', ')}` : `did you mean "${near}"?`
  })
}

function placed({ level, file, narrows }: FoundPolicy, layer: Layer): Layer {
  const at = level === 'project' ? anchored(layer, dirname(file)) : layer
  return narrows ? { ...at, narrows } : at
}

const toolsOf = ({ document }: FoundPolicy): string[] =>
  Object.keys(document.policy.security?.tools?.tool_specific ?? {})
const knowsTool = (policies: FoundPolicy[], tool: string): boolean =>
  policies.some((found) => toolsOf(found).includes(tool))

function unknownTool(policies: FoundPolicy[], { tool = '', toolOrigin }: Selection): QiError {
  const known = [...new Set(policies.flatMap(toolsOf))]
  const near = nearest(tool, known)
  const hint =
    near !== undefined
      ? `did you mean "${near}"?`
      : known.length > 0
        ? `there are ${known.join(', ')}`
        : 'no policy file has tool_specific'
  const where = toolOrigin ?? 'tool'
  return new QiError(
    'QI_POLICY_TOOL',
    `${where} = ${JSON.stringify(tool)}: no such entry in security.tools.tool_specific`,
    {
      field: 'tool',
      value: tool,
      hint
    }
  )
}
