import { seqGt, seqLeq, seqLt } from '../../src/core/seq.ts'
import type { Host } from '../../src/host/host.ts'
import { TcpSocket } from '../../src/socket/tcp.ts'
import { AckPending, Feature, Nagle, Pending, Shutdown, TcpConnection } from '../../src/tcp/connection.ts'
import { Request } from '../../src/tcp/request.ts'
import { Sacked } from '../../src/tcp/send-queue.ts'
import { stateIn, stateSet, TcpState } from '../../src/tcp/state.ts'
import { TimeWait } from '../../src/tcp/time-wait.ts'
import { TcpFlag } from '../../src/wire/tcp.ts'

/** What holds between any two events, as docs/FUZZING.md lists it. @throws Error that names what does not */

/** Checks every connection of a host. */
export const checkInvariants = (host: Host): void => {
  for (const entry of host.sockets.tcp.table.entries()) if (entry instanceof TcpConnection) checkConnection(entry)
}

/** Checks a host: its connections, and what it counts of them; and that its tables keep to their bounds. */
export const checkHost = (host: Host): void => {
  const { layer, table } = host.sockets.tcp
  const count = { connections: 0, orphans: 0, timeWaits: 0, records: 0, bytes: 0 }
  const entries = table.entries()
  const problems: string[] = []
  for (const entry of entries) {
    count.connections++
    if (!entry.inTable) problems.push('an entry of the table does not know that it is in it')
    if (entry instanceof TcpConnection) {
      checkConnection(entry)
      if (entry.state === TcpState.Closed) problems.push('a connection that is closed is in the table')
      if (entry.isOrphan) count.orphans++
      count.records += entry.queue === null ? 0 : entry.queue.length
    } else if (entry instanceof TimeWait) {
      count.timeWaits++
      if (!entry.timer.isSet) problems.push('a pair in TIME_WAIT has no timer')
    } else if (entry instanceof Request) {
      if (entry.deadline === Number.POSITIVE_INFINITY && !entry.acknowledged)
        problems.push('a half-open connection has no timer')
    }
  }
  const differs = (what: string, counted: number, found: number): void => {
    if (counted !== found) problems.push(`${what}: ${counted} are counted, and there are ${found}`)
  }
  differs('entries of the table', table.size, count.connections)
  differs('orphans', layer.orphans, count.orphans)
  differs('pairs in TIME_WAIT', layer.timeWaits, count.timeWaits)
  differs('send records', layer.records.inUse, count.records)
  for (const { sendRing, receiveRing } of connectionsOf(host)) {
    count.bytes += (sendRing === null ? 0 : sendRing.length) + (receiveRing === null ? 0 : receiveRing.length)
  }
  differs('bytes in all queues', layer.queuedBytes, count.bytes)
  problems.push(...boundProblems(host))
  if (problems.length > 0) throw new Error(problems.join('; '))
}

/** Every connection: those in the table, those that sockets hold, and those that nobody has accepted. */
const connectionsOf = (host: Host): Set<TcpConnection> => {
  const found = new Set<TcpConnection>()
  for (const entry of host.sockets.tcp.table.entries()) if (entry instanceof TcpConnection) found.add(entry)
  for (const socket of host.sockets.sockets) if (socket instanceof TcpSocket) found.add(socket.c)
  for (const { listener } of host.sockets.tcp.listeners.all()) {
    for (let i = 0; i < listener.acceptQueue.length; i++) found.add(listener.acceptQueue.at(i))
  }
  return found
}

/** Tables that strangers can fill keep to their bounds. */
function* boundProblems({ ip }: Host): Generator<string> {
  const { settings } = ip
  // The entries of this host's own routes and groups are not strangers'.
  if (ip.arp.size > settings.gc_thresh3) yield `${ip.arp.size} neighbours by ARP`
  if (ip.nd.size > settings.gc_thresh3) yield `${ip.nd.size} neighbours by neighbour discovery`
  if (ip.paths.size > MOST_PATHS) yield `${ip.paths.size} paths`
  const slack = 70_000
  if (ip.reassembly.memory(4) > settings.ipfrag_high_thresh + slack)
    yield `${ip.reassembly.memory(4)} bytes of fragments`
  if (ip.reassembly.memory(6) > settings.ip6frag_high_thresh + slack)
    yield `${ip.reassembly.memory(6)} bytes of IPv6 fragments`
  if (ip.world.frames.inUse < 0) yield `${ip.world.frames.inUse} frames are in use`
}

