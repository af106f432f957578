import type { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { TcpSocket } from '../socket/tcp.ts'
import { TcpConnection } from '../tcp/connection.ts'
import type { TcpListener } from '../tcp/listener.ts'
import { Request } from '../tcp/request.ts'
import { TcpState, tcpStateName } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import type { DecodedFrame } from '../wire/decode.ts'

/** What a packet belongs to on a host: for captures and series. */

/**
 * The structure of a host that a TCP packet belongs to; null when there is none, or the packet is not TCP.
 * @param isOwn does the host send it, or is it sent to it?
 * @param iface where it passes
 */
export const packetOwner = (
  host: Host,
  { layer, ip, tcp }: DecodedFrame,
  isOwn: boolean,
  iface: NetworkInterface,
): TupleEntry | null => {
  if (layer !== 'tcp') return null
  const { table } = host.sockets.tcp
  return isOwn
    ? table.findQuoted(ip, tcp.sourcePort, tcp.destinationPort)
    : table.find(ip, tcp.sourcePort, tcp.destinationPort, iface)
}

/**
 * One line about the socket of a packet: `server 10.0.0.2:80 ESTABLISHED, cwnd 14480, SendQ 0, RecvQ 1500 (httpd, fd
 * 4)`; null when the host has none.
 */
export const packetComment = (
  host: Host,
  decoded: DecodedFrame,
  isOwn: boolean,
  iface: NetworkInterface,
): string | null => {
  const entry = packetOwner(host, decoded, isOwn, iface)
  if (entry === null) return listenerComment(host, decoded, isOwn, iface)
  const where = `${host.name} ${entry.local}:${entry.localPort}`
  if (entry instanceof TimeWait) return `${where} ${tcpStateName(entry.state)}`
  if (entry instanceof Request) return `${where} ${tcpStateName(TcpState.SynReceived)}`
  if (!(entry instanceof TcpConnection)) return null
  const { cc, snd, sendRing, receiveRing } = entry
  const state = `${tcpStateName(entry.state)}, cwnd ${cc.cwnd * snd.mss}`
  return `${where} ${state}, SendQ ${sendRing?.length ?? 0}, RecvQ ${receiveRing?.length ?? 0}${holderOf(host, entry)}`
}

/** Who holds the connection: ` (httpd, fd 4)`. */
const holderOf = (host: Host, c: TcpConnection): string => {
  if (!(c.observer instanceof TcpSocket)) return c.listener === null ? ' (orphan)' : ' (not accepted yet)'
  const [holder] = host.holders(c.observer)
  return holder === undefined ? '' : ` (${holder.process.name}, fd ${holder.fd})`
}

/** A packet that comes for a listener. */
const listenerComment = (
  host: Host,
  { layer, tcp }: DecodedFrame,
  isOwn: boolean,
  iface: NetworkInterface,
): string | null => {
  if (layer !== 'tcp' || isOwn || !iface.isUp) return null
  const claim = host.sockets.tcp.listeners.all().find(({ localPort }) => localPort === tcp.destinationPort)
  if (claim === undefined) return null
  const { requests, acceptQueue, capacity }: TcpListener = claim.listener
  const queues = `SYN queue ${requests}, accept queue ${acceptQueue.length} of ${capacity}`
  return `${host.name} *:${tcp.destinationPort} LISTEN, ${queues}`
}
