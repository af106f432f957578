import type { Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { Cable, type CableOptions } from '../link/cable.ts'
import type { FrameTap, LinkPort } from '../link/port.ts'
import { Switch } from '../link/switch.ts'
import { TestWorld } from '../link/testing.ts'
import { type IpAddress, type IpPrefix, ip, parseIpPrefix } from '../wire/address.ts'
import { dropName } from '../wire/drop.ts'
import type { AddressOptions, InterfaceAddress } from './address.ts'
import type { InterfaceOptions, NetworkInterface } from './interface.ts'
import { Ping, type PingEvent, type PingOptions } from './ping.ts'
import type { RouteSpec } from './route.ts'
import type { IpSettings } from './settings.ts'
import { IpStack } from './stack.ts'

/** What the tests of this layer share: hosts on cables in virtual time, and a record of every frame on a wire. */

/** A prefix that is known to be well formed. */
export const net = (text: string): IpPrefix => {
  const prefix = parseIpPrefix(text)
  if (prefix === undefined) throw new TypeError(`not a prefix: ${text}`)
  return prefix
}

/** One frame seen on a wire. */
export interface Seen {
  readonly time: Micros
  readonly bytes: Uint8Array
  readonly outgoing: boolean
}

/** Writes down every frame that passes a port. */
export class Sniffer implements FrameTap {
  readonly seen: Seen[] = []
  private readonly world: TestWorld

  constructor(world: TestWorld) {
    this.world = world
  }

  frame(frame: Frame, outgoing: boolean): void {
    this.seen.push({ time: this.world.loop.now, bytes: this.world.bytesOf(frame), outgoing })
  }

  /** The frames of an EtherType, as hexadecimal text without the Ethernet header. */
  payloads(etherType: number): string[] {
    return this.ofType(etherType).map(({ bytes }) => hex(bytes.subarray(14)))
  }

  ofType(etherType: number): Seen[] {
    return this.seen.filter(({ bytes }) => ((bytes[12]! << 8) | bytes[13]!) === etherType)
  }

  /** IPv4 packets of a protocol. */
  ipv4(protocol: number): Seen[] {
    return this.ofType(0x0800).filter(({ bytes }) => bytes[14 + 9] === protocol)
  }

  /** IPv6 packets whose payload, behind extension headers of 8 bytes that are skipped, is ICMPv6 of a type. */
  icmpv6(type: number): Seen[] {
    return this.ofType(0x86dd).filter(({ bytes }) => {
      let at = 54
      let next = bytes[20]!
      while (next === 0 || next === 44 || next === 60) {
        next = bytes[at]!
        at += 8
      }
      return next === 58 && bytes[at] === type
    })
  }

  clear(): void {
    this.seen.length = 0
  }
}

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

/** One host in a test: its stack, and short ways to say what tests say often. */
export class TestHost extends IpStack {
  readonly test: TestNet

  constructor(test: TestNet, name: string, settings: Partial<IpSettings>) {
    super(test.world, { random: test.world.random.fork(name), settings, name })
    this.test = test
  }

  /** Adds an address, which must be possible. */
  add(name: string, prefix: string, options: AddressOptions = {}): InterfaceAddress {
    const entry = this.iface(name).addAddress(net(prefix), options)
    if (typeof entry === 'number') throw new Error(`cannot add ${prefix}: ${entry}`)
    return entry
  }

  /** Adds a route, which must be possible. */
  route(prefix: string, gateway: string | null, spec: Partial<RouteSpec> = {}): void {
    const result = this.routes.add({ prefix: net(prefix), gateway: gateway === null ? null : ip(gateway), ...spec })
    if (result !== 0) throw new Error(`cannot add route ${prefix}: ${result}`)
  }

  iface(name: string): NetworkInterface {
    const iface = this.interfaceNamed(name)
    if (iface === null) throw new Error(`no interface ${name}`)
    return iface
  }

  /** Pings and writes down what happens; nothing has happened yet when this returns. */
  ping(to: string | IpAddress, options: PingOptions = {}): { ping: Ping; events: PingEvent[] } {
    const events: PingEvent[] = []
    const ping = new Ping(this, typeof to === 'string' ? ip(to) : to, {
      count: 1,
      ...options,
      onEvent: (event) => events.push(event),
    })
    ping.start()
    return { ping, events }
  }

  /** Hands an interface an IP packet as if it had come from the link, for this host unless told otherwise. */
  receive(name: string, packet: Uint8Array, to?: number): void {
    const iface = this.iface(name)
    const header = new Uint8Array(14)
    const view = new DataView(header.buffer)
    const mac = to ?? iface.mac
    view.setUint16(0, Math.floor(mac / 0x1_0000_0000))
    view.setUint32(2, mac >>> 0)
    header.set([2, 0, 0, 0, 0, 0x99], 6)
    view.setUint16(12, packet[0]! >>> 4 === 6 ? 0x86dd : 0x0800)
    iface.receive(this.test.world.frame(new Uint8Array([...header, ...packet])))
  }

  /** The drops counted so far, by name. */
  get drops(): Record<string, number> {
    const counted: Record<string, number> = {}
    this.mib.drops.forEach((count, reason) => {
      if (count > 0) counted[dropName(reason)] = count
    })
    return counted
  }
}

/** Hosts on cables. IPv6 is off unless a test turns it on, so that nothing but what the test does is on the wire. */
export class TestNet {
  readonly world: TestWorld
  readonly hosts: TestHost[] = []
  private cables = 0
  private macs = 0

  constructor(seed = 1) {
    this.world = new TestWorld(seed)
  }

  host(name: string, settings: Partial<IpSettings> = {}): TestHost {
    const host = new TestHost(this, name, { disable_ipv6: 1, ...settings })
    this.hosts.push(host)
    return host
  }

  /** A host that speaks IPv6. */
  host6(name: string, settings: Partial<IpSettings> = {}): TestHost {
    return this.host(name, { disable_ipv6: 0, ...settings })
  }

  router(name: string, settings: Partial<IpSettings> = {}): TestHost {
    return this.host(name, { ip_forward: 1, ipv6_forwarding: 1, ...settings })
  }

  /** Lays a cable from `a` to `b`, with a new interface at each end; MAC addresses count up from 02:00:00:00:00:01. */
  connect(a: TestHost, aName: string, b: TestHost, bName: string, options: CableOptions = {}): Cable {
    const cable = new Cable(this.world, `cable${this.cables++}`, options)
    this.plug(a, aName, cable.a)
    this.plug(b, bName, cable.b)
    return cable
  }

  plug(host: TestHost, name: string, port: LinkPort, options: InterfaceOptions = {}): NetworkInterface {
    return host.addInterface(name, port, { mac: 0x0200_0000_0000 + ++this.macs, ...options })
  }

  /** A switch, and an interface `eth0` of each host on it. */
  lan(...hosts: TestHost[]): Switch {
    const lan = new Switch(this.world, `lan${this.cables++}`)
    for (const host of hosts) this.plug(host, 'eth0', lan.connect().a)
    return lan
  }

  sniff(port: LinkPort): Sniffer {
    const sniffer = new Sniffer(this.world)
    port.taps.push(sniffer)
    return sniffer
  }

  /** Lets so many milliseconds pass. */
  run(milliseconds: number): void {
    this.world.runUntil(this.world.loop.now + milliseconds * 1000)
  }

  /** Closes every host. @returns what is left over, which should be nothing */
  close(): { frames: number; timers: number } {
    for (const host of this.hosts) host.close()
    this.world.loop.turn()
    return { frames: this.world.frames.inUse, timers: this.world.loop.timers.size }
  }
}

/** Bytes from hexadecimal text; spaces do not matter. */
export const fromHex = (text: string): Uint8Array => {
  const pairs = text.replace(/\s/g, '').match(/../g) ?? []
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16))
}

