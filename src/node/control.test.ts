import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ControlServer, type ControlServerOptions } from './control.ts'
import { ControlClient, listStacks } from './control-client.ts'
import { ControlError, controlDirectory, type StackInfo } from './control-socket.ts'

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Waits until `condition` holds, ten seconds at most. */
const until = async (condition: () => boolean): Promise<void> => {
  const end = performance.now() + 10_000
  while (!condition() && performance.now() < end) await sleep(2)
  expect(condition()).toBe(true)
}

let directory: string
let servers: ControlServer[]
let clients: ControlClient[]
let sockets: Socket[]

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'ng-')), 'netglass')
  servers = []
  clients = []
  sockets = []
})

afterEach(async () => {
  for (const client of clients) client.close()
  for (const socket of sockets) socket.destroy()
  for (const server of servers) await server.close()
  rmSync(join(directory, '..'), { recursive: true })
})

const start = async (name: string, options: Partial<ControlServerOptions> = {}): Promise<ControlServer> => {
  const server = new ControlServer({ name, directory, version: '0.1.0', ...options })
  servers.push(server)
  server.handle('echo', (params) => params)
  server.handle('fail', () => {
    throw Object.assign(new Error('it is broken'), { code: 'EBROKEN' })
  })
  server.handle('count', async function* (params) {
    for (let i = 0; i < (params as number); i++) yield i
  })
  await server.listen()
  return server
}

const connect = async (name?: string): Promise<ControlClient> => {
  const client = await ControlClient.connect(name, directory)
  clients.push(client)
  return client
}

/** A connection for one who does not keep to the rules. */
const raw = (name: string): Promise<Socket & { text: string }> =>
  new Promise((resolve, reject) => {
    const socket = Object.assign(createConnection({ path: join(directory, `${name}.sock`), allowHalfOpen: true }), {
      text: '',
    })
    sockets.push(socket)
    socket.on('data', (chunk: Buffer) => {
      socket.text += chunk.toString()
    })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      socket.on('error', () => {})
      resolve(socket)
    })
  })

const failure = async (promise: Promise<unknown>): Promise<ControlError> => {
  const error = await promise.then(
    () => new Error('nothing went wrong'),
    (reason: Error) => reason,
  )
  if (!(error instanceof ControlError)) throw error
  return error
}

/** A socket file at which nobody listens. */
const stale = async (name: string): Promise<void> => {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `${name}.sock`)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(join(directory, 'x'), resolve))
  const { linkSync } = await import('node:fs')
  linkSync(join(directory, 'x'), path)
  await new Promise((resolve) => server.close(resolve))
}

describe('call', () => {
  test('gives what the method gives', async () => {
    const server = await start('a')
    server.handle('later', async (params) => {
      await sleep(5)
      return { params }
    })
    const client = await connect('a')
    expect(await client.call('echo', { x: [1, 'zwei', null] })).toEqual({ x: [1, 'zwei', null] })
    expect(await client.call('echo')).toBe(null)
    expect(await Promise.all([client.call('later', 1), client.call('echo', 2)])).toEqual([{ params: 1 }, 2])
    const long = 'ä'.repeat(300_000)
    expect(await client.call('echo', long)).toBe(long)
  })

  test('fails as the method fails', async () => {
    const server = await start('a')
    server.handle('bigint', () => 1n)
    server.handle('odd', () => Promise.reject('no error at all'))
    const client = await connect('a')
    expect(await failure(client.call('fail'))).toMatchObject({ code: 'EBROKEN', message: 'it is broken' })
    expect(await failure(client.call('nonesuch'))).toMatchObject({
      code: 'ENOSYS',
      message: "the stack a has no 'nonesuch'",
    })
    expect(await failure(client.call('bigint'))).toMatchObject({ code: 'EIO' })
    expect(await failure(client.call('odd'))).toMatchObject({ code: 'EIO', message: 'no error at all' })
    expect(await client.call('echo', 1)).toBe(1)
  })

  test('fails when the stack ends, and after that', async () => {
    const server = await start('a')
    server.handle('never', () => new Promise(() => {}))
    const client = await connect('a')
    const pending = failure(client.call('never'))
    await client.call('echo')
    await server.close()
    expect(await pending).toMatchObject({ code: 'ECONNRESET', message: 'the stack a has ended the conversation' })
    expect(await failure(client.call('echo'))).toMatchObject({ code: 'ECONNRESET' })
  })

  test('fails when the client closes', async () => {
    const server = await start('a')
    server.handle('never', () => new Promise(() => {}))
    const client = await connect('a')
    const pending = failure(client.call('never'))
    client.close()
    expect(await pending).toMatchObject({ code: 'ECANCELED' })
    await until(() => server.clients === 0)
  })

  test('hello says who it is', async () => {
    await start('a')
    const client = await connect('a')
    const info = (await client.call('hello')) as StackInfo
    expect(info).toMatchObject({ name: 'a', pid: process.pid, version: '0.1.0' })
    expect(info.methods).toEqual(['count', 'echo', 'fail', 'hello'])
    expect(Math.abs(info.started - Date.now())).toBeLessThan(5000)
  })
})

