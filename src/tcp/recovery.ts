import { MILLISECOND } from '../core/clock.ts'
import { seqGeq, seqGt, seqLt } from '../core/seq.ts'
import { AckFlag } from './ack-flags.ts'
import { CwndEvent } from './congestion/control.ts'
import { CaState, EcnFlag } from './congestion/state.ts'
import { Feature, Nagle, Pending, type TcpConnection } from './connection.ts'
import {
  Found,
  identifyLosses,
  markLost,
  RECOVERIES_THAT_KEEP_WINDOW,
  rackDetect,
  rackSpares,
  usesRack,
} from './loss.ts'
import { mtuProbeLost } from './mtu-probe.ts'
import { currentSsthresh, pushPending, windowEnd } from './output.ts'
import { beginReduction, endReduction, enterCwr, reduceWindow, setCaState } from './reduction.ts'
import { retransmitLost } from './retransmit.ts'
import { noteReordering } from './sack.ts'
import { Sacked } from './send-queue.ts'
import { TcpState } from './state.ts'
import { armRetransmit, rearmRetransmit } from './timers.ts'

/**
 * From the first sign of trouble to its end: the states of `CaState`, what an ACK means in each, how far the window is
 * reduced (RFC 6937), and how a reduction is taken back when the segments were only late (Eifel, DSACK, F-RTO).
 */

/** What is to be sent after an ACK has been dealt with. */
export const Resend = {
  Nothing: 0,
  Lost: 1,
  New: 2,
  /** What is larger than the path's MTU: see icmp.ts. */ TooLarge: 3,
} as const

const isNewReno = (c: TcpConnection): boolean => !c.has(Feature.Sack)

// Duplicate ACKs without SACK: each says that some segment has arrived (RFC 5681 section 3.2, RFC 6582).

/** No more can have arrived than is out, less the one that is missing. @returns whether the count had to be cut */
export const limitDuplicates = (c: TcpConnection): boolean => {
  const cc = c.cc
  const holes = Math.min(Math.max(cc.lostOut, 1), cc.packetsOut)
  if (cc.sackedOut + holes <= cc.packetsOut) return false
  cc.sackedOut = cc.packetsOut - holes
  return true
}

/** More duplicate ACKs than segments: the network reorders. */
const checkNewRenoReordering = (c: TcpConnection, extra: number): void => {
  if (!limitDuplicates(c)) return
  const cc = c.cc
  cc.reordering = Math.min(cc.packetsOut + extra, c.layer.settings.tcp_max_reordering)
  cc.reorderingSeen++
  c.layer.mib.tcpExt.TCPRenoReorder++
}

const addDuplicates = (c: TcpConnection, count: number, ece: boolean): void => {
  if (count === 0) return
  const cc = c.cc
  const before = cc.sackedOut
  cc.sackedOut += count
  checkNewRenoReordering(c, 0)
  if (cc.sackedOut > before) countDelivered(c, cc.sackedOut - before, ece)
}

/** An ACK of `acked` segments fills one hole; the others it covers had been counted as duplicates. */
export const removeDuplicates = (c: TcpConnection, acked: number, ece: boolean): void => {
  const cc = c.cc
  if (acked > 0) {
    countDelivered(c, Math.max(acked - cc.sackedOut, 1), ece)
    cc.sackedOut = acked - 1 >= cc.sackedOut ? 0 : cc.sackedOut - (acked - 1)
  }
  checkNewRenoReordering(c, acked)
}

/** Counts segments that the peer is known to have. @param ece did the ACK say that they met congestion? */
export const countDelivered = (c: TcpConnection, segments: number, ece: boolean): void => {
  c.cc.delivered += segments
  if (ece) c.cc.deliveredCe += segments
}

/** Notes what must turn out for a reduction to have been a mistake. */
const prepareUndo = (c: TcpConnection): void => {
  const cc = c.cc
  cc.undoMarker = c.snd.una
  cc.undoable = true
  cc.undoRetrans = cc.retransOut + (cc.tlpActive && cc.tlpRetransmitted ? 1 : 0)
  if (cc.undoRetrans === 0) cc.undoRetrans = -1
}

