import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { type Jail, spawnSandboxed } from '../../src/index.js'
import { requireLandlock } from '../support/kernel.js'
import { scratch, victim } from './driver.js'

const MB = 1 << 20

async function* random(bytes: number, hash: ReturnType<typeof createHash>) {
  const block = randomBytes(MB)
  for (let sent = 0; sent < bytes; sent += MB) {
    block.writeUInt32LE(sent >>> 0, 0) // no two blocks alike: a lost or swapped one shows
    const copy = Buffer.from(block)
    hash.update(copy)
    yield copy
  }
}

const text = async (stream: Readable | null): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

const outputs = async (jail: Jail) => {
  const [stdout, stderr, exit] = await Promise.all([text(jail.stdout), text(jail.stderr), jail.exited])
  return { stdout, stderr, exit }
}

test('100 MB go in and come out unchanged', async () => {
  const jail = await spawnSandboxed({}, ['/bin/cat'])
  const sent = createHash('sha256')
  const got = createHash('sha256')
  let size = 0
  jail.stdout?.on('data', (chunk: Buffer) => {
    got.update(chunk)
    size += chunk.length
  })
  await Promise.all([
    pipeline(Readable.from(random(100 * MB, sent)), jail.stdin as NodeJS.WritableStream),
    finished(jail.stdout as Readable)
  ])
  expect(size).toBe(100 * MB)
  expect(got.digest('hex')).toBe(sent.digest('hex'))
  expect(await jail.exited).toMatchObject({ code: 0, refusals: 0 })
})

test('every byte value passes, in every place', async () => {
  const jail = await spawnSandboxed({}, ['/bin/cat'])
  const bytes = Buffer.from(Array.from({ length: 256 * 3 }, (_, i) => (i * 7) % 256))
  jail.stdin?.end(bytes)
  const chunks: Buffer[] = []
  for await (const chunk of jail.stdout ?? []) chunks.push(chunk as Buffer)
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
})

test('the end of stdin is seen while stdout stays open', async () => {
  const jail = await spawnSandboxed({}, ['/bin/sh', '-c', 'n=$(wc -c); echo "$n bytes, then the end"'])
  jail.stdin?.write('12345')
  jail.stdin?.end()
  expect(await outputs(jail)).toMatchObject({ stdout: '5 bytes, then the end\n', exit: { code: 0 } })
})

test('the end of stdout is seen while the payload goes on', async () => {
  const jail = await spawnSandboxed({}, [victim, 'close-output'])
  const stderr = text(jail.stderr)
  expect(await text(jail.stdout)).toBe('last words\n')
  expect(jail.exitCode).toBeNull()
  expect(await jail.exited).toMatchObject({ code: 3 })
  expect(await stderr).toBe('still here\n')
})

test('stderr is a stream of its own', async () => {
  const jail = await spawnSandboxed({}, ['/bin/sh', '-c', 'echo out; echo err >&2'])
  expect(await outputs(jail)).toMatchObject({ stdout: 'out\n', stderr: 'err\n' })
})

test('output written just before the end is not lost', async () => {
  for (let i = 0; i < 20; i++) {
    const jail = await spawnSandboxed({}, ['/bin/sh', '-c', 'head -c 60000 /dev/zero; echo end >&2'])
    const { stdout, stderr } = await outputs(jail)
    expect([stdout.length, stderr]).toEqual([60_000, 'end\n'])
  }
})

test('a payload that nobody reads or writes ends all the same', async () => {
  const jail = await spawnSandboxed({}, ['/bin/true'])
  expect(await jail.exited).toMatchObject({ code: 0 })
})

test('descriptors are passed on as they are', async () => {
  const home = scratch('root')
  const input = openSync('/proc/version', 'r')
  const output = openSync(join(home, 'out'), 'w')
  try {
    const jail = await spawnSandboxed({}, ['/bin/sh', '-c', 'cat; echo mistake >&2'], {
      stdio: [input, output, 'pipe']
    })
    expect([jail.stdin, jail.stdout]).toEqual([null, null])
    expect(await text(jail.stderr)).toBe('mistake\n')
    await jail.exited
  } finally {
    closeSync(input)
    closeSync(output)
  }
  expect(readFileSync(join(home, 'out'), 'utf8')).toBe(readFileSync('/proc/version', 'utf8'))
})

test('`ignore` is the null device, both ways', async () => {
  const script = 'test -c /proc/self/fd/1 && test -z "$(cat)" && echo lost && exit 9'
  const jail = await spawnSandboxed({}, ['/bin/sh', '-c', script], { stdio: 'ignore' })
  expect([jail.stdin, jail.stdout, jail.stderr]).toEqual([null, null, null])
  expect(await jail.exited).toMatchObject({ code: 9 })
})

test('the payload has no descriptor but the three', async () => {
  const held = openSync('/etc/passwd', 'r')
  const jail = await spawnSandboxed({}, ['/bin/ls', '/proc/self/fd'])
  expect((await outputs(jail)).stdout).toBe('0\n1\n2\n3\n') // 3: of ls itself
  closeSync(held)
})

test('stdin closed by the payload does not end the host', async () => {
  const jail = await spawnSandboxed({}, ['/bin/sh', '-c', 'exec <&-; echo closed; sleep 0.1'])
  const failed = once(jail.stdin as NodeJS.WritableStream, 'error').catch((error: Error) => error)
  await once(jail.stdout as Readable, 'data')
  jail.stdin?.write(Buffer.alloc(10 * MB))
  await jail.exited
  expect(JSON.stringify(await failed)).toContain('EPIPE')
})

test('a script may open its streams anew, and no further than they are open', async () => {
  requireLandlock()
  const home = scratch('root')
  writeFileSync(join(home, 'in'), 'given\n')
  writeFileSync(join(home, 'log'), 'secret\n')
  chmodSync(join(home, 'log'), 0o666) // so that it is not the file's mode that keeps the payload from reading it
  const input = openSync(join(home, 'in'), 'r')
  const log = openSync(join(home, 'log'), constants.O_WRONLY)
  // 5 stays the log where 1 becomes the error stream.
  const script =
    'exec 5>&1; cat /dev/stdin >&2; echo told >> /dev/stdout; cat /dev/fd/5 >&2; cat < /dev/fd/5 >&2; exit 0'
  try {
    const jail = await spawnSandboxed({}, ['/bin/sh', '-c', script], { stdio: [input, log, 'pipe'] })
    expect(await text(jail.stderr)).toMatch(/^given\n.*Permission denied\n.*Permission denied\n$/)
    expect(await jail.exited).toMatchObject({ code: 0 })
  } finally {
    closeSync(input)
    closeSync(log)
  }
  expect(readFileSync(join(home, 'log'), 'utf8')).toBe('secret\ntold\n')
})

test('streams that end at once do so when the caller has them', async () => {
  for (let i = 0; i < 40; i++) {
    const jail = await spawnSandboxed({}, ['/bin/true'], { control: true }) // takes longer than the payload
    const closed = [jail.stdout, jail.stderr].map((stream) => once(stream as Readable, 'close'))
    expect(jail.stdout?.readableEnded || jail.stderr?.readableEnded).toBe(false)
    jail.stdout?.resume()
    await Promise.all(closed) // also of the one that nobody reads
  }
})
