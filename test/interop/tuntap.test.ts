/**
 * TUN and TAP devices against the kernel, in network namespaces of its own. Needs root, /dev/net/tun, iproute2 and
 * iputils-ping. What is measured is printed.
 *
 * Each device is opened by a child process in the namespace, which runs the compiled code. Its program stands below as
 * functions, whose text is written to a file beside that code.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Frame } from '../../src/core/frame.ts'
import type { Task } from '../../src/core/loop.ts'
import type { LinkFeatures } from '../../src/link/port.ts'

const ROOT = join(import.meta.dirname, '../..')

/** What the child is told, in its first argument. */
interface Orders {
  kind: 'tun' | 'tap'
  name: string
  offload: boolean
  addresses: string[]
  mtu?: number
  ref: boolean
}

/** The modules that the child loads, by the names under which it gets them. */
interface Modules {
  random: typeof import('../../src/core/random.ts')
  loop: typeof import('../../src/core/loop.ts')
  world: typeof import('../../src/core/world.ts')
  statistics: typeof import('../../src/link/statistics.ts')
  realtime: typeof import('../../src/node/realtime.ts')
  tuntap: typeof import('../../src/node/tuntap.ts')
  ifconfig: typeof import('../../src/node/ifconfig.ts')
  address: typeof import('../../src/wire/address.ts')
  ip: typeof import('../../src/wire/ip.ts')
  ipv4: typeof import('../../src/wire/ipv4.ts')
  tcp: typeof import('../../src/wire/tcp.ts')
  transport: typeof import('../../src/wire/transport.ts')
}

const PATHS: Record<keyof Modules, string> = {
  random: 'core/random',
  loop: 'core/loop',
  world: 'core/world',
  statistics: 'link/statistics',
  realtime: 'node/realtime',
  tuntap: 'node/tuntap',
  ifconfig: 'node/ifconfig',
  address: 'wire/address',
  ip: 'wire/ip',
  ipv4: 'wire/ipv4',
  tcp: 'wire/tcp',
  transport: 'wire/transport',
}

/** What the child does with a frame of TCP; see `toyTcp`. */
interface Toy {
  receive(frame: Frame, link: number): void
}

/**
 * The child: answers pings (IPv4, IPv6) and ARP in place, hands TCP to the toy, and reports in lines of JSON. `stats` on
 * its input asks for figures, the end of its input closes all.
 */
