import type { Frame } from '../core/frame.ts'

/** What a link can do and take: what an interface asks before it sends. */
export interface LinkFeatures {
  /** Do frames carry an Ethernet header, or does each begin with its IP header (TUN)? */
  readonly medium: 'ethernet' | 'ip'
  /** The largest IP packet, bytes. */
  readonly mtu: number
  /**
   * The largest IP packet that may be handed over with `frame.segmentSize` set, for the link to carry whole or cut:
   * segmentation offload. 0 when there is none.
   */
  readonly maxSegmentedPacket: number
  /** May frames be handed over with `FrameChecksum.Partial`: checksum offload? */
  readonly checksumOffload: boolean
  /** Do frames carry a frame check sequence, computed by the port that sends and checked by the one that receives? */
  readonly fcs: boolean
}

/** What is plugged into a port: an interface of a host, or a port of a switch. */
export interface LinkUser {
  /** A frame has arrived. It is the user's from now on; the user releases it or hands it on. */
  receive(frame: Frame): void
  /** The carrier came or went. */
  carrierChanged(up: boolean): void
  /** A frame has arrived with a wrong check sequence, and is gone. */
  damaged?(): void
}

/** Sees every frame that passes a port, at the moment it passes; it must not change or keep the frame. */
export interface FrameTap {
  /** @param outgoing sent by the port's user, or received by it */
  frame(frame: Frame, outgoing: boolean): void
}

/** One end of a link. */
export interface LinkPort {
  readonly features: LinkFeatures
  /** Is there a carrier: is the link up and the other end there? */
  readonly carrier: boolean
  /** Would it drop every frame now, for want of room? Senders that look are told at once, and lose nothing. */
  readonly isFull?: boolean
  /** Are connections to keep to their pacing rate, as over Linux's fq queue? */
  readonly paces?: boolean
  /** Who receives what arrives here. Set once, by whoever plugs in. */
  user: LinkUser | null
  /** Observers of this port, in order; most ports have none. */
  readonly taps: FrameTap[]
  /**
   * Sends a frame. The port owns it from now on, also when it drops it. Nothing arrives anywhere before this returns:
   * the link queues the frame and the run loop delivers it.
   */
  send(frame: Frame): void
}
