/**
 * What a second core brings. As root:
 *
 *     node --import tsx bench/cores.ts [ROUNDS]
 *
 * A server behind a TUN device whose program computes for a while before each answer, on one shard and on two; and one
 * stream between two hosts, both in one thread over a cable, or each in a thread of its own over shared memory.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { KernelSide } from '../src/cli/bench/kernel.ts'
import { median, occasion } from '../src/cli/bench/report.ts'
import { LiveHost } from '../src/cli/device.ts'
import { SeededRandom } from '../src/core/random.ts'
import { World } from '../src/core/world.ts'
import { Host } from '../src/host/host.ts'
import type { Program } from '../src/host/process.ts'
import { Cable } from '../src/link/cable.ts'
import type { LinkPort } from '../src/link/port.ts'
import { RealClock, RealTimeDriver } from '../src/node/realtime.ts'
import { planShards, type ShardPlan } from '../src/node/shard.ts'
import { type SharedLink, SharedPort, sharedLink } from '../src/node/shared-link.ts'
import { threadedServer } from '../src/services/serve.ts'
import { AF_INET, SOCK_STREAM, SOL_TCP, TCP_NODELAY } from '../src/socket/constants.ts'
import { Namespace } from '../test/support/netns.ts'

const PORT = 5001
const BUFFER = 256 * 1024

/** What a worker is told: to be a shard of a server, or the sink of a stream. */
type Order = { readonly shard: ShardPlan } | { readonly link: SharedLink; readonly kind: Kind }

/** Starts this module in a worker, which does not have the loader of this process. */
const worker = (order: Order): Worker =>
  new Worker(`import('tsx/esm/api').then(({ register }) => { register(); return import('${import.meta.url}') })`, {
    eval: true,
    workerData: order,
  })

// A server that computes.

const CONNECTIONS = 64
const SECONDS = 3

/** Echoes each message after some 100 microseconds of work. */
const computing = (): Program =>
  threadedServer(PORT, async (sys, fd) => {
    sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
    const buffer = new Uint8Array(64)
    for (let count = await sys.recv(fd, buffer); count > 0; count = await sys.recv(fd, buffer)) {
      let sum = buffer[0]!
      for (let i = 0; i < WORK; i++) sum = (Math.imul(sum, 31) + i) | 0
      buffer[1] = sum
      await sys.send(fd, buffer, count)
    }
  })

const WORK = 100_000

const device = { tun: 'ng0', ip: ['10.77.0.2/24'], ip6: [], hostIp: ['10.77.0.1/24'], set: [] }

/** Is a server with so many shards, within a namespace, until its standard input ends. */
const beServer = async (count: number): Promise<void> => {
  const plans = count > 1 ? planShards(count, [32_768, 60_999], []) : []
  const live = new LiveHost(device, 'server', plans[0] ?? null)
  const workers = plans.slice(1).map((shard) => worker({ shard }))
  await Promise.all(workers.map((each) => new Promise((resolve) => each.once('message', resolve))))
  live.host.spawn('server', computing())
  console.log('up')
  await new Promise((resolve) => process.stdin.resume().once('end', resolve))
  for (const each of workers) each.postMessage('close')
  await Promise.all(workers.map((each) => new Promise((resolve) => each.once('exit', resolve))))
  live.close()
}

const beShard = (shard: ShardPlan): void => {
  const live = new LiveHost(device, 'server', shard)
  live.host.spawn('server', computing())
  parentPort!.once('message', () => live.close())
  parentPort!.postMessage('up')
}

/** @returns answers a second, and how many cores the server was busy on */
const serve = async (side: KernelSide, shards: number): Promise<[rate: number, cores: number]> => {
  const space = new Namespace(`ngc${process.pid}`)
  try {
    const [script = ''] = process.argv.slice(1)
    const server = space.start(process.execPath, '--import', 'tsx', script, 'serve', String(shards))
    await server.printed(/up/, 30_000)
    await side.load(space.name, '10.77.0.2', PORT, CONNECTIONS, 1)
    const before = server.cpu()
    const rate = await side.load(space.name, '10.77.0.2', PORT, CONNECTIONS, SECONDS)
    const cores = (server.cpu() - before) / SECONDS
    server.process.stdin?.end()
    await server.ended
    return [rate, cores]
  } finally {
    await space.remove()
  }
}

// A stream.

/** How segments are: cut, with checksums; or of 64 KB, with none. */
const KINDS = {
  'a stream, MTU 1500, checksums': { maxSegmentedPacket: 0, checksumOffload: false, gigabytes: 2 },
  'a stream, segments of 64 KB': { maxSegmentedPacket: 65_535, checksumOffload: true, gigabytes: 4 },
} as const
type Kind = keyof typeof KINDS

