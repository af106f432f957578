import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { ETHERNET_HEADER, EtherType } from '../wire/ethernet.ts'
import { IpProtocol, MAX_PACKET } from '../wire/ip.ts'
import { type ClockOrigin, clockOrigin } from './realtime.ts'
import { type SharedLink, SharedPort, sharedLink } from './shared-link.ts'

/**
 * A host that is spread over threads. Each thread has a shard: a host with all of the addresses, on a queue of its own
 * of one TUN or TAP device. The kernel gives each flow to a queue by a hash, and keeps it where its packets come from;
 * what arrives at a shard that it is not for is handed on.
 */

/** What a shard is told, by `workerData`. */
export interface ShardPlan {
  readonly index: number
  readonly count: number
  /** To each other shard; null at its own place. */
  readonly links: readonly (SharedLink | null)[]
  /** Ports that programs are given when they name none, of all shards: each has its part. */
  readonly portRange: readonly [first: number, last: number]
  /** Ports of services that one shard has alone, the first one's the first, and so on by turns. */
  readonly undivided: readonly number[]
  /** By which all shards tell the time. */
  readonly clock: ClockOrigin
}

/** Shards may be so many: a device has no more queues than that here. */
export const MOST_SHARDS = 32

/** Plans for `count` shards, one each. */
export const planShards = (
  count: number,
  portRange: readonly [first: number, last: number],
  undivided: readonly number[],
): ShardPlan[] => {
  const links: (SharedLink | null)[][] = Array.from({ length: count }, () => Array(count).fill(null))
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) links[a]![b] = links[b]![a] = sharedLink(HANDED_ON)
  }
  const clock = clockOrigin()
  return links.map((own, index) => ({ index, count, links: own, portRange, undivided, clock }))
}

/** Bytes that may be on their way from one shard to another. */
const HANDED_ON = 0x8_0000

/** The part of the ports that is a shard's. */
export const portsOf = ({ index, count, portRange: [first, last] }: ShardPlan): [first: number, last: number] => {
  const each = Math.floor((last - first + 1) / count)
  return [first + index * each, index === count - 1 ? last : first + (index + 1) * each - 1]
}

/** Has this shard the service on `port`, which one has alone? */
export const hasUndivided = ({ index, count, undivided }: ShardPlan, port: number): boolean =>
  undivided.indexOf(port) % count === index

const HERE = -1
const EVERYWHERE = -2

/**
 * ICMP messages that answer, or tell of, a packet of whatever shard
 * has sent it; and those of ICMPv6, with what neighbours tell.
 */
const ICMP_FOR_SENDERS: ReadonlySet<number> = new Set([0, 3, 4, 5, 11, 12, 14])
const ICMPV6_FOR_SENDERS: ReadonlySet<number> = new Set([1, 2, 3, 4, 129, 134, 136, 137])
const MLD_QUERY = 130
const NEIGHBOUR_SOLICITATION = 135
const ARP_REQUEST = 1

/** A shard's port: its queue of the device, and links to the other shards. */
export class ShardPort implements LinkPort, LinkUser {
  readonly taps: FrameTap[] = []
  user: LinkUser | null = null
  /** Frames handed on to other shards, and got from them. */
  handedOn = 0
  taken = 0

  private readonly world: World
  private readonly device: LinkPort
  private readonly plan: ShardPlan
  private readonly others: (SharedPort | null)[]
  /** Whose a port is. */
  private readonly undivided: ReadonlyMap<number, number>
  private readonly isEthernet: boolean

  /** @param device not yet plugged into */
  constructor(world: World, device: LinkPort, plan: ShardPlan) {
    this.world = world
    this.device = device
    this.plan = plan
    this.undivided = new Map(plan.undivided.map((port, i) => [port, i % plan.count]))
    this.isEthernet = device.features.medium === 'ethernet'
    device.user = this
    const features = { ...device.features, mtu: MAX_PACKET }
    const fromOther: LinkUser = {
      receive: (frame) => {
        this.taken++
        this.deliver(frame)
      },
      carrierChanged: () => {},
    }
    this.others = plan.links.map((link, other) => {
      if (link === null) return null
      const port = new SharedPort(world, link, plan.index < other ? 0 : 1, { features })
      port.user = fromOther
      return port
    })
  }

