import type { Sys } from '../../host/calls.ts'
import type { Process } from '../../host/process.ts'
import {
  AF_INET,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_NODELAY,
} from '../../socket/constants.ts'
import { type BenchPair, benchPair, type PairOptions, SERVER } from './pair.ts'
import { settledBytes } from './settle.ts'

/** The cases over our sockets. Each returns its figure in the unit that its table row names. */

const PORT = 5001

const listen = (sys: Sys, backlog = 1024, port = PORT): number => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
  sys.bind(fd, { address: '0.0.0.0', port })
  sys.listen(fd, backlog)
  return fd
}

const connect = async (sys: Sys, address = SERVER, port = PORT): Promise<number> => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  await sys.connect(fd, { address, port })
  return fd
}

/** Waits until a program has ended well. */
export const ended = async (process: Process): Promise<void> => {
  const status = await process.ended
  if (status !== 0) throw new Error(`${process.name} ended with ${status}`)
}

/** One stream, one direction. @returns Gbit/s */
export const bulk = async (bytes: number, options: PairOptions): Promise<number> => {
  const pair = benchPair(options)
  let received = 0
  const sink = pair.server.spawn('sink', async (sys) => {
    const fd = await sys.accept(listen(sys))
    const buffer = new Uint8Array(256 * 1024)
    for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) received += n
    await sys.close(fd)
  })
  const start = performance.now()
  pair.client.spawn('source', async (sys) => {
    const fd = await connect(sys)
    const buffer = new Uint8Array(256 * 1024)
    for (let sent = 0; sent < bytes; ) sent += await sys.send(fd, buffer)
    await sys.close(fd)
  })
  await ended(sink)
  const seconds = (performance.now() - start) / 1000
  pair.close()
  return (received * 8) / seconds / 1e9
}

/** 64 bytes there and back, again and again. @returns microseconds a round trip */
export const roundTrip = async (rounds: number, options: PairOptions): Promise<number> => {
  const pair = benchPair(options)
  const size = 64
  pair.server.spawn('echo', async (sys) => {
    const fd = await sys.accept(listen(sys))
    sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
    const buffer = new Uint8Array(size)
    for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) await sys.send(fd, buffer, n)
    await sys.close(fd)
  })
  let seconds = 0
  const client = pair.client.spawn('client', async (sys) => {
    const fd = await connect(sys)
    sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
    const buffer = new Uint8Array(size)
    const start = performance.now()
    for (let i = 0; i < rounds; i++) {
      await sys.send(fd, buffer)
      await sys.recv(fd, buffer)
    }
    seconds = (performance.now() - start) / 1000
    await sys.close(fd)
  })
  await ended(client)
  pair.close()
  return (seconds / rounds) * 1e6
}

/** A server that sends a byte to each of `count` that connect, and closes: first, as the kernel's does here, so that TIME_WAIT is on its side. */
export const byteServer = async (sys: Sys, count = Number.POSITIVE_INFINITY, port = PORT): Promise<void> => {
  const listener = listen(sys, 1024, port)
  const byte = new Uint8Array(1)
  for (let i = 0; i < count; i++) {
    const fd = await sys.accept(listener)
    await sys.send(fd, byte)
    await sys.close(fd)
  }
  await sys.close(listener)
}

/** Its client: connects, reads to the end and closes, `count` connections one after another. */
export const fetchBytes = async (sys: Sys, count: number, address = SERVER, port = PORT): Promise<void> => {
  const buffer = new Uint8Array(16)
  for (let i = 0; i < count; i++) {
    const fd = await connect(sys, address, port)
    while ((await sys.recv(fd, buffer)) > 0) {
      // Until the end.
    }
    await sys.close(fd)
  }
}

/** Connect, one byte from the server, close; one after another. @returns connections a second */
export const connections = async (count: number, options: PairOptions = {}): Promise<number> => {
  const pair = benchPair(options)
  // Ports are used again.
  pair.server.tcpSettings.time_wait_ms = 1
  pair.server.spawn('server', (sys) => byteServer(sys))
  const start = performance.now()
  await ended(pair.client.spawn('client', (sys) => fetchBytes(sys, count)))
  const seconds = (performance.now() - start) / 1000
  pair.close()
  return count / seconds
}

