import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { seqGt, seqLt } from '../core/seq.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { PathMtuDiscovery } from '../udp/options.ts'
import { IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { Icmpv6Type, Icmpv6Unreachable } from '../wire/icmpv6.ts'
import { CaState } from './congestion/state.ts'
import { Feature, Pending, type TcpConnection } from './connection.ts'
import { failConnection } from './finish.ts'
import { markLost } from './loss.ts'
import { currentMss, refreshDestination, syncMss } from './mss.ts'
import { currentSsthresh } from './output.ts'
import { limitDuplicates } from './recovery.ts'
import { setCaState } from './reduction.ts'
import { retransmitLost } from './retransmit.ts'
import { stateIn, stateSet, TcpState } from './state.ts'
import { armRetransmit, mostRto } from './timers.ts'

/** ICMP errors about a connection's segments (RFC 9293 section 3.9.2.2, RFC 5461, RFC 5927, RFC 6069). */

const OPENING = stateSet(TcpState.SynSent, TcpState.SynReceived)

/**
 * Takes in an error that quotes a segment of `c` with sequence number `seq`. One that quotes what is not in flight is
 * an old one, or forged (RFC 5927 section 4.1).
 */
export const receiveIcmpError = (c: TcpConnection, error: IcmpError, seq: number): void => {
  const { snd, layer } = c
  if (c.isPutOff || seqLt(seq, c.handshake === null ? snd.una : snd.iss) || seqGt(seq, snd.nxt)) {
    layer.mib.tcpExt.OutOfWindowIcmps++
    return
  }
  // Also without a number, as routers from before RFC 1191 send it: the least MTU is taken for it then.
  if (error.errno === Errno.EMSGSIZE) {
    pathMtuReduced(c, error.mtu)
    return
  }
  // One that was made by fast open and has been accepted is as good as established.
  const isAccepted = c.handshake !== null && c.listener === null
  if (stateIn(c.state, OPENING) && !isAccepted) {
    if (c.options.receiveErrors) c.observer?.icmpError(error)
    // While a connection is being opened, any error ends that: another address may be tried.
    failConnection(c, error.errno)
    return
  }
  if (isNoRoute(error)) revertBackoff(c, seq)
  if (c.options.receiveErrors && c.observer !== null) {
    c.error = error.errno
    c.ready(Readiness.Err)
    return
  }
  // An established connection goes on, and remembers the error for when it gives up.
  c.softError = error.errno
}

/**
 * Does a router say that it has no way to the peer: the codes that
 * RFC 6069 section 4 names, as far as Linux takes them?
 */
const isNoRoute = (error: IcmpError): boolean =>
  error.version === 4
    ? error.type === IcmpType.DestinationUnreachable &&
      (error.code === IcmpUnreachable.Net || error.code === IcmpUnreachable.Host)
    : error.type === Icmpv6Type.DestinationUnreachable && error.code === Icmpv6Unreachable.NoRoute

/**
 * Does the error mean that a half-open connection comes to nothing
 * (Linux's rules, which differ between ICMP and ICMPv6)?
 */
export const endsRequest = (error: IcmpError): boolean => {
  if (error.version === 6) return error.hard
  return isNoRoute(error) || error.type === IcmpType.TimeExceeded || error.type === IcmpType.ParameterProblem
}

/** The path has become narrower: cut smaller segments, and send again what was too large (RFC 1191, RFC 8201). */
const pathMtuReduced = (c: TcpConnection, mtu: number): void => {
  const { layer, snd } = c
  const { pathMtuDiscovery } = c.options
  const is4 = c.remote.isIpv4
  const isBelieved = pathMtuDiscovery < PathMtuDiscovery.Interface
  if (!is4 && !isBelieved) return
  layer.ip.updatePathMtu(c.remote, mtu, c.scope)
  refreshDestination(c)
  const { destination } = c
  if (destination === null) return
  const mayFragment = pathMtuDiscovery !== PathMtuDiscovery.Do && destination.mtuLocked
  const searches = pathMtuDiscovery === PathMtuDiscovery.Want || pathMtuDiscovery === PathMtuDiscovery.Do
  if (is4 && searches && mtu < destination.mtu && !mayFragment) c.softError = Errno.EMSGSIZE
  if (snd.pathMtu <= destination.mtu) return
  // What did not forbid fragments has got through in pieces. What is
  // sent next goes by the path's MTU all the same, as on Linux.
  if (is4 && (pathMtuDiscovery === PathMtuDiscovery.Dont || !isBelieved)) return
  syncMss(c, destination.mtu)
  retransmitTooLarge(c)
}

/** Sends again every record whose segments no longer fit; the congestion window is not to blame. */
export const retransmitTooLarge = (c: TcpConnection): void => {
  const cc = c.cc
  const queue = c.queue
  if (queue === null || queue.sentCount === 0) return
  // A SYN and its data are two records: what did not fit was both.
  const mss = c.state === TcpState.SynSent && c.fastOpen?.sentData ? -1 : currentMss(c)
  for (let i = 0; i < queue.sentCount; i++) {
    const record = queue.at(i)
    if ((record.segmentSize || record.dataLength) > mss) markLost(c, record)
  }
  cc.hasRetransmitHint = false
  if (cc.lostOut === 0) return
  if (!c.has(Feature.Sack)) limitDuplicates(c)
  retransmitUncongested(c)
}

/** Sends again what was marked as lost, for another reason than congestion. */
export const retransmitUncongested = (c: TcpConnection): void => {
  const cc = c.cc
  if (cc.state !== CaState.Loss) {
    cc.highSeq = c.snd.nxt
    cc.ssthresh = currentSsthresh(c)
    cc.priorSsthresh = 0
    cc.undoable = false
    setCaState(c, CaState.Loss)
  }
  retransmitLost(c)
}

/** The network says that it is the network: the last doubling of the time-out was not for congestion (RFC 6069). */
const revertBackoff = (c: TcpConnection, seq: number): void => {
  if (seq !== c.snd.una || c.retransmits === 0 || c.backoff === 0 || c.pending !== Pending.Retransmit) return
  const first = c.queue?.firstSent
  if (first === null || first === undefined) return
  c.backoff--
  if (c.rtt.srtt8 === 0) c.rtt.rto = 1_000_000
  else c.rtt.updateRto(mostRto(c))
  c.rtt.rto = Math.min(c.rtt.rto * 2 ** c.backoff, mostRto(c))
  const elapsed = (c.layer.loop.now32 - first.sentAt) | 0
  armRetransmit(c, Pending.Retransmit, Math.max(1, c.rtt.rto - elapsed))
}
