import { errnoCode, SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import type { Gate } from './gate.ts'
import type { Lab } from './lab.ts'

/** Programs that many scenarios use. */

/** Opens a stream socket and connects it. @returns its descriptor */
export const connectTo = async (sys: Sys, address: string, port: number): Promise<number> => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  await sys.connect(fd, { address, port })
  return fd
}

/** Opens a listening socket with SO_REUSEADDR. @returns its descriptor */
export const listenAt = (sys: Sys, port: number, backlog = 5, address = '0.0.0.0'): number => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
  sys.bind(fd, { address, port })
  sys.listen(fd, backlog)
  return fd
}

/** A server that listens, accepts one connection and hands it over. */
export const acceptOne = (
  lab: Lab,
  host: Host,
  port: number,
  serve: (sys: Sys, fd: number) => Promise<void>,
): Process =>
  lab.spawn(host, 'server', async (sys) => {
    const listener = listenAt(sys, port)
    const peer: Sockaddr = {}
    const fd = await sys.accept(listener, peer)
    sys.print(`accept() returned ${fd}: ${peer.address}:${peer.port}`)
    await serve(sys, fd)
  })

/** Reads until the peer has finished, and tells how much came. @returns bytes read */
export const readToEnd = async (sys: Sys, fd: number): Promise<number> => {
  const buffer = new Uint8Array(65_536)
  let total = 0
  for (;;) {
    const count = await sys.recv(fd, buffer)
    if (count === 0) return total
    total += count
  }
}

/** Waits for a gate, then closes. */
export const closeAt = async (sys: Sys, fd: number, gate: Gate): Promise<void> => {
  await gate.wait(sys)
  sys.print(`close(${fd})`)
  await sys.close(fd)
}

/** What a call gives, or the code of the error that it fails with. */
export const outcome = async <T>(call: () => Promise<T> | T): Promise<T | string> => {
  try {
    return await call()
  } catch (error) {
    return codeOf(error)
  }
}

/** Makes a call and prints what it gave: `send(100) returned 100`, `recv(): ETIMEDOUT`. @returns that, or the code */
export const told = async <T>(sys: Sys, what: string, call: () => Promise<T> | T): Promise<T | string> => {
  const result = await outcome(call)
  sys.print(typeof result === 'string' ? `${what}: ${result}` : `${what} returned ${result}`)
  return result
}

/** Reads as long as something comes, and prints what. @returns what the last call gave: 0, or the code of an error */
export const readAll = async (sys: Sys, fd: number): Promise<number | string> => {
  const buffer = new Uint8Array(65_536)
  for (;;) {
    const count = await told(sys, 'recv()', () => sys.recv(fd, buffer))
    if (typeof count === 'string' || count === 0) return count
  }
}

/** SO_ERROR, by its name; '' for none. */
export const socketError = (sys: Sys, fd: number): string =>
  errnoCode(sys.getsockopt(fd, SOL_SOCKET, C.SO_ERROR) as number) ?? ''

/** Bits of poll(2), by their names: `POLLIN|POLLHUP`. */
export const pollNames = (events: number): string =>
  POLL_NAMES.filter((name) => (events & C[name]) !== 0).join('|') || '0'

const POLL_NAMES = ['POLLIN', 'POLLPRI', 'POLLOUT', 'POLLERR', 'POLLHUP', 'POLLNVAL', 'POLLRDHUP'] as const

/** The code of an error that a program caught: `'ECONNREFUSED'`. */
export const codeOf = (error: unknown): string => (error instanceof SystemError ? error.code : String(error))
