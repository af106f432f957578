import dgram from 'node:dgram'
import { once } from 'node:events'
import nodeNet from 'node:net'
import { settledBytes } from './settle.ts'

/**
 * The same cases over loopback through node:net and node:dgram, in this process: the kernel's sockets, or ours where a
 * program of ours runs them. `net` is node:net, or netglass/net in its place.
 */

const HOST = '127.0.0.1'

type NodeNet = typeof nodeNet

const listen = async (handler: (socket: nodeNet.Socket) => void, net: NodeNet = nodeNet): Promise<nodeNet.Server> => {
  const server = net.createServer(handler)
  server.listen(0, HOST)
  await once(server, 'listening')
  return server
}

const portOf = (server: nodeNet.Server): number => (server.address() as nodeNet.AddressInfo).port

/** @returns Gbit/s */
export const bulk = async (bytes: number, net = nodeNet): Promise<number> => {
  let received = 0
  const server = await listen((socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length
    })
  }, net)
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
export const roundTrip = async (rounds: number, net = nodeNet): Promise<number> => {
  const server = await listen((socket) => {
    socket.setNoDelay(true)
    socket.on('data', (chunk) => socket.write(chunk))
  }, net)
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
export const connections = async (count: number, net = nodeNet): Promise<number> => {
  const byte = Buffer.alloc(1)
  const server = await listen((socket) => {
    socket.end(byte)
  }, net)
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

const MESSAGE = 1024

/** Many connections at once, each sending messages that are echoed. @returns messages a second, there and back */
export const many = async (count: number, messages: number): Promise<number> => {
  const server = await listen((socket) => socket.on('data', (chunk) => socket.write(chunk)))
  const port = portOf(server)
  const clients: nodeNet.Socket[] = []
  for (let i = 0; i < count; i++) {
    const client = nodeNet.connect(port, HOST)
    await once(client, 'connect')
    clients.push(client)
  }
  const buffer = Buffer.alloc(MESSAGE)
  const talk = (client: nodeNet.Socket): Promise<void> =>
    new Promise((resolve) => {
      let left = messages * MESSAGE
      client.on('data', (chunk) => {
        left -= chunk.length
        if (left === 0) resolve()
        else if (left % MESSAGE === 0) client.write(buffer)
      })
      client.write(buffer)
    })
  const start = performance.now()
  await Promise.all(clients.map(talk))
  const seconds = (performance.now() - start) / 1000
  for (const client of clients) client.destroy()
  server.close()
  return (count * messages) / seconds
}

/** Datagrams sent before the receiver gets a turn. */
const BURST = 64

/** Datagrams of 64 bytes, one way. @returns datagrams received a second */
export const datagrams = async (count: number): Promise<number> => {
  const sink = dgram.createSocket('udp4')
  let received = 0
  sink.on('message', () => received++)
  sink.bind(0, HOST)
  await once(sink, 'listening')
  const source = dgram.createSocket('udp4')
  source.connect(sink.address().port, HOST)
  await once(source, 'connect')
  const buffer = Buffer.alloc(64)
  const start = performance.now()
  for (let sent = 0; sent < count; sent += BURST) {
    for (let i = 1; i < BURST; i++) source.send(buffer)
    await new Promise((resolve) => source.send(buffer, resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const seconds = (performance.now() - start) / 1000
  source.close()
  sink.close()
  return received / seconds
}

/** @returns bytes of JavaScript's memory for each end of an idle connection; the kernel's own is not in it */
export const idleMemory = async (count: number): Promise<number> => {
  const accepted: nodeNet.Socket[] = []
  const server = await listen((socket) => accepted.push(socket))
  const port = portOf(server)
  const clients: nodeNet.Socket[] = []
  const before = settledBytes()
  for (let i = 0; i < count; i++) {
    const client = nodeNet.connect(port, HOST)
    await once(client, 'connect')
    clients.push(client)
  }
  while (accepted.length < count) await new Promise((resolve) => setImmediate(resolve))
  const after = settledBytes()
  for (const socket of [...clients, ...accepted]) socket.destroy()
  server.close()
  return (after - before) / (2 * count)
}
