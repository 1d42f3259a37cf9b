import { describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import { parseConfig } from '../../src/policy/config.js'
import { parseCores, parseDuration, parseSize } from '../../src/policy/units.js'

const fault = (input: unknown): QiError => {
  try {
    parseConfig(input)
  } catch (error) {
    if (error instanceof QiError) return error
    throw error
  }
  throw new Error(`accepted: ${JSON.stringify(input)}`)
}

describe('units', () => {
  it.each([
    [512, 512],
    ['512', 512],
    ['512B', 512],
    ['1kB', 1000],
    ['512MB', 512e6],
    ['1GiB', 2 ** 30],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['256M', 256 * 2 ** 20]
  ])('size %s is %d bytes', (written, bytes) => expect(parseSize(written)).toEqual({ value: bytes }))

  it.each([
    [250, 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1.5h', 5_400_000],
    ['2d', 172_800_000]
  ])('duration %s is %d ms', (written, ms) => expect(parseDuration(written)).toEqual({ value: ms }))

  it.each(['', 'MB', '-1MB', '1XB', '1e3', '0', '0MB', '0.1B', '9999999TB', '1 MB 2', '0x10', '1.5'])(
    'refuses size "%s"',
    (written) => expect(parseSize(written)).toEqual({ reason: expect.any(String) })
  )
})

describe('cores', () => {
  it.each([
    [0.5, 0.5],
    [2, 2],
    ['50%', 0.5],
    ['250 %', 2.5],
    ['1.5', 1.5],
    [0.01, 0.01]
  ])('%s are %d cores', (written, value) => expect(parseCores(written)).toEqual({ value }))

  it.each(['', '%', '-1', '0%', '0', 'half', '1e3', '50%%', 0, -1, Number.NaN, Infinity, 0.009, '0.5%', 1e6])(
    'refuses %s',
    (written) => expect(parseCores(written)).toEqual({ reason: expect.any(String) })
  )
})

describe('SandboxConfig', () => {
  it('takes the reference shape', () => {
    const config = {
      processIsolation: { enabled: true, uid: 1000, gid: 1000, noNewPrivileges: true },
      filesystem: {
        readOnlyPaths: ['/a'],
        allowedPaths: [],
        deniedPaths: [],
        tempDirectory: '/tmp',
        maxFileSize: '1MB'
      },
      network: { allowedHosts: [], allowedPorts: [], denyInternet: true },
      resources: { maxMemory: '1GiB', maxExecutionTime: '30s', maxFileDescriptors: 64 }
    }
    expect(parseConfig(config).filesystem?.maxFileSize).toBe(1e6)
    expect(parseConfig(config).resources).toEqual({
      maxMemory: 2 ** 30,
      maxExecutionTime: 30000,
      maxFileDescriptors: 64
    })
  })

  it('takes every limit', () => {
    const resources = {
      maxMemory: '1GiB',
      memoryThreshold: '512MiB',
      maxCpu: '50%',
      cpuWeight: 10_000,
      maxIo: { readBytes: '1MB', writeBytes: 5, readOps: 6, writeOps: 7, path: '/srv' },
      maxExecutionTime: '1m',
      executionClock: 'running',
      terminationGrace: '0s',
      maxFileDescriptors: 9,
      maxProcesses: 8,
      onProcessLimit: 'kill',
      tmpSize: '1MB',
      tmpFiles: 7,
      cgroup: 'off'
    } as const
    const parsed = parseConfig({ resources })
    expect(parsed.resources).toEqual({
      ...resources,
      maxMemory: 2 ** 30,
      memoryThreshold: 2 ** 29,
      maxCpu: 0.5,
      maxIo: { readBytes: 1e6, writeBytes: 5, readOps: 6, writeOps: 7, path: '/srv' },
      maxExecutionTime: 60_000,
      terminationGrace: 0,
      tmpSize: 1e6
    })
    expect(parseConfig(parsed)).toEqual(parsed)
  })

  it.each([
    [{ maxCpu: 'half' }, 'QI_LIMIT', 'maxCpu', 'a share of one like "50%"'],
    [{ maxCpu: true }, 'QI_CONFIG', 'maxCpu', '"50%"'],
    [{ maxCpu: 0.001 }, 'QI_LIMIT', 'maxCpu', '1% of a core'],
    [{ cpuWeight: 0 }, 'QI_LIMIT', 'cpuWeight', '1 to 10000'],
    [{ cpuWeight: 10_001 }, 'QI_LIMIT', 'cpuWeight', '1 to 10000'],
    [{ cpuWeight: 1.5 }, 'QI_LIMIT', 'cpuWeight', '1 to 10000'],
    [{ memoryThreshold: '0' }, 'QI_LIMIT', 'memoryThreshold', 'greater than 0'],
    [{ terminationGrace: '2d' }, 'QI_LIMIT', 'terminationGrace', 'longer than a day'],
    [{ terminationGrace: -1 }, 'QI_LIMIT', 'terminationGrace', 'greater than 0'],
    [{ tmpFiles: 0 }, 'QI_LIMIT', 'tmpFiles', 'greater than 0'],
    [{ executionClock: 'cpu' }, 'QI_CONFIG', 'executionClock', 'wall'],
    [{ onProcessLimit: 'stop' }, 'QI_CONFIG', 'onProcessLimit', 'refuse'],
    [{ cgroup: true }, 'QI_CONFIG', 'cgroup', 'auto'],
    [{ maxIo: {} }, 'QI_LIMIT', 'maxIo', 'give readBytes'],
    [{ maxIo: { path: '/srv' } }, 'QI_LIMIT', 'maxIo', 'give readBytes'],
    [{ maxIo: { readBytes: 0 } }, 'QI_LIMIT', 'maxIo.readBytes', 'greater than 0'],
    [{ maxIo: { readOps: 1.5 } }, 'QI_LIMIT', 'maxIo.readOps', 'whole number'],
    [{ maxIo: { readBytes: 1, path: 'a/../b' } }, 'QI_PATH', 'maxIo.path', '".."'],
    [{ maxIo: { readbytes: 1 } }, 'QI_CONFIG', 'maxIo.readbytes', 'did you mean "readBytes"?']
  ])('refuses the limit %j and says why', (resources, code, key, said) => {
    const error = fault({ resources })
    expect(error).toMatchObject({ code, field: `resources.${key}` })
    expect(error.message).toContain(said)
  })

  it.each([
    [{ resources: { maxMemory: true } }, 'is no number and no text like "512MB"'],
    [{ resources: { maxExecutionTime: null } }, 'is no number and no text like "30s"'],
    [{ resources: { maxProcesses: '8' } }, 'is not a number'],
    [{ resources: { maxMemory: 2 ** 53 } }, 'leave the key out']
  ])('says what a limit is: %j', (input, message) => expect(fault(input).message).toContain(message))

  it.each([
    '',
    'a\0b',
    'a\nb',
    'a/../b',
    // As patterns are read.
    'a/\\.\\./b',
    'a/.\\.',
    '\\../b/**',
    'a/..?'
  ])('has a remedy for the path %j', (path) => {
    const error = fault({ filesystem: { readOnlyPaths: [path] } })
    expect(error).toMatchObject({ code: 'QI_PATH', field: 'filesystem.readOnlyPaths[0]', value: path })
    expect(error.hint).toBeTruthy()
  })

  it.each(['a/..b/c', 'a/...', '.?', 'a/\\\\.\\\\./b', '.../**', './.x?'])('takes the path %j', (path) =>
    expect(parseConfig({ filesystem: { readOnlyPaths: [path] } }).filesystem?.readOnlyPaths).toEqual([path])
  )

  it('takes its own output again', () => {
    const once = parseConfig({ resources: { tmpSize: '1GiB' }, env: ['A'] })
    expect(parseConfig(once)).toEqual(once)
  })

  it.each([
    [{ filesystem: { readOnlyPath: [] } }, 'filesystem.readOnlyPath', 'did you mean "readOnlyPaths"?'],
    [{ filesytem: {} }, 'filesytem', 'did you mean "filesystem"?'],
    [{ resources: { maxmemory: 1 } }, 'resources.maxmemory', 'did you mean "maxMemory"?'],
    [{ xyzzy: 1 }, 'xyzzy', 'known keys: '],
    [{ network: { constructor: 1 } }, 'network.constructor', 'known keys: ']
  ])('unknown key %j', (input, field, hint) => {
    const error = fault(input)
    expect(error).toMatchObject({ code: 'QI_CONFIG', field })
    expect(error.hint).toContain(hint)
  })

  it.each([
    [{ filesystem: { readOnlyPaths: ['a\0b'] } }, 'QI_PATH', 'filesystem.readOnlyPaths[0]'],
    [{ filesystem: { allowedPaths: ['/a', '/a\nb'] } }, 'QI_PATH', 'filesystem.allowedPaths[1]'],
    [{ filesystem: { deniedPaths: ['/a/../b'] } }, 'QI_PATH', 'filesystem.deniedPaths[0]'],
    [{ filesystem: { deniedPaths: [''] } }, 'QI_PATH', 'filesystem.deniedPaths[0]'],
    [{ cwd: '..' }, 'QI_PATH', 'cwd'],
    [{ audit: { file: 'a/../b' } }, 'QI_PATH', 'audit.file'],
    [{ filesystem: { readOnlyPaths: '/a' } }, 'QI_CONFIG', 'filesystem.readOnlyPaths'],
    [{ filesystem: { maxFileSize: 0 } }, 'QI_LIMIT', 'filesystem.maxFileSize'],
    [{ resources: { maxMemory: -1 } }, 'QI_LIMIT', 'resources.maxMemory'],
    [{ resources: { maxMemory: Number.NaN } }, 'QI_LIMIT', 'resources.maxMemory'],
    [{ resources: { maxMemory: Infinity } }, 'QI_LIMIT', 'resources.maxMemory'],
    [{ resources: { maxMemory: 2 ** 53 } }, 'QI_LIMIT', 'resources.maxMemory'],
    [{ resources: { maxMemory: '99999999999TB' } }, 'QI_LIMIT', 'resources.maxMemory'],
    [{ resources: { maxMemory: 'lots' } }, 'QI_LIMIT', 'resources.maxMemory'],
    [{ resources: { maxExecutionTime: '0s' } }, 'QI_LIMIT', 'resources.maxExecutionTime'],
    [{ resources: { maxFileDescriptors: 1.5 } }, 'QI_LIMIT', 'resources.maxFileDescriptors'],
    [{ resources: { maxProcesses: true } }, 'QI_CONFIG', 'resources.maxProcesses'],
    [{ resources: { maxCpu: 0 } }, 'QI_LIMIT', 'resources.maxCpu'],
    [{ processIsolation: { uid: 0 } }, 'QI_IDENTITY', 'processIsolation.uid'],
    [{ processIsolation: { gid: 0xffffffff } }, 'QI_IDENTITY', 'processIsolation.gid'],
    [{ processIsolation: { enabled: false } }, 'QI_CONFIG', 'processIsolation.enabled'],
    [{ processIsolation: { noNewPrivileges: false } }, 'QI_CONFIG', 'processIsolation.noNewPrivileges'],
    [{ network: { allowedHosts: ['example..org'] } }, 'QI_NETWORK_HOST', 'network.allowedHosts[0]'],
    [{ network: { allowedHosts: ['a.example', '127.1'] } }, 'QI_NETWORK_HOST', 'network.allowedHosts[1]'],
    [{ network: { allowedHosts: ['localhost'] } }, 'QI_NETWORK_HOST', 'network.allowedHosts[0]'],
    [{ network: { allowedHosts: [{ host: '*.com' }] } }, 'QI_NETWORK_HOST', 'network.allowedHosts[0]'],
    [
      { network: { allowedHosts: [{ host: 'a.example:1', ports: [2] }] } },
      'QI_NETWORK_HOST',
      'network.allowedHosts[0]'
    ],
    [{ network: { allowedHosts: [{ host: 'a.example', ports: [] }] } }, 'QI_NETWORK_HOST', 'network.allowedHosts[0]'],
    [{ network: { allowedHosts: [{ host: 'localhost' }] } }, 'QI_NETWORK_HOST', 'network.allowedHosts[0]'],
    [
      { network: { allowedHosts: [{ host: '192.0.2.1', inspect: 'sni' }] } },
      'QI_NETWORK_HOST',
      'network.allowedHosts[0]'
    ],
    [
      { network: { allowedHosts: [{ host: 'a.example', inspect: 'all' }] } },
      'QI_CONFIG',
      'network.allowedHosts[0].inspect'
    ],
    [{ network: { allowedHosts: [{ host: 'a.example', port: 1 }] } }, 'QI_CONFIG', 'network.allowedHosts[0].port'],
    [
      { network: { allowedHosts: [{ host: 'a.example', ports: [0] }] } },
      'QI_NETWORK',
      'network.allowedHosts[0].ports[0]'
    ],
    [{ network: { allowedHosts: [7] } }, 'QI_CONFIG', 'network.allowedHosts[0]'],
    [{ network: { deniedHosts: ['*'] } }, 'QI_NETWORK_HOST', 'network.deniedHosts[0]'],
    [{ network: { udp: ['a.example'] } }, 'QI_NETWORK_HOST', 'network.udp[0]'],
    [{ network: { udp: ['localhost:123'] } }, 'QI_NETWORK_HOST', 'network.udp[0]'],
    [{ network: { udp: ['9.9.9.9:53'] } }, 'QI_NETWORK_HOST', 'network.udp[0]'],
    [{ network: { allowedPorts: [65536] } }, 'QI_NETWORK', 'network.allowedPorts[0]'],
    [{ network: { allowedPorts: ['443'] } }, 'QI_CONFIG', 'network.allowedPorts[0]'],
    [{ network: { publish: [0] } }, 'QI_NETWORK', 'network.publish[0]'],
    [{ network: { publish: [80, 80] } }, 'QI_NETWORK', 'network.publish'],
    [{ network: { allowLoopback: [1.5] } }, 'QI_NETWORK', 'network.allowLoopback[0]'],
    [{ network: { maxConnections: 0 } }, 'QI_LIMIT', 'network.maxConnections'],
    [{ network: { onDenied: 'EPERM' } }, 'QI_CONFIG', 'network.onDenied'],
    [{ network: { denyInternet: true, allowedHosts: ['*'] } }, 'QI_NETWORK', 'network.denyInternet'],
    [
      { network: { dangerouslyShareHostNetwork: true, allowedHosts: ['a.example'] } },
      'QI_NETWORK',
      'network.allowedHosts'
    ],
    [{ network: { dangerouslyShareHostNetwork: true, maxConnections: 5 } }, 'QI_NETWORK', 'network.maxConnections'],
    [{ network: { denyInternet: true, dangerouslyShareHostNetwork: true } }, 'QI_CONFIG', 'network.denyInternet'],
    [{ tolerate: ['everything'] }, 'QI_CONFIG', 'tolerate[0]'],
    [{ env: { 'A=B': 'x' } }, 'QI_ENV', 'env.A=B'],
    [{ env: { A: 'x\0y' } }, 'QI_ENV', 'env.A'],
    [{ env: [''] }, 'QI_ENV', 'env[0]'],
    [null, 'QI_CONFIG', ''],
    ['strict', 'QI_CONFIG', '']
  ])('refuses %j with %s at %s', (input, code, field) => {
    const error = fault(input)
    expect({ code: error.code, field: error.field, message: error.message }).toEqual({
      code,
      field,
      message: expect.any(String)
    })
  })

  it('names the value and the remedy', () => {
    const error = fault({ network: { allowedHosts: ['10.0.0.1/8'] } })
    expect(error.value).toBe('10.0.0.1/8')
    expect(error.message).toContain('network.allowedHosts[0] = "10.0.0.1/8": has bits set after the prefix')
    expect(error.hint).toContain('10.0.0.0/8')
    expect(fault({ network: { allowedHosts: [{ host: 'a.example', inspekt: 'sni' }] } }).hint).toContain('"inspect"')
  })

  it('takes every key of the network, and an empty list as none', () => {
    const network = {
      allowedHosts: ['a.example', { host: 'b.example', ports: [443], inspect: 'sni' as const }],
      allowedPorts: [443],
      deniedHosts: ['c.example'],
      maxConnections: 9,
      allowLoopback: [5432],
      publish: [3000],
      udp: ['time.example:123'],
      onDenied: 'ECONNREFUSED' as const,
      updatable: true
    }
    expect(parseConfig({ network }).network).toEqual(network)
    const none = { dangerouslyShareHostNetwork: true, allowedHosts: [], allowedPorts: [], publish: [] }
    expect(parseConfig({ network: none }).network).toEqual(none)
  })
})
