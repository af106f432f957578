import { type Micros, SECOND } from '../core/clock.ts'
import type { IpHeader } from '../wire/ip.ts'
import { FastOpenForm } from '../wire/tcp.ts'
import type { TcpOptions } from './connection.ts'
import { FastOpenMode, type FastOpenOffer, fastOpenCookie, readFastOpen } from './fast-open.ts'
import type { TcpLayer } from './layer.ts'
import type { Segment } from './segment.ts'

/** The passive side of fast open (RFC 7413 section 4.2.2): whose data is taken from the SYN, and how many at a time. */

/**
 * How long a place in the queue stays taken when a RST has ended the handshake, as spoofed SYNs lead to (section 5.1).
 */
const RESET_PENALTY = 60 * SECOND

/** What becomes of a SYN that asks for fast open. */
export interface FastOpenVerdict {
  /** Is a connection made of it at once? */
  readonly take: boolean
  /** The option of the SYN+ACK; null for none. */
  readonly answer: FastOpenOffer | null
}

const ORDINARY: FastOpenVerdict = { take: false, answer: null }
const TAKE: FastOpenVerdict = { take: true, answer: null }

/** A listener's fast-open queue: connections made from a SYN whose third message has not come. */
export class FastOpenQueue {
  private readonly layer: TcpLayer
  /** How many there are, with those that a RST has ended lately. */
  private taken = 0
  /** When the places of the latter become free, the earliest in front. */
  private readonly penalties: Micros[] = []

  constructor(layer: TcpLayer) {
    this.layer = layer
  }

  /** Decides about a SYN, which lies in the world's memory. @param options the listener's */
  judge(segment: Segment, header: IpHeader, options: TcpOptions): FastOpenVerdict {
    if (segment.fastOpen === FastOpenForm.None && segment.dataLength === 0) return ORDINARY
    const { mib, fastOpen, world } = this.layer
    const { tcpExt } = mib
    const offer = readFastOpen(segment, world.memory)
    const asks = offer !== null && offer.cookie.length === 0
    if (asks) tcpExt.TCPFastOpenCookieReqd++
    if (!fastOpen.allows(FastOpenMode.Server) || (offer === null && segment.dataLength === 0)) return ORDINARY
    if (!this.hasRoom(options.fastOpenQueue)) return ORDINARY
    if (options.fastOpenNoCookie || fastOpen.allows(FastOpenMode.ServerWithoutCookie)) return TAKE
    if (offer === null) return ORDINARY
    const { primary, backup } = options.fastOpenKeys ?? fastOpen.hostKeys
    const cookie = fastOpenCookie(primary, header.source, header.destination)
    const answer = { cookie, experimental: offer.experimental }
    if (asks) return { take: false, answer }
    if (areSame(offer.cookie, cookie)) return TAKE
    if (backup !== null && areSame(offer.cookie, fastOpenCookie(backup, header.source, header.destination))) {
      tcpExt.TCPFastOpenPassiveAltKey++
      return { take: true, answer }
    }
    tcpExt.TCPFastOpenPassiveFail++
    return { take: false, answer }
  }

  /** A connection was made. */
  enter(): void {
    this.taken++
    this.layer.mib.tcpExt.TCPFastOpenPassive++
  }

  /** Its handshake is over. @param penalize did a RST end it after it was accepted? */
  leave(penalize: boolean): void {
    if (penalize) this.penalties.push(this.layer.loop.now + RESET_PENALTY)
    else this.taken--
  }

  private hasRoom(limit: number): boolean {
    if (limit === 0) return false
    if (this.taken < limit) return true
    const [earliest = Number.POSITIVE_INFINITY] = this.penalties
    if (earliest > this.layer.loop.now) {
      this.layer.mib.tcpExt.TCPFastOpenListenOverflow++
      return false
    }
    this.penalties.shift()
    this.taken--
    return true
  }
}

const areSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])
