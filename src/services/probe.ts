import { SECOND } from '../core/clock.ts'
import { SystemError } from '../core/errno.ts'
import type { Msghdr, Sys } from '../host/calls.ts'
import * as C from '../socket/constants.ts'
import type { ExtendedError } from '../socket/control.ts'
import { ICMP_HEADER } from '../wire/icmp.ts'

/** ping and traceroute, as programs: over ping sockets and the error queue of UDP sockets. */

/** The answer to one echo request; null for none in time. */
export interface PingReply {
  readonly from: string
  /** Milliseconds. */
  readonly time: number
  /** The TTL or hop limit that the answer arrived with. */
  readonly hopLimit: number
}

/** What is sent. */
export interface PingOptions {
  /** How many are sent, one a second; 4 unless given. */
  readonly count?: number
  /** Bytes of data; 56 unless given. */
  readonly size?: number
  /** TTL or hop limit of the requests. */
  readonly hopLimit?: number
}

const ECHO_REQUEST = { 4: 8, 6: 128 } as const

/**
 * Sends echo requests, one a second.
 * @returns the answer to each, or the code of the error that came for it, or null
 */
export const ping = async (
  sys: Sys,
  address: string,
  options: PingOptions = {},
): Promise<(PingReply | string | null)[]> => {
  const version = address.includes(':') ? 6 : 4
  const [domain, protocol] = version === 6 ? [C.AF_INET6, C.IPPROTO_ICMPV6] : [C.AF_INET, C.IPPROTO_ICMP]
  const fd = sys.socket(domain, C.SOCK_DGRAM, protocol)
  const level = version === 6 ? C.SOL_IPV6 : C.SOL_IP
  sys.setsockopt(fd, level, version === 6 ? C.IPV6_RECVERR : C.IP_RECVERR, 1)
  sys.setsockopt(fd, level, version === 6 ? C.IPV6_RECVHOPLIMIT : C.IP_RECVTTL, 1)
  if (options.hopLimit !== undefined) {
    sys.setsockopt(fd, level, version === 6 ? C.IPV6_UNICAST_HOPS : C.IP_TTL, options.hopLimit)
  }
  const replies: (PingReply | string | null)[] = []
  try {
    for (let sequence = 1; sequence <= (options.count ?? 4); sequence++) {
      const request = new Uint8Array(ICMP_HEADER + (options.size ?? 56))
      request[0] = ECHO_REQUEST[version]
      new DataView(request.buffer).setUint16(6, sequence)
      const start = sys.now
      replies.push(await exchange(sys, fd, address, request, start))
      const left = start + SECOND - sys.now
      if (left > 0 && sequence < (options.count ?? 4)) await sys.usleep(left)
    }
  } finally {
    if (sys.process.isAlive) await sys.close(fd)
  }
  return replies
}

const exchange = async (
  sys: Sys,
  fd: number,
  address: string,
  request: Uint8Array,
  start: number,
): Promise<PingReply | string | null> => {
  try {
    await sys.sendto(fd, request, request.length, 0, { address, port: 0 })
  } catch (error) {
    if (error instanceof SystemError) return error.code
    throw error
  }
  for (;;) {
    const left = Math.ceil((start + SECOND - sys.now) / 1000)
    const entry = { fd, events: C.POLLIN, revents: 0 }
    if (left <= 0 || (await sys.poll([entry], left)) === 0) return null
    if ((entry.revents & C.POLLERR) !== 0) return (await queuedError(sys, fd)).code
    const message: Msghdr = { msg_name: {}, msg_iov: [new Uint8Array(request.length)], msg_controllen: 64 }
    await sys.recvmsg(fd, message)
    const reply = message.msg_iov[0] as Uint8Array
    // The answer to an earlier one is too late.
    if (reply[6] !== request[6] || reply[7] !== request[7]) continue
    const limit = message.msg_control?.[0]?.data
    return {
      from: message.msg_name!.address!,
      time: (sys.now - start) / 1000,
      hopLimit: typeof limit === 'number' ? limit : 0,
    }
  }
}

/** The oldest error of a socket with IP_RECVERR: its code as ICMP names it, and who has sent it. */
const queuedError = async (sys: Sys, fd: number): Promise<{ code: string; from: string; error: ExtendedError }> => {
  const message: Msghdr = { msg_iov: [new Uint8Array(512)], msg_controllen: 256 }
  await sys.recvmsg(fd, message, C.MSG_ERRQUEUE)
  const found = message.msg_control?.find(({ data }) => typeof data === 'object' && 'ee_errno' in data)
  const error = found!.data as ExtendedError
  const from = error.offender.address ?? ''
  return { code: `type ${error.ee_type} code ${error.ee_code} from ${from}`, from, error }
}

/** A router on the way; null where none has answered. */
export interface Hop {
  readonly address: string
  /** Milliseconds. */
  readonly time: number
}

const FIRST_PORT = 33_434
/** ICMP: port unreachable, which the destination answers with. */
const UNREACHABLE = { 4: 3, 6: 1 } as const

/** Finds the routers on the way to an address: datagrams with a TTL of 1, 2 … draw an ICMP error from each. */
export const traceroute = async (sys: Sys, address: string, most = 30): Promise<(Hop | null)[]> => {
  const version = address.includes(':') ? 6 : 4
  const level = version === 6 ? C.SOL_IPV6 : C.SOL_IP
  const hops: (Hop | null)[] = []
  for (let limit = 1; limit <= most; limit++) {
    const fd = sys.socket(version === 6 ? C.AF_INET6 : C.AF_INET, C.SOCK_DGRAM)
    sys.setsockopt(fd, level, version === 6 ? C.IPV6_RECVERR : C.IP_RECVERR, 1)
    sys.setsockopt(fd, level, version === 6 ? C.IPV6_UNICAST_HOPS : C.IP_TTL, limit)
    const start = sys.now
    await sys.sendto(fd, new Uint8Array(32), 32, 0, { address, port: FIRST_PORT + limit - 1 })
    const heard = await sys.poll([{ fd, events: 0, revents: 0 }], 1000)
    const answer = heard === 0 ? null : await queuedError(sys, fd)
    await sys.close(fd)
    hops.push(answer === null ? null : { address: answer.from, time: (sys.now - start) / 1000 })
    if (answer !== null && answer.error.ee_type === UNREACHABLE[version]) break
  }
  return hops
}
