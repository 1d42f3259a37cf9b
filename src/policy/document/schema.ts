import { z } from 'zod'
import { body, oneLine, profileName, refuseUnenforced } from '../config.js'
import { SecuritySchema } from './security.js'

const anyProfile = z.string().regex(/^(?!.*\.ya?ml$)(?:servers\/)?[A-Za-z0-9][A-Za-z0-9._-]*$/, {
  error: 'is no name of a profile (files are for --profile)'
})

const sandboxProfile = z
  .strictObject({
    ...body,
    purpose: oneLine.optional(),
    extends: anyProfile.optional().describe('A built-in profile or another one of these files; without it, strict')
  })
  .superRefine(refuseUnenforced)

const sandbox = z
  .strictObject({
    profiles: z
      .record(profileName, sandboxProfile)
      .optional()
      .describe('Profiles by name, for --profile, default and servers'),
    default: anyProfile.optional().describe('The profile where nothing else names one'),
    tool: z
      .string()
      .min(1)
      .optional()
      .describe('The entry of security.tools.tool_specific where nothing else names one')
  })
  .describe('What the jail grants')

const words = z.union([z.string().regex(/\S/, 'is empty'), z.array(z.string().min(1)).min(1)])

const serverBody = {
  command: words
    .optional()
    .describe('The first words of the command line, as text or list; of the first word its last part is enough'),
  package: z.string().min(1).optional().describe('The npm package that npx, npm exec, bunx or pnpx starts'),
  profile: anyProfile.optional().describe('The profile it gets'),
  tool: z.string().min(1).optional().describe('The entry of security.tools.tool_specific that holds for it')
}

const givesSomething = (entry: { profile?: string | undefined; tool?: string | undefined }) =>
  entry.profile !== undefined || entry.tool !== undefined
const gives = { error: 'gives neither a profile nor a tool', params: { qi: 'QI_POLICY', hint: 'add profile: NAME' } }

const anyKeyOf = (...keys: string[]) => ({ anyOf: keys.map((key) => ({ required: [key] })) })

const matchesSomething = (entry: { name?: string | undefined; command?: unknown; package?: unknown }) =>
  entry.name !== undefined || entry.command !== undefined || entry.package !== undefined
const matches = { error: 'matches nothing', params: { qi: 'QI_POLICY', hint: 'add name, command or package' } }

const servers = z
  .union([
    z.record(
      z.string().min(1),
      z.strictObject(serverBody).refine(givesSomething, gives).meta(anyKeyOf('profile', 'tool'))
    ),
    z.array(
      z
        .strictObject({
          name: z.string().min(1).optional().describe('As --server and the MCP client call it'),
          ...serverBody
        })
        .refine(matchesSomething, matches)
        .refine(givesSomething, gives)
        .meta({ allOf: [anyKeyOf('name', 'command', 'package'), anyKeyOf('profile', 'tool')] })
    )
  ])
  .describe('Which MCP server gets which profile: by name, or a list with name, command or package')

/** A whole policy file. */
export const PolicyFileSchema = z
  .strictObject({ security: SecuritySchema.optional(), sandbox: sandbox.optional(), servers: servers.optional() })
  .describe('A policy of qi-jail')

export type PolicyFile = z.output<typeof PolicyFileSchema>
export type SandboxProfile = z.output<typeof sandboxProfile>

export interface ServerEntry {
  name?: string | undefined
  command?: string | string[] | undefined
  package?: string | undefined
  profile?: string | undefined
  tool?: string | undefined
}