const responder = (m: Modules, orders: Orders, makeToy: typeof toyTcp | null): void => {
  const say = (event: object): void => {
    process.stdout.write(`${JSON.stringify(event)}\n`)
  }
  const world = new m.world.World(new m.realtime.RealClock(), new m.random.CryptoRandom())
  const driver = new m.realtime.RealTimeDriver(world.loop)
  if (orders.ref) driver.ref()
  const { memory, frames } = world
  let port: import('../../src/node/tuntap.ts').TunTapPort
  try {
    port = m.tuntap.openTunTap(world, {
      kind: orders.kind,
      name: orders.name,
      offload: orders.offload,
      ...(orders.mtu === undefined ? {} : { mtu: orders.mtu }),
      onError: (error) => say({ error: error.message }),
    })
    m.ifconfig.configureHostSide(port.name, {
      addresses: orders.addresses.map((text) => m.address.parseIpPrefix(text)!),
    })
  } catch (error) {
    say({ error: (error as Error).message })
    driver.close()
    return
  }
  const toy: Toy | null = makeToy === null ? null : makeToy(m, world, port, say)

  const swap = (a: number, b: number, length: number): void => {
    const { u8 } = memory
    for (let i = 0; i < length; i++) {
      const byte = u8[a + i]!
      u8[a + i] = u8[b + i]!
      u8[b + i] = byte
    }
  }
  const adjust = (at: number, by: number): void => {
    const sum = memory.view.getUint16(at) + by
    memory.view.setUint16(at, (sum & 0xffff) + (sum >>> 16))
  }
  const receive = (frame: Frame): void => {
    const { u8, view } = memory
    const link = orders.kind === 'tap' ? 14 : 0
    const ip = frame.start + link
    if (link > 0) {
      swap(frame.start, frame.start + 6, 6)
      u8.set([2, 0, 0, 0, 0, 9], frame.start + 6)
      if (view.getUint16(frame.start + 12) === 0x0806) {
        // A request for the address it asks for becomes the answer.
        view.setUint16(ip + 6, 2)
        swap(ip + 8, ip + 18, 10)
        u8.set([2, 0, 0, 0, 0, 9], ip + 8)
        port.send(frame)
        return
      }
    }
    const version = u8[ip]! >>> 4
    if (version === 4 && u8[ip + 9] === 1 && u8[ip + 20] === 8) {
      swap(ip + 12, ip + 16, 4)
      u8[ip + 20] = 0
      adjust(ip + 22, 0x0800)
    } else if (version === 6 && u8[ip + 6] === 58 && u8[ip + 40] === 128) {
      swap(ip + 8, ip + 24, 16)
      u8[ip + 40] = 129
      adjust(ip + 42, 0xfeff)
    } else {
      if (version === 4 && u8[ip + 9] === 6 && toy !== null) toy.receive(frame, link)
      frames.release(frame)
      return
    }
    port.send(frame)
  }
  port.user = { receive, carrierChanged: (up) => say({ carrier: up, at: Date.now() }) }
  say({ ready: port.name, index: port.index, features: port.features, carrier: port.carrier })
  if (!orders.ref) return
  process.stdin.on('data', () => {
    const { statistics } = port
    const { wakes, spins, received, sent } = statistics
    say({
      stats: { wakes, spins, received, sent, drops: m.statistics.namedDrops(statistics.drops) },
      cpu: process.cpuUsage(),
    })
  })
  process.stdin.on('end', () => {
    port.close()
    driver.close()
    say({ closed: true, inUse: frames.inUse })
  })
}

/**
 * TCP as far as a measurement needs it, without loss: port 9 takes bytes and checks that they count up, port 19 gives
 * such bytes. It says how fast that went when the connection ends.
 */
