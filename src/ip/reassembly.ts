import type { Frame } from '../core/frame.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { isLinkLocal6, isMulticast6 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { Ecn, type IpHeader } from '../wire/ip.ts'
import { setIpv4Checksum } from '../wire/ipv4.ts'
import { IPV6_HEADER, type Ipv6Chain } from '../wire/ipv6.ts'
import { AddressMap } from './address-map.ts'
import type { NetworkInterface } from './interface.ts'
import type { IpStack } from './stack.ts'
import { frameTruesize } from './truesize.ts'

/** The fragments of one packet that have come so far, by offset, without overlap. Used again for other packets. */
class FragmentQueue implements TimerOwner {
  readonly reassembly: Reassembly
  iface!: NetworkInterface
  version = 4
  source0 = 0
  source1 = 0
  source2 = 0
  source3 = 0
  destination0 = 0
  destination1 = 0
  destination2 = 0
  destination3 = 0
  identification = 0
  /** IPv4 only: fragments of two protocols are never of one packet. */
  protocol = 0
  readonly frames: Frame[] = []
  /** Where the data of each fragment lies in the packet, and in memory. */
  readonly offsets: number[] = []
  readonly lengths: number[] = []
  readonly positions: number[] = []
  /** Payload bytes that have come, and how many there are in all; -1 until the last fragment came. */
  received = 0
  total = -1
  /** One past the last byte that has come. */
  reach = 0
  /** Which ECN values the fragments bear, as bits. */
  ecn = 0
  /** IPv6: where the next-header field lies, from the packet's start, that named the fragment header; its new value. */
  nextHeaderAt = 0
  nextHeader = 0
  truesize = 0
  /** The next queue with the same source and identification, or the next unused one. */
  next: FragmentQueue | null = null
  readonly timer = new Timer(this, 0)

  constructor(reassembly: Reassembly) {
    this.reassembly = reassembly
  }

  isFor(iface: NetworkInterface, header: IpHeader): boolean {
    return (
      this.version === header.version &&
      this.destination3 === header.destination3 &&
      this.destination2 === header.destination2 &&
      this.destination1 === header.destination1 &&
      this.destination0 === header.destination0 &&
      (this.version === 6 ? !isScoped(header) || this.iface === iface : this.protocol === header.protocol)
    )
  }

  onTimer(): void {
    this.reassembly.expire(this)
  }
}

const isScoped = (header: IpHeader): boolean => isLinkLocal6(header.source0) || isMulticast6(header.destination0)

/** Fragments of one packet, at the most: what 65,535 bytes give on links of the least MTU that IPv4 allows. */
const MOST_FRAGMENTS = 1400

/** Queues kept for use again. */
const MOST_SPARE = 64

/**
 * Reassembly of fragmented packets of both versions (RFC 791 section 3.2, RFC 8200 section 4.5), by the rule of RFC
 * 5722 for both: a packet with fragments that overlap is dropped whole; a fragment of which all has come already is
 * dropped alone. Memory is bounded, time too, and whoever waits in vain is told (RFC 792, RFC 4443).
 */
export class Reassembly {
  private readonly stack: IpStack
  private readonly queues: AddressMap<FragmentQueue>
  private spare: FragmentQueue | null = null
  private spares = 0
  /** Bytes of fragments that wait, as Linux charges them, by version. */
  private used4 = 0
  private used6 = 0
  private count = 0

  constructor(stack: IpStack, seed: number) {
    this.stack = stack
    this.queues = new AddressMap(seed)
  }

  /** Packets that wait for fragments. */
  get waiting(): number {
    return this.count
  }

  /** Those of IPv4 or of IPv6: `FRAG: inuse` of /proc/net/sockstat. */
  waitingOf(version: 4 | 6): number {
    let count = 0
    for (const first of this.queues.values()) {
      for (let queue: FragmentQueue | null = first; queue !== null; queue = queue.next) {
        if (queue.version === version) count++
      }
    }
    return count
  }

  /** Bytes that IPv4 or IPv6 fragments take: `FRAG: memory` of /proc/net/sockstat. */
  memory(version: number): number {
    return version === 4 ? this.used4 : this.used6
  }

