import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { chargenPattern, dateText, SMALL_SERVICES, timeBytes } from './small.ts'

/** The small services of the early Internet, on UDP: each datagram is answered by one, or by none. */

/** The answer to a datagram; null for none. */
export type DatagramHandler = (sys: Sys, request: Uint8Array) => Uint8Array | string | null

/** The most that chargen answers with, bytes (RFC 864). */
const CHARGEN_LIMIT = 512

const HANDLERS: Readonly<Record<string, DatagramHandler>> = {
  echo: (_sys, request) => request,
  discard: () => null,
  daytime: (sys) => `${dateText(sys.clock())}\r\n`,
  chargen: (sys) => chargenPattern().subarray(0, sys.process.host.random.below(CHARGEN_LIMIT + 1)),
  time: (sys) => timeBytes(sys.clock()),
}

/** The port of the list of active users (RFC 866). */
export const WHO_PORT = 11

/** Ports whose services answer everything: two of them would talk to each other for ever. */
const ANSWERING: ReadonlySet<number> = new Set([WHO_PORT, ...Object.values(SMALL_SERVICES).map(({ port }) => port)])

/** A server that answers datagrams, IPv4 and IPv6, on a port of every address of the host. */
export const datagramServer =
  (port: number, handler: DatagramHandler): Program =>
  async (sys) => {
    const fd = sys.socket(C.AF_INET6, C.SOCK_DGRAM)
    sys.setsockopt(fd, C.SOL_IPV6, C.IPV6_V6ONLY, 0)
    sys.bind(fd, { address: '::', port })
    const buffer = new Uint8Array(0x1_0000)
    for (;;) {
      const from: Sockaddr = {}
      const count = await sys.recvfrom(fd, buffer, buffer.length, 0, from)
      if (ANSWERING.has(from.port!)) continue
      const answer = handler(sys, buffer.subarray(0, count))
      if (answer !== null) await sys.sendto(fd, answer, undefined, 0, from)
    }
  }

/** A server for echo, discard, daytime, chargen or time. @throws TypeError when there is no such service */
export const smallDatagramServer = (name: string, port?: number): Program => {
  const handler = HANDLERS[name]
  if (handler === undefined) throw new TypeError(`there is no service ${name}: ${Object.keys(HANDLERS).join(', ')}`)
  return datagramServer(port ?? SMALL_SERVICES[name]!.port, handler)
}

/** Somebody who is logged in. */
export interface Login {
  readonly user: string
  readonly terminal: string
  /** Seconds since 1970. */
  readonly since: number
}

/** Tells who is logged in, a line for each (RFC 866). @param logins asked at every request */
export const whoServer = (logins: () => readonly Login[], port = WHO_PORT): Program =>
  datagramServer(port, () => logins().map(loginLine).join(''))

const loginLine = ({ user, terminal, since }: Login): string =>
  `${user.padEnd(8)} ${terminal.padEnd(8)} ${dateText(since)}\r\n`