/** Bytes in each message of `many`. */
const MESSAGE = 1024

/** Many connections at once, each sending messages that are echoed. @returns messages a second, there and back */
export const many = async (count: number, messages: number, options: PairOptions = {}): Promise<number> => {
  const pair = benchPair(options)
  pair.server.spawn('server', async (sys) => {
    sys.setrlimit(count + 100)
    const listener = listen(sys, 4096)
    const echo = async (fd: number): Promise<void> => {
      const buffer = new Uint8Array(MESSAGE)
      for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) await sys.send(fd, buffer, n)
      await sys.close(fd)
    }
    for (;;) void echo(await sys.accept(listener))
  })
  let seconds = 0
  const client = pair.client.spawn('client', async (sys) => {
    sys.setrlimit(count + 100)
    const fds: number[] = []
    for (let i = 0; i < count; i++) fds.push(await connect(sys))
    const talk = async (fd: number): Promise<void> => {
      const buffer = new Uint8Array(MESSAGE)
      for (let i = 0; i < messages; i++) {
        await sys.send(fd, buffer)
        for (let got = 0; got < MESSAGE; ) got += await sys.recv(fd, buffer)
      }
    }
    const start = performance.now()
    await Promise.all(fds.map(talk))
    seconds = (performance.now() - start) / 1000
  })
  await ended(client)
  pair.close()
  return (count * messages) / seconds
}

/** Datagrams sent before the receiver gets a turn. */
const BURST = 64

/** Datagrams of 64 bytes, one way. @returns datagrams received a second */
export const datagrams = async (count: number, options: PairOptions = {}): Promise<number> => {
  const pair = benchPair(options)
  let received = 0
  pair.server.spawn('sink', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    sys.bind(fd, { address: '0.0.0.0', port: PORT })
    const buffer = new Uint8Array(2048)
    for (;;) if ((await sys.recv(fd, buffer)) > 0) received++
  })
  let seconds = 0
  const client = pair.client.spawn('source', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    await sys.connect(fd, { address: SERVER, port: PORT })
    const buffer = new Uint8Array(64)
    // ARP has its answer, and the first datagram is through.
    await sys.send(fd, buffer)
    await sys.usleep(10_000)
    received = 0
    const start = performance.now()
    for (let i = 0; i < count; i++) {
      await sys.send(fd, buffer)
      // Sending never blocks: the receiver gets its turn.
      if (i % BURST === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    seconds = (performance.now() - start) / 1000
    await sys.usleep(10_000)
  })
  await ended(client)
  pair.close()
  return received / seconds
}

/** Connections that are opened before those that count, so that V8 has compiled what they run. */
const WARM_UP = 2000

/** Opens connections and leaves them alone. @returns bytes for each end of one: JavaScript's heap and the stack's memory */
export const idleMemory = async (count: number, options: PairOptions = {}): Promise<number> => {
  const pair = benchPair(options)
  const limit = WARM_UP + count + 100
  const accepted: Promise<void> = new Promise((resolve) => {
    pair.server.spawn('server', async (sys) => {
      sys.setrlimit(limit)
      const listener = listen(sys, 4096)
      for (let i = 0; i < WARM_UP + count; i++) await sys.accept(listener)
      resolve()
      await sys.waitForSignal()
    })
  })
  let before = 0
  const connected: Promise<void> = new Promise((resolve) => {
    pair.client.spawn('client', async (sys) => {
      sys.setrlimit(limit)
      for (let i = 0; i < WARM_UP; i++) await connect(sys)
      before = stackBytes(pair)
      for (let i = 0; i < count; i++) await connect(sys)
      resolve()
      await sys.waitForSignal()
    })
  })
  await connected
  await accepted
  const after = stackBytes(pair)
  pair.close()
  return (after - before) / (2 * count)
}

/** What JavaScript's heap and the world's memory hold: what the memory has grown to, and nobody uses, does not count. */
export const stackBytes = ({ world }: Pick<BenchPair, 'world'>): number =>
  settledBytes() - world.memory.capacity + world.memory.used
