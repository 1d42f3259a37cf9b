import { z } from 'zod'
import { CLIMBS, faultOfPath } from './path-text.js'
import { DURATION, parseCount, parseDuration, parseSize, SIZE, type UnitResult } from './units.js'

/** A refusal with its own code: `issueToError` turns `params.qi` into the QiError's code. */
export function refuse(context: z.RefinementCtx, code: `QI_${string}`, message: string, hint?: string): never {
  context.addIssue({ code: 'custom', message, params: { qi: code, hint } })
  return z.NEVER
}

export const limit = (result: UnitResult, context: z.RefinementCtx): number =>
  result.value ?? refuse(context, 'QI_LIMIT', result.reason as string)

// Not z.number(), which refuses NaN and Infinity with words of its own.
// `meta` is what the JSON Schema says of each (json-schema.ts): a transformation cannot tell it.
export const number = z.custom<number>((v) => typeof v === 'number', 'is not a number').meta({ type: 'number' })
export const written = (example: string, pattern: RegExp, least?: number) =>
  z
    .custom<number | string>(
      (v) => typeof v === 'number' || typeof v === 'string',
      `is no number and no text like ${example}`
    )
    .meta({
      anyOf: [
        { type: 'number', ...(least === undefined ? { exclusiveMinimum: 0 } : { minimum: least }) },
        { type: 'string', pattern: pattern.source }
      ]
    })
export const size = written('"512MB"', SIZE).transform((v, c) => limit(parseSize(v), c))
export const duration = written('"30s"', DURATION).transform((v, c) => limit(parseDuration(v), c))
export const count = number.transform((v, c) => limit(parseCount(v), c)).meta({ type: 'integer', minimum: 1 })

export const path = z
  .string()
  .meta({ minLength: 1, not: { pattern: CLIMBS.source } })
  .transform((v, c) => {
    const fault = faultOfPath(v)
    if (fault) return refuse(c, 'QI_PATH', fault.reason, fault.hint)
    return v
  })