describe('stream', () => {
  const collect = async (items: AsyncIterable<unknown>): Promise<unknown[]> => {
    const all: unknown[] = []
    for await (const item of items) all.push(item)
    return all
  }

  test('gives item by item, to the end', async () => {
    await start('a')
    const client = await connect('a')
    expect(await collect(client.stream('count', 3))).toEqual([0, 1, 2])
    expect(await collect(client.stream('count', 0))).toEqual([])
    expect((await collect(client.stream('count', 5000))).length).toBe(5000)
    expect(await collect(client.stream('echo', 'one'))).toEqual(['one'])
    expect(await client.call('count', 3)).toBe(null)
    await expect(collect(client.stream('fail'))).rejects.toThrow('it is broken')
  })

  test('fails in the middle', async () => {
    const server = await start('a')
    server.handle('break', async function* () {
      yield 1
      throw new Error('broken off')
    })
    const client = await connect('a')
    const items: unknown[] = []
    await expect(
      (async () => {
        for await (const item of client.stream('break')) items.push(item)
      })(),
    ).rejects.toThrow('broken off')
    expect(items).toEqual([1])
  })

  test('ends early when the client has had enough: the method learns of it', async () => {
    const server = await start('a')
    let ended = 0
    let aborted = 0
    server.handle('tick', async function* (_params, signal) {
      signal.addEventListener('abort', () => aborted++)
      try {
        for (let i = 0; ; i++) {
          yield i
          await sleep(1)
        }
      } finally {
        ended++
      }
    })
    const client = await connect('a')
    for await (const item of client.stream('tick')) if (item === 3) break
    await until(() => ended === 1)
    expect(aborted).toBe(1)
    expect(await client.call('echo', 'still there')).toBe('still there')
  })

  test('ends when the client goes away, also while it has nothing to say', async () => {
    const server = await start('a')
    const aborts: string[] = []
    server.handle('silent', async function* (params, signal) {
      yield 'begun'
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      aborts.push(String(params))
    })
    const client = await connect('a')
    await client.stream('silent', 'gone').next()
    client.close()
    await until(() => aborts.length === 1)
    expect(aborts).toEqual(['gone'])
  })

  test('a slow client slows the method down, and nobody’s memory grows', async () => {
    const server = await start('a')
    let made = 0
    const item = 'x'.repeat(10_000)
    server.handle('flood', async function* () {
      for (; made < 20_000; made++) yield item
    })
    const client = await connect('a')
    const stream = client.stream('flood')
    await stream.next()
    let before = 0
    for (; made > before; await sleep(100)) before = made
    expect(before).toBeLessThan(2000)
    let count = 1
    for await (const _ of stream) if (++count === 3000) break
    expect(made).toBeGreaterThanOrEqual(3000)
    expect(made).toBeLessThan(6000)
    expect(await client.call('echo', 'the socket reads on')).toBe('the socket reads on')
  })
})