const toyTcp = (
  m: Modules,
  world: import('../../src/core/world.ts').World,
  port: import('../../src/node/tuntap.ts').TunTapPort,
  say: (event: object) => void,
): Toy => {
  const { memory, frames } = world
  const ip = new m.ip.IpHeader()
  const outIp = new m.ip.IpHeader()
  const tcp = new m.tcp.TcpHeader()
  const outTcp = new m.tcp.TcpHeader()
  const { TcpFlag } = m.tcp
  const offload = port.features.maxSegmentedPacket > 0
  const MSS = 1460
  const BLOCK = 0x2_0000
  const RING = 0x20_0000
  const pattern = memory.allocate(BLOCK)
  const ring = memory.allocate(RING)
  // Every byte tells where it belongs, modulo 251.
  for (let i = 0; i < BLOCK; i++) memory.u8[pattern + i] = i % 251
  let una = 0
  let nxt = 0
  let rcv = 0
  let window = 0
  let shift = 0
  let bytes = 0
  let sent = 0
  let wrong = 0
  let start = 0
  let needAck = false
  let source = false
  const linkHeader = new Uint8Array(14)

  const emit = (flags: number, length: number, syn = false): void => {
    const frame = frames.allocate(60 + length)!
    outTcp.clearOptions()
    if (syn) {
      outTcp.mss = MSS
      outTcp.windowScale = 10
    }
    outTcp.sourcePort = tcp.destinationPort
    outTcp.destinationPort = tcp.sourcePort
    outTcp.seq = nxt
    outTcp.ack = rcv
    outTcp.flags = flags
    outTcp.window = syn ? 0xffff : 4096
    const header = m.tcp.emitTcp(outTcp, memory, frame.transport)
    const data = frame.transport + header
    frame.end = data + length
    const phase = sent % 251
    sent += length
    memory.u8.copyWithin(data, pattern + phase, pattern + phase + length)
    outIp.protocol = 6
    outIp.dontFragment = true
    frame.network = frame.transport - 20
    m.ipv4.emitIpv4(outIp, memory, frame.network, header + length)
    if (offload) {
      m.transport.fillPartialChecksum(outIp, 6, memory, frame.transport, frame.end)
      frame.checksum = 1
      if (length > MSS) frame.segmentSize = MSS
    } else m.transport.fillTransportChecksum(outIp, 6, memory, frame.transport, frame.end)
    frame.start = frame.network
    if (port.features.medium === 'ethernet') {
      frame.start -= 14
      memory.u8.set(linkHeader, frame.start)
    }
    port.send(frame)
    nxt = (nxt + length) | 0
  }

  /** Sends what the window allows, and one acknowledgment for all that came in a batch. */
  const pump = (): void => {
    const most = offload ? 44 * MSS : MSS
    for (let room = window - ((nxt - una) | 0); source && room >= most; room -= most) {
      emit(TcpFlag.Ack, most)
      needAck = false
    }
    if (needAck) emit(TcpFlag.Ack, 0)
    needAck = false
  }
  class Pump extends m.loop.Task {
    override run(): void {
      pump()
    }
  }
  const task: Task = new Pump()

  const take = (at: number, end: number): void => {
    const length = end - at
    const { u8 } = memory
    if (tcp.seq !== rcv || u8[at] !== bytes % 251 || u8[end - 1] !== (bytes + length - 1) % 251) wrong++
    u8.copyWithin(ring + (bytes & 0x1f_0000), at, end)
    bytes += length
    rcv = (rcv + length) | 0
    needAck = true
  }

  return {
    receive(frame, link) {
      if (m.ipv4.parseIpv4(ip, memory, frame.start + link, frame.end) !== 0) return
      if (m.tcp.parseTcp(tcp, memory, ip.payloadStart, ip.payloadEnd) !== 0) return
      if ((tcp.flags & TcpFlag.Syn) !== 0) {
        linkHeader.set(memory.u8.subarray(frame.start, frame.start + 14))
        outIp.source = ip.destination
        outIp.destination = ip.source
        rcv = (tcp.seq + 1) | 0
        shift = tcp.windowScale
        source = tcp.destinationPort === 19
        nxt = 1000
        emit(TcpFlag.Syn | TcpFlag.Ack, 0, true)
        una = nxt = 1001
        bytes = sent = wrong = window = 0
        start = performance.now()
        return
      }
      const at = ip.payloadStart + tcp.headerLength
      if (ip.payloadEnd > at) take(at, ip.payloadEnd)
      window = tcp.window << shift
      if ((tcp.flags & TcpFlag.Ack) !== 0) {
        if (source) bytes += (tcp.ack - una) | 0
        una = tcp.ack
      }
      if ((tcp.flags & (TcpFlag.Fin | TcpFlag.Rst)) !== 0 && start > 0) {
        const seconds = (performance.now() - start) / 1000
        say({ [source ? 'given' : 'taken']: bytes, wrong, gigabits: (bytes * 8) / seconds / 1e9 })
        source = false
        start = 0
        rcv = (rcv + 1) | 0
        emit(TcpFlag.Rst | TcpFlag.Ack, 0)
      } else if (source || needAck) world.loop.post(task)
    },
  }
}