const enterRecovery = (c: TcpConnection, ece: boolean): void => {
  const cc = c.cc
  if (isNewReno(c)) c.layer.mib.tcpExt.TCPRenoRecovery++
  else c.layer.mib.tcpExt.TCPSackRecovery++
  // The clock for undoing and for giving up starts with this recovery, unless retransmissions of the last are out.
  if (!anyRetransmitted(c)) c.retransmitStamp = 0
  cc.priorSsthresh = 0
  prepareUndo(c)
  if (!cc.isReducing) {
    if (!ece) cc.priorSsthresh = currentSsthresh(c)
    beginReduction(c)
  }
  setCaState(c, CaState.Recovery)
}

/**
 * The retransmission time-out has fired: all is lost, unless RACK
 * knows better (RFC 5681 section 3.1, RFC 6298 section 5).
 */
export const enterLoss = (c: TcpConnection): void => {
  const cc = c.ownCongestionState()
  const isNew = cc.state < CaState.Recovery
  markAllLost(c)
  if (
    cc.state <= CaState.Disorder ||
    !seqGt(cc.highSeq, c.snd.una) ||
    (cc.state === CaState.Loss && c.retransmits === 0)
  ) {
    cc.priorSsthresh = currentSsthresh(c)
    cc.priorCwnd = cc.cwnd
    cc.ssthresh = c.control.ssthresh(c)
    c.control.event?.(c, CwndEvent.Loss)
    prepareUndo(c)
  }
  cc.cwnd = cc.inFlight + 1
  cc.cwndCount = 0
  cc.cwndStampMs = c.layer.loop.nowMs32
  const reordering = c.layer.settings.tcp_reordering
  if (cc.state <= CaState.Disorder && cc.sackedOut >= reordering) cc.reordering = Math.min(cc.reordering, reordering)
  setCaState(c, CaState.Loss)
  cc.highSeq = c.snd.nxt
  cc.tlpActive = false
  if (c.has(Feature.Ecn)) cc.ecn |= EcnFlag.QueueCwr
  // A probe of the MTU that is out may be what was lost: its ACK says nothing of the time-out.
  const probes = c.mtuSearch !== null && c.mtuSearch.probeSize > 0
  cc.frto = c.layer.settings.tcp_frto > 0 && (isNew || c.retransmits > 0) && !probes
}

const markAllLost = (c: TcpConnection): void => {
  const cc = c.cc
  const queue = c.queue!
  const reneged = queue.firstSent !== null && (queue.firstSent.sacked & Sacked.Acked) !== 0
  if (reneged) {
    c.layer.mib.tcpExt.TCPSACKReneging++
    cc.sackedOut = 0
    cc.reneged = true
  } else if (isNewReno(c)) cc.sackedOut = 0
  for (let i = 0; i < queue.sentCount; i++) {
    const record = queue.at(i)
    if (reneged) record.sacked &= ~Sacked.Acked
    else if (i > 0 && !isNewReno(c) && usesRack(c) && rackSpares(c, record)) continue
    markLost(c, record)
  }
  cc.hasRetransmitHint = false
}

// Taking a reduction back.

/**
 * Has what was sent again turned out to be only late: by an echoed
 * time stamp from before, or because nothing was sent again?
 */
const wasOnlyDelayed = (c: TcpConnection): boolean => {
  if (c.retransmitStamp === 0) {
    // Nothing was sent again; but without SACK the stamp is cleared at the end of an episode (see `newRenoHoldsState`).
    if (isNewReno(c) && seqGeq(c.snd.una, c.cc.highSeq)) return false
    return c.state !== TcpState.SynSent
  }
  const segment = c.layer.segment
  if (!c.has(Feature.Timestamps) || !segment.hasTimestamps || segment.timestampEcho === 0) return false
  return seqLt(segment.timestampEcho, (c.retransmitStamp + c.timestampOffset) | 0)
}

const mayUndo = (c: TcpConnection): boolean => c.cc.undoable && (c.cc.undoRetrans === 0 || wasOnlyDelayed(c))