  get features(): LinkFeatures {
    return this.device.features
  }

  get carrier(): boolean {
    return this.device.carrier
  }

  send(frame: Frame): void {
    for (let i = 0; i < this.taps.length; i++) this.taps[i]!.frame(frame, true)
    this.device.send(frame)
  }

  /** A frame from the device. */
  receive(frame: Frame): void {
    const where = this.ownerOf(frame)
    if (where === HERE || where === this.plan.index) this.deliver(frame)
    else if (where === EVERYWHERE) {
      for (const other of this.others) {
        const copy = other === null ? null : this.world.frames.copy(frame)
        if (copy !== null) this.handOn(other!, copy)
      }
      this.deliver(frame)
    } else this.handOn(this.others[where]!, frame)
  }

  carrierChanged(up: boolean): void {
    this.user?.carrierChanged(up)
  }

  close(): void {
    for (const other of this.others) other?.close()
  }

  private handOn(other: SharedPort, frame: Frame): void {
    this.handedOn++
    // The device has its headers elsewhere than the stack, which looks for itself.
    if (frame.network < frame.start) frame.network = frame.start
    other.send(frame)
  }

  private deliver(frame: Frame): void {
    for (let i = 0; i < this.taps.length; i++) this.taps[i]!.frame(frame, false)
    if (this.user === null) this.world.frames.release(frame)
    else this.user.receive(frame)
  }

  /** Which shard a frame is for: a number, or `HERE` for whichever has got it, or `EVERYWHERE`. */
  private ownerOf({ start, end }: Frame): number {
    if (!this.isEthernet) return this.ownerOfPacket(start, end)
    const { view } = this.world.memory
    const packet = start + ETHERNET_HEADER
    if (end < packet) return HERE
    const type = view.getUint16(start + 12)
    if (type === EtherType.Ipv4 || type === EtherType.Ipv6) return this.ownerOfPacket(packet, end)
    if (type !== EtherType.Arp || end < packet + 8) return EVERYWHERE
    // One answers for all, who have the same address; but each asks for itself, and hears every answer.
    return view.getUint16(packet + 6) === ARP_REQUEST ? 0 : EVERYWHERE
  }

  /** The same for the IP packet from `start` to `end`. */
  private ownerOfPacket(start: number, end: number): number {
    const { u8, view } = this.world.memory
    const version = u8[start]! >>> 4
    if (version === 4 && end - start >= 20) {
      // All fragments of a packet come to one queue, for they have no ports to be hashed.
      if ((view.getUint16(start + 6) & 0x3fff) !== 0) return HERE
      if (u8[start + 16]! >= 0xe0) return EVERYWHERE
      return this.ownerOfPayload(u8[start + 9]!, start + ((u8[start]! & 0xf) << 2), end, ICMP_FOR_SENDERS)
    }
    if (version === 6 && end - start >= 40) {
      if (u8[start + 6] === IpProtocol.Icmpv6 && u8[start + 40] === NEIGHBOUR_SOLICITATION && end > start + 40) return 0
      if (u8[start + 24] === 0xff) return EVERYWHERE
      return this.ownerOfPayload(u8[start + 6]!, start + 40, end, ICMPV6_FOR_SENDERS)
    }
    return HERE
  }

  private ownerOfPayload(protocol: number, at: number, end: number, forSenders: ReadonlySet<number>): number {
    const { u8, view } = this.world.memory
    if (end - at < 4) return HERE
    if (protocol === IpProtocol.Icmp || protocol === IpProtocol.Icmpv6) {
      return forSenders.has(u8[at]!) || (protocol === IpProtocol.Icmpv6 && u8[at] === MLD_QUERY) ? EVERYWHERE : HERE
    }
    if (protocol !== IpProtocol.Tcp && protocol !== IpProtocol.Udp) return HERE
    return this.ownerOfPort(view.getUint16(at + 2))
  }

  private ownerOfPort(port: number): number {
    const alone = this.undivided.get(port)
    if (alone !== undefined) return alone
    const { count, portRange } = this.plan
    const [first, last] = portRange
    if (port < first || port > last) return HERE
    const each = Math.floor((last - first + 1) / count)
    return Math.min(count - 1, Math.floor((port - first) / each))
  }
}
