import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import type { Sockaddr } from '../socket/address.ts'
import { AF_INET6, IPV6_V6ONLY, SO_REUSEADDR, SOCK_STREAM, SOL_IPV6, SOL_SOCKET } from '../socket/constants.ts'

/** What serves one connection: it returns when it is done, and the connection is closed then. */
export type ConnectionHandler = (sys: Sys, fd: number, peer: Sockaddr) => Promise<void>

/** Opens a listening stream socket on a port of every address of the host, IPv4 and IPv6. @returns its descriptor */
export const listenOn = (sys: Sys, port: number, backlog = 128): number => {
  const listener = sys.socket(AF_INET6, SOCK_STREAM)
  sys.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, 1)
  sys.setsockopt(listener, SOL_IPV6, IPV6_V6ONLY, 0)
  sys.bind(listener, { address: '::', port })
  sys.listen(listener, backlog)
  return listener
}

/**
 * A server that gives each connection a thread of its own.
 * @param handler what to do with a connection; an error that it throws ends that connection only
 * @param onError told of such errors
 */
export const threadedServer =
  (port: number, handler: ConnectionHandler, onError: (error: unknown, peer: Sockaddr) => void = () => {}): Program =>
  async (sys) => {
    const listener = listenOn(sys, port)
    for (;;) {
      const peer: Sockaddr = {}
      const fd = await sys.accept(listener, peer)
      void sys.thread(async () => {
        try {
          await handler(sys, fd, peer)
        } catch (error) {
          onError(error, peer)
        }
        if (sys.process.isAlive) await sys.close(fd)
      })
    }
  }

/** Reads from `fd` into `buffer` and hands over what came, until the peer has finished. */
export const readAll = async (
  sys: Sys,
  fd: number,
  buffer: Uint8Array,
  take: (bytes: Uint8Array) => Promise<void> | void,
): Promise<void> => {
  for (;;) {
    const count = await sys.recv(fd, buffer)
    if (count === 0) return
    await take(buffer.subarray(0, count))
  }
}
