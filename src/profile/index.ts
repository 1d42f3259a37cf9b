export { nodeFs, type ReadFs } from './fs.js'
export { resolve, type ResolveRequest } from './resolve.js'
export * from './types.js'
