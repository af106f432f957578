import { SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import type { Sockaddr } from '../socket/address.ts'
import {
  AF_INET6,
  IPV6_V6ONLY,
  SHUT_WR,
  SO_KEEPALIVE,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOL_IPV6,
  SOL_SOCKET,
  SOL_TCP,
  TCP_KEEPIDLE,
} from '../socket/constants.ts'

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

/** Connections that a server may have at once. */
export const FILE_LIMIT = 65_536
/** How long a server waits when it cannot take a connection for want of means, seconds. */
const RETRY_SECONDS = 0.1
/** A peer that is gone is found out by keepalive: probes begin after this many seconds of silence. */
const KEEPALIVE_SECONDS = 60

/**
 * A server that gives each connection a thread of its own.
 * @param handler what to do with a connection; an error that it throws ends that connection only
 * @param onError told of such errors
 */
export const threadedServer =
  (port: number, handler: ConnectionHandler, onError: (error: unknown, peer: Sockaddr) => void = () => {}): Program =>
  async (sys) => {
    // A send to a peer that has gone fails; it does not end the server.
    sys.signal(SIGPIPE, SIG_IGN)
    sys.setrlimit(FILE_LIMIT)
    const listener = listenOn(sys, port)
    for (;;) {
      const peer: Sockaddr = {}
      const fd = await acceptOne(sys, listener, peer)
      if (fd < 0) continue
      sys.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
      sys.setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS)
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

/** Takes the next connection. @returns its descriptor; -1 when it was lost, or there is no room for it now */
const acceptOne = async (sys: Sys, listener: number, peer: Sockaddr): Promise<number> => {
  try {
    return await sys.accept(listener, peer)
  } catch (error) {
    if (!(error instanceof SystemError) || !PASSING.has(error.code)) throw error
    if (error.code !== 'ECONNABORTED') await sys.sleep(RETRY_SECONDS)
    return -1
  }
}

/** Errors of accept(2) that pass. */
const PASSING: ReadonlySet<string> = new Set(['ECONNABORTED', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

/** How a log names a peer: an IPv4 client of an IPv6 socket by its IPv4 address. */
export const peerName = ({ address = '' }: Sockaddr): string => address.replace(/^::ffff:(?=[0-9.]+$)/, '')

/** What a peer may still send after it was told to stop, bytes; and how long it may stay silent, seconds. */
const LINGER_BYTES = 0x1000_0000
const LINGER_SECONDS = 2

/**
 * Ends the sending side and throws away what still comes, so that the peer can read the last answer: a close with
 * unread data would reset the connection, and the answer might be lost (RFC 9112 section 9.6).
 */
export const finishSending = async (sys: Sys, fd: number): Promise<void> => {
  sys.shutdown(fd, SHUT_WR)
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, { tv_sec: LINGER_SECONDS, tv_usec: 0 })
  const buffer = new Uint8Array(LINGER_BUFFER)
  for (let left = LINGER_BYTES; left > 0; ) {
    const count = await sys.recv(fd, buffer)
    if (count === 0) return
    left -= count
  }
}

const LINGER_BUFFER = 0x4000

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