describe('finding stacks', () => {
  test('several side by side, each by its name', async () => {
    await start('b')
    await start('a')
    expect((await listStacks(directory)).map((stack) => stack.name)).toEqual(['a', 'b'])
    const client = await connect('b')
    expect(client.name).toBe('b')
    expect(((await client.call('hello')) as StackInfo).name).toBe('b')
  })

  test('without a name, the only one', async () => {
    const none =
      "no stack is running: start one with 'netglass up' or 'netglass run', and use sudo here if you do there"
    expect(await failure(connect())).toMatchObject({ code: 'ENOENT', message: none })
    await start('only')
    expect((await connect()).name).toBe('only')
    await start('other')
    expect(await failure(connect())).toMatchObject({
      code: 'EINVAL',
      message: 'several stacks are running, say which with --stack: only, other',
    })
  })

  test('one that is not there', async () => {
    expect(await failure(connect('a'))).toMatchObject({
      code: 'ENOENT',
      message:
        "no stack named a is running: start one with 'netglass up' or 'netglass run', and use sudo here if you do there",
    })
    await start('b')
    expect((await failure(connect('a'))).message).toBe('no stack named a is running: running are b')
    await stale('a')
    expect((await failure(connect('a'))).message).toBe('no stack named a is running: running are b')
  })

  test('a name in use', async () => {
    await start('a')
    const second = new ControlServer({ name: 'a', directory })
    expect(await failure(second.listen())).toMatchObject({
      code: 'EADDRINUSE',
      message: `a stack named a is running already (pid ${process.pid}): choose another name`,
    })
    expect(await (await connect('a')).call('echo', 1)).toBe(1)
    expect(readdirSync(directory)).toEqual(['a.sock'])
  })

  test('a name in use by somebody who does not answer', async () => {
    mkdirSync(directory, { mode: 0o700 })
    const mute = createServer((socket) => sockets.push(socket))
    await new Promise<void>((resolve) => mute.listen(join(directory, 'a.sock'), resolve))
    const second = new ControlServer({ name: 'a', directory })
    expect((await failure(second.listen())).message).toBe('a stack named a is running already: choose another name')
    expect(await listStacks(directory)).toEqual([])
    expect(readdirSync(directory)).toEqual(['a.sock'])
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => mute.close(resolve))
  })

  test('what was left behind is removed, and its name free', async () => {
    await stale('old')
    await stale('a')
    writeFileSync(join(directory, 'no-socket.sock'), '')
    expect(readdirSync(directory)).toEqual(['a.sock', 'no-socket.sock', 'old.sock'])
    await start('a')
    expect((await listStacks(directory)).map((stack) => stack.name)).toEqual(['a'])
    expect(existsSync(join(directory, 'old.sock'))).toBe(false)
    await servers[0]!.close()
    expect(existsSync(join(directory, 'a.sock'))).toBe(false)
  })

  test('of many that start at once under one name, one does', async () => {
    await stale('a')
    const all = Array.from({ length: 8 }, () => new ControlServer({ name: 'a', directory }))
    servers.push(...all)
    const outcomes = await Promise.allSettled(all.map((server) => server.listen()))
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled').length).toBe(1)
    expect(readdirSync(directory)).toEqual(['a.sock'])
    expect(await (await connect('a')).call('hello')).toMatchObject({ name: 'a' })
  })

  test('the socket of another is left alone at the end', async () => {
    const first = await start('a')
    rmSync(join(directory, 'a.sock'))
    const second = await start('a')
    await first.close()
    expect(await (await connect('a')).call('echo', 2)).toBe(2)
    await second.close()
    expect(readdirSync(directory)).toEqual([])
  })

  test('the directory is the user’s alone', async () => {
    mkdirSync(directory, { mode: 0o755 })
    chmodSync(directory, 0o755)
    await start('a')
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    const link = join(directory, '..', 'link')
    symlinkSync(directory, link)
    expect((await failure(new ControlServer({ name: 'b', directory: link }).listen())).message).toBe(
      `${link} is not this user's directory: remove it, or set XDG_RUNTIME_DIR`,
    )
    const file = join(directory, '..', 'file')
    writeFileSync(file, '')
    const below = join(file, 'below')
    expect((await failure(new ControlServer({ name: 'b', directory: below }).listen())).message).toBe(
      `cannot make ${below} for the control socket: set XDG_RUNTIME_DIR`,
    )
  })

  test.each(['', '.', '..', '../a', 'a/b', 'a b', '-a', 'a'.repeat(65), 'ä', 'a\0'])('name %j will not do', (name) => {
    expect(() => new ControlServer({ name, directory })).toThrow(
      `stack name ${JSON.stringify(name)} is not valid: 1 to 64 letters, digits, '.', '_' and '-'`,
    )
  })

  test('a path that is too long', () => {
    const long = join(directory, 'x'.repeat(100))
    expect(() => new ControlServer({ name: 'a', directory: long })).toThrow(
      `${join(long, 'a.sock')} is too long for a socket: set XDG_RUNTIME_DIR to a shorter path`,
    )
  })

  test('the directory is that of XDG_RUNTIME_DIR, if that is the user’s', () => {
    const runtime = join(directory, '..')
    vi.stubEnv('XDG_RUNTIME_DIR', runtime)
    expect(controlDirectory()).toBe(join(runtime, 'netglass'))
    const uid = process.geteuid!()
    // Root of a user namespace is not whom the machine's directories belong to.
    const ownsMachine = uid === 0 && statSync('/run').uid === 0
    for (const other of ['', '/nowhere/at/all']) {
      vi.stubEnv('XDG_RUNTIME_DIR', other)
      expect(controlDirectory()).toBe(ownsMachine ? '/run/netglass' : join(tmpdir(), `netglass-${uid}`))
    }
    vi.unstubAllEnvs()
  })
})