const undoReduction = (c: TcpConnection, unmarkLost: boolean): void => {
  const cc = c.cc
  if (unmarkLost) {
    const queue = c.queue!
    for (let i = 0; i < queue.sentCount; i++) queue.at(i).sacked &= ~Sacked.Lost
    cc.lostOut = 0
    cc.hasRetransmitHint = false
  }
  if (cc.priorSsthresh > 0) {
    cc.cwnd = c.control.undo(c)
    if (cc.priorSsthresh > cc.ssthresh) {
      cc.ssthresh = cc.priorSsthresh
      cc.ecn &= ~EcnFlag.QueueCwr
    }
  }
  cc.cwndStampMs = c.layer.loop.nowMs32
  cc.undoable = false
  // Have RACK look again at what is still out.
  cc.rackAdvanced = cc.rackStarted
}

/** Is anything out that was sent again? */
export const anyRetransmitted = (c: TcpConnection): boolean => {
  if (c.cc.retransOut > 0) return true
  const first = c.queue?.firstSent
  return first !== null && first !== undefined && (first.sacked & Sacked.EverRetransmitted) !== 0
}

/**
 * Without SACK the state is kept until something above `highSeq` is
 * acknowledged, or duplicates would restart recovery (RFC 6582 section 3.2).
 */
const newRenoHoldsState = (c: TcpConnection): boolean => {
  if (c.snd.una !== c.cc.highSeq || !isNewReno(c)) return false
  if (!anyRetransmitted(c)) c.retransmitStamp = 0
  return true
}

/** The episode is over; was it a mistake? @returns whether its state has to be kept */
export const undoRecovery = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (mayUndo(c)) {
    undoReduction(c, false)
    if (cc.state === CaState.Loss) c.layer.mib.tcpExt.TCPLossUndo++
    else c.layer.mib.tcpExt.TCPFullUndo++
  } else if (cc.rackPersist > 0) cc.rackPersist--
  if (newRenoHoldsState(c)) return true
  setCaState(c, CaState.Open)
  cc.reneged = false
  return false
}

/** Every retransmission was reported as a duplicate: none was needed. */
const undoByDsack = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (!cc.undoable || cc.undoRetrans !== 0) return false
  cc.rackPersist = Math.min(RECOVERIES_THAT_KEEP_WINDOW, cc.rackPersist + 1)
  undoReduction(c, false)
  c.layer.mib.tcpExt.TCPDSACKUndo++
  return true
}

const undoLoss = (c: TcpConnection, byFrto: boolean): boolean => {
  const cc = c.cc
  if (!byFrto && !mayUndo(c)) return false
  undoReduction(c, true)
  c.layer.mib.tcpExt.TCPLossUndo++
  if (byFrto) c.layer.mib.tcpExt.TCPSpuriousRTOs++
  c.retransmits = 0
  if (newRenoHoldsState(c)) return true
  if (byFrto || !isNewReno(c)) {
    setCaState(c, CaState.Open)
    cc.reneged = false
  }
  return true
}

/**
 * A partial ACK that answers the original, not the retransmission.
 * @returns whether nothing more should be marked or sent again now
 */
const undoPartial = (c: TcpConnection, priorUna: number): boolean => {
  const cc = c.cc
  if (!cc.undoable || !wasOnlyDelayed(c)) return false
  noteReordering(c, priorUna, true)
  if (cc.retransOut > 0) return true
  if (!anyRetransmitted(c)) c.retransmitStamp = 0
  undoReduction(c, true)
  c.layer.mib.tcpExt.TCPPartialUndo++
  keepOpen(c)
  return false
}

/** Open, or Disorder while something is missing. */
const keepOpen = (c: TcpConnection): void => {
  const cc = c.cc
  const state = cc.sackedOut + cc.lostOut > 0 || anyRetransmitted(c) ? CaState.Disorder : CaState.Open
  if (cc.state !== state) {
    setCaState(c, state)
    cc.highSeq = c.snd.nxt
  }
}

const tryToOpen = (c: TcpConnection, flags: number): void => {
  if (!anyRetransmitted(c)) c.retransmitStamp = 0
  if ((flags & AckFlag.Ece) !== 0) enterCwr(c)
  if (c.cc.state !== CaState.Cwr) keepOpen(c)
}