/** The kernel's end of a measurement: sends or receives bytes that count up, for some seconds. */
const peer = async (net: typeof import('node:net'), portNumber: number, seconds: number): Promise<void> => {
  const socket = net.connect({
    host: '10.77.0.2',
    port: portNumber,
    onread: { buffer: new Uint8Array(0x10_0000), callback: (count, buffer) => check(count, buffer) },
  })
  let bytes = 0
  let wrong = 0
  const check = (count: number, buffer: Uint8Array): boolean => {
    if (buffer[0] !== bytes % 251 || buffer[count - 1] !== (bytes + count - 1) % 251) wrong++
    bytes += count
    return true
  }
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  const end = performance.now() + seconds * 1000
  if (portNumber === 9) {
    const block = new Uint8Array(251 * 4096).map((_, i) => i % 251)
    while (performance.now() < end) {
      if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve))
    }
    await new Promise<void>((resolve) => socket.end(resolve))
  } else await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  socket.destroy()
  process.stdout.write(JSON.stringify({ bytes, wrong }))
}

/** The devices of workers that are terminated in the middle of traffic: the process must outlive them. */
const workers = async (
  threads: typeof import('node:worker_threads'),
  program: string,
  orders: Orders,
  rounds: number,
): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    const worker = new threads.Worker(program, { argv: [JSON.stringify(orders)], stdin: true, stdout: true })
    await new Promise<void>((resolve) =>
      worker.stdout.on('data', (text) => String(text).includes('carrier":true') && resolve()),
    )
    await new Promise((resolve) => setTimeout(resolve, 30 + round * 7))
    await worker.terminate()
  }
  process.stdout.write('outlived')
}

let directory = ''
let namespace = ''
let count = 0
const children: Device[] = []

/** Runs a command in the namespace. @returns what it printed */
const run = (...command: string[]): string => {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

/** What children say, a line each. */
interface Event {
  ready?: string
  features?: LinkFeatures
  carrier?: boolean
  error?: string
  closed?: boolean
  inUse?: number
  stats?: { wakes: number; spins: number; received: number; sent: number; drops: object }
  cpu?: { user: number; system: number }
  taken?: number
  given?: number
  wrong?: number
  gigabits?: number
}

/** A child with a device. */
class Device {
  readonly process: ChildProcess
  readonly events: Event[] = []
  readonly exit: Promise<number | null>

  constructor(orders: Partial<Orders> = {}, prefix: string[] = []) {
    const all = { ...DEFAULTS, ...orders }
    const command = ['netns', 'exec', namespace, ...prefix, process.execPath, join(directory, 'responder.js')]
    this.process = spawn('ip', [...command, JSON.stringify(all)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.exit = new Promise((resolve) => this.process.once('exit', resolve))
    createInterface(this.process.stdout!).on('line', (line) => this.events.push(JSON.parse(line) as Event))
    children.push(this)
  }

  /** The next event that has this field, from the `from`th event on. */
  async event(field: keyof Event, value?: unknown, from = 0): Promise<Event> {
    const end = performance.now() + 5000
    for (;;) {
      const found = this.events
        .slice(from)
        .find((event) => field in event && (value === undefined || event[field] === value))
      if (found !== undefined) return found
      if (performance.now() > end) throw new Error(`no ${field} in ${JSON.stringify(this.events)}`)
      await sleep(5)
    }
  }

  async ready(): Promise<this> {
    const first = await Promise.race([this.event('ready'), this.event('error')])
    if ('error' in first) throw new Error(String(first.error))
    if (first.carrier !== true) await this.event('carrier', true)
    return this
  }

  async stats(): Promise<Required<Pick<Event, 'stats' | 'cpu'>>> {
    const from = this.events.length
    this.process.stdin!.write('stats')
    return (await this.event('stats', undefined, from)) as Required<Pick<Event, 'stats' | 'cpu'>>
  }

  /** Ends the child. @returns what it said last */
  async close(): Promise<Event> {
    this.process.stdin!.end()
    const said = await this.event('closed')
    expect(await this.exit).toBe(0)
    return said
  }
}

const DEFAULTS: Orders = { kind: 'tun', name: 'ng0', offload: true, addresses: ['10.77.0.1/24'], ref: true }

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Prints a measurement. */
const measured = (what: string): void => {
  process.stderr.write(`    measured: ${what}\n`)
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netglass-tuntap-'))
  // Some children are nobody.
  chmodSync(directory, 0o755)
  const dist = join(directory, 'dist')
  // Errors in files of other layers do not matter here: it compiles all the same.
  spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/typescript/bin/tsc'),
      ...['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', dist, '--tsBuildInfoFile', join(dist, 'info')],
    ],
    { cwd: ROOT },
  )
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
  const imports = Object.entries(PATHS).map(([name, path]) => `import * as ${name} from './dist/${path}.js'`)
  const program = (functions: string[], last: string): string =>
    [...imports, `const modules = { ${Object.keys(PATHS).join(', ')} }`, ...functions, last].join('\n')
  writeFileSync(
    join(directory, 'responder.js'),
    program(
      [`const toyTcp = ${toyTcp}`, `const responder = ${responder}`],
      'responder(modules, JSON.parse(process.argv[2]), toyTcp)',
    ),
  )
  writeFileSync(
    join(directory, 'peer.js'),
    `import net from 'node:net'\nconst peer = ${peer}\npeer(net, Number(process.argv[2]), Number(process.argv[3]))`,
  )
  writeFileSync(
    join(directory, 'workers.js'),
    `import * as threads from 'node:worker_threads'\nconst workers = ${workers}\n` +
      'workers(threads, process.argv[2], JSON.parse(process.argv[3]), 8)',
  )
}, 120_000)

