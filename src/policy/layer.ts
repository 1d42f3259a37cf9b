import type { ParsedConfig } from './config.js'

/** From the laxest. `disabled` is for policy files alone: who asks for a jail by a configuration gets one. */
export const ENFORCEMENT_MODES = ['disabled', 'permissive', 'strict'] as const
export type EnforcementMode = (typeof ENFORCEMENT_MODES)[number]

/** One writer's part of the policy: a profile, a section of a policy file, or the caller's config. */
export interface Layer {
  /** The file, or `config`; `profiles/strict.yaml` for a built-in one. */
  origin: string
  config: Omit<ParsedConfig, 'profile' | 'tool' | 'enforcement'> & { enforcement?: EnforcementMode | undefined }
  /** Of a policy file: where each field stands, `file:line:col: what is written there`, by the field of `config`. */
  marks?: Record<string, string>
  /** A project's file that nobody trusted: it takes away, and what it would add is refused. */
  narrows?: boolean
  /** Its denied paths remove what else is granted, but not what the command itself needs to start. */
  sparesCommand?: boolean
}

/** Where `field` of a layer was written, and what it is called there. */
export function placeOf(
  { origin, marks }: Pick<Layer, 'origin' | 'marks'>,
  field: string
): { field: string; origin: string } {
  const mark = marks?.[field]
  if (mark === undefined) return { field, origin: `${origin}: ${field}` }
  return { field: mark.slice(mark.lastIndexOf(': ') + 2), origin: mark }
}

export function envRecord(env: ParsedConfig['env']): Record<string, string | true> {
  if (!Array.isArray(env)) return env ?? {}
  return Object.fromEntries(env.map((name) => [name, true as const]))
}
