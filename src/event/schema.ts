import { z } from 'zod'

/** How an event names the jail's process that did something; kernel detail of a refusal. */
export const RefusalParametersSchema = z.looseObject({
  /** Name of the system call; `unknown` for a number no table has. */
  syscall: z.string(),
  number: z.number().int().optional(),
  /** By name; flags by name, paths and addresses as text. */
  arguments: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
  /** Thread group and thread as the host numbers them, and as the jail does. */
  pid: z.number().int().optional(),
  tid: z.number().int().optional(),
  jailPid: z.number().int().optional(),
  comm: z.string().optional(),
  commandLine: z.string().optional(),
  /** Which rule refused it. */
  rule: z.string(),
  /** Permissive: it was let through, and would have been refused with `verdict`. */
  wouldBe: z.literal('blocked').optional(),
  /** errno by name that the payload got, or would have got. */
  verdict: z.string().optional(),
  errno: z.number().int().optional(),
  /** How many times, this event stands for. */
  repeatCount: z.number().int().min(1)
})

/** One audit event; one line of an audit file. The shape is the security guide's AuditLogSchema. */
export const AuditLogSchema = z.object({
  eventId: z.uuid(),
  timestamp: z.iso.datetime(),
  version: z.string().default('1.0'),
  source: z.object({
    component: z.string(),
    version: z.string(),
    instance: z.string(),
    correlationId: z.string().optional()
  }),
  security: z.object({
    userId: z.string(),
    sessionId: z.string(),
    ipAddress: z.string(),
    userAgent: z.string().optional(),
    authenticationMethod: z.string()
  }),
  event: z.object({
    category: z.enum(['auth', 'authz', 'tool', 'config', 'security', 'data', 'system']),
    action: z.string(),
    outcome: z.enum(['success', 'failure', 'error', 'blocked']),
    severity: z.enum(['info', 'warning', 'error', 'critical'])
  }),
  context: z.object({
    tool: z.object({ name: z.string(), version: z.string(), server: z.string() }).optional(),
    parameters: z.record(z.string(), z.any()).optional(),
    result: z
      .object({
        success: z.boolean(),
        errorCode: z.string().optional(),
        errorMessage: z.string().optional(),
        executionTime: z.number().optional()
      })
      .optional(),
    security: z
      .object({
        riskLevel: z.enum(['low', 'medium', 'high', 'critical']),
        threatDetection: z
          .object({
            score: z.number().min(0).max(1),
            techniques: z.array(z.string()),
            mitigations: z.array(z.string())
          })
          .optional()
      })
      .optional()
  }),
  compliance: z
    .object({
      dataClassification: z.enum(['public', 'internal', 'confidential', 'restricted']),
      retentionPeriod: z.number(),
      encryptionRequired: z.boolean()
    })
    .optional()
})

export type AuditLog = z.infer<typeof AuditLogSchema>