/** Is it time to retransmit: is something marked as lost? */
const shouldRecover = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (cc.lostOut > 0) return true
  return !usesRack(c) && !isNewReno(c) && cc.sackedOut >= cc.reordering
}

/** What of an alarming ACK is passed to `handleAlert` and comes back. One object serves all. */
export class Alert {
  /** `AckFlag` bits; some are taken out. */
  flags = 0
  priorUna = 0
  /** Duplicate ACKs that this one stands for. */
  duplicates = 0
  /** One of `Resend`. */
  resend: number = Resend.Nothing
}

/** Deals with an ACK that is a duplicate, brings SACK or ECE, or comes while something is amiss. */
export const handleAlert = (c: TcpConnection, alert: Alert): void => {
  const cc = c.cc
  const ece = (alert.flags & AckFlag.Ece) !== 0
  if (cc.packetsOut === 0) cc.sackedOut = 0
  // With a mark of congestion the reduction stands.
  if (ece) cc.priorSsthresh = 0
  if (checkReneging(c, alert)) return
  if (cc.state === CaState.Open) c.retransmitStamp = 0
  else if (seqGeq(c.snd.una, cc.highSeq) && endEpisode(c)) return
  if (cc.state === CaState.Recovery) {
    if (!continueRecovery(c, alert, ece)) return
  } else if (cc.state === CaState.Loss) {
    processLoss(c, alert)
    markLosses(c, alert)
    if ((cc.state as number) !== CaState.Open && (alert.flags & AckFlag.LostRetransmission) === 0) return
    if (!considerRecovery(c, alert, ece)) return
  } else if (!considerRecovery(c, alert, ece)) return
  alert.resend = Resend.Lost
}

/** What is out when the episode began is acknowledged. @returns whether nothing is left to do for this ACK */
const endEpisode = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (cc.state === CaState.Cwr) {
    // CWR has to reach the peer: wait for an ACK above.
    if (c.snd.una !== cc.highSeq) {
      endReduction(c)
      setCaState(c, CaState.Open)
    }
  } else if (cc.state === CaState.Recovery) {
    if (isNewReno(c)) cc.sackedOut = 0
    if (undoRecovery(c)) return true
    endReduction(c)
  }
  return false
}

/** @returns whether to go on and retransmit */
const continueRecovery = (c: TcpConnection, alert: Alert, ece: boolean): boolean => {
  const cc = c.cc
  if ((alert.flags & AckFlag.Advanced) === 0) {
    if (isNewReno(c)) addDuplicates(c, alert.duplicates, ece)
  } else if (undoPartial(c, alert.priorUna)) return false
  if (undoByDsack(c)) tryToOpen(c, alert.flags)
  markLosses(c, alert)
  if (cc.state === CaState.Recovery) return true
  // It was a mistake; if something is lost all the same, recovery begins anew.
  if (!shouldRecover(c)) return false
  enterRecovery(c, ece)
  return true
}

/** In Open, Disorder, Cwr, or after a time-out was taken back. @returns whether recovery has begun */
const considerRecovery = (c: TcpConnection, alert: Alert, ece: boolean): boolean => {
  const cc = c.cc
  if (isNewReno(c)) {
    if ((alert.flags & AckFlag.Advanced) !== 0) cc.sackedOut = 0
    addDuplicates(c, alert.duplicates, ece)
  }
  if (cc.state <= CaState.Disorder) undoByDsack(c)
  markLosses(c, alert)
  if (!shouldRecover(c)) {
    tryToOpen(c, alert.flags)
    return false
  }
  if (mtuProbeLost(c)) {
    alert.resend = Resend.TooLarge
    return false
  }
  enterRecovery(c, ece)
  return true
}

const markLosses = (c: TcpConnection, alert: Alert): void => {
  const found = identifyLosses(c, (alert.flags & AckFlag.Advanced) !== 0)
  if ((found & Found.SettlingTimer) !== 0) alert.flags &= ~AckFlag.SetTimer
  if ((found & Found.LostRetransmission) !== 0) alert.flags |= AckFlag.LostRetransmission
}

