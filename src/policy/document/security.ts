import { z } from 'zod'
import { hostText } from '../config.js'
import { count, duration, number, path, refuse, size } from '../fields.js'
import { cores } from '../resources.js'

/**
 * `security:` as the reference guide writes it. What the jail enforces of it is in ./steer.ts; the rest is checked and kept
 * for the systems it is meant for (./unenforced.ts).
 */

const share = number
  .transform((v, c) =>
    v >= 0 && v <= 1 ? v : refuse(c, 'QI_LIMIT', 'is no number from 0 to 1', 'write a share like 0.7')
  )
  .meta({ type: 'number', minimum: 0, maximum: 1 })

const enforcementMode = z
  .enum(['strict', 'permissive', 'disabled'])
  .describe(
    'strict: what is not granted is refused. permissive: it is recorded, and let through where that is safe. disabled: the command runs without a jail (a project file must be trusted for that)'
  )

const riskLevel = z.enum(['low', 'medium', 'high', 'critical'])
const auditLevel = z.enum(['minimal', 'standard', 'detailed'])

const global = z
  .strictObject({
    enforcement_mode: enforcementMode.optional(),
    default_deny: z
      .boolean()
      .refine((v) => v, {
        params: { qi: 'QI_POLICY', hint: 'list what is needed, or see with enforcement_mode: permissive what that is' },
        error: 'a jail shows nothing that is not granted, so there is nothing to deny by exception'
      })
      .meta({ const: true })
      .optional()
      .describe('Only true: what is not granted does not exist in the jail'),
    audit_all: z.boolean().optional().describe('Record allowed acts as well as refused ones')
  })
  .describe('For every tool')

const resourceLimits = z
  .strictObject({
    memory: size.optional().describe('Of the whole jail: bytes, "100MB", "1GiB"'),
    cpu: cores.optional().describe('Over all processes: "50%" of one core, 0.5, 2')
  })
  .describe('What the command may use of the machine')

const hosts = (action: 'allow' | 'deny', what: string) => z.array(hostText(action)).optional().describe(what)

const toolPolicy = z.strictObject({
  risk_level: riskLevel.optional().describe('For whoever approves calls'),
  require_approval: z.boolean().optional().describe('Whether a person is asked before a call'),
  max_execution_time: duration.optional().describe('Wall clock of the whole run: milliseconds, or "30s", "5m"'),
  resource_limits: resourceLimits.optional(),
  allowed_paths: z
    .array(path)
    .optional()
    .describe('May be read and written: a path, or dir/** for all below it; what does not exist is left out'),
  denied_paths: z
    .array(path)
    .optional()
    .describe('Neither read nor written, whatever allows it; what the command itself needs to start stays readable'),
  max_file_size: size.optional().describe('The largest file that may be written: bytes, "10MB"'),
  allowed_hosts: hosts('allow', 'May be connected to: name, *.domain, address, network, each with or without :port'),
  denied_hosts: hosts('deny', 'May not, whatever allows it; localhost: no service of the host'),
  max_connections: count.optional().describe('Connections at once')
})

const names = z.string().min(1)

const tools = z
  .strictObject({
    default_policy: toolPolicy.optional().describe('For every tool, as far as tool_specific does not say otherwise'),
    tool_specific: z
      .record(names, toolPolicy)
      .optional()
      .describe('By name of the tool; which one holds is said by --tool, `tool:`, or an entry of servers:')
  })
  .describe('What tools may do')

const role = z.strictObject({
  tools: z.array(names).optional().describe('Names of tools, or "*"'),
  approval_required: z.boolean().optional().describe('Whether a person is asked before a call'),
  audit_level: auditLevel.optional().describe('How much of its calls is recorded')
})

const permissions = z
  .strictObject({ roles: z.record(names, role).optional().describe('By name of the role') })
  .describe('Who may call what')

const audit = z
  .strictObject({
    enabled: z.boolean().optional().describe('Whether calls are recorded'),
    level: auditLevel.optional().describe('How much of each'),
    retention_days: count.optional().describe('How long records are kept'),
    real_time_alerts: z.boolean().optional().describe('Whether somebody is told at once'),
    categories: z
      .strictObject({
        authentication: z.boolean().optional().describe('Who proved to be whom'),
        authorization: z.boolean().optional().describe('Who was let do what'),
        tool_execution: z.boolean().optional().describe('Calls of tools'),
        security_violations: z.boolean().optional().describe('What was refused'),
        configuration_changes: z.boolean().optional().describe('Changes of policies')
      })
      .optional()
      .describe('Which events are recorded')
  })
  .describe('What is recorded, and for how long')

const threatDetection = z
  .strictObject({
    enabled: z.boolean().optional().describe('Whether anything looks'),
    ml_models: z.array(names).optional().describe('Names of the detectors'),
    thresholds: z
      .strictObject({
        prompt_injection_confidence: share.optional().describe('0 to 1'),
        anomaly_score: share.optional().describe('0 to 1'),
        failed_auth_attempts: count.optional().describe('In a row')
      })
      .optional()
      .describe('From where on it is an attack')
  })
  .describe('What looks for attacks')

const response = z
  .string()
  .regex(/^(?:immediate|[1-9][0-9]*_(?:second|minute|hour|day)s?)$/, 'is neither immediate nor a time like 15_minutes')

const incidentResponse = z
  .strictObject({
    auto_block: z.boolean().optional().describe('Whether the attacker is shut out at once'),
    notification_channels: z.array(names).optional().describe('Where people are told'),
    escalation_rules: z
      .strictObject({
        critical: response.optional().describe('Of the gravest'),
        high: response.optional().describe('Of grave ones'),
        medium: response.optional().describe('Of others'),
        low: response.optional().describe('Of the least')
      })
      .optional()
      .describe('How soon a person is told: immediate, 15_minutes, 1_hour')
  })
  .describe('What happens after an attack')

export const SecuritySchema = z
  .strictObject({
    version: z
      .string()
      .regex(/^1(?:\.[0-9]+){0,2}$/, 'is no version 1.x of the format; quote it, as in "1.0.0"')
      .optional()
      .describe('Of this format: "1.0.0"'),
    global: global.optional(),
    tools: tools.optional(),
    permissions: permissions.optional(),
    audit: audit.optional(),
    threat_detection: threatDetection.optional(),
    incident_response: incidentResponse.optional()
  })
  .describe('The security policy')

export type Security = z.output<typeof SecuritySchema>
export type ToolPolicy = z.output<typeof toolPolicy>
