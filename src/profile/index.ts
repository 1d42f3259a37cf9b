export { nodeFs, type ReadFs } from './fs.js'
export { type ResolveRequest, resolve } from './resolve.js'
export * from './types.js'
