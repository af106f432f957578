import type { Host } from '../host/host.ts'
import * as C from '../socket/constants.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { UnixSocket } from '../socket/unix.ts'
import { UnixConnectionSocket } from '../socket/unix-listener.ts'
import type { Holder, UnixSnapshot } from './snapshot-types.ts'

const TYPES: Readonly<Record<number, UnixSnapshot['type']>> = {
  [C.SOCK_STREAM]: 'stream',
  [C.SOCK_DGRAM]: 'dgram',
  [C.SOCK_SEQPACKET]: 'seqpacket',
}

/** The references that Linux counts for a socket on its own: its descriptor's, and the table's. */
const OWN_REFERENCES = 2

/** The Unix domain sockets of a host. */
export const listUnixSockets = (host: Host, holders: ReadonlyMap<OpenFile, Holder[]>): UnixSnapshot[] => {
  const sockets = [...host.sockets.sockets].filter((socket) => socket instanceof UnixSocket)
  const peers = new Map<UnixSocket, number>()
  for (const { peer } of sockets) if (peer !== null) peers.set(peer, (peers.get(peer) ?? 0) + 1)
  return sockets.map((socket) => describe(socket, peers.get(socket) ?? 0, holders.get(socket) ?? []))
}

const describe = (socket: UnixSocket, peers: number, holders: Holder[]): UnixSnapshot => {
  const { name, peer } = socket
  const listener = socket instanceof UnixConnectionSocket && socket.isListening ? socket : null
  const inode = socket.wasHanded ? socket.inode : 0
  return {
    protocol: 'unix',
    type: TYPES[socket.type]!,
    state: stateOf(socket),
    inode,
    cookie: socket.inode,
    peer: peer === null || peer.isClosed || !peer.wasHanded ? 0 : peer.inode,
    path: name === null ? null : name.replaceAll('\0', '@'),
    references: OWN_REFERENCES + peers,
    uid: socket.uid,
    holders,
    receiveQueue: listener === null ? Math.max(0, socket.ioctl(C.FIONREAD, 0)) : listener.pendingCount,
    sendQueue: socket.charged,
    backlog: listener === null ? 0 : listener.backlog,
    waiting: listener === null ? [] : [...listener.waitingConnections].map((other) => other.peer?.inode ?? 0),
    memory: {
      receive: 0,
      receiveBuffer: socket.receiveBuffer,
      sendBuffer: socket.sendBuffer,
      send: socket.charged,
      drops: 0,
    },
    shutdown: socket.shutdownBits,
  }
}

/** As netstat writes it: what waits to be accepted is connecting still. */
const stateOf = (socket: UnixSocket): string => {
  if (socket.state === 'listening') return 'LISTENING'
  if (!socket.wasHanded) return 'CONNECTING'
  return socket.state === 'connected' ? 'CONNECTED' : ''
}
