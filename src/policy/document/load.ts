import { QiError } from '../../errors.js'
import { nearest } from '../issues.js'
import { type LoadedProfile, loadProfile } from '../profiles.js'
import { effective, toolsOf } from './effective.js'
import { type FindRequest, type FoundPolicy, findPolicies } from './find.js'
import type { Selection, SelectRequest } from './select.js'
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
  const { selection, builtIn, definitions, layers } = effective(policies, request)
  if (selection.tool !== undefined && !knowsTool(policies, selection.tool)) throw unknownTool(policies, selection)
  const purpose = definitions.map((d) => d.profile.purpose).filter((text) => text !== undefined)
  return {
    name: selection.profile,
    purpose: purpose.at(-1) ?? builtIn.purpose,
    layers: [...builtIn.layers, ...layers.map(({ layer }) => layer)],
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
