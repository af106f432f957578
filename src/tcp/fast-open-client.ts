import { TCP_MAX_HEADER } from '../wire/tcp.ts'
import { Feature, type TcpConnection } from './connection.ts'
import { FastOpenFailure, readFastOpen } from './fast-open.ts'
import { retransmitUncongested } from './icmp.ts'
import { markLost } from './loss.ts'
import { mtuToMss } from './mss.ts'
import { receiveSynText } from './receive.ts'
import type { Segment } from './segment.ts'

/** The active side of fast open (RFC 7413 section 4.2.1). */

/**
 * Bytes of data that the SYN takes, with the server's MSS as it is remembered: beside as many options as there can be,
 * so that boxes on the way may add some.
 */
export const synSpace = (c: TcpConnection, mtu: number): number => {
  const attempt = c.fastOpen!
  const { maxSegment } = c.options
  c.snd.mssClamp = attempt.mss || c.rcv.advertisedMss
  if (maxSegment > 0) c.snd.mssClamp = Math.min(c.snd.mssClamp, maxSegment)
  return Math.max(0, mtuToMss(c, mtu) + c.snd.headerLength - TCP_MAX_HEADER)
}

/**
 * The SYN+ACK of a connection that was opened fast: remembers the cookie, sends the data again if it was not
 * acknowledged, and takes the server's.
 * @returns whether data was sent again, so that nothing else need be sent for an ACK
 */
export const receiveFastOpenAnswer = (c: TcpConnection, segment: Segment): boolean => {
  const { layer, cc } = c
  const attempt = c.fastOpen!
  const { tcpExt } = layer.mib
  const queue = c.sendQueue()
  const unacknowledged = attempt.sentData && queue.sentCount > 0
  let offer = readFastOpen(segment, layer.world.memory)
  let tryExperimental = 0
  if (!attempt.offered) offer = null
  // We asked for a cookie and got none: the server may know the older form of the option, which is tried once.
  else if (cc.totalRetransmitted === 0 && offer === null && !attempt.sentData) {
    tryExperimental = attempt.experimental ? 2 : 1
  }
  layer.fastOpen.remember(c.remote, segment.mss || c.snd.mssClamp, offer, tryExperimental)
  if (unacknowledged) {
    attempt.failure = cc.totalRetransmitted > 0 ? FastOpenFailure.SynRetransmitted : FastOpenFailure.DataNotAcknowledged
    for (let i = 0; i < queue.sentCount; i++) markLost(c, queue.at(i))
    retransmitUncongested(c)
    tcpExt.TCPFastOpenActiveFail++
    return true
  }
  if (attempt.sentData) {
    c.features |= Feature.FastOpen
    tcpExt.TCPFastOpenActive++
    // SYN and data were two records, and one segment.
    if (cc.delivered > 1) cc.delivered--
  }
  receiveSynText(c, segment)
  return false
}

/** Nothing but time-outs came of a connection that was opened fast: something on the way may swallow it. */
export const detectBlackHole = (c: TcpConnection, expired: boolean): void => {
  const attempt = c.fastOpen
  if (attempt === null || (!attempt.offered && !attempt.sentData)) return
  if (c.retransmits !== 2 && !(c.retransmits < 2 && expired)) return
  c.layer.fastOpen.noteBlackHole()
  c.layer.mib.tcpExt.TCPFastOpenBlackhole++
}