afterAll(() => {
  rmSync(directory, { recursive: true })
})

beforeEach(() => {
  namespace = `ng-test-${process.pid}-${++count}`
  execFileSync('ip', ['netns', 'add', namespace])
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL')
    await child.exit
  }
  execFileSync('ip', ['netns', 'del', namespace])
})

/** Pings in the namespace. @returns replies, and the mean round trip in microseconds */
const ping = (...options: string[]): { received: number; mean: number } => {
  const out = run('ping', '-n', '-q', ...options)
  const received = Number(/(\d+) received/.exec(out)?.[1])
  return { received, mean: 1000 * Number(/ = [\d.]+\/([\d.]+)\//.exec(out)?.[1] ?? 0) }
}

describe('traffic', () => {
  test.each([
    ['tun', true],
    ['tun', false],
    ['tap', true],
    ['tap', false],
  ] as const)('%s, offload %s: answers pings', async (kind, offload) => {
    const device = await new Device({ kind, offload }).ready()
    expect(ping('-c', '20', '-i', '0.005', '10.77.0.2').received).toBe(20)
    expect(ping('-c', '5', '-i', '0.005', '-s', '1472', '10.77.0.2').received).toBe(5)
    const { stats } = await device.stats()
    expect(stats.drops).toEqual({})
    expect(stats.sent).toBeGreaterThanOrEqual(25)
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
    expect(spawnSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'show', 'ng0']).status).not.toBe(0)
  })

  test('IPv6, at once: the address is not detected first', async () => {
    const device = await new Device({ addresses: ['10.77.0.1/24', 'fd77::1/64'] }).ready()
    expect(ping('-6', '-c', '10', '-i', '0.005', 'fd77::2').received).toBe(10)
    await device.close()
  })

  test('an MTU of 9000 is set on both sides', async () => {
    const device = await new Device({ kind: 'tap', mtu: 9000 }).ready()
    expect((await device.event('ready')).features).toMatchObject({ mtu: 9000 })
    expect(ping('-c', '3', '-i', '0.005', '-M', 'do', '-s', '8972', '10.77.0.2').received).toBe(3)
    await device.close()
  })

  test('a flood of pings: none is lost, and waiting costs little', async () => {
    const device = await new Device().ready()
    ping('-f', '-c', '5000', '10.77.0.2')
    const { received, mean } = ping('-f', '-c', '30000', '10.77.0.2')
    expect(received).toBe(30_000)
    const { stats } = await device.stats()
    measured(`flood of pings: mean round trip ${mean} us, ${stats.wakes} wakes, ${stats.spins} looks`)
    expect(mean).toBeLessThan(500)
    await device.close()
  })

  test('an idle device costs nothing', async () => {
    const device = await new Device().ready()
    await sleep(1500)
    const before = (await device.stats()).cpu
    await sleep(5000)
    const after = (await device.stats()).cpu
    const share = (after.user + after.system - before.user - before.system) / 5e6
    measured(`idle: ${(100 * share).toFixed(2)} % of a processor`)
    expect(share).toBeLessThan(0.01)
    await device.close()
  })

  test.each(['tun', 'tap'] as const)('%s: bulk with segmentation offload, each way', async (kind) => {
    const device = await new Device({ kind }).ready()
    const sent = JSON.parse(run(process.execPath, join(directory, 'peer.js'), '9', '2')) as object
    const taken = await device.event('taken')
    expect(taken).toMatchObject({ wrong: 0 })
    expect(sent).toMatchObject({ wrong: 0 })
    const got = JSON.parse(run(process.execPath, join(directory, 'peer.js'), '19', '2')) as { bytes: number }
    const given = await device.event('given')
    expect(got).toMatchObject({ wrong: 0 })
    expect(got.bytes).toBeGreaterThan(1e8)
    measured(
      `${kind} bulk, against a Node socket: from the kernel ${Number(taken.gigabits).toFixed(1)} Gbit/s, ` +
        `to it ${Number(given.gigabits).toFixed(1)} Gbit/s`,
    )
    expect(taken.gigabits).toBeGreaterThan(1)
    expect(given.gigabits).toBeGreaterThan(1)
    expect((await device.stats()).stats.drops).toEqual({})
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })
})

