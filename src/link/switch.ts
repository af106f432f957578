import { type Micros, SECOND } from '../core/clock.ts'
import { type Frame, FrameQueue } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import { formatMac } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_HEADER } from '../wire/ethernet.ts'
import { Cable, type CableOptions } from './cable.ts'
import { MacTable } from './mac-table.ts'
import type { LinkPort, LinkUser } from './port.ts'
import { fitFrame } from './segmentation.ts'
import { SwitchPortStatistics } from './statistics.ts'

/** What a switch is made with. */
export interface SwitchOptions {
  /** The most addresses it learns; 8192 unless given. */
  readonly tableLimit?: number
  /** How long an address is remembered after a frame from it, seconds; 300 unless given (IEEE 802.1D section 7.9.2). */
  readonly ageing?: number
}

/** One line of a switch's table, as `bridge fdb` has it. */
export interface SwitchTableEntry {
  readonly mac: string
  readonly port: number
  /** Time since a frame came from it, milliseconds. */
  readonly ageMs: number
}

/**
 * The addresses 01-80-C2-00-00-00 to 0F, which no bridge forwards (IEEE 802.1D table 7-10), without their last bits.
 */
const RESERVED_HIGH = 0x0180
const RESERVED_LOW = 0xc200_0000 | 0

/**
 * A learning switch (IEEE 802.1D, without a spanning tree: cables between switches must make no ring). It stores a
 * frame whole before it forwards it, learns where its source is, and sends it to the port of its destination, or to all
 * but the one it came from when the destination is a group or not known. VLAN tags pass untouched.
 *
 * Every port is the near end of a link: a cable that the switch makes itself (`connect`), with impairments in each
 * direction like any other, or one that exists: a cable to another switch, a TAP device (`attach`).
 */
export class Switch {
  readonly label: string
  readonly ports: SwitchPort[] = []
  readonly table: MacTable
  private readonly world: World
  private readonly pieces = new FrameQueue()

  /** @param label names the switch's sources of chance; no two links of a world should have the same */
  constructor(world: World, label: string, options: SwitchOptions = {}) {
    const { tableLimit = 8192, ageing = 300 } = options
    if (!Number.isInteger(tableLimit) || tableLimit < 1 || tableLimit > 1 << 20) {
      throw new TypeError(`tableLimit must be a whole number from 1 to ${1 << 20}, not ${tableLimit}`)
    }
    if (!(ageing > 0)) throw new TypeError(`ageing must be a number of seconds above 0, not ${ageing}`)
    this.world = world
    this.label = label
    this.table = new MacTable(tableLimit, ageing * SECOND, world.random.fork(`${label}:table`).next32())
  }

  /**
   * Adds a port with a cable of its own.
   * @returns the cable: its end `a` is for a host to plug into, `aToB` carries what the host sends
   */
  connect(options: CableOptions = {}): Cable {
    const cable = new Cable(this.world, `${this.label}:${this.ports.length}`, options)
    this.attach(cable.b)
    return cable
  }

  /** Adds a port on the end of a link that exists: the switch becomes its user. The link must be Ethernet. */
  attach(link: LinkPort): SwitchPort {
    if (link.features.medium !== 'ethernet') throw new TypeError('a switch takes Ethernet links only')
    const port = new SwitchPort(this, this.ports.length, link)
    this.ports.push(port)
    link.user = port
    return port
  }

  /** What the switch has learned and not forgotten, by port and address. */
  entries(): SwitchTableEntry[] {
    const entries: SwitchTableEntry[] = []
    this.table.forEach(this.world.loop.now, (mac, port, age) => {
      entries.push({ mac: formatMac(mac), port, ageMs: age / 1000 })
    })
    return entries.sort((a, b) => a.port - b.port || (a.mac < b.mac ? -1 : 1))
  }

  /** A frame has come in at `from`; it is the switch's from now on. */
  forward(frame: Frame, from: SwitchPort): void {
    const start = frame.start
    from.statistics.received++
    from.statistics.receivedBytes += frame.end - start
    if (frame.end - start < ETHERNET_HEADER) {
      this.drop(frame, from, Drop['eth-truncated'])
      return
    }
    const { view } = this.world.memory
    const now = this.world.loop.now
    const sourceHigh = view.getUint16(start + 6)
    const sourceLow = view.getInt32(start + 8)
    if ((sourceHigh & 0x100) !== 0 || (sourceHigh | sourceLow) === 0) {
      this.drop(frame, from, Drop['switch-bad-source'])
      return
    }
    this.table.learn(sourceHigh, sourceLow, from.index, now)
    const high = view.getUint16(start)
    const low = view.getInt32(start + 2)
    if ((high & 0x100) === 0) {
      const index = this.table.find(high, low, now)
      if (index >= 0) {
        this.forwardTo(frame, from, this.ports[index]!)
        return
      }
    } else if (high === RESERVED_HIGH && (low & ~0xf) === RESERVED_LOW) {
      this.drop(frame, from, Drop['switch-reserved-group'])
      return
    }
    this.flood(frame, from)
  }

  private forwardTo(frame: Frame, from: SwitchPort, to: SwitchPort): void {
    if (to === from) this.drop(frame, from, Drop['switch-same-port'])
    else if (!to.link.carrier) this.drop(frame, to, Drop['link-down'])
    else this.transmit(frame, to)
  }

  /** Sends a copy to every port that has a carrier save `from`, and to the last of them the frame itself. */
  private flood(frame: Frame, from: SwitchPort): void {
    const ports = this.ports
    from.statistics.flooded++
    let last: SwitchPort | null = null
    for (let i = 0; i < ports.length; i++) {
      const port = ports[i]!
      if (port === from || !port.link.carrier) continue
      if (last !== null) {
        const copy = this.world.frames.copy(frame)
        if (copy === null) last.statistics.drops[Drop['no-memory']]!++
        else this.transmit(copy, last)
      }
      last = port
    }
    if (last === null) this.drop(frame, from, Drop['switch-no-port'])
    else this.transmit(frame, last)
  }

  /** Sends a frame on a port's link, in the form in which that takes it. */
  private transmit(frame: Frame, to: SwitchPort): void {
    const pieces = this.pieces
    const reason = fitFrame(this.world, frame, to.link.features, pieces)
    if (reason !== Drop.none) {
      this.drop(frame, to, reason)
      return
    }
    for (let piece = pieces.shift(); piece !== null; piece = pieces.shift()) {
      to.statistics.sent++
      to.statistics.sentBytes += piece.end - piece.start
      to.link.send(piece)
    }
  }

  private drop(frame: Frame, port: SwitchPort, reason: number): void {
    port.statistics.drops[reason]!++
    this.world.frames.release(frame)
  }

  /** A port's link came or went: what was learned there holds no longer. */
  carrierChanged(port: SwitchPort, up: boolean): void {
    if (!up) this.table.removePort(port.index)
  }

  /** Time after which an address is forgotten, microseconds. */
  get ageing(): Micros {
    return this.table.ageing
  }
}

/** What a switch has at the end of each link. */
export class SwitchPort implements LinkUser {
  readonly index: number
  /** The near end of the port's link. */
  readonly link: LinkPort
  readonly statistics = new SwitchPortStatistics()
  /** The switch that it is a port of. */
  readonly owner: Switch

  constructor(owner: Switch, index: number, link: LinkPort) {
    this.owner = owner
    this.index = index
    this.link = link
  }

  receive(frame: Frame): void {
    this.owner.forward(frame, this)
  }

  carrierChanged(up: boolean): void {
    this.owner.carrierChanged(this, up)
  }
}
