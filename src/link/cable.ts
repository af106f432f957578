import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import { Channel } from './channel.ts'
import { type FeatureOptions, featuresWith, parseFeatures } from './features.ts'
import type { ImpairmentOptions } from './impairment.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from './port.ts'

/**
 * What a cable is. Features are those of both ends: Ethernet, MTU 1500, no offload and no check sequence unless given.
 */
export interface CableOptions extends FeatureOptions {
  /** What the cable does to frames, in both directions; `Channel.impair` sets one. */
  readonly impairment?: ImpairmentOptions
}

/**
 * Two ports, and a channel from each to the other. There is a carrier at an end when the cable is up and something is
 * plugged in at the other.
 */
export class Cable {
  readonly a: CablePort
  readonly b: CablePort
  /** What carries frames from `a` to `b`, and back. */
  readonly aToB: Channel
  readonly bToA: Channel
  private readonly world: World
  private up = true
  private signal = true

  /**
   * @param label names the cable's sources of chance; no two links of a world should have the same
   * @throws TypeError with one line that names the wrong option
   */
  constructor(world: World, label: string, options: CableOptions = {}) {
    const { impairment, ...featureOptions } = options
    const features = featuresWith(parseFeatures(featureOptions), world.fast)
    this.world = world
    this.a = new CablePort(this, features)
    this.b = new CablePort(this, features)
    this.aToB = new Channel(world, `${label}:a-b`, features, this.b)
    this.bToA = new Channel(world, `${label}:b-a`, features, this.a)
    this.a.attach(this.aToB, this.b)
    this.b.attach(this.bToA, this.a)
    if (impairment !== undefined) this.impair(impairment)
  }

  /** Does the cable carry anything? */
  get isUp(): boolean {
    return this.up
  }

  /** Do the ends learn of it: false between a silent `setDown` and the next change? */
  get hasCarrier(): boolean {
    return this.signal
  }

  /** Sets what the cable does to frames, in both directions, in place of what it did. */
  impair(options: ImpairmentOptions): void {
    this.aToB.impair(options)
    this.bToA.impair(options)
  }

  /**
   * Unplugs the cable: what is under way is lost, and what is sent vanishes, at both ends.
   * @param silent does the carrier stay, so that nobody learns of it, as when something between the ends fails?
   */
  setDown(silent = false): void {
    this.up = false
    this.aToB.setUp(false)
    this.bToA.setUp(false)
    this.setCarrier(silent)
  }

  /** Plugs the cable in again. */
  setUp(): void {
    this.up = true
    this.aToB.setUp(true)
    this.bToA.setUp(true)
    this.setCarrier(true)
  }

  private setCarrier(carrier: boolean): void {
    const a = this.a.carrier
    const b = this.b.carrier
    this.signal = carrier
    this.tell(this.a, a)
    this.tell(this.b, b)
  }

  /** Tells the user of `port` when its carrier is not what it was before. */
  tell(port: CablePort, before: boolean): void {
    if (port.carrier === before) return
    this.world.loop.refresh()
    port.user?.carrierChanged(!before)
  }
}

/** One end of a cable. */
export class CablePort implements LinkPort {
  readonly features: LinkFeatures
  readonly taps: FrameTap[] = []
  private readonly cable: Cable
  private out!: Channel
  private peer!: CablePort
  private plugged: LinkUser | null = null

  constructor(cable: Cable, features: LinkFeatures) {
    this.cable = cable
    this.features = features
  }

  /** Called once by the cable: which channel begins here, and where it ends. */
  attach(out: Channel, peer: CablePort): void {
    this.out = out
    this.peer = peer
  }

  get carrier(): boolean {
    return this.cable.hasCarrier && this.peer.plugged !== null
  }

  get user(): LinkUser | null {
    return this.plugged
  }

  /** Plugs in, or out with null. The other end's user learns of the carrier; the one that plugs in asks for its own. */
  set user(user: LinkUser | null) {
    const before = this.peer.carrier
    this.plugged = user
    this.cable.tell(this.peer, before)
  }

  send(frame: Frame): void {
    const taps = this.taps
    if (taps.length > 0) for (let i = 0; i < taps.length; i++) taps[i]!.frame(frame, true)
    this.out.send(frame)
  }
}
