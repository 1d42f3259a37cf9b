export { type ParsedConfig, parseConfig, type SandboxConfig, SandboxConfigSchema } from './config.js'
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
