import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../src/policy/config.js'
import { plainConfig } from '../../src/policy/plain.js'

const WHOLE = {
  profile: 'strict',
  tool: 'search',
  filesystem: { readOnlyPaths: ['/usr/share', '~/x?'], allowedPaths: ['.'], deniedPaths: ['**/.env', './a.b'] },
  network: {
    allowedHosts: ['example.com', '*.example.com:443', '*', '192.0.2.0/24', '[2001:db8::1]:80', '127.0.0.1:80']
  },
  resources: { maxMemory: '512MB', maxExecutionTime: '30s', maxProcesses: 20, tmpSize: 2 ** 20 },
  env: { PATH: true, LANG: 'C', EMPTY: '' },
  cwd: '/tmp',
  audit: { file: '-' }
}

const ODD = [
  ...[undefined, null, true, false, 0, 1, -1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, 10n, Symbol('s')],
  ...[
    '',
    ' ',
    '.',
    '..',
    'a/..',
    '\\.\\./a',
    'a\0b',
    'a\nb',
    '/x?',
    '0',
    '-1',
    '1e3',
    '12',
    '1.5 GiB',
    '3 weeks',
    '5m'
  ],
  ...['a b', 'http://example.com', 'example.com:0', '*:99999', '127.0.0.1', '10.0.0.0/33', 'ex*mple.com', 'localhost'],
  ...[[], [''], ['a', 1], ['a', undefined], [['a']], Array(2), ['a\0'], ['..']],
  ...[
    {},
    { a: 1 },
    { file: '' },
    { allowedHosts: 'a' },
    { host: 'example.com' },
    Object.create(null),
    new Map(),
    () => 1
  ],
  ...[{ 'A=B': 'c' }, { A: 'b\0' }, { A: false }, { '': 'x' }, JSON.parse('{"__proto__": "x"}'), { constructor: 'x' }],
  ...[
    { maxMemory: 0 },
    { maxMemory: '1' },
    { maxProcesses: '5' },
    { maxProcesses: 1.5 },
    { maxMemory: '1M', cgroup: 'off' }
  ]
]

/** Every place in a configuration, as what puts a value there. */
const PLACES: [string, (value: unknown) => unknown][] = [
  ['itself', (value) => value],
  ['another key', (value) => ({ ...WHOLE, other: value })],
  ...Object.entries(WHOLE).flatMap(([key, part]): [string, (value: unknown) => unknown][] => [
    [key, (value) => ({ ...WHOLE, [key]: value })],
    ...(typeof part === 'string' ? [] : Object.entries(part)).map(([inner, old]): [string, (v: unknown) => unknown] => [
      `${key}.${inner}`,
      (value) => ({ [key]: { ...(part as object), [inner]: Array.isArray(old) ? [value, ...old] : value } })
    ])
  ])
]

describe('a configuration that is checked without the schemas', () => {
  test('comes out as the schemas give it back', () => {
    expect(plainConfig(WHOLE)).toEqual(parseConfig(WHOLE))
    expect(plainConfig({})).toEqual({})
    for (const [key, part] of Object.entries(WHOLE)) {
      const alone = { [key]: part }
      expect(plainConfig(alone), key).toEqual(parseConfig(alone))
    }
  })

  test('is a copy', () => {
    const allowedPaths = ['/a']
    const taken = plainConfig({ filesystem: { allowedPaths } })
    allowedPaths.push('/b')
    expect(taken).toEqual({ filesystem: { allowedPaths: ['/a'] } })
  })

  test.each(PLACES)('is none with an odd value, or comes out the same: %s', (_, put) => {
    let asked = 0
    for (const odd of ODD) {
      const config = put(odd)
      const taken = plainConfig(config)
      if (taken === undefined) asked++
      else expect(taken, String(odd)).toStrictEqual(parseConfig(config))
    }
    expect(asked).toBeGreaterThan(5)
  })
})