/** The one's-complement sum of 16-bit words, without any cleverness. */
export const naiveSum = (bytes: Uint8Array): number => {
  let sum = 0
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! << 8 : bytes[i]!
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000)
  return sum
}

/** What a test says of an IPv4 packet that it makes by hand. */
export interface Ipv4Parts {
  readonly from: string
  readonly to: string
  readonly protocol?: number
  readonly ttl?: number
  readonly tos?: number
  readonly id?: number
  /** Flags and offset as they lie in the header. */
  readonly fragment?: number
  readonly options?: Uint8Array
  readonly payload?: Uint8Array
}

/** An IPv4 packet with its checksum. */
export const ipv4Packet = (parts: Ipv4Parts): Uint8Array => {
  const options = parts.options ?? new Uint8Array(0)
  const payload = parts.payload ?? new Uint8Array(0)
  const packet = new Uint8Array(20 + options.length + payload.length)
  const view = new DataView(packet.buffer)
  packet[0] = 0x40 | ((20 + options.length) >>> 2)
  packet[1] = parts.tos ?? 0
  view.setUint16(2, packet.length)
  view.setUint16(4, parts.id ?? 0)
  view.setUint16(6, parts.fragment ?? 0)
  packet[8] = parts.ttl ?? 64
  packet[9] = parts.protocol ?? 253
  view.setInt32(12, ip(parts.from).w3)
  view.setInt32(16, ip(parts.to).w3)
  packet.set(options, 20)
  view.setUint16(10, ~naiveSum(packet.subarray(0, 20 + options.length)) & 0xffff)
  packet.set(payload, 20 + options.length)
  return packet
}