/** Path MTUs that are remembered. */
const MOST_PATHS = 4096

/** When all sockets are closed and all timers have run out, TCP keeps nothing. */
export const checkNothingLeft = (host: Host): void => {
  const { layer, table, listeners } = host.sockets.tcp
  const left = {
    'entries of the table': table.size,
    listeners: listeners.size,
    'send records': layer.records.inUse,
    'bytes queued': layer.queuedBytes,
    orphans: layer.orphans,
    'pairs in TIME_WAIT': layer.timeWaits,
    'TCP ports': host.sockets.tcpPorts.ports,
    'UDP ports': host.sockets.udpPorts.ports,
    sockets: host.sockets.sockets.size,
    'messages in flight': host.sockets.unixInFlight.size,
    'connections established': host.ip.mib.tcp.CurrEstab,
  }
  const problems = Object.entries(left).flatMap(([name, number]) => (number === 0 ? [] : [`${number} ${name}`]))
  if (problems.length > 0) throw new Error(`left over: ${problems.join(', ')}`)
}

/** Checks one connection. */
export const checkConnection = (c: TcpConnection): void => {
  if (c.state === TcpState.Closed) return
  const problems = [...sendingProblems(c), ...receivingProblems(c), ...timerProblems(c)]
  if (problems.length === 0) return
  throw new Error(`${c.local}:${c.localPort} to ${c.remote}:${c.remotePort}: ${problems.join('; ')}`)
}

function* sendingProblems(c: TcpConnection): Generator<string> {
  const { snd, queue, cc } = c
  if (c.isPutOff) return
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

const OPEN_TO_SEND = stateSet(
  TcpState.Established,
  TcpState.CloseWait,
  TcpState.FinWait1,
  TcpState.Closing,
  TcpState.LastAck,
)
const OPENING = stateSet(TcpState.SynSent, TcpState.SynReceived)

/** Timers run exactly when something waits for them; nothing waits without one. */
function* timerProblems(c: TcpConnection): Generator<string> {
  const { queue, cc, pending, rcv } = c
  const isSet = c.retransmitTimer?.isSet === true
  if (isSet !== (pending !== Pending.None)) yield `the retransmission timer is ${isSet ? '' : 'not '}set for ${pending}`
  const delays = c.ackTimer?.isSet === true
  if ((rcv.pending & AckPending.Timer) !== 0 && !delays) yield 'a delayed ACK has no timer'
  if (delays && (rcv.pending & AckPending.Scheduled) === 0) yield 'a timer runs for an ACK that is not owed'
  if (c.handshake !== null || c.isPutOff) return
  if (stateIn(c.state, OPENING) && !isSet) yield 'it is being opened, and no timer is set'
  if (c.keepaliveTimer?.isSet !== true) {
    if (c.options.keepalive && c.state === TcpState.Established) yield 'keepalive is on, and its timer is not set'
    if (c.state === TcpState.FinWait2 && c.observer === null) yield 'an orphan in FIN_WAIT2 has no timer'
  }
  if (cc.packetsOut > 0 && !isSet) yield `${cc.packetsOut} segments are in flight, and no timer is set`
  if (pending === Pending.Persist && cc.packetsOut > 0) yield 'a window is probed while segments are in flight'
  if (queue === null || isSet || !queue.hasUnsent || !stateIn(c.state, OPEN_TO_SEND)) return
  const isPaced = c.pacingTimer?.isSet === true
  const isCorked = (c.nagle & Nagle.Cork) !== 0 && (c.shutdown & Shutdown.Send) === 0
  if (!isPaced && !isCorked) yield 'data waits, nothing is in flight, and no timer is set'
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