  /**
   * Takes a fragment in. Owns the frame.
   * @param chain IPv6 only: tells where the fragment header lies
   * @returns the whole packet, its IP header at `start`, when this was the last that was missing; else null
   */
  add(iface: NetworkInterface, frame: Frame, header: IpHeader, chain: Ipv6Chain | null): Frame | null {
    const v4 = header.version === 4
    const counters = v4 ? this.stack.mib.ip : this.stack.mib.ip6
    counters.ReasmReqds++
    const limit = v4 ? this.stack.settings.ipfrag_high_thresh : this.stack.settings.ip6frag_high_thresh
    if (this.memory(header.version) > limit) return this.refuse(frame, header, Drop['fragment-limit'])
    const length = header.payloadEnd - header.payloadStart
    const end = header.fragmentOffset + length
    if (length === 0) return this.refuse(frame, header, Drop['fragment-truncated'])
    if (header.moreFragments && (length & 7) !== 0) return this.refuse(frame, header, Drop['fragment-length'])
    if (end + (v4 ? header.headerLength : 0) > 0xffff) return this.refuse(frame, header, Drop['fragment-too-big'])
    const queue = this.find(iface, header) ?? this.create(iface, header)
    const reason = this.insert(queue, frame, header, end)
    if (reason === Drop['fragment-duplicate']) {
      this.stack.drop(frame, reason)
      return null
    }
    if (reason !== Drop.none) {
      counters.ReasmFails++
      if (v4 && reason === Drop['fragment-overlap']) this.stack.mib.ipExt.ReasmOverlaps++
      this.stack.drop(frame, reason)
      this.discard(queue, reason)
      return null
    }
    if (chain !== null && header.fragmentOffset === 0) {
      queue.nextHeaderAt = chain.fragmentNextHeaderAt - frame.network
      queue.nextHeader = header.protocol
    }
    return queue.received === queue.total ? this.complete(queue) : null
  }

  /** A queue's time is up. */
  expire(queue: FragmentQueue): void {
    const counters = queue.version === 4 ? this.stack.mib.ip : this.stack.mib.ip6
    counters.ReasmTimeout++
    counters.ReasmFails++
    // Only whoever has the first fragment can tell the sender which packet it was.
    if (queue.offsets[0] === 0) this.stack.reassemblyTimeout(queue.iface, queue.frames[0]!, queue.version)
    this.discard(queue, Drop['fragment-timeout'])
  }

  /** Drops what has come through an interface that goes. */
  forget(iface: NetworkInterface): void {
    for (const first of this.queues.values()) {
      for (let queue: FragmentQueue | null = first; queue !== null; ) {
        const next: FragmentQueue | null = queue.next
        if (queue.iface === iface) this.discard(queue, Drop['interface-down'])
        queue = next
      }
    }
  }

  /** Drops everything. */
  close(): void {
    for (const first of this.queues.values()) {
      for (let queue: FragmentQueue | null = first; queue !== null; ) {
        const next: FragmentQueue | null = queue.next
        this.discard(queue, Drop['fragment-timeout'])
        queue = next
      }
    }
  }

  private refuse(frame: Frame, header: IpHeader, reason: number): null {
    const counters = header.version === 4 ? this.stack.mib.ip : this.stack.mib.ip6
    counters.ReasmFails++
    this.stack.drop(frame, reason)
    return null
  }

  private find(iface: NetworkInterface, header: IpHeader): FragmentQueue | null {
    const { source0, source1, source2, source3, identification } = header
    let queue = this.queues.get(source0, source1, source2, source3, identification) ?? null
    while (queue !== null && !queue.isFor(iface, header)) queue = queue.next
    return queue
  }

  private create(iface: NetworkInterface, header: IpHeader): FragmentQueue {
    const queue = this.spare ?? new FragmentQueue(this)
    if (this.spare !== null) {
      this.spare = queue.next
      this.spares--
    }
    this.count++
    queue.iface = iface
    queue.version = header.version
    queue.source0 = header.source0
    queue.source1 = header.source1
    queue.source2 = header.source2
    queue.source3 = header.source3
    queue.destination0 = header.destination0
    queue.destination1 = header.destination1
    queue.destination2 = header.destination2
    queue.destination3 = header.destination3
    queue.identification = header.identification
    queue.protocol = header.protocol
    queue.received = 0
    queue.total = -1
    queue.reach = 0
    queue.ecn = 0
    queue.truesize = 0
    const { source0, source1, source2, source3, identification } = header
    queue.next = this.queues.get(source0, source1, source2, source3, identification) ?? null
    this.queues.set(source0, source1, source2, source3, identification, queue)
    const { settings, world } = this.stack
    const time = header.version === 4 ? settings.ipfrag_time : settings.ip6frag_time
    world.loop.timers.schedule(queue.timer, world.loop.now + time * 1e6)
    return queue
  }

  /** Puts a fragment in its place. @returns `Drop.none`, `Drop['fragment-duplicate']`, or why all must be dropped */
  private insert(queue: FragmentQueue, frame: Frame, header: IpHeader, end: number): number {
    const { offsets, lengths } = queue
    const offset = header.fragmentOffset
    if (header.moreFragments) {
      if (queue.total >= 0 && end > queue.total) return Drop['fragment-length']
    } else if ((queue.total >= 0 && end !== queue.total) || end < queue.reach) return Drop['fragment-length']
    // Most come in order: look from the back for the first that ends behind this one's start.
    let at = offsets.length
    while (at > 0 && offsets[at - 1]! + lengths[at - 1]! > offset) at--
    if (at < offsets.length && offsets[at]! < end) {
      return covers(queue, at, offset, end) ? Drop['fragment-duplicate'] : Drop['fragment-overlap']
    }
    if (offsets.length === MOST_FRAGMENTS) return Drop['fragment-limit']
    if (!header.moreFragments) queue.total = end
    if (end > queue.reach) queue.reach = end
    queue.ecn |= 1 << (header.trafficClass & Ecn.Mask)
    queue.received += end - offset
    insertAt(queue.frames, at, frame)
    insertAt(offsets, at, offset)
    insertAt(lengths, at, end - offset)
    insertAt(queue.positions, at, header.payloadStart)
    const size = frameTruesize(frame)
    queue.truesize += size
    if (queue.version === 4) this.used4 += size
    else this.used6 += size
    return Drop.none
  }