describe('the device changes', () => {
  test('down and up again', async () => {
    const device = await new Device().ready()
    const from = device.events.length
    run('ip', 'link', 'set', 'ng0', 'down')
    await device.event('carrier', false, from)
    run('ip', 'link', 'set', 'ng0', 'up')
    await device.event('carrier', true, from)
    expect(ping('-c', '3', '-i', '0.01', '10.77.0.2').received).toBe(3)
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })

  test.each([['tun'], ['tap']] as const)('%s removed: one line, no leak, no work', async (kind) => {
    const device = await new Device({ kind }).ready()
    const from = device.events.length
    run('ip', 'link', 'del', 'ng0')
    expect(await device.event('error')).toEqual({ error: 'device ng0 was removed' })
    expect(device.events.slice(from).map((event) => Object.keys(event)[0])).toEqual(['carrier', 'error'])
    const before = (await device.stats()).cpu
    await sleep(1000)
    const after = (await device.stats()).cpu
    expect(after.user + after.system - before.user - before.system).toBeLessThan(30_000)
    expect(openDescriptors(device)).not.toContain('/dev/net/tun')
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })

  test('removed under a flood', async () => {
    const device = await new Device().ready()
    const flood = spawn('ip', ['netns', 'exec', namespace, 'ping', '-f', '-q', '-c', '100000', '10.77.0.2'])
    await sleep(300)
    run('ip', 'link', 'del', 'ng0')
    expect(await device.event('error')).toEqual({ error: 'device ng0 was removed' })
    flood.kill()
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })

  test('moved to another namespace it works on, until it is removed there', async () => {
    const device = await new Device().ready()
    const other = `${namespace}-b`
    execFileSync('ip', ['netns', 'add', other])
    try {
      const from = device.events.length
      run('ip', 'link', 'set', 'ng0', 'netns', other)
      await device.event('carrier', true, from)
      const there = (...command: string[]): string =>
        execFileSync('ip', ['-n', other, ...command], { encoding: 'utf8' })
      there('addr', 'add', '10.77.0.1/24', 'dev', 'ng0')
      there('link', 'set', 'ng0', 'up')
      execFileSync('ip', ['netns', 'exec', other, 'ping', '-q', '-c', '3', '-i', '0.01', '10.77.0.2'])
      there('link', 'del', 'ng0')
      expect(await device.event('error')).toEqual({ error: 'device ng0 was removed' })
      await device.close()
    } finally {
      execFileSync('ip', ['netns', 'del', other])
    }
  })
})