describe('clients that do not keep to the rules', () => {
  test.each([
    ['garbage\n', 'a request must be a line of JSON'],
    ['\0\xff\xfe\n', 'a request must be a line of JSON'],
    ['GET / HTTP/1.1\r\n\r\n', 'a request must be a line of JSON'],
    ['[]\n', 'a request needs an id: a number or a string'],
    ['null\n', 'a request must be an object'],
    ['7\n', 'a request must be an object'],
    ['{"method":"echo"}\n', 'a request needs an id: a number or a string'],
    ['{"id":{},"method":"echo"}\n', 'a request needs an id: a number or a string'],
    ['{"id":1}\n', 'a request needs a method: a string'],
    ['{"id":1,"method":{}}\n', 'a request needs a method: a string'],
    [`${'['.repeat(500_000)}\n`, 'a request must be a line of JSON'],
  ])('%j is told what is wrong, and let go', async (line, message) => {
    const server = await start('a')
    const socket = await raw('a')
    socket.write(line, 'latin1')
    await until(() => socket.readableEnded)
    expect(JSON.parse(socket.text)).toEqual({ id: null, error: { code: 'EINVAL', message } })
    socket.end()
    await until(() => server.clients === 0)
    expect(await (await connect('a')).call('echo', 1)).toBe(1)
  })

  test('a line without end is cut off', async () => {
    const server = await start('a')
    const socket = await raw('a')
    const chunk = Buffer.alloc(0x1_0000, 'x')
    for (let i = 0; i < 40 && !socket.destroyed; i++) socket.write(chunk)
    await until(() => server.clients === 0)
    expect(await (await connect('a')).call('echo', 1)).toBe(1)
  })

  test('prototype names are no methods, and no ids', async () => {
    await start('a')
    const client = await connect('a')
    for (const method of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(await failure(client.call(method))).toMatchObject({ code: 'ENOSYS' })
    }
    const socket = await raw('a')
    socket.write('{"id":"__proto__","method":"echo","params":{"__proto__":{"x":1}}}\n')
    await until(() => socket.text.endsWith('\n'))
    expect(socket.text).toBe('{"id":"__proto__","result":{"__proto__":{"x":1}}}\n')
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  test('requests may come byte by byte, and many in one piece', async () => {
    await start('a')
    const socket = await raw('a')
    for (const byte of '{"id":"ä","method":"echo","params":"€"}\n') socket.write(byte)
    await until(() => socket.text !== '')
    expect(socket.text).toBe('{"id":"ä","result":"€"}\n')
    socket.text = ''
    socket.write(Array.from({ length: 1000 }, (_, id) => `{"id":${id},"method":"echo","params":${id}}\n`).join(''))
    await until(() => socket.text.split('\n').length === 1001)
    expect(JSON.parse(socket.text.split('\n')[999]!)).toEqual({ id: 999, result: 999 })
  })

  test('an id may not be used twice at once', async () => {
    const server = await start('a')
    server.handle('never', () => new Promise(() => {}))
    const socket = await raw('a')
    socket.write('{"id":1,"method":"never"}\n{"id":1,"method":"never"}\n')
    await until(() => socket.readableEnded)
    expect(socket.text).toContain('request 1 is under way already')
  })

  test('who closes its side at once still gets its answers', async () => {
    const server = await start('a')
    server.handle('later', async (params) => {
      await sleep(20)
      return params
    })
    const socket = await raw('a')
    socket.end('{"id":1,"method":"later","params":"x"}\n')
    await until(() => socket.readableEnded)
    expect(socket.text).toBe('\n{"id":1,"result":"x"}\n')
    await until(() => server.clients === 0)
  })

  test('who closes its side and then goes away while a stream is silent is let go in time', async () => {
    const server = await start('a', { idleMs: 300 })
    let aborted = false
    server.handle('silent', async function* (_params, signal) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      aborted = true
      yield 0
    })
    const socket = await raw('a')
    socket.end('{"id":1,"method":"silent"}\n')
    await sleep(700)
    expect(server.clients).toBe(1)
    socket.destroy()
    await until(() => server.clients === 0 && aborted)
  })

  test('who asks without reading is not read on, and let go in time', async () => {
    const server = await start('a', { idleMs: 200 })
    let asked = 0
    const answer = 'x'.repeat(100_000)
    server.handle('big', () => {
      asked++
      return answer
    })
    const socket = await raw('a')
    socket.pause()
    for (let i = 0; i < 20_000; i++) socket.write(`{"id":${i},"method":"big"}\n`)
    await sleep(50)
    expect(asked).toBeLessThan(100)
    const client = await connect('a')
    expect(await client.call('echo', 1)).toBe(1)
    // This one talks on, and stays.
    while (server.clients > 1) await client.call('echo', 1)
    expect(asked).toBeLessThan(100)
    expect(await client.call('echo', 2)).toBe(2)
  })

  test('who says nothing is let go in time; who waits for a stream is not', async () => {
    const server = await start('a', { idleMs: 300 })
    server.handle('silent', async function* (_params, signal) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      yield 0
    })
    await raw('a')
    const waiting = await raw('a')
    waiting.write('{"id":1,"method":"silent"}\n')
    await until(() => server.clients === 1)
    await sleep(700)
    expect(server.clients).toBe(1)
    expect(waiting.readableEnded).toBe(false)
  })

  test('more than 64 at once are refused, and there is room when some have gone', async () => {
    const server = await start('a')
    const many = await Promise.all(Array.from({ length: 64 }, () => raw('a')))
    await until(() => server.clients === 64)
    const extra = await raw('a')
    await until(() => extra.readableEnded || extra.destroyed)
    expect(server.clients).toBe(64)
    many[0]!.destroy()
    await until(() => server.clients === 63)
    expect(await (await connect('a')).call('echo', 1)).toBe(1)
  })

  test('whatever they send, others are served', async () => {
    await start('a')
    const client = await connect('a')
    const piece = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom(
        '\n',
        '{"id":1,"method":"count","params":3}\n',
        '{"id":1,"cancel":true}\n',
        '{"id":2,"method":"echo"}',
      ),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 10 }), fc.boolean(), async (pieces, politely) => {
        const socket = await raw('a')
        for (const text of pieces) socket.write(text)
        if (politely) socket.end()
        else socket.destroy()
        expect(await client.call('echo', pieces.length)).toBe(pieces.length)
        socket.destroy()
      }),
      { numRuns: 200 },
    )
  })
})

describe('a stack that does not keep to the rules', () => {
  test.each(['null\n', '7\n', 'garbage\n', '{"id":1,\n'])('%j ends the conversation', async (line) => {
    mkdirSync(directory, { mode: 0o700 })
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('data', () => socket.write(line))
    })
    await new Promise<void>((resolve) => server.listen(join(directory, 'a.sock'), resolve))
    const client = await connect('a')
    expect(await failure(client.call('echo'))).toMatchObject({ code: 'EPROTO' })
    await new Promise((resolve) => server.close(resolve))
  })
})
