import { z } from 'zod'
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

// A backslash may stand before each dot of a pattern, and "if it exists" behind them.
const CLIMBS = /(?:^|\/)\\?\.\\?\.(?:\/|\??$)/

export const path = z
  .string()
  .meta({ minLength: 1, not: { pattern: CLIMBS.source } })
  .transform((v, c) => {
    if (v === '') return refuse(c, 'QI_PATH', 'is an empty path', 'name a path, or leave it out')
    // A NUL ends the string for the kernel, a newline forges lines in logs, `..` says something else after a rename.
    if (v.includes('\0')) return refuse(c, 'QI_PATH', 'contains a NUL byte', 'remove it')
    if (/[\r\n]/.test(v)) return refuse(c, 'QI_PATH', 'contains a newline', 'rename the file or folder')
    if (CLIMBS.test(v)) return refuse(c, 'QI_PATH', 'contains a ".." segment', 'write the path it means')
    return v
  })
