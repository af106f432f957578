import { mkdirSync, writeFileSync } from 'node:fs'
import { connected, listening, settle } from '../src/cli/bench/direct.ts'
import { stackBytes } from '../src/cli/bench/ours.ts'
import { benchPair } from '../src/cli/bench/pair.ts'
import { plot, type Series } from '../src/cli/bench/plot.ts'
import { SeededRandom } from '../src/core/random.ts'
import { Timer, TimerWheel } from '../src/core/timer.ts'
import { net, TestNet } from '../src/ip/testing.ts'
import { type Claimant, ListenerTable } from '../src/socket/listener-table.ts'
import type { Socket } from '../src/socket/socket.ts'
import { Reassembly } from '../src/tcp/reassembly.ts'
import { IpAddress, ip } from '../src/wire/address.ts'
import { IpHeader } from '../src/wire/ip.ts'

/**
 * `npm run plots`: how time and memory grow with the number of things, to docs/plots. Needs 6 GB for a million
 * connections, both ends of each; a number as an argument makes it fewer. test/growth bounds the same in operations.
 */

const MOST = Number(process.argv[2] ?? 1_000_000)
const FOLDER = new URL('../docs/plots/', import.meta.url)
const ROUNDS = 5

/** Nanoseconds for each of `times` runs of `body`: the least of several rounds. */
const time = (times: number, body: (index: number) => void): number => {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    for (let i = 0; i < times; i++) body(i)
    least = Math.min(least, ((performance.now() - start) * 1e6) / times)
  }
  return least
}

const powersTo = (most: number): number[] => [1, 10, 100, 1000, 10_000, 100_000, 1_000_000].filter((n) => n <= most)

const connections = (): { times: Series[]; memory: Series } => {
  const perAddress = 14_000
  const addresses = Array.from(
    { length: Math.ceil((MOST + 200_000) / perAddress) },
    (_, i) => `10.1.${i >> 8}.${i & 0xff}`,
  )
  const pair = benchPair({ clientAddresses: addresses.map((address) => `${address}/8`) }, false)
  const listener = listening(pair)
  const open: [Socket, Socket][] = []
  const add = (): void => {
    open.push(connected(pair, listener, addresses[Math.floor(open.length / perAddress)]!))
  }
  const data = new Uint8Array(64)
  // Always the same few talk: what the first message of a connection makes for it is another matter.
  const exchange = (index: number): void => {
    const [client, server] = open[index % 10]!
    pair.world.loop.refresh()
    client.send(data, 0, 64, 0, null)
    settle(pair)
    server.receive(data, 0, 64, 0, null)
    server.send(data, 0, 64, 0, null)
    settle(pair)
    client.receive(data, 0, 64, 0, null)
  }
  // V8 compiles first, on a pair of its own.
  const other = benchPair({}, false)
  const otherListener = listening(other)
  for (let i = 0; i < 20_000; i++) connected(other, otherListener)
  const empty = stackBytes(pair)
  const setup: [number, number][] = []
  const message: [number, number][] = []
  const memory: [number, number][] = []
  for (const count of powersTo(MOST).filter((n) => n >= 10)) {
    while (open.length < count) add()
    if (count >= 1000) memory.push([count, (stackBytes(pair) - empty) / (2 * open.length)])
    message.push([count, time(20_000, exchange) / 1000])
    setup.push([count, time(1000, add) / 1000])
    console.error(`${count} connections`)
  }
  const times = [
    { name: 'one more is set up', points: setup },
    { name: 'a message, there and back', points: message },
  ]
  return { times, memory: { name: 'one end, idle', points: memory } }
}

const ranges = (count: number): number => {
  const random = new SeededRandom(1)
  const reassembly = new Reassembly()
  for (let i = 0; i < count; i++) reassembly.insert(i * 1000, i * 1000 + 100)
  return time(100_000, () => {
    const start = random.below(count) * 1000
    reassembly.insert(start + 50, start + 100)
  })
}

const timers = (count: number): number => {
  const owner = { onTimer: () => {} }
  const random = new SeededRandom(1)
  const wheel = new TimerWheel()
  for (let i = 0; i < count; i++) wheel.schedule(new Timer(owner, 0), 1e6 + random.below(1e9))
  const timer = new Timer(owner, 0)
  return time(100_000, () => {
    wheel.schedule(timer, 1e6 + random.below(1e9))
    wheel.cancel(timer)
  })
}

const routes = (count: number): number => {
  const lab = new TestNet()
  const host = lab.host('a')
  lab.connect(host, 'eth0', lab.host('b'), 'eth0')
  host.add('eth0', '10.0.0.1/24')
  const eth0 = host.iface('eth0')
  const inside: IpAddress[] = []
  for (let i = 0; i < count; i++) {
    host.routes.add({ prefix: net(`20.${i >> 8}.${i & 0xff}.0/24`), interface: eth0 })
    inside.push(ip(`20.${i >> 8}.${i & 0xff}.9`))
  }
  const random = new SeededRandom(1)
  return time(100_000, () => {
    const { w0, w1, w2, w3 } = inside[random.below(count)]!
    host.routes.lookup(w0, w1, w2, w3, null)
  })
}

const listeners = (count: number): number => {
  const table = new ListenerTable<Claimant>(7)
  const local = new IpAddress(0, 0, 0xffff, 0)
  const terms = { local, family: 4, v6only: false, boundInterface: null, reusePort: false, uid: 0 } as const
  for (let i = 0; i < count; i++) table.add({ ...terms, localPort: 1 + i })
  const header = new IpHeader()
  header.version = 4
  header.destination = ip('10.0.0.1')
  const random = new SeededRandom(1)
  return time(100_000, () => {
    table.find(header, 1 + random.below(count), null, 0)
  })
}

const series = (name: string, most: number, cost: (count: number) => number): Series => ({
  name,
  points: powersTo(most).map((count) => [count, cost(count)]),
})

mkdirSync(FOLDER, { recursive: true })
const write = (name: string, svg: string): void => writeFileSync(new URL(name, FOLDER), svg)
const tables = [
  series('ranges out of order', 10_000, ranges),
  series('timers: set, cancel', 100_000, timers),
  series('routes: look-up', 10_000, routes),
  series('listeners: look-up', 10_000, listeners),
]
write(
  'tables.svg',
  plot({ title: 'Tables: time for one look-up or change', note: '', unit: 'ns' }, 'how many there are', tables),
)
const { times, memory } = connections()
write('connections.svg', plot({ title: 'Connections: time', note: '', unit: 'µs' }, 'how many are open', times))
write('memory.svg', plot({ title: 'Connections: memory', note: '', unit: 'bytes' }, 'how many are open', [memory]))
for (const { name, points } of [...tables, ...times, memory]) {
  console.log(`${name.padEnd(28)}${points.map(([x, y]) => `${x}: ${y.toFixed(y < 100 ? 1 : 0)}`).join('   ')}`)
}
