export { auditHead, type EventIdentity } from './head.js'
export { type AuditLog, AuditLogSchema, RefusalParametersSchema } from './schema.js'
