import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { LinkUser } from '../link/port.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'

/**
 * Groups of hosts of which none hears another, whatever lies between them: cables, switches, routers that are in no
 * group. What a host of one group has sent is dropped where a host of another would receive it, and nobody is told.
 */
export class Partition {
  /** The hosts' names: a host that is started again is still in its group. */
  readonly groups: readonly ReadonlySet<string>[]
  /** Frames dropped so far. */
  dropped = 0
  private readonly end: (partition: Partition) => void

  /** @param end called when it is healed */
  constructor(groups: readonly ReadonlySet<string>[], end: (partition: Partition) => void) {
    this.groups = groups
    this.end = end
  }

  /** Does it keep two hosts apart? */
  separates(a: Host, b: Host): boolean {
    const group = this.groups.find((hosts) => hosts.has(a.name))
    return group !== undefined && !group.has(b.name) && this.includes(b)
  }

  includes(host: Host): boolean {
    return this.groups.some((hosts) => hosts.has(host.name))
  }

  /** Ends it. A partition that has ended stays so. */
  heal(): void {
    this.end(this)
  }
}

/** The partitions of a network, and the guards that they need at the interfaces of their hosts. */
export class Partitions {
  readonly active = new Set<Partition>()
  private readonly world: World
  private readonly hosts: ReadonlyMap<string, Host>
  private readonly unheard: (frame: Frame) => void
  private readonly guards = new Map<NetworkInterface, Guard>()
  private readonly decoded = new DecodedFrame()

  /** @param unheard takes what is dropped */
  constructor(world: World, hosts: ReadonlyMap<string, Host>, unheard: (frame: Frame) => void) {
    this.world = world
    this.unheard = unheard
    this.hosts = hosts
  }

  /** Separates groups of hosts from one another. */
  add(groups: readonly (readonly Host[])[]): Partition {
    const partition = new Partition(
      groups.map((hosts) => new Set(hosts.map(({ name }) => name))),
      (healed) => {
        this.active.delete(healed)
        this.update()
      },
    )
    this.active.add(partition)
    this.update()
    return partition
  }

  /** Puts guards where they are needed, and takes those away that are not: after hosts or links have come or gone. */
  update(): void {
    for (const [iface, guard] of this.guards) if (iface.port.user !== guard) this.guards.delete(iface)
    for (const host of this.hosts.values()) {
      const guarded = [...this.active].some((partition) => partition.includes(host))
      for (const iface of host.ip.interfaces) {
        if (iface.isLoopback) continue
        if (!guarded && this.guards.delete(iface)) iface.port.user = iface
        if (!guarded || this.guards.has(iface)) continue
        const guard = new Guard(this, host, iface)
        this.guards.set(iface, guard)
        iface.port.user = guard
      }
    }
  }

  /** A frame arrives at a guarded interface: may the host hear it? If not, it is gone. */
  passes(frame: Frame, host: Host, iface: NetworkInterface): boolean {
    const sender = this.senderOf(frame, iface)
    if (sender === null) return true
    for (const partition of this.active) {
      if (!partition.separates(sender, host)) continue
      partition.dropped++
      this.unheard(frame)
      return false
    }
    return true
  }

  /** The host that has made a packet: by its source address or, where it has none yet, by that of its interface. */
  private senderOf(frame: Frame, iface: NetworkInterface): Host | null {
    const { decoded } = this
    decodeFrame(decoded, this.world.memory, frame.start, frame.end, iface.port.features.medium)
    const { layer, ip, ethernet } = decoded
    const addressed = layer !== 'ethernet' && layer !== 'arp' && !ip.source.isUnspecified
    for (const host of this.hosts.values()) {
      for (const own of host.ip.interfaces) {
        if (addressed && own.addresses.some(({ address }) => address.equals(ip.source))) return host
        if (!addressed && own.isEthernet && own.mac === ethernet.source) return host
      }
    }
    return null
  }
}

/** Stands between a link and the interface of a host that may not hear everything. */
class Guard implements LinkUser {
  private readonly partitions: Partitions
  private readonly host: Host
  private readonly iface: NetworkInterface

  constructor(partitions: Partitions, host: Host, iface: NetworkInterface) {
    this.partitions = partitions
    this.host = host
    this.iface = iface
  }

  receive(frame: Frame): void {
    if (this.partitions.passes(frame, this.host, this.iface)) this.iface.receive(frame)
  }

  carrierChanged(up: boolean): void {
    this.iface.carrierChanged(up)
  }
}