const openDescriptors = (device: Device): string =>
  execFileSync('ls', ['-l', `/proc/${device.process.pid}/fd`], { encoding: 'utf8' })

describe('opening', () => {
  test('a device in use names who uses it', async () => {
    const device = await new Device().ready()
    const second = new Device()
    expect(await second.event('error')).toEqual({
      error: `device ng0 is in use by node (pid ${device.process.pid}): stop it or choose another name`,
    })
    expect(await second.exit).toBe(0)
    expect(ping('-c', '1', '10.77.0.2').received).toBe(1)
    await device.close()
  })

  test('a device that was made to stay is used, and stays', async () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    const device = await new Device({ kind: 'tap' }).ready()
    expect(ping('-c', '3', '-i', '0.01', '10.77.0.2').received).toBe(3)
    await device.close()
    expect(run('ip', 'link', 'show', 'ng0')).toContain('NO-CARRIER')
  })

  test('a device of the other kind is not', async () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    expect(await new Device({ kind: 'tun' }).event('error')).toEqual({
      error: "ng0 exists and is no tun device: choose another name, or run 'sudo ip link del ng0'",
    })
  })

  test('without permission it says what to run', async () => {
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    const refused = String((await new Device({}, asNobody).event('error')).error)
    expect([
      "no permission to open /dev/net/tun: run this with sudo, or let everybody open it: 'sudo chmod 0666 /dev/net/tun'",
      "no permission to use tun device ng0: run this with sudo, or once 'sudo ip tuntap add dev ng0 mode tun user nobody'",
    ]).toContain(refused)
  })

  test('the kernel numbers devices where the name asks for it', async () => {
    const first = await new Device({ name: 'ng%d' }).ready()
    const second = await new Device({ name: 'ng%d', addresses: ['10.78.0.1/24'] }).ready()
    expect([(await first.event('ready')).ready, (await second.event('ready')).ready]).toEqual(['ng0', 'ng1'])
    await first.close()
    await second.close()
  })

  test('an open device does not keep the process alive by itself', async () => {
    const device = new Device({ ref: false })
    await device.event('ready')
    expect(await Promise.race([device.exit, sleep(2000).then(() => 'still there')])).toBe(0)
  })

  test('workers can be terminated in the middle of traffic', async () => {
    const out = new Promise<string>((resolve, reject) => {
      const program = [join(directory, 'workers.js'), join(directory, 'responder.js'), JSON.stringify(DEFAULTS)]
      const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, ...program])
      let text = ''
      child.stdout.on('data', (chunk) => {
        text += chunk
      })
      child.stderr.on('data', (chunk) => reject(new Error(String(chunk))))
      child.once('exit', () => resolve(text))
    })
    let ended = false
    void out.finally(() => {
      ended = true
    })
    while (!ended) {
      spawnSync('ip', ['netns', 'exec', namespace, 'timeout', '0.2', 'ping', '-q', '-f', '10.77.0.2'])
      await sleep(1)
    }
    expect(await out).toBe('outlived')
  })
})