/**
 * The peer has thrown away what it had SACKed: wait a little for its
 * ACKs before all is sent again (RFC 2018 section 8).
 */
const checkReneging = (c: TcpConnection, alert: Alert): boolean => {
  if ((alert.flags & AckFlag.Reneging) === 0 || (alert.flags & AckFlag.Advanced) === 0) return false
  armRetransmit(c, Pending.Retransmit, Math.max(c.rtt.srtt8 >> 4, 10 * MILLISECOND))
  alert.flags &= ~AckFlag.SetTimer
  return true
}

/** After a time-out: was it spurious (F-RTO, RFC 5682 section 3.1), is it over, what next? */
const processLoss = (c: TcpConnection, alert: Alert): void => {
  const cc = c.cc
  const { flags } = alert
  const recovered = seqGeq(c.snd.una, cc.highSeq)
  const advanced = (flags & AckFlag.Advanced) !== 0
  if (advanced && undoLoss(c, false)) return
  if (cc.frto) {
    // Step 3.b: something that was sent once, before, has arrived: the time-out was spurious.
    if ((flags & AckFlag.OriginalAcked) !== 0 && undoLoss(c, true)) return
    if (seqGt(c.snd.nxt, cc.highSeq)) {
      // Step 3.a: new data arrives out of order: the loss was real.
      if ((flags & AckFlag.DataSacked) !== 0 || alert.duplicates > 0) cc.frto = false
    } else if (advanced && !recovered) {
      // Step 2.b: send new data and see what comes back.
      cc.highSeq = c.snd.nxt
      if (c.queue!.hasUnsent && seqGt(windowEnd(c), c.snd.nxt)) {
        alert.resend = Resend.New
        return
      }
      cc.frto = false
    }
  }
  if (recovered) {
    undoRecovery(c)
    return
  }
  if (isNewReno(c)) {
    if (seqGt(c.snd.nxt, cc.highSeq) && alert.duplicates > 0) {
      addDuplicates(c, alert.duplicates, (flags & AckFlag.Ece) !== 0)
    } else if (advanced) cc.sackedOut = 0
  }
  alert.resend = Resend.Lost
}

/** Sends what the ACK called for. */
export const resendAfter = (c: TcpConnection, resend: number): void => {
  if (resend === Resend.Nothing || resend === Resend.TooLarge || c.state === TcpState.SynSent) return
  if (resend === Resend.New) {
    pushPending(c, Nagle.Off)
    if (seqGt(c.snd.nxt, c.cc.highSeq)) return
    c.cc.frto = false
  }
  retransmitLost(c)
}

/** A tail loss probe is out: has this ACK answered it (RFC 8985 section 7.4)? */
export const processProbeAck = (c: TcpConnection, ack: number, flags: number): void => {
  const cc = c.cc
  if (seqLt(ack, cc.tlpHighSeq)) return
  if (!cc.tlpRetransmitted || (flags & AckFlag.DsackOfProbe) !== 0) {
    // New data, or both copies arrived: nothing was lost.
    cc.tlpActive = false
  } else if (seqGt(ack, cc.tlpHighSeq)) {
    // The probe filled a hole: a loss like any other.
    beginReduction(c)
    setCaState(c, CaState.Cwr)
    endReduction(c)
    keepOpen(c)
    c.layer.mib.tcpExt.TCPLossProbeRecovery++
  } else if ((flags & (AckFlag.Advanced | AckFlag.NotDuplicate | AckFlag.DataSacked)) === 0) {
    cc.tlpActive = false
  }
}

/** The reordering settling time is over (RFC 8985 section 6.3). */
export const onSettled = (c: TcpConnection): void => {
  const cc = c.cc
  const before = cc.inFlight
  rackDetect(c)
  if (cc.inFlight !== before) {
    if (cc.state !== CaState.Recovery) {
      enterRecovery(c, false)
      if (c.control.control === undefined) reduceWindow(c, 1, false)
    }
    retransmitLost(c)
  }
  if (c.pending !== Pending.Retransmit) rearmRetransmit(c)
}
