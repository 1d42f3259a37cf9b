export { type ParsedConfig, parseConfig, type SandboxConfig, SandboxConfigSchema } from './config.js'
export { type LoadedPolicy, loadPolicy } from './document/load.js'
export { type PolicyDocument, parsePolicy } from './document/parse.js'
export { type PolicyFile, PolicyFileSchema } from './document/schema.js'
export type { Unenforced } from './document/unenforced.js'
export { type Layer, mergeLayers, type PathRule, type Policy } from './merge.js'
export {
  DEFAULT_PROFILE,
  type LoadedProfile,
  listProfiles,
  loadProfile,
  PACKAGE_DIR,
  PROFILES_DIR
} from './profiles.js'
export { parseDuration, parseSize } from './units.js'
