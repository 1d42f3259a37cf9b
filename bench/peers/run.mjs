// qi-jail beside bubblewrap, crun, runc, firejail, systemd-nspawn, runsc and sandbox-runtime (srt): the same commands, in
// turn, in a clean environment, inside the test world, so that no contender reaches a network. Who cannot run is listed
// with its error. As root: the roots of peers are mounts. `npm run bench:peers` installs the peers first.
// node bench/peers/run.mjs [--rounds N] [--only true,node,mcp,http,memory,getpid] [--json]
//   [--write: docs/benchmarks.md, .json and .svg]
import { flagsOf } from '../lib.mjs'
import { measureInWorld } from '../world.mjs'
import { OPTIONS } from './options.mjs'

flagsOf(import.meta.url, OPTIONS)
if (process.getuid() !== 0) throw new Error('bench:peers needs root: the roots of its peers are mounts')
await measureInWorld(new URL('measure.mjs', import.meta.url))
