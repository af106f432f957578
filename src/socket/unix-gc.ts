import type { SocketLayer } from './layer.ts'
import type { OpenFile } from './open-file.ts'
import type { UnixSocket } from './unix.ts'

/**
 * Finds sockets that nothing refers to any more but messages in queues of each other, which nobody will ever read, and
 * lets them go. It is asked for when a socket is closed while others are in flight.
 */
export const collectUnix = (layer: SocketLayer): void => {
  /** How many of a candidate's references are not in a queue of a candidate. */
  const outside = new Map<UnixSocket, number>()
  for (const socket of layer.unixInFlight) {
    if (socket.references === socket.inFlight) outside.set(socket, socket.inFlight)
  }
  if (outside.size === 0) return
  for (const holder of outside.keys()) {
    for (const file of filesIn(holder)) {
      const count = outside.get(file as UnixSocket)
      if (count !== undefined) outside.set(file as UnixSocket, count - 1)
    }
  }
  const alive = [...outside].filter(([, count]) => count > 0).map(([socket]) => socket)
  for (let socket = alive.pop(); socket !== undefined; socket = alive.pop()) {
    if (!outside.delete(socket)) continue
    for (const file of filesIn(socket)) if (outside.has(file as UnixSocket)) alive.push(file as UnixSocket)
  }
  for (const socket of [...outside.keys()]) for (const one of queuesOf(socket)) one.dropQueue()
}

/** The socket, and connections that wait in it to be accepted. */
const queuesOf = (socket: UnixSocket): UnixSocket[] => [socket, ...socket.waitingConnections]

function* filesIn(socket: UnixSocket): Iterable<OpenFile> {
  for (const { inbox } of queuesOf(socket)) for (const { files } of inbox.messages) if (files !== null) yield* files
}
