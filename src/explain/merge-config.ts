import type { SandboxConfig } from '../policy/config.js'

type Section = Record<string, unknown>

const isSection = (value: unknown): value is Section =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** `more` laid over a configuration: lists are added up, everything else is replaced. */
export function withMore(config: SandboxConfig, more: SandboxConfig): SandboxConfig {
  return over(config, more) as SandboxConfig
}

function over(base: unknown, more: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(more)) return [...base, ...more]
  if (!isSection(base) || !isSection(more)) return more
  return Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(more)])].map((key) => [
      key,
      !(key in more) ? base[key] : key in base ? over(base[key], more[key]) : more[key]
    ])
  )
}
