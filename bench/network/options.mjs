// Flags of the benchmark: run.mjs takes them and passes them on.
export const OPTIONS = {
  rounds: { type: 'string', default: '15' },
  gigabytes: { type: 'string', default: '2' },
  only: { type: 'string', default: 'connect,receive,requests,resolve,memory' },
  json: { type: 'boolean', default: false }
}
