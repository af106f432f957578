import type { Clock } from '../core/clock.ts'
import { type Frame, FrameChecksum, type FramePool } from '../core/frame.ts'
import type { Memory } from '../core/memory.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import { type CapturedPacket, readPacket } from './packet.ts'

/**
 * The link whose other end is the script: what the host sends is read and queued, with its time; what the script sends
 * is handed to the host at once. It takes packets of any length whole: scripts see segments before they are cut (TSO).
 */
export class ScriptLink implements LinkPort {
  features: LinkFeatures
  readonly carrier = true
  paces = false
  /** Does a queue of no length let nothing out? */
  isFull = false
  user: LinkUser | null = null
  readonly taps: FrameTap[] = []
  /** What the host has sent and nobody has looked at. */
  readonly sent: CapturedPacket[] = []
  /** Told of every packet that the host sends. */
  onSent: ((packet: CapturedPacket) => void) | null = null
  private readonly memory: Memory
  private readonly frames: FramePool
  private readonly clock: Clock

  constructor(memory: Memory, frames: FramePool, clock: Clock, mtu: number) {
    this.memory = memory
    this.frames = frames
    this.clock = clock
    this.features = { medium: 'ip', mtu, maxSegmentedPacket: MAX_PACKET, checksumOffload: true, fcs: false }
  }

  /** Does the link take segments that are larger than the MTU? */
  set offload(on: boolean) {
    this.features = { ...this.features, maxSegmentedPacket: on ? MAX_PACKET : 0 }
  }

  send(frame: Frame): void {
    frame.time = this.clock.now()
    for (const tap of this.taps) tap.frame(frame, true)
    const packet = readPacket(this.memory, frame, this.clock.now())
    this.frames.release(frame)
    if (packet === null) return
    this.onSent?.(packet)
    this.sent.push(packet)
  }

  /** Hands the host a packet. */
  deliver(frame: Frame): void {
    frame.time = this.clock.now()
    frame.checksum = frame.segmentSize > 0 ? FrameChecksum.Good : FrameChecksum.Unverified
    for (const tap of this.taps) tap.frame(frame, false)
    this.user?.receive(frame)
  }

  /** The next packet that the host has sent and `wanted` wants; those before it are gone. */
  take(wanted: (packet: CapturedPacket) => boolean): CapturedPacket | null {
    for (let packet = this.sent.shift(); packet !== undefined; packet = this.sent.shift()) {
      if (wanted(packet)) return packet
    }
    return null
  }
}
