import { z } from 'zod'
import { ProfileFileSchema } from './config.js'
import { PolicyFileSchema } from './document/schema.js'

/** What an editor completes and checks by, made from what files are read by. `npm run generate` writes them to schema/. */
export const JSON_SCHEMAS = {
  policy: () => jsonSchema(PolicyFileSchema, 'A policy of qi-jail (docs/policy.md)'),
  profile: () => jsonSchema(ProfileFileSchema, 'A profile of qi-jail, as a file of its own')
}

/** Draft 7, which the YAML server of editors knows. Never stricter than the parser: what it cannot say, it leaves out. */
function jsonSchema(schema: z.ZodType, title: string): object {
  const made = z.toJSONSchema(schema, { target: 'draft-07', io: 'input', unrepresentable: 'any', reused: 'inline' })
  const { $schema, ...rest } = made
  return { $schema, title, ...rest }
}
