import { hostname } from 'node:os'
import { VERSION } from '../version.js'

export interface EventIdentity {
  /** Of this jail; in every event of it. */
  sessionId: string
  userId: string
  correlationId?: string
}

/** The members that are the same in every event of one jail, as qi-monitor writes them: JSON without the outer braces. */
export function auditHead({ sessionId, userId, correlationId }: EventIdentity): string {
  const head = {
    version: '1.0',
    source: {
      component: 'qi-jail',
      version: VERSION,
      instance: hostname(),
      ...(correlationId ? { correlationId } : {})
    },
    security: { userId, sessionId, ipAddress: '127.0.0.1', authenticationMethod: 'os-user' }
  }
  return JSON.stringify(head).slice(1, -1)
}