const host = (world: World, port: LinkPort, address: string): Host => {
  const made = new Host(world, address)
  made.addInterface('eth0', port, [`${address}/24`])
  return made
}

const makeWorld = (): World => new World(new RealClock(), new SeededRandom(1))

const sink = (server: Host): Promise<number> =>
  server.spawn('sink', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: PORT })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    const buffer = new Uint8Array(BUFFER)
    while ((await sys.recv(fd, buffer)) > 0) {
      // Until the end.
    }
    await sys.close(fd)
  }).ended

/** Sends, and waits until the sink has had all. @returns Gbit/s */
const source = async (client: Host, bytes: number): Promise<number> => {
  let start = 0
  const process = client.spawn('source', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: PORT })
    const buffer = new Uint8Array(BUFFER)
    start = performance.now()
    for (let sent = 0; sent < bytes; ) sent += await sys.send(fd, buffer)
    sys.shutdown(fd, 1)
    await sys.recv(fd, buffer)
    await sys.close(fd)
  })
  await process.ended
  return (bytes * 8) / (performance.now() - start) / 1e6
}

const oneThread = async (kind: Kind): Promise<number> => {
  const { gigabytes, ...features } = KINDS[kind]
  const world = makeWorld()
  const driver = new RealTimeDriver(world.loop).ref()
  const cable = new Cable(world, 'cable', features)
  const [client, server] = [host(world, cable.a, '10.0.0.1'), host(world, cable.b, '10.0.0.2')]
  const done = sink(server)
  const rate = await source(client, gigabytes * 2 ** 30)
  await done
  for (const each of [client, server]) each.close()
  driver.close()
  return rate
}

const twoThreads = async (kind: Kind): Promise<number> => {
  const { gigabytes, ...features } = KINDS[kind]
  const link = sharedLink()
  const other = worker({ link, kind })
  const over = new Promise((resolve) => other.once('exit', resolve))
  await new Promise((resolve) => other.once('message', resolve))
  const world = makeWorld()
  const driver = new RealTimeDriver(world.loop).ref()
  const port = new SharedPort(world, link, 0, { features: { medium: 'ethernet', ...features } })
  const client = host(world, port, '10.0.0.1')
  const rate = await source(client, gigabytes * 2 ** 30)
  await over
  client.close()
  port.close()
  driver.close()
  return rate
}

const beSink = async (link: SharedLink, kind: Kind): Promise<void> => {
  const { gigabytes: _, ...features } = KINDS[kind]
  const world = makeWorld()
  const driver = new RealTimeDriver(world.loop).ref()
  const port = new SharedPort(world, link, 1, { features: { medium: 'ethernet', ...features } })
  const server = host(world, port, '10.0.0.2')
  const done = sink(server)
  setImmediate(() => parentPort!.postMessage('up'))
  await done
  // The last of it leaves.
  await new Promise((resolve) => setTimeout(resolve, 50))
  server.close()
  port.close()
  driver.close()
}

// All of it.

const text = (values: number[], digits: number): string =>
  `${median(values).toFixed(digits)} (${Math.max(...values).toFixed(digits)})`

const line = (what: string, one: number[], two: number[], digits: number): void =>
  console.log(`| ${what} | ${text(one, digits)} | ${text(two, digits)} | ${(median(two) / median(one)).toFixed(2)} |`)

const measure = async (rounds: number): Promise<void> => {
  console.log(`${occasion()}: medians of ${rounds} runs (the best)\n`)
  console.log('| | one thread | two threads | ratio |\n|---|---|---|---|')
  const side = new KernelSide()
  try {
    if (side.withoutLink !== null) console.log(`(no server: ${side.withoutLink})`)
    else {
      const rates: [number[], number[]] = [[], []]
      const cores: [number[], number[]] = [[], []]
      for (let round = 0; round < rounds; round++) {
        for (const shards of [1, 2]) {
          const [rate, busy] = await serve(side, shards)
          rates[shards - 1]!.push(rate)
          cores[shards - 1]!.push(busy)
        }
      }
      line('a server that computes 100 µs for each answer, answers/s', ...rates, 0)
      line('cores that it was busy on', ...cores, 2)
    }
  } finally {
    side.close()
  }
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const [one, two]: [number[], number[]] = [[], []]
    await oneThread(kind)
    for (let round = 0; round < rounds; round++) {
      one.push(await oneThread(kind))
      two.push(await twoThreads(kind))
    }
    line(`${kind}, Gbit/s`, one, two, 1)
  }
}

const order = workerData as Order | null
const [role, shards] = process.argv.slice(2)
if (order !== null && 'shard' in order) beShard(order.shard)
else if (order !== null) await beSink(order.link, order.kind)
else if (role === 'serve') await beServer(Number(shards))
else await measure(Number(role ?? 3))
