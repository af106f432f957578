import type { Destination } from '../ip/destination.ts'
import { IpProtocol, pseudoHeaderSum } from '../wire/ip.ts'
import { TCP_MIN_HEADER, TcpFlag } from '../wire/tcp.ts'
import { Pending, type TcpConnection } from './connection.ts'
import { setState } from './finish.ts'
import { ALIGNED_TIMESTAMPS_LENGTH, advertisedMss, DEFAULT_MSS, DEFAULT_MSS_IPV6, syncMss } from './mss.ts'
import { stampRecord } from './output.ts'
import { countSegments } from './records.ts'
import { nextState } from './state.ts'
import { armRetransmit } from './timers.ts'
import { transmitRecord } from './transmit.ts'
import { MIN_MSS_ESTIMATE, setInitialWindow } from './window.ts'

/** The active open (RFC 9293 section 3.10.1). */

/** Sets up what follows from a connection's endpoints and its route. */
export const prepareEndpoints = (c: TcpConnection, destination: Destination): void => {
  c.destination = destination
  c.pseudoSum = pseudoHeaderSum(c.local, c.remote, IpProtocol.Tcp, 0)
  c.timestampOffset = c.layer.timestampOffset(c.local, c.remote)
  c.rcv.advertisedMss = advertisedMss(c)
}

/**
 * Sends the SYN. The connection is in the table, with its endpoints and options set.
 * @param reopenSequence where sequence numbers must begin, when the pair of endpoints was in TIME_WAIT; 0 otherwise
 */
export const startConnect = (c: TcpConnection, destination: Destination, reopenSequence = 0): void => {
  const { layer, snd } = c
  const { settings } = layer
  prepareEndpoints(c, destination)
  snd.headerLength = TCP_MIN_HEADER + (settings.tcp_timestamps ? ALIGNED_TIMESTAMPS_LENGTH : 0)
  // Until the peer has said what it takes.
  const unannounced = c.remote.isIpv4 ? DEFAULT_MSS : DEFAULT_MSS_IPV6
  snd.mssClamp = c.options.maxSegment > 0 ? c.options.maxSegment : unannounced
  syncMss(c, destination.mtu)
  setInitialWindow(c, c.rcv.advertisedMss, settings.tcp_window_scaling !== 0)
  c.offeredScale = c.rcv.wndScale
  c.rcv.mssEstimate = MIN_MSS_ESTIMATE
  c.isActive = true
  snd.iss = reopenSequence || layer.initialSequence(c.local, c.localPort, c.remote, c.remotePort)
  snd.una = snd.iss
  snd.nxt = snd.iss
  snd.ringSeq = (snd.iss + 1) | 0
  snd.smallSeq = snd.iss
  snd.urgentSeq = snd.iss
  snd.pushedSeq = snd.iss
  c.retransmits = 0
  c.rtt.rto = 1_000_000
  c.synSentMs = layer.loop.nowMs32
  // What is given up after some time counts from the first SYN.
  c.retransmitStamp = c.synSentMs || 1
  setState(c, nextState(c.state, 'open actively'))

  const queue = c.sendQueue()
  const cc = c.ownCongestionState()
  // The SYN counts when it is acknowledged; on the passive side, where it is no record, from the start.
  cc.delivered = 0
  c.ecnOffered = settings.tcp_ecn === 1
  const flags = TcpFlag.Syn | (c.ecnOffered ? TcpFlag.Ece | TcpFlag.Cwr : 0)
  const syn = layer.records.take(snd.iss, (snd.iss + 1) | 0, flags)
  countSegments(syn, snd.mss)
  queue.push(syn)
  queue.sentCount = 1
  snd.writeSeq = syn.end
  stampRecord(c, syn)
  cc.packetsOut = 1
  layer.mib.tcp.ActiveOpens++
  // If it cannot leave now, the timer tries again.
  transmitRecord(c, syn, snd.mss)
  snd.nxt = snd.writeSeq
  armRetransmit(c, Pending.Retransmit, c.rtt.rto)
}
