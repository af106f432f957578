import { Ring } from '../../core/ring.ts'
import type { Host } from '../../host/host.ts'
import type { Process } from '../../host/process.ts'
import type { CableOptions } from '../../link/cable.ts'
import type { ServerDesign } from '../../services/echo-designs.ts'
import { echoTester, type TesterFigures } from '../../services/echo-tester.ts'
import { AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../../socket/constants.ts'
import { benchPair, benchWorld, SERVER } from './pair.ts'

/** What `netglass bench measure` measures over our stack: the catalogue's section Q, in real time. */

const PORT = 5001

const ended = async (process: Process): Promise<void> => {
  const status = await process.ended
  if (status !== 0) throw new Error(`${process.name} ended with ${status}`)
}

/**
 * One stream between two programs, with buffers of `buffer` bytes on both sides.
 * @param cable the link that it crosses; null for the loopback of one host
 * @returns Gbit/s
 */
export const stream = async (buffer: number, bytes: number, cable: CableOptions | null): Promise<number> => {
  const pair = benchPair({ cable: cable ?? {} })
  const { server } = pair
  const client: Host = cable === null ? server : pair.client
  const address = cable === null ? '127.0.0.1' : SERVER
  const sink = server.spawn('sink', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, 1)
    sys.bind(listener, { address: '0.0.0.0', port: PORT })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    const into = new Uint8Array(buffer)
    while ((await sys.recv(fd, into)) > 0) {
      // Until the end.
    }
  })
  let start = 0
  client.spawn('source', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address, port: PORT })
    const data = new Uint8Array(buffer)
    start = performance.now()
    for (let sent = 0; sent < bytes; ) sent += await sys.send(fd, data)
    await sys.close(fd)
  })
  await ended(sink)
  const seconds = (performance.now() - start) / 1000
  pair.close()
  return (bytes * 8) / seconds / 1e9
}

/** @returns Gbit/s through a pipe, from a process to its child */
export const pipe = async (buffer: number, bytes: number): Promise<number> => {
  const pair = benchPair()
  let start = 0
  const writer = pair.server.spawn('writer', async (sys) => {
    const [read, write] = sys.pipe()
    sys.fork(async (child) => {
      await child.close(write)
      const into = new Uint8Array(buffer)
      while ((await child.read(read, into)) > 0) {
        // Until the end.
      }
    })
    await sys.close(read)
    const data = new Uint8Array(buffer)
    start = performance.now()
    for (let sent = 0; sent < bytes; ) sent += await sys.write(write, data)
    await sys.close(write)
    await sys.waitpid()
  })
  await ended(writer)
  const seconds = (performance.now() - start) / 1000
  pair.close()
  return (bytes * 8) / seconds / 1e9
}

/** How far the ring of `copy` is kept filled. */
const HELD = 32 * 1024

/** Into a queue as send() copies, and out of it as recv() does, `times` times. @returns GB/s */
export const copy = (size: number, times: number): number => {
  const ring = new Ring(benchWorld().memory)
  ring.append(new Uint8Array(HELD), 0, HELD)
  const data = new Uint8Array(size)
  const start = performance.now()
  for (let i = 0; i < times; i++) {
    ring.append(data, 0, size)
    ring.peek(data, 0, 0, size)
    ring.drop(size)
  }
  const seconds = (performance.now() - start) / 1000
  return (2 * size * times) / seconds / 1e9
}

/** Section J's tester against a design, over the loopback of a host. */
export const servers = async (
  design: ServerDesign,
  clients: number,
  requests: number,
  size: number,
): Promise<TesterFigures> => {
  const pair = benchPair()
  const { server } = pair
  server.spawn(design.name, design.program({ port: PORT }))
  // It listens when all that is ready now has run.
  await new Promise((resolve) => setImmediate(resolve))
  let figures: TesterFigures | undefined
  const options = { address: '127.0.0.1', port: PORT, clients, requests, size }
  const tester = server.spawn(
    'tester',
    echoTester(
      options,
      (taken) => {
        figures = taken
      },
      () => performance.now() * 1000,
    ),
  )
  await ended(tester)
  pair.close()
  return figures!
}