/** What a test says of an IPv6 packet that it makes by hand. */
export interface Ipv6Parts {
  readonly from: string
  readonly to: string
  readonly nextHeader?: number
  readonly hopLimit?: number
  readonly payload?: Uint8Array
}

const words = (address: IpAddress): number[] => [address.w0, address.w1, address.w2, address.w3]

/** An IPv6 packet; the checksum of an ICMPv6 message in it is filled in. */
export const ipv6Packet = (parts: Ipv6Parts): Uint8Array => {
  const payload = parts.payload ?? new Uint8Array(0)
  const packet = new Uint8Array(40 + payload.length)
  const view = new DataView(packet.buffer)
  view.setUint32(0, 0x6000_0000)
  view.setUint16(4, payload.length)
  packet[6] = parts.nextHeader ?? 253
  packet[7] = parts.hopLimit ?? 64
  words(ip(parts.from)).forEach((word, i) => {
    view.setInt32(8 + i * 4, word)
  })
  words(ip(parts.to)).forEach((word, i) => {
    view.setInt32(24 + i * 4, word)
  })
  packet.set(payload, 40)
  if (packet[6] === 58) {
    const pseudo = new Uint8Array([
      ...packet.subarray(8, 40),
      0,
      0,
      payload.length >>> 8,
      payload.length & 255,
      0,
      0,
      0,
      58,
    ])
    view.setUint16(42, 0)
    view.setUint16(42, ~naiveSum(new Uint8Array([...pseudo, ...packet.subarray(40)])) & 0xffff)
  }
  return packet
}

/** An ICMP message with its checksum: type, code, the four bytes behind the checksum, and data. */
export const icmpMessage = (
  type: number,
  code: number,
  rest: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array => {
  const message = new Uint8Array(8 + data.length)
  const view = new DataView(message.buffer)
  message[0] = type
  message[1] = code
  view.setUint32(4, rest)
  message.set(data, 8)
  view.setUint16(2, ~naiveSum(message) & 0xffff)
  return message
}

/** A UDP datagram without checksum. */
export const udpDatagram = (from: number, to: number, data: Uint8Array = new Uint8Array(0)): Uint8Array => {
  const datagram = new Uint8Array(8 + data.length)
  const view = new DataView(datagram.buffer)
  view.setUint16(0, from)
  view.setUint16(2, to)
  view.setUint16(4, datagram.length)
  datagram.set(data, 8)
  return datagram
}
