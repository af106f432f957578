import type { Destination } from '../ip/destination.ts'
import { IpProtocol, pseudoHeaderSum } from '../wire/ip.ts'
import { TCP_MIN_HEADER, TcpFlag } from '../wire/tcp.ts'
import { Chrono, startChrono } from './chronograph.ts'
import { Pending, type TcpConnection } from './connection.ts'
import { synSpace } from './fast-open-client.ts'
import { setState } from './finish.ts'
import { MD5_OPTION_LENGTH, signs } from './md5.ts'
import { ALIGNED_TIMESTAMPS_LENGTH, advertisedMss, DEFAULT_MSS, DEFAULT_MSS_IPV6, syncMss } from './mss.ts'
import { beginMtuSearch } from './mtu-probe.ts'
import { stampRecord } from './output.ts'
import { countSegments } from './records.ts'
import type { SendRecord } from './send-queue.ts'
import { AFTER } from './state.ts'
import { armRetransmit } from './timers.ts'
import { transmitRecord, transmitSynData } from './transmit.ts'
import { MIN_MSS_ESTIMATE, setInitialWindow } from './window.ts'

/** The active open (RFC 9293 section 3.10.1). */

/** Sets up what follows from a connection's endpoints and its route. */
export const prepareEndpoints = (c: TcpConnection, destination: Destination): void => {
  c.destination = destination
  // One object of each serves all connections of two hosts.
  if (c.remote.equals(destination.address)) c.remote = destination.address
  if (c.local.equals(destination.source)) c.local = destination.source
  c.pseudoSum = pseudoHeaderSum(c.local, c.remote, IpProtocol.Tcp, 0)
  c.timestampOffset = c.layer.timestampOffset(c.local, c.remote)
  c.rcv.advertisedMss = advertisedMss(c)
}

/**
 * Takes a connection that is in the table, with its endpoints and
 * options set, to SYN_SENT: all but the SYN (`sendSyn`).
 * @param reopenSequence where sequence numbers must begin, when the pair of endpoints was in TIME_WAIT; 0 otherwise
 */
export const prepareConnect = (c: TcpConnection, destination: Destination, reopenSequence = 0): void => {
  const { layer, snd } = c
  const { settings } = layer
  prepareEndpoints(c, destination)
  const signed = signs(c.options.md5Keys, c.remote)
  const optionsLength = signed ? MD5_OPTION_LENGTH : settings.tcp_timestamps ? ALIGNED_TIMESTAMPS_LENGTH : 0
  snd.headerLength = TCP_MIN_HEADER + optionsLength
  // Until the peer has said what it takes.
  const unannounced = c.remote.isIpv4 ? DEFAULT_MSS : DEFAULT_MSS_IPV6
  snd.mssClamp = c.options.maxSegment > 0 ? c.options.maxSegment : unannounced
  beginMtuSearch(c)
  syncMss(c, destination.mtu)
  setInitialWindow(c, c.rcv.advertisedMss, settings.tcp_window_scaling !== 0)
  c.offeredScale = c.rcv.wndScale
  c.rcv.mssEstimate = MIN_MSS_ESTIMATE
  c.isActive = true
  chooseSequence(c, reopenSequence)
  snd.nxt = snd.iss
  snd.pushedSeq = snd.iss
  c.retransmits = 0
  c.rtt.rto = 1_000_000
  setState(c, AFTER['open actively'][c.state]!)
}

/**
 * Where the sequence numbers of a connection begin (RFC 9293 section 3.4.1), nothing of which is sent yet.
 * @param reopened where it goes on from TIME_WAIT; else 0
 */
export const chooseSequence = (c: TcpConnection, reopened: number): void => {
  const { snd } = c
  snd.iss = reopened || c.layer.initialSequence(c.local, c.localPort, c.remote, c.remotePort)
  snd.una = snd.iss
  snd.ringSeq = (snd.iss + 1) | 0
  snd.smallSeq = snd.iss
  snd.urgentSeq = snd.iss
}

/**
 * Sends the SYN, with data behind it if a fast open is to have some (RFC 7413 section 4.2.1).
 * @returns how many bytes of `source` are queued
 */
export const sendSyn = (c: TcpConnection, source: Uint8Array | null = null, at = 0, length = 0): number => {
  const { layer, snd } = c
  const { settings } = layer
  c.synSentMs = layer.loop.nowMs32
  // What is given up after some time counts from the first SYN.
  c.retransmitStamp = c.synSentMs || -1

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
  const data = source === null ? null : queueSynData(c, source, at, length)
  if (data === null) transmitRecord(c, syn, snd.mss)
  else transmitSynData(c, syn, data)
  const { fastOpen } = c
  if (fastOpen !== null) {
    fastOpen.offered = fastOpen.offer !== null
    fastOpen.experimental = fastOpen.offer?.experimental === true
    // A SYN that is sent again must get through boxes that do not know the option.
    fastOpen.offer = null
  }
  snd.nxt = snd.writeSeq
  snd.pushedSeq = snd.writeSeq
  armRetransmit(c, Pending.Retransmit, c.rtt.rto)
  return data === null ? 0 : data.length
}

/** Queues what the SYN takes of the data, as a record of its own that counts as sent; null for nothing. */
const queueSynData = (c: TcpConnection, source: Uint8Array, at: number, length: number): SendRecord | null => {
  const { layer, snd, cc } = c
  const attempt = c.fastOpen!
  const space = Math.min(synSpace(c, snd.pathMtu), length)
  syncMss(c, snd.pathMtu)
  if (space === 0 || !c.ownSendRing().append(source, at, space)) return null
  layer.queuedBytes += space
  attempt.sentData = true
  const queue = c.sendQueue()
  const data = layer.records.take(snd.writeSeq, (snd.writeSeq + space) | 0, TcpFlag.Psh)
  countSegments(data, Math.max(snd.mss, space))
  queue.push(data)
  queue.sentCount = 2
  snd.writeSeq = data.end
  stampRecord(c, data)
  cc.packetsOut += data.segments
  startChrono(c, Chrono.Busy)
  layer.mib.tcpExt.TCPOrigDataSent++
  return data
}
