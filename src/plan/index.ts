export { type BuildOptions, type BuiltPlan, buildPlan } from './build.js'
export { encodePlan } from './encode.js'
export * from './layout.gen.js'