  /** Makes one packet of all fragments. */
  private complete(queue: FragmentQueue): Frame | null {
    const { memory, frames } = this.stack.world
    const v4 = queue.version === 4
    const counters = v4 ? this.stack.mib.ip : this.stack.mib.ip6
    const first = queue.frames[0]!
    const ecn = combineEcn(queue.ecn)
    // IPv6's fragment header goes: eight bytes.
    const headers = queue.positions[0]! - first.network - (v4 ? 0 : 8)
    const tooBig = headers - (v4 ? 0 : IPV6_HEADER) + queue.total > 0xffff
    const whole = ecn < 0 || tooBig ? null : frames.allocate(queue.total + headers)
    if (whole === null) {
      counters.ReasmFails++
      this.discard(queue, ecn < 0 ? Drop['fragment-ecn'] : tooBig ? Drop['fragment-too-big'] : Drop['no-memory'])
      return null
    }
    const { u8, view } = memory
    // Headers that want more than the headroom push the payload up, by whole words.
    const beyond = headers - (whole.start - whole.base)
    const payload = whole.start + (beyond > 0 ? (beyond + 3) & ~3 : 0)
    u8.copyWithin(payload - headers, first.network, first.network + headers)
    for (let i = 0; i < queue.frames.length; i++) {
      const from = queue.positions[i]!
      u8.copyWithin(payload + queue.offsets[i]!, from, from + queue.lengths[i]!)
    }
    whole.start = payload - headers
    whole.network = whole.start
    whole.transport = payload
    whole.end = payload + queue.total
    whole.etherType = first.etherType
    whole.time = queue.frames[queue.frames.length - 1]!.time
    if (v4) {
      view.setUint16(whole.start + 2, headers + queue.total)
      view.setUint16(whole.start + 6, 0)
      u8[whole.start + 1]! |= ecn
      setIpv4Checksum(memory, whole.start, headers)
    } else {
      view.setUint16(whole.start + 4, headers - IPV6_HEADER + queue.total)
      u8[whole.start + queue.nextHeaderAt] = queue.nextHeader
      u8[whole.start + 1]! |= ecn << 4
    }
    counters.ReasmOKs++
    this.remove(queue)
    for (const frame of queue.frames) frames.release(frame)
    this.retire(queue)
    return whole
  }

  private discard(queue: FragmentQueue, reason: number): void {
    this.remove(queue)
    for (const frame of queue.frames) this.stack.drop(frame, reason)
    this.retire(queue)
  }

  /** Takes a queue out of the table. */
  private remove(queue: FragmentQueue): void {
    this.stack.world.loop.timers.cancel(queue.timer)
    this.count--
    if (queue.version === 4) this.used4 -= queue.truesize
    else this.used6 -= queue.truesize
    const { source0, source1, source2, source3, identification } = queue
    const first = this.queues.get(source0, source1, source2, source3, identification)!
    if (first === queue) {
      if (queue.next === null) this.queues.delete(source0, source1, source2, source3, identification)
      else this.queues.set(source0, source1, source2, source3, identification, queue.next)
      return
    }
    let before = first
    while (before.next !== queue) before = before.next!
    before.next = queue.next
  }

  private retire(queue: FragmentQueue): void {
    queue.frames.length = 0
    queue.offsets.length = 0
    queue.lengths.length = 0
    queue.positions.length = 0
    if (this.spares >= MOST_SPARE) return
    this.spares++
    queue.next = this.spare
    this.spare = queue
  }
}

/** Have all bytes from `offset` to `end` come already, from fragment number `at` on? */
const covers = (queue: FragmentQueue, at: number, offset: number, end: number): boolean => {
  const { offsets, lengths } = queue
  if (offsets[at]! > offset) return false
  let reach = offsets[at]! + lengths[at]!
  for (let i = at + 1; reach < end && i < offsets.length && offsets[i] === reach; i++) reach += lengths[i]!
  return reach >= end
}

/** `list.splice(at, 0, value)` without the array that returns. */
const insertAt = <T>(list: T[], at: number, value: T): void => {
  list.push(value)
  for (let i = list.length - 1; i > at; i--) list[i] = list[i - 1]!
  list[at] = value
}

/** The ECN bits to add to the first fragment's, from the set of all; -1 when they contradict (RFC 3168 section 5.3). */
const combineEcn = (set: number): number => {
  const congested = (set & (1 << Ecn.Ce)) !== 0
  if (!congested) return 0
  return (set & (1 << Ecn.NotEct)) !== 0 ? -1 : Ecn.Ce
}
