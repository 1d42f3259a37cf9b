import { expect, it, test } from 'vitest'
import { inspectPlaces, placeOfFile } from '../../src/client/index.js'
import { maskWords } from '../../src/client/secrets.js'
import { desk } from './support.js'

it.each<[words: string[], shown: string[]]>([
  [
    ['--token', 'abc', 'x'],
    ['--token', '…', 'x']
  ],
  [['--api-key=abc'], ['--api-key=…']],
  [['GITHUB_TOKEN=abc'], ['GITHUB_TOKEN=…']],
  [
    ['-H', 'Authorization: Bearer abc'],
    ['-H', 'Authorization: …']
  ],
  [['--header=X-Api-Key: abc'], ['--header=X-Api-Key: …']],
  [['postgres://u:pw@db.example/x'], ['postgres://u:…@db.example/x']],
  [['https://h.example/?a=1&access_token=abc#x'], ['https://h.example/?a=1&access_token=…#x']],
  [['ghp_0123456789abcdef'], ['…']],
  [
    ['--header', 'x', 'sk-0123456789abcdef'],
    ['--header', 'x', '…']
  ],
  [['DATABASE_URL=postgres://u:pw@db/x'], ['DATABASE_URL=postgres://u:…@db/x']],
  // What is none stays as it is.
  [
    ['npx', '-y', '@scope/server@1.2', '--port=80', '--token', '--verbose', '/home/u/keys', 'https://h.example/a?b=c'],
    ['npx', '-y', '@scope/server@1.2', '--port=80', '--token', '--verbose', '/home/u/keys', 'https://h.example/a?b=c']
  ]
])('%j is shown as %j', (words, shown) => expect(maskWords(words)).toEqual(shown))

it('looks at a word once, whatever it is made of', () => {
  for (const part of ['a=', 'a: ', '?a=', 'a://', '@:', '-']) {
    const word = `${part.repeat(100_000)}ghp_0123456789abcdef`
    expect(maskWords([word, word])[0]?.length).toBeGreaterThan(0)
  }
})

const SECRET = 'very-secret'
const server = (args: string[], more = {}) =>
  JSON.stringify({
    servers: { s: { command: 'srv', args, headers: { Authorization: SECRET }, env: { A: SECRET }, ...more } }
  })

test.each([
  ['an option', ['--token', SECRET]],
  ['the first argument', [`--api-key=${SECRET}`, 'x']],
  ['a URL', [`https://me:${SECRET}@h.example/`]]
])('no secret is shown, by no verb: %s', (_what, args) => {
  const it = desk(server(args))
  const around = { env: { PATH: '/usr/bin:/bin' }, home: it.home, cwd: it.home }
  const shown = () => [
    inspectPlaces([placeOfFile(it.file, around)], around),
    it.planned({ verb: 'wrap' }),
    it.planned({ verb: 'unwrap' }),
    it.planned({ verb: 'wrap', profile: 'dev' })
  ]
  const plain = it.bytes()
  expect(JSON.stringify(shown())).not.toContain(SECRET)
  expect(JSON.stringify(shown())).toContain('h.example'.repeat(_what === 'a URL' ? 1 : 0))
  it.act('wrap')
  expect(it.bytes().toString()).toContain(SECRET) // where it was
  expect(JSON.stringify(shown())).not.toContain(SECRET)
  it.act('unwrap')
  expect(it.bytes()).toEqual(plain)
})

test('a secret among our own options is masked where it goes', () => {
  const it = desk(server(['--profile', 'dev', '--env', `TOKEN=${SECRET}`, '--', 'x'], { command: 'qi-jail' }))
  const [planned] = it.planned({ verb: 'unwrap' })
  expect(planned?.changes[0]?.outcome).toBe('unwrapped')
  expect(JSON.stringify(planned)).not.toContain(SECRET)
})

test.each<[string[], string | undefined]>([
  [
    ['--policy', './evil.yaml', '--permissive', '--rw', '/home', '--net', '*', '--protection', 'landlockFs=off'],
    'given besides: --policy ./evil.yaml, --permissive, --rw /home, --net *, --protection landlockFs=off'
  ],
  [['--no-policy', '--profile', './p.yaml'], 'given besides: --no-policy, --profile ./p.yaml'],
  [['--profile', 'dev', '--deny', '/x', '--memory', '1GiB', '--protection', 'landlockFs=require'], undefined]
])('what a wrapped server is given besides its profile is told: %j', (options, note) => {
  const it = desk(server([...options, '--', 'sh'], { command: 'qi-jail' }))
  const [change] = it.act('wrap')
  expect(change).toMatchObject({ state: 'wrapped', outcome: 'unchanged' })
  expect(change?.notes.find((text) => text.startsWith('given besides'))).toBe(note)
})

test('wrap tells the grants that it takes from the arguments', () => {
  const grants = (args: string[]) =>
    desk(server(args, { command: 'npx' }))
      .act('wrap')[0]
      ?.notes.join()
  expect(grants(['@modelcontextprotocol/server-filesystem', '/', '/srv/a'])).toContain(
    'given besides: --rw /, --rw /srv/a'
  )
  expect(grants(['@modelcontextprotocol/server-memory'])).not.toContain('given besides')
})