describe('the kernel’s side', () => {
  /** Runs a few lines with `links`, a KernelLinks, in the namespace. @returns what they give, through JSON */
  const inKernel = (lines: string): unknown => {
    const file = join(directory, 'lines.js')
    writeFileSync(
      file,
      `import { KernelLinks } from './dist/node/ifconfig.js'
       import { parseIpPrefix as prefix } from './dist/wire/address.js'
       const links = new KernelLinks()
       const show = (a) => ({ ...a, prefix: a.prefix.address + '/' + a.prefix.length })
       const attempt = (f) => { try { f(); return 'done' } catch (error) { return error.code + ': ' + error.message } }
       const result = (() => { ${lines} })()
       links.close()
       process.stdout.write(JSON.stringify(result))`,
    )
    return JSON.parse(run(process.execPath, file))
  }

  test('interfaces and addresses are listed, set and deleted as ip(8) sees them', () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    const result = inKernel(`
      links.setMtu('ng0', 1400)
      links.addAddress('ng0', prefix('10.77.0.1/24'))
      links.addAddress('ng0', prefix('10.77.0.1/24'))
      links.addAddress('ng0', prefix('10.77.1.1/32'))
      links.addAddress('ng0', prefix('fd77::1/64'))
      links.removeAddress('ng0', prefix('10.77.1.1/32'))
      links.setUp('ng0', true)
      return { names: links.links().map((l) => l.name), link: links.get('ng0'), none: links.find('ng1') ?? null,
        byIndex: links.find(1).name, addresses: links.addresses('ng0').map(show) }`)
    expect(result).toMatchObject({
      names: ['lo', 'ng0'],
      link: { name: 'ng0', up: true, mtu: 1400, kind: 'tun' },
      none: null,
      byIndex: 'lo',
      addresses: [
        { prefix: '10.77.0.1/24', tentative: false, duplicate: false },
        { prefix: 'fd77::1/64', tentative: false, duplicate: false },
      ],
    })
    const [link] = JSON.parse(run('ip', '-j', 'addr', 'show', 'ng0')) as [{ addr_info: object[] }]
    expect(link).toMatchObject({ mtu: 1400, flags: expect.arrayContaining(['UP']) })
    expect(link.addr_info).toMatchObject([
      { family: 'inet', local: '10.77.0.1', prefixlen: 24, broadcast: '10.77.0.255' },
      { family: 'inet6', local: 'fd77::1', prefixlen: 64, nodad: true },
    ])
    expect(inKernel("links.setUp('ng0', false); return links.get('ng0').up")).toBe(false)
  })

  test('what cannot be done is said in the kernel’s words, where it has any', () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    run('sysctl', '-qw', 'net.ipv6.conf.ng0.disable_ipv6=1')
    expect(
      inKernel(`return [
        attempt(() => links.setMtu('ng0', 7)),
        attempt(() => links.setUp('nope', true)),
        attempt(() => links.removeAddress('ng0', prefix('10.9.9.9/24'))),
        attempt(() => links.addAddress('ng0', prefix('fd77::1/64'))),
        attempt(() => links.addAddress('ng0', prefix('10.0.0.1/24')))]`),
    ).toEqual([
      'EINVAL: cannot set the MTU of ng0 to 7: mtu less than device minimum (EINVAL)',
      'ENODEV: there is no interface nope',
      expect.stringMatching(/^EADDRNOTAVAIL: cannot take the address 10\.9\.9\.9\/24 from ng0: /),
      expect.stringMatching(/^(EACCES|EOPNOTSUPP): IPv6 is off on ng0: 'sudo sysctl /),
      'done',
    ])
  })

  test('more interfaces than fit in one answer', () => {
    const file = join(directory, 'batch')
    writeFileSync(file, Array.from({ length: 200 }, (_, i) => `tuntap add d${i} mode tap\n`).join(''))
    run('ip', '-batch', file)
    expect(inKernel('return links.links().length')).toBe(201)
  })

  test('without permission it says what to run', () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    const file = join(directory, 'denied.js')
    writeFileSync(
      file,
      `import { configureHostSide } from './dist/node/ifconfig.js'
       import { parseIpPrefix } from './dist/wire/address.js'
       try { configureHostSide('ng0', { addresses: [parseIpPrefix('10.77.0.1/24')] }) }
       catch (error) { process.stdout.write(error.message) }`,
    )
    expect(run('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, file)).toBe(
      "no permission to set up ng0: run 'sudo ip addr replace 10.77.0.1/24 dev ng0 && sudo ip link set ng0 up', or this with sudo",
    )
  })
})
