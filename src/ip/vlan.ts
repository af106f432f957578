import type { Frame } from '../core/frame.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { EtherType, VLAN_TAG } from '../wire/ethernet.ts'
import type { NetworkInterface } from './interface.ts'

/**
 * The port of an 802.1Q subinterface: it tags what leaves and hands it to the interface below, which hands back,
 * without the tag, what comes for the VLAN.
 */
export class VlanPort implements LinkPort {
  readonly features: LinkFeatures
  readonly taps: FrameTap[] = []
  /** VLAN identifier, 1 to 4094. */
  readonly id: number
  readonly parent: NetworkInterface
  /** Priority code point of all that leaves, 0 to 7. */
  priority = 0
  private plugged: LinkUser | null = null

  constructor(parent: NetworkInterface, id: number) {
    this.parent = parent
    this.id = id
    this.features = parent.port.features
  }

  get carrier(): boolean {
    return this.parent.isRunning
  }

  get user(): LinkUser | null {
    return this.plugged
  }

  /** Plugging in makes the subinterface known below; there received frames go to it directly. */
  set user(user: LinkUser | null) {
    this.plugged = user
    if (user === null) this.parent.vlans?.delete(this.id)
  }

  send(frame: Frame): void {
    for (let i = 0; i < this.taps.length; i++) this.taps[i]!.frame(frame, true)
    const { memory } = this.parent.stack.world
    const at = frame.start - VLAN_TAG
    memory.u8.copyWithin(at, frame.start, frame.start + 12)
    memory.view.setUint16(at + 12, EtherType.Vlan)
    memory.view.setUint16(at + 14, (this.priority << 13) | this.id)
    frame.start = at
    this.parent.transmitFrame(frame)
  }
}
