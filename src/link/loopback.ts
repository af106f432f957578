import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import { Channel } from './channel.ts'
import { type FeatureOptions, featuresWith, parseFeatures } from './features.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from './port.ts'

/** Those of Linux's `lo`: nothing on the way can damage a segment, so nothing is computed and nothing is cut. */
const LOOPBACK: LinkFeatures = {
  medium: 'ip',
  mtu: 65_536,
  maxSegmentedPacket: MAX_PACKET,
  checksumOffload: true,
  fcs: false,
}

/**
 * A port that hands back, later in the turn, what it gets.
 *
 * It carries bare IP packets: an Ethernet header would want addresses resolved that nobody has. Captures put the header
 * of zeros before them that `tcpdump -i lo` shows (`Capture.add`). As there, taps see each packet once, as it arrives.
 */
export class LoopbackPort implements LinkPort {
  readonly features: LinkFeatures
  readonly taps: FrameTap[] = []
  /** What carries packets from the port to itself; it can be impaired like any other. */
  readonly channel: Channel
  user: LinkUser | null = null

  /** @param label names the channel's source of chance; no two links of a world should have the same */
  constructor(world: World, label: string, options: FeatureOptions = {}) {
    this.features = featuresWith(parseFeatures(options, LOOPBACK), world.fast)
    this.channel = new Channel(world, label, this.features, this)
  }

  get carrier(): boolean {
    return true
  }

  send(frame: Frame): void {
    this.channel.send(frame)
  }
}
