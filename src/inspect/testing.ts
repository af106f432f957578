import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import { Cable } from '../link/cable.ts'
import { Network } from '../sim/network.ts'
import * as C from '../socket/constants.ts'
import { ip, parseIpPrefix, parseMac } from '../wire/address.ts'
import { type Snapshot, snapshot } from './snapshot.ts'

/**
 * Two machines on a cable whose sockets are in every state: what the tests of the printers look at. The tests against
 * the real tools bring two network namespaces into the same states (test/interop/inspect-machines.ts).
 */

/** A machine on which sockets can be opened. Sockets go by names. */
export interface Machine {
  /** Makes a call of inspect.py; rejects with what went wrong. */
  call(name: string, ...args: unknown[]): Promise<unknown>
}

export interface Pair {
  readonly a: Machine
  readonly b: Machine
  /** Waits until the addresses can be used. */
  start(): Promise<void>
  /** Lets what is under way arrive. */
  settle(): Promise<void>
  /** From now on nothing that `a` sends reaches `b`. */
  cut(): Promise<void>
}

/** Addresses of eth0, with the prefix lengths. */
export const ADDRESSES = { a: ['10.9.0.1/24', 'fd09::1/64'], b: ['10.9.0.2/24', 'fd09::2/64'] } as const
export const MACS = { a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b' } as const
/** What differs between kernels and distributions, and is set on both sides. */
export const SETTINGS = [
  ['net.ipv4.tcp_congestion_control', 'reno'],
  ['net.ipv4.tcp_rmem', '4096 131072 6291456'],
  ['net.ipv4.tcp_wmem', '4096 16384 4194304'],
] as const
/** The link-layer address of no machine: what goes there is lost. */
export const NOBODY = '02:00:00:00:00:ff'
/** An address without its prefix length. */
export const bare = (prefix: string): string => prefix.split('/')[0]!

type UnixType = 'stream' | 'dgram' | 'seqpacket'
const UNIX_TYPES = { stream: C.SOCK_STREAM, dgram: C.SOCK_DGRAM, seqpacket: C.SOCK_SEQPACKET } as const
/** Names in the abstract space are written with `@`. */
const unixName = (path: string): string => path.replace(/^@/, '\0')

/** A host of ours, with one process that makes the calls. */
export class OurMachine implements Machine {
  readonly host: Host
  private readonly network: Network
  private readonly sys: Sys
  private readonly named = new Map<string, number>()

  constructor(network: Network, name: string) {
    this.network = network
    this.host = network.host(name, { sysctl: Object.fromEntries(SETTINGS) })
    // The program waits for ever: its calls are made from outside.
    this.sys = this.host.spawn('python3', () => new Promise(() => {})).sys
  }

  async call(name: string, ...args: unknown[]): Promise<unknown> {
    const answer = (this as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[`${name}Call`]!(
      ...args,
    )
    await this.network.run(20)
    return await answer
  }

  private fd(name: string): number {
    const fd = this.named.get(name)
    if (fd === undefined) throw new Error(`no socket ${name}`)
    return fd
  }

  private open(name: string, family: number, type: number): number {
    const fd = this.sys.socket(family === 6 ? C.AF_INET6 : C.AF_INET, type)
    this.named.set(name, fd)
    return fd
  }

  protected async listenCall(
    name: string,
    family: number,
    address: string,
    port: number,
    backlog: number,
    v6: boolean,
  ) {
    const fd = this.open(name, family, C.SOCK_STREAM)
    this.sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
    if (v6) this.sys.setsockopt(fd, C.IPPROTO_IPV6, C.IPV6_V6ONLY, 1)
    this.sys.bind(fd, { address, port })
    this.sys.listen(fd, backlog)
  }

  protected async connectCall(name: string, address: string, port: number, peer: string, to: number, wait: boolean) {
    const fd = this.open(name, address.includes(':') ? 6 : 4, C.SOCK_STREAM)
    this.sys.bind(fd, { address, port })
    if (!wait) this.sys.fcntl(fd, C.F_SETFL, C.O_NONBLOCK)
    const connected = this.sys.connect(fd, { address: peer, port: to })
    if (wait) await connected
    else await connected.catch(() => 0)
    this.sys.fcntl(fd, C.F_SETFL, 0)
  }

  protected async acceptCall(listener: string, name: string) {
    this.named.set(name, await this.sys.accept(this.fd(listener)))
  }

  protected async sendCall(name: string, count: number) {
    return await this.sys.send(this.fd(name), new Uint8Array(count).fill(120))
  }

  protected async recvCall(name: string, count: number) {
    return await this.sys.recv(this.fd(name), new Uint8Array(count), count, C.MSG_WAITALL)
  }

  protected async shutdownCall(name: string) {
    this.sys.shutdown(this.fd(name), C.SHUT_WR)
  }

  protected async closeCall(name: string) {
    const fd = this.fd(name)
    this.named.delete(name)
    await this.sys.close(fd)
  }

  protected async udpCall(name: string, family: number, address: string, port: number) {
    this.sys.bind(this.open(name, family, C.SOCK_DGRAM), { address, port })
  }

  protected async rawCall(name: string, family: number, protocol: number) {
    this.named.set(name, this.sys.socket(family === 6 ? C.AF_INET6 : C.AF_INET, C.SOCK_RAW, protocol))
  }

  protected async aimCall(name: string, address: string, port: number) {
    await this.sys.connect(this.fd(name), { address, port })
  }

  protected async unixListenCall(name: string, type: UnixType, path: string, backlog: number) {
    const fd = this.openUnix(name, type)
    this.sys.bind(fd, { path: unixName(path) })
    this.sys.listen(fd, backlog)
  }

  protected async unixBindCall(name: string, type: UnixType, path: string) {
    this.sys.bind(this.openUnix(name, type), { path: unixName(path) })
  }

  protected async unixConnectCall(name: string, type: UnixType, path: string) {
    await this.sys.connect(this.openUnix(name, type), { path: unixName(path) })
  }

  protected async unixPairCall(first: string, second: string, type: UnixType) {
    const [a, b] = this.sys.socketpair(C.AF_UNIX, UNIX_TYPES[type])
    this.named.set(first, a).set(second, b)
  }

  private openUnix(name: string, type: UnixType): number {
    const fd = this.sys.socket(C.AF_UNIX, UNIX_TYPES[type])
    this.named.set(name, fd)
    return fd
  }

  protected async keepaliveCall(name: string) {
    this.sys.setsockopt(this.fd(name), C.SOL_SOCKET, C.SO_KEEPALIVE, 1)
  }

  /** A snapshot in which the process has another id, and its sockets the inodes of the descriptors given. */
  snapshot(pid: number, inodes: Readonly<Record<string, number>>): Snapshot {
    const taken = snapshot(this.host)
    const renamed = new Map<number, number>()
    for (const socket of taken.sockets) {
      for (const holder of socket.holders) {
        holder.pid = pid
        renamed.set(socket.inode, inodes[holder.fd] ?? socket.inode)
      }
    }
    for (const socket of taken.sockets) {
      socket.inode = renamed.get(socket.inode) ?? socket.inode
      if (socket.protocol !== 'unix') continue
      socket.peer = renamed.get(socket.peer) ?? socket.peer
      socket.waiting = socket.waiting.map((inode) => renamed.get(inode) ?? inode)
    }
    return taken
  }
}

export class OurPair implements Pair {
  readonly network = new Network({ seed: 5 })
  readonly a = new OurMachine(this.network, 'a')
  readonly b = new OurMachine(this.network, 'b')
  private readonly cable = new Cable(this.network.world, 'eth0', { impairment: { delay: 0.05 } })

  constructor() {
    for (const [side, other, machine, port] of [
      ['a', 'b', this.a, this.cable.a],
      ['b', 'a', this.b, this.cable.b],
    ] as const) {
      const iface = machine.host.addInterface('eth0', port, ADDRESSES[side], { mac: parseMac(MACS[side])! })
      for (const address of ADDRESSES[other]) {
        const neighbour = ip(bare(address))
        const table = neighbour.isIpv4 ? machine.host.ip.arp : machine.host.ip.nd
        table.setPermanent(iface, neighbour, parseMac(MACS[other])!)
      }
    }
    this.a.host.ip.routes.add({ prefix: parseIpPrefix('0.0.0.0/0')!, gateway: ip('10.9.0.2') })
  }

  async start(): Promise<void> {
    await this.network.run(3000)
  }

  async settle(): Promise<void> {
    await this.network.run(30)
  }

  async cut(): Promise<void> {
    const { host } = this.a
    const iface = host.ip.interfaces.find(({ name }) => name === 'eth0')!
    for (const address of ADDRESSES.b) {
      const neighbour = ip(bare(address))
      const table = neighbour.isIpv4 ? host.ip.arp : host.ip.nd
      table.setPermanent(iface, neighbour, parseMac(NOBODY)!)
    }
  }

  close(): void {
    this.network.close()
  }
}

/** Opens a connection from `from` to a listener of `to`; both ends go by `name`. */
const connect = async (
  pair: Pair,
  name: string,
  [from, address, port]: readonly [Machine, string, number],
  [to, listener, peer, peerPort]: readonly [Machine, string, string, number],
): Promise<void> => {
  await from.call('connect', name, address, port, peer, peerPort, true)
  await pair.settle()
  await to.call('accept', listener, name)
}

const V4 = '10.9.0.1'
const V6 = 'fd09::1'

/** Brings a pair into the states that the tools are to show. */
export const build = async (pair: Pair): Promise<void> => {
  const { a, b } = pair
  await pair.start()
  await b.call('listen', 'any4', 4, '0.0.0.0', 17000, 5, false)
  await b.call('listen', 'any6', 6, '::', 17001, 128, false)
  await b.call('listen', 'only6', 6, '::', 17002, 1, true)
  await b.call('listen', 'local', 4, '127.0.0.1', 17003, 4096, false)
  await b.call('listen', 'one6', 6, 'fd09::2', 17006, 10, false)
  await b.call('listen', 'queue', 4, '10.9.0.2', 17005, 10, false)
  await b.call('listen', 'http', 4, '0.0.0.0', 80, 511, false)
  await a.call('listen', 'back', 4, '0.0.0.0', 17010, 7, false)

  const four = (port: number) => [a, V4, port] as const
  const six = (port: number) => [a, V6, port] as const
  const any4 = [b, 'any4', '10.9.0.2', 17000] as const
  const any6 = [b, 'any6', 'fd09::2', 17001] as const
  await connect(pair, 'data', four(40001), any4)
  await connect(pair, 'data6', six(40002), any6)
  await connect(pair, 'mapped', four(40003), [b, 'any6', '10.9.0.2', 17001])
  await connect(pair, 'timewait', four(40004), any4)
  await connect(pair, 'timewait6', six(40005), any6)
  await connect(pair, 'half', four(40006), any4)
  await connect(pair, 'orphan', four(40007), any4)
  await connect(pair, 'finwait', four(40008), any4)
  await connect(pair, 'closing', four(40009), any4)
  await connect(pair, 'lastack', six(40010), any6)
  await connect(pair, 'web', four(40020), [b, 'http', '10.9.0.2', 80])
  await a.call('send', 'data', 1000)
  await b.call('send', 'data', 300)
  await a.call('send', 'data6', 77)
  await b.call('send', 'data6', 4000)
  await a.call('send', 'mapped', 5000)
  await pair.settle()
  await b.call('recv', 'mapped', 5000)
  await a.call('keepalive', 'mapped')
  for (const [name, port] of [
    ['queued1', 40030],
    ['queued2', 40031],
  ] as const) {
    await a.call('connect', name, V4, port, '10.9.0.2', 17005, true)
    await a.call('send', name, 10)
  }
  await b.call('unixListen', 'us', 'stream', '@netglass', 5)
  await b.call('unixConnect', 'uc', 'stream', '@netglass')
  await b.call('accept', 'us', 'ua')
  await b.call('unixConnect', 'uq', 'stream', '@netglass')
  await b.call('send', 'uc', 30)
  await b.call('unixListen', 'useq', 'seqpacket', '@Other.seq', 3)
  await b.call('unixBind', 'ud', 'dgram', '/tmp/netglass-inspect.sock')
  await b.call('unixConnect', 'ux', 'dgram', '@aimed').catch(() => {})
  await b.call('unixPair', 'up', 'uP', 'dgram')
  await b.call('send', 'up', 40)
  await b.call('udp', 'datagrams', 4, '0.0.0.0', 17020)
  await b.call('udp', 'datagrams6', 6, '::', 17021)
  await b.call('udp', 'bound6', 6, 'fd09::2', 17022)
  await b.call('raw', 'raw4', 4, 89)
  await b.call('raw', 'raw6', 6, 103)
  await a.call('udp', 'aimed', 4, V4, 40050)
  await a.call('aim', 'aimed', '10.9.0.2', 17020)
  await a.call('send', 'aimed', 100)
  for (const name of ['timewait', 'timewait6']) {
    await a.call('close', name)
    await pair.settle()
    await b.call('close', name)
  }
  await b.call('shutdown', 'half')
  await b.call('close', 'orphan')
  await b.call('shutdown', 'lastack')
  await pair.settle()

  await pair.cut()
  await a.call('send', 'data', 500)
  await a.call('close', 'finwait')
  await a.call('close', 'closing')
  await pair.settle()
  await b.call('shutdown', 'closing')
  await a.call('close', 'lastack')
  await a.call('connect', 'synsent', V4, 40011, '10.9.0.2', 17000, false)
  await a.call('connect', 'synsent6', V6, 40012, 'fd09::2', 17001, false)
  await b.call('connect', 'synrecv', '10.9.0.2', 40013, '10.9.0.1', 17010, false)
  await pair.settle()
}
