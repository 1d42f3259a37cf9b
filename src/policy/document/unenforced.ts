import { formatField } from '../issues.js'
import type { PolicyDocument } from './parse.js'
import type { ToolPolicy } from './security.js'

/** Something of `security:` that was checked and kept, and that no jail enforces. */
export interface Unenforced {
  /** `security.permissions` */
  field: string
  /** `file:line:column` */
  origin: string
  /** Whose it is. */
  reason: string
}

const SECTIONS = {
  permissions: 'for whoever decides who may call which tool',
  audit: 'for whoever keeps the records; the jail records every refusal (audit.file)',
  threat_detection: 'for whoever looks for attacks in what tools say and are asked',
  incident_response: 'for whoever acts on an attack'
} as const

const OF_A_TOOL = {
  risk_level: 'for whoever approves calls',
  require_approval: 'for whoever approves calls'
} as const

/** In the order of the schema; `tool`: the one that was selected. */
export function unenforced({ policy: { security }, source }: PolicyDocument, tool: string | undefined): Unenforced[] {
  const out: Unenforced[] = []
  const add = (path: string[], reason: string) => {
    const written = ['security', ...path]
    out.push({ field: formatField(written), origin: source.at(written), reason })
  }
  const ofTool = (policy: ToolPolicy | undefined, path: string[]) => {
    for (const [key, reason] of Object.entries(OF_A_TOOL))
      if (policy?.[key as keyof typeof OF_A_TOOL] !== undefined) add([...path, key], reason)
  }
  if (security?.global?.audit_all !== undefined) add(['global', 'audit_all'], 'for whoever keeps the records')
  ofTool(security?.tools?.default_policy, ['tools', 'default_policy'])
  for (const [name, policy] of Object.entries(security?.tools?.tool_specific ?? {})) {
    const path = ['tools', 'tool_specific', name]
    if (name === tool) ofTool(policy, path)
    else add(path, `another tool than ${tool === undefined ? 'any that was selected (--tool)' : tool}`)
  }
  for (const [section, reason] of Object.entries(SECTIONS))
    if (security?.[section as keyof typeof SECTIONS] !== undefined) add([section], reason)
  return out
}
