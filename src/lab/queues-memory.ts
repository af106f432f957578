import { PAGE } from '../ip/truesize.ts'
import { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { acceptOne, connectTo, listenAt } from './programs.ts'
import { table } from './table.ts'

/** Section D, the row `buffers`: what all queues of a host may hold, and what the size of one is worth. */

const CONNECTIONS = 20
const SENT = 50_000

/** tcp_mem: 20 programs that do not read, on a host that has 128 pages for all its queues. */
export const hostMemory = async (lab: Lab): Promise<void> => {
  const limits = [64, 96, 128]
  const client = lab.host('client-1')
  const server = lab.host('server-1', { sysctl: { 'net.ipv4.tcp_mem': limits.join(' ') } })
  lab.link(client, server, { delay: 5, addresses: ['10.1.0.1/24', '10.1.0.2/24'] })
  const reads = lab.gate()
  let read = 0
  for (let i = 0; i < CONNECTIONS; i++) {
    acceptOne(lab, server, 7000 + i, async (sys, fd) => {
      await reads.wait(sys)
      const buffer = new Uint8Array(65_536)
      for (let count = -1; count !== 0; read += Math.max(0, count)) count = await sys.recv(fd, buffer)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === i + 1)
    lab.spawn(client, `sender-${i}`, async (sys) => {
      const fd = await connectTo(sys, '10.1.0.2', 7000 + i)
      await sys.send(fd, new Uint8Array(SENT))
      await sys.close(fd)
    })
  }
  await lab.quietly(() => false, 5000)
  const { layer } = server.sockets.tcp
  const { tcpExt } = server.ip.mib
  const pages = layer.queuedBytes / PAGE
  lab.figure(
    `tcp_mem = ${limits.join(' ')} pages of ${PAGE} bytes`,
    table([
      ['what', 'pages'],
      ['below: no pressure any more', String(limits[0])],
      ['above: pressure, windows stop growing', String(limits[1])],
      ['above: nothing more is taken in', String(limits[2])],
      [`sent by ${CONNECTIONS} clients, ${SENT} bytes each`, String(Math.ceil((CONNECTIONS * SENT) / PAGE))],
      ['in the queues of the host now', String(Math.ceil(pages))],
    ]),
  )
  lab.show(server, 'nstat -az TcpExtTCPMemoryPressures TcpExtTCPRcvQDrop TcpExtTCPOFODrop')
  await lab.step('Twenty connections whose programs do not read: the host has 128 pages for all of them')
  lab.check(
    'the limit holds, but for the segment of each connection that is always taken',
    pages > 96 && pages < 128 + 8,
    true,
  )
  lab.check('times that pressure began (TCPMemoryPressures)', tcpExt.TCPMemoryPressures, 1)
  reads.open()
  await lab.until(
    'The programs read: everything comes, for what was dropped is sent again',
    () => read === CONNECTIONS * SENT,
  )
  lab.check('the queues are empty, and there is no pressure', [layer.queuedBytes, layer.underPressure], [0, false])
  lab.leave(client, server)
}

const KIBIBYTE = 1024

/** 1 KiB to 512 KiB, doubling: bytes that two seconds carry. */
export const throughput = async (lab: Lab): Promise<void> => {
  const results: { size: number; rate: number }[] = []
  const client = lab.host('client-2')
  const server = lab.host('server-2')
  lab.countDataOnly(client, server)
  lab.link(client, server, { delay: 10, rate: 100e6, addresses: ['10.2.0.1/24', '10.2.0.2/24'] })
  for (const host of [client, server]) {
    host.sysctl.set('net.core.rmem_max', '1048576')
    host.sysctl.set('net.core.wmem_max', '1048576')
  }
  for (let size = KIBIBYTE; size <= 512 * KIBIBYTE; size *= 2) {
    const port = 6000 + results.length
    const read = { bytes: 0 }
    lab.spawn(server, 'reader', async (sys) => {
      const listener = listenAt(sys, port)
      sys.setsockopt(listener, SOL_SOCKET, SO_RCVBUF, size)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(65_536)
      for (let count = -1; count !== 0; read.bytes += count) count = await sys.recv(fd, buffer)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const sender = lab.spawn(client, 'sender', async (sys) => {
      const fd = sys.socket(2, 1)
      sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size)
      await sys.connect(fd, { address: '10.2.0.2', port })
      for (;;) await sys.send(fd, new Uint8Array(100_000))
    })
    await lab.quietly(() => read.bytes > 0)
    // The first second is for the congestion window to grow.
    await lab.quietly(() => false, 1000)
    const before = read.bytes
    await lab.quietly(() => false, 1000)
    results.push({ size, rate: ((read.bytes - before) * 8) / 1e6 })
    sender.signal(9)
    await lab.quietly(() => server.sockets.tcp.listeners.size === 0)
  }
  const rows = results.map(({ size, rate }) => {
    const possible = Math.min(97, (size * 8) / 0.02 / 1e6)
    return [`${size / KIBIBYTE} KiB`, rate.toFixed(2), possible.toFixed(2), '#'.repeat(Math.round(rate / 2))]
  })
  const heads = ['queues', 'Mbit/s', 'queue / RTT', '']
  lab.figure('Throughput against the size of both queues: 100 Mbit/s, 20 ms there and back', table([heads, ...rows]))
  await lab.step('What a queue is worth: its size by the round-trip time, until the link is full')
  const small = results.filter(({ size }) => size >= 4 * KIBIBYTE && size <= 64 * KIBIBYTE)
  const shares = small.map(({ size, rate }) => rate / ((size * 8) / 0.02 / 1e6))
  lab.check(
    '4 to 64 KiB: at most the queue in each round trip',
    shares.every((part) => part <= 1.02),
    true,
  )
  lab.check(
    'and half of that at least',
    shares.every((part) => part >= 0.5),
    true,
  )
  lab.check('512 KiB fill the link, Mbit/s', Math.round(results.at(-1)!.rate) >= 90, true)
}
