// What the test of netglass/net in a browser runs: bundled with node:net being netglass/net.

import dgram from 'node:dgram'
import dns from 'node:dns/promises'
import { once } from 'node:events'
import net from 'node:net'
import { Network } from 'netglass'
import { RealClock, RealTimeDriver } from 'netglass/browser'
import { createModules, setDefaultHost } from 'netglass/modules'

const twoHosts = (options) => {
  const network = new Network(options)
  const [client, server] = [network.host('client'), network.host('server')]
  network.link(client, server, { delay: 1, addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
  return { network, client, server }
}

const live = () => {
  const hosts = twoHosts({ clock: new RealClock() })
  new RealTimeDriver(hosts.network.world.loop)
  return hosts
}

const read = async (socket) => {
  let text = ''
  for await (const chunk of socket) text += chunk.toString()
  return text
}

/** An HTTP server of a few lines on one host, its client on the other. */
const http = async () => {
  const { client, server } = live()
  const log = []
  const listener = createModules(server).net.createServer((socket) => {
    let head = ''
    socket.on('data', (chunk) => {
      head += chunk
      if (!head.includes('\r\n\r\n')) return
      const [, path] = head.split(' ')
      const body = `you asked for ${path}, ${socket.remoteAddress}`
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    })
  })
  listener.listen(80)
  await once(listener, 'listening')
  setDefaultHost(client, {
    names: { addressesOf: (name) => (name === 'web' ? ['10.0.0.2'] : undefined), nameOf: () => undefined },
  })
  const found = await dns.lookup('web')
  const socket = net.connect(80, 'web')
  for (const event of ['lookup', 'connect', 'ready', 'end', 'finish', 'close']) socket.on(event, () => log.push(event))
  socket.write('GET /hello HTTP/1.1\r\n\r\n')
  const answer = await read(socket)
  await once(socket, 'close').catch(() => {})
  return { found, answer: answer.split('\r\n').at(-1), log }
}

const refused = async () => {
  const { client } = live()
  const socket = createModules(client).net.connect(81, '10.0.0.2')
  const [{ code, message }] = await once(socket, 'error')
  return { code, message }
}

const datagrams = async () => {
  const { client, server } = live()
  const echo = createModules(server).dgram.createSocket('udp4')
  echo.bind(7)
  echo.on('message', (data, from) => echo.send(data, from.port, from.address))
  await once(echo, 'listening')
  setDefaultHost(client)
  const socket = dgram.createSocket('udp4')
  socket.send('ping', 7, '10.0.0.2')
  const [data, { address, size }] = await once(socket, 'message')
  return { text: String(data), address, size }
}

/** Megabytes through loopback; what is written waits for who reads. */
const bulk = async (megabytes) => {
  const { client } = live()
  const modules = createModules(client)
  let received = 0
  const listener = modules.net.createServer((socket) =>
    socket.on('data', (data) => (received += data.length)).on('end', () => socket.end()),
  )
  listener.listen(9)
  await once(listener, 'listening')
  const socket = modules.net.connect(9, '127.0.0.1').resume()
  await once(socket, 'connect')
  const chunk = new Uint8Array(1 << 20)
  const started = performance.now()
  for (let i = 0; i < megabytes; i++) if (!socket.write(chunk)) await once(socket, 'drain')
  socket.end()
  await once(socket, 'close')
  return { received, ms: performance.now() - started }
}

/** The platform's fetch, streams and responses, over our network. */
const web = async () => {
  const { client, server } = live()
  const { web: there } = createModules(server)
  const { web: here } = createModules(client)
  const running = there.serve({ port: 80 }, async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname === '/large') return new Response(new Uint8Array(5_000_000))
    return Response.json({ method: request.method, body: await request.text() })
  })
  const posted = await here.fetch('http://10.0.0.2/', { method: 'POST', body: 'from a page' })
  const large = await here.fetch('http://10.0.0.2/large')
  const refused = await here.fetch('http://10.0.0.2:81/').catch((error) => [error.constructor.name, error.cause.code])
  const socket = here.connect('10.0.0.2:80')
  const writer = socket.writable.getWriter()
  await writer.write(new TextEncoder().encode('GET / HTTP/1.0\r\n\r\n'))
  const raw = await new Response(socket.readable).text()
  const result = [await posted.json(), (await large.arrayBuffer()).byteLength, refused, raw.split('\r\n').at(-1)]
  await running.shutdown()
  return result
}

/** An hour of waiting in virtual time. */
const virtual = async () => {
  const { network, client, server } = twoHosts({ seed: 1 })
  createModules(server)
    .net.createServer((socket) => socket.resume())
    .listen(80)
  const socket = createModules(client).net.connect(80, '10.0.0.2')
  socket.setTimeout(3_600_000)
  const timedOut = once(socket, 'timeout').then(() => network.now)
  await network.run(4_000_000)
  return timedOut
}

globalThis.netglassTests = { http, refused, datagrams, bulk, web, virtual }
