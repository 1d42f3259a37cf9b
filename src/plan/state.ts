import type { Protection } from '../profile/types.js'

/** `lacking`: the host falls short of what the profile asks for, as against what the profile chose. */
export type State = [state: Protection['state'], reason: string, lacking?: 'lacking']
