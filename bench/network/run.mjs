// The network allow-list's cost, in the test world (test/network): the same clients straight, in a jail, in a jail that
// inspects, and through a CONNECT proxy, in turn. Makes the world and measures inside it (measure.mjs).
// node bench/network/run.mjs [--rounds N] [--gigabytes N] [--only connect,receive,requests,resolve,memory] [--json]
import { flagsOf } from '../lib.mjs'
import { measureInWorld } from '../world.mjs'
import { OPTIONS } from './options.mjs'

flagsOf(import.meta.url, OPTIONS)
await measureInWorld(new URL('measure.mjs', import.meta.url))
