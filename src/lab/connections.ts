import type { Host } from '../host/host.ts'
import { snapshot } from '../inspect/snapshot.ts'
import { TcpSocket } from '../socket/tcp.ts'
import { TcpConnection } from '../tcp/connection.ts'
import { stateIn, stateSet, TcpState, tcpStateName } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import type { DirectionView, LabSocket } from './report.ts'

/** What a host has of its connections, as the lab shows it and checks it. */

/** What netstat would show of a host's sockets, as numbers. */
export const socketsOf = (host: Host): LabSocket[] =>
  snapshot(host).sockets.flatMap((socket) => {
    // A socket without a connection is in no table.
    if ((socket.protocol !== 'tcp' && socket.protocol !== 'udp') || ('kind' in socket && socket.kind === 'closed'))
      return []
    const { protocol, family, state, receiveQueue: recvQ, sendQueue: sendQ, local, remote } = socket
    return [{ host: host.name, protocol, family, state, recvQ, sendQ, local, remote }]
  })

/** A connection's state, in netstat's words. */
export const stateName = (entry: TupleEntry): string => {
  if (entry instanceof TimeWait) return tcpStateName(entry.state)
  return tcpStateName(entry instanceof TcpConnection ? entry.state : TcpState.SynReceived)
}

/** A host's connection with a port at either end; null when there is none. */
export const connectionAt = (host: Host, port: number): TcpConnection | null => {
  for (const entry of host.sockets.tcp.table.entries()) {
    if (entry instanceof TcpConnection && (entry.localPort === port || entry.remotePort === port)) return entry
  }
  // One that has ended may still have a socket, with data to be read.
  for (const socket of host.sockets.sockets) {
    if (socket instanceof TcpSocket && (socket.c.localPort === port || socket.c.remotePort === port)) {
      if (socket.c.remotePort !== 0) return socket.c
    }
  }
  return null
}

/**
 * The queues of one direction of a connection.
 * @param sender the connection at `from`, null when it has none; `receiver` at `to`
 * @param sends what each send was given, bytes
 */
export const directionView = (
  from: Host,
  to: Host,
  sender: TcpConnection | null,
  receiver: TcpConnection | null,
  sends: readonly number[],
): DirectionView => {
  const started = sender?.wasEstablished === true
  return {
    from: from.name,
    to: to.name,
    sends,
    sendQ: started ? (sender.sendRing?.length ?? 0) : 0,
    recvQ: receiver?.receiveRing?.length ?? 0,
    delivered: receiver?.wasEstablished ? deliveredBytes(receiver) : 0,
    window: started ? sender.snd.wnd : 0,
    cwnd: started ? sender.cc.cwnd * sender.snd.mss : 0,
  }
}

/** Bytes that the application has read: what was taken off the queue, without SYN and FIN. */
const deliveredBytes = (c: TcpConnection): number => {
  const taken = ((c.rcv.copied - c.rcv.irs) >>> 0) - 1
  return c.receivedFin && c.rcv.copied === c.rcv.nxt ? taken - 1 : taken
}

/** Bytes that the application has written so far. */
export const writtenBytes = (c: TcpConnection): number => {
  if (!c.wasEstablished) return 0
  const { ringSeq, iss } = c.snd
  const queued = c.sendRing?.length ?? 0
  const past = ((ringSeq - iss) >>> 0) - 1
  // With nothing queued, a FIN that was acknowledged has moved the ring's place.
  return queued + (queued === 0 && stateIn(c.state, FIN_ACKNOWLEDGED) ? past - 1 : past)
}

const FIN_ACKNOWLEDGED = stateSet(TcpState.FinWait2, TcpState.TimeWait)
