import type { Host } from '../host/host.ts'
import { SOCK_RAW } from '../socket/constants.ts'
import { DatagramSocket } from '../socket/datagram.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { UdpSocket } from '../socket/udp.ts'
import {
  endpoint,
  type Holder,
  nobody,
  type RawSnapshot,
  type SocketCommon,
  socketOptions,
  type UdpSnapshot,
} from './snapshot-types.ts'

/** A host's sockets that send and receive packets whole: UDP, raw and ping sockets. In no order. */
export const listDatagramSockets = (
  host: Host,
  holders: ReadonlyMap<OpenFile, Holder[]>,
): (UdpSnapshot | RawSnapshot)[] =>
  [...host.sockets.sockets]
    .filter((socket) => socket instanceof DatagramSocket)
    .map((socket) => datagramSocket(socket, holders.get(socket) ?? []))

const datagramSocket = (socket: DatagramSocket, holders: Holder[]): UdpSnapshot | RawSnapshot => {
  const { queued: datagrams, queuedBytes: dataBytes } = socket
  const state = socket.isConnected ? 'ESTABLISHED' : 'CLOSE'
  const common = describe(socket, holders)
  if (socket instanceof UdpSocket) return { ...common, protocol: 'udp', state, datagrams, dataBytes }
  const protocol = socket.type === SOCK_RAW ? 'raw' : 'icmp'
  return { ...common, protocol, state, ipProtocol: socket.protocol, datagrams, dataBytes }
}

const describe = (socket: DatagramSocket, holders: Holder[]): SocketCommon => {
  const { family, remote, ipOptions, charged } = socket
  return {
    inode: socket.inode,
    cookie: socket.inode,
    family,
    local: endpoint(socket.local, socket.localPort),
    remote: remote === null ? nobody(family) : endpoint(remote.address, remote.port),
    portIsFixed: socket.portIsFixed,
    interface: socket.boundInterface?.name ?? null,
    uid: socket.uid,
    holders,
    receiveQueue: charged,
    sendQueue: 0,
    memory: {
      receive: charged,
      receiveBuffer: socket.receiveBuffer,
      sendBuffer: socket.sendBuffer,
      send: 0,
      drops: socket.dropped,
    },
    shutdown: socket.shutdownBits,
    v6only: socket.v6only,
    options: {
      ...socketOptions(socket),
      trafficClass: family === 4 ? ipOptions.tos : ipOptions.trafficClass,
      hopLimit: Math.max(0, family === 4 ? ipOptions.ttl : ipOptions.hops),
    },
  }
}
