import { seqGt, seqLeq, seqLt } from '../../src/core/seq.ts'
import type { Host } from '../../src/host/host.ts'
import { Feature, TcpConnection } from '../../src/tcp/connection.ts'
import { Sacked } from '../../src/tcp/send-queue.ts'
import { TcpState } from '../../src/tcp/state.ts'
import { TcpFlag } from '../../src/wire/tcp.ts'

/** What holds of every connection between any two events. @throws Error that names what does not */

/** Checks every connection of a host. */
export const checkInvariants = (host: Host): void => {
  for (const entry of host.sockets.tcp.table.entries()) if (entry instanceof TcpConnection) checkConnection(entry)
}

/** Checks one connection. */
export const checkConnection = (c: TcpConnection): void => {
  if (c.state === TcpState.Closed) return
  const problems = [...sendingProblems(c), ...receivingProblems(c)]
  if (problems.length === 0) return
  throw new Error(`${c.local}:${c.localPort} to ${c.remote}:${c.remotePort}: ${problems.join('; ')}`)
}

function* sendingProblems(c: TcpConnection): Generator<string> {
  const { snd, queue, cc } = c
  const from = (seq: number): number => (seq - snd.iss) | 0
  if (!seqLeq(snd.una, snd.nxt)) yield `SND.UNA ${from(snd.una)} is beyond SND.NXT ${from(snd.nxt)}`
  if (!seqLeq(snd.nxt, snd.writeSeq)) yield `SND.NXT ${from(snd.nxt)} is beyond what was written, ${from(snd.writeSeq)}`
  if (queue === null) return
  const sums = { out: 0, sacked: 0, lost: 0, retransmitted: 0 }
  let next = queue.length === 0 ? snd.writeSeq : queue.at(0).seq
  let controls = 0
  if (seqGt(next, snd.una)) yield `the first record begins at ${from(next)}, beyond SND.UNA ${from(snd.una)}`
  for (let i = 0; i < queue.length; i++) {
    const record = queue.at(i)
    if (record.seq !== next) yield `record ${i} begins at ${from(record.seq)}, not at ${from(next)}`
    if (!seqGt(record.end, record.seq)) yield `record ${i} is empty`
    next = record.end
    if ((record.flags & (TcpFlag.Syn | TcpFlag.Fin)) !== 0) controls++
    const sent = i < queue.sentCount
    if (sent !== seqLt(record.seq, snd.nxt))
      yield `record ${i} counts as ${sent ? '' : 'not '}sent, SND.NXT is ${from(snd.nxt)}`
    if (!sent) continue
    if (record.segments < 1) yield `record ${i} was sent and has ${record.segments} segments`
    sums.out += record.segments
    if ((record.sacked & Sacked.Acked) !== 0) sums.sacked += record.segments
    if ((record.sacked & Sacked.Lost) !== 0) sums.lost += record.segments
    if ((record.sacked & Sacked.Retransmitted) !== 0) sums.retransmitted += record.segments
    if ((record.sacked & Sacked.Acked) !== 0 && (record.sacked & Sacked.Lost) !== 0)
      yield `record ${i} is SACKed and lost`
  }
  if (next !== snd.writeSeq) yield `the last record ends at ${from(next)}, and ${from(snd.writeSeq)} was written`
  const inRing = c.sendRing === null ? 0 : c.sendRing.length
  const unsentFirst = queue.length > 0 && (queue.at(0).flags & TcpFlag.Syn) !== 0 ? 1 : 0
  const expected = ((snd.writeSeq - snd.ringSeq) | 0) - (controls - unsentFirst)
  if (c.state !== TcpState.SynSent && queue.length > 0 && inRing !== expected)
    yield `the send ring has ${inRing} bytes, not ${expected}`
  if (cc.packetsOut !== sums.out) yield `packetsOut is ${cc.packetsOut}, records sent have ${sums.out} segments`
  if (c.has(Feature.Sack) && cc.sackedOut !== sums.sacked) yield `sackedOut is ${cc.sackedOut}, not ${sums.sacked}`
  if (cc.lostOut !== sums.lost) yield `lostOut is ${cc.lostOut}, not ${sums.lost}`
  if (cc.retransOut !== sums.retransmitted) yield `retransOut is ${cc.retransOut}, not ${sums.retransmitted}`
  if (cc.sackedOut + cc.lostOut > cc.packetsOut)
    yield `${cc.sackedOut} SACKed and ${cc.lostOut} lost of ${cc.packetsOut}`
  if (cc.cwnd < 1) yield `the congestion window is ${cc.cwnd}`
}

function* receivingProblems(c: TcpConnection): Generator<string> {
  const { rcv, reassembly } = c
  const from = (seq: number): number => (seq - rcv.irs) | 0
  if (c.state === TcpState.SynSent) return
  if (seqGt(rcv.wup, rcv.nxt)) yield `what was acknowledged, ${from(rcv.wup)}, is beyond RCV.NXT ${from(rcv.nxt)}`
  if (seqGt(rcv.copied, rcv.nxt))
    yield `the application has read to ${from(rcv.copied)}, beyond RCV.NXT ${from(rcv.nxt)}`
  const fin = c.receivedFin && rcv.copied !== rcv.nxt ? 1 : 0
  const inRing = c.receiveRing === null ? 0 : c.receiveRing.length
  const expected = ((rcv.nxt - rcv.copied) | 0) - fin
  if (c.observer !== null && inRing !== expected) yield `the receive ring has ${inRing} bytes, not ${expected}`
  if (reassembly === null) return
  let last = rcv.nxt
  let bytes = 0
  for (let i = 0; i < reassembly.count; i++) {
    const start = reassembly.startAt(i)
    const end = reassembly.endAt(i)
    if (!seqGt(start, last)) yield `range ${i} out of order begins at ${from(start)}, not beyond ${from(last)}`
    if (!seqGt(end, start)) yield `range ${i} out of order is empty`
    last = end
    bytes += (end - start) | 0
  }
  if (bytes !== reassembly.bytes) yield `${bytes} bytes out of order are counted as ${reassembly.bytes}`
}
