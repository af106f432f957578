import { once } from 'node:events'
import net from 'node:net'

/** The same cases over the kernel's sockets on loopback, through node:net, in this process. */

const HOST = '127.0.0.1'

const listen = async (handler: (socket: net.Socket) => void): Promise<net.Server> => {
  const server = net.createServer(handler)
  server.listen(0, HOST)
  await once(server, 'listening')
  return server
}

const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port

/** @returns Gbit/s */
export const bulk = async (bytes: number): Promise<number> => {
  let received = 0
  const server = await listen((socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length
    })
  })
  const start = performance.now()
  const client = net.connect(portOf(server), HOST)
  const buffer = Buffer.alloc(256 * 1024)
  for (let sent = 0; sent < bytes; sent += buffer.length) {
    if (!client.write(buffer)) await once(client, 'drain')
  }
  client.end()
  await once(client, 'close')
  const seconds = (performance.now() - start) / 1000
  server.close()
  return (received * 8) / seconds / 1e9
}

/** @returns microseconds a round trip */
export const roundTrip = async (rounds: number): Promise<number> => {
  const server = await listen((socket) => {
    socket.setNoDelay(true)
    socket.on('data', (chunk) => socket.write(chunk))
  })
  const client = net.connect(portOf(server), HOST)
  client.setNoDelay(true)
  await once(client, 'connect')
  const buffer = Buffer.alloc(64)
  const start = performance.now()
  await new Promise<void>((resolve) => {
    let left = rounds
    client.on('data', () => {
      if (--left === 0) resolve()
      else client.write(buffer)
    })
    client.write(buffer)
  })
  const seconds = (performance.now() - start) / 1000
  client.destroy()
  server.close()
  return (seconds / rounds) * 1e6
}

/** @returns connections a second */
export const connections = async (count: number): Promise<number> => {
  const byte = Buffer.alloc(1)
  const server = await listen((socket) => {
    socket.end(byte)
  })
  const port = portOf(server)
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    const client = net.connect(port, HOST)
    client.resume()
    await once(client, 'close')
  }
  const seconds = (performance.now() - start) / 1000
  server.close()
  return count / seconds
}

/** @returns bytes of JavaScript's memory for each end of an idle connection; the kernel's own is not in it */
export const idleMemory = async (count: number): Promise<number> => {
  const accepted: net.Socket[] = []
  const server = await listen((socket) => accepted.push(socket))
  const settle = (): number => {
    globalThis.gc?.()
    globalThis.gc?.()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const port = portOf(server)
  const clients: net.Socket[] = []
  const before = settle()
  for (let i = 0; i < count; i++) {
    const client = net.connect(port, HOST)
    await once(client, 'connect')
    clients.push(client)
  }
  while (accepted.length < count) await new Promise((resolve) => setImmediate(resolve))
  const after = settle()
  for (const socket of [...clients, ...accepted]) socket.destroy()
  server.close()
  return (after - before) / (2 * count)
}
