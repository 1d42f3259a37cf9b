// Flags of the benchmark: run.mjs takes them and passes them on.
export const OPTIONS = {
  rounds: { type: 'string', default: '60' },
  only: { type: 'string', default: 'true,node,mcp,http,memory,getpid' },
  json: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false }
}
