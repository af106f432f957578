import { Errno } from '../core/errno.ts'
import { IPV4_ANY, IPV6_ANY, type IpAddress, parseIpAddress } from '../wire/address.ts'
import { AF_INET, AF_INET6, AF_UNSPEC } from './constants.ts'

/** `struct sockaddr_in`, `sockaddr_in6` and `sockaddr_un`, as programs write them. */
export interface Sockaddr {
  /** AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC; taken from the address or the path when it is missing. */
  family?: number
  /** Its text; a zone (`fe80::1%eth0`) stands for the scope. */
  address?: string
  port?: number
  /** sin6_flowinfo and sin6_scope_id (an interface's index). */
  flowinfo?: number
  scopeId?: number
  /** sun_path, of AF_UNIX alone: a path; a name in the abstract space, which begins with NUL; nothing for no name. */
  path?: string
}

/** An address that a call has filled in. */
export type KnownSockaddr = Required<Omit<Sockaddr, 'path'>> & Pick<Sockaddr, 'path'>

/** An endpoint, as the stack keeps it. */
export interface Endpoint {
  readonly address: IpAddress
  readonly port: number
  /** Interface index of a link-local address; 0 for none. */
  readonly scope: number
  /** AF_INET or AF_INET6: which structure it came in, whatever family that named. */
  readonly written: number
  /** The family that it named. */
  readonly said: number
}

/** Reads an interface's index from a zone's text; 0 when there is none such. */
export type ZoneIndex = (zone: string) => number

/**
 * Reads an address that a program gave. Whether its family suits is another question: see `checkFamily`.
 * @returns the endpoint, or a negative `Errno`: -EINVAL for what is no address, -ENODEV for a zone that is none
 */
export const readSockaddr = (given: Sockaddr, family: 4 | 6, zoneIndex: ZoneIndex): Endpoint | number => {
  const port = given.port ?? 0
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return -Errno.EINVAL
  let text = given.address ?? (family === 4 ? '0.0.0.0' : '::')
  let scope = given.scopeId ?? 0
  const percent = text.indexOf('%')
  if (percent >= 0) {
    scope = zoneIndex(text.slice(percent + 1))
    text = text.slice(0, percent)
    if (scope === 0) return -Errno.ENODEV
  }
  const address = parseIpAddress(text)
  if (address === undefined) return -Errno.EINVAL
  const written = text.includes(':') ? AF_INET6 : AF_INET
  const said = given.family ?? written
  if (said !== written && (said === AF_INET || said === AF_INET6)) return -Errno.EINVAL
  return { address, port, scope, written, said }
}

/**
 * Is an address of the family that a socket has?
 * @returns 0, -EAFNOSUPPORT, or -EINVAL for a structure that is too short
 */
export const checkFamily = ({ written, said }: Endpoint, family: 4 | 6): number => {
  if (family === 6 && written === AF_INET) return -Errno.EINVAL
  return said === (family === 4 ? AF_INET : AF_INET6) ? 0 : -Errno.EAFNOSUPPORT
}

/** Does a program ask to undo a connection: AF_UNSPEC? */
export const isUnspec = (given: Sockaddr): boolean => given.family === AF_UNSPEC

/** An endpoint as a program reads it, in the terms of its socket's family. */
export const formatSockaddr = (address: IpAddress, port: number, family: 4 | 6, scope = 0): KnownSockaddr => {
  if (family === 4) return { family: AF_INET, address: address.toString(), port, flowinfo: 0, scopeId: 0 }
  return { family: AF_INET6, address: formatAs6(address), port, flowinfo: 0, scopeId: hasScope(address) ? scope : 0 }
}

/** An address as IPv6 sockets tell it: IPv4 in its mapped form. */
export const formatAs6 = (address: IpAddress): string =>
  address.isIpv4 ? `::ffff:${address.toString()}` : address.toString()

/** Does an IPv6 address mean nothing without its link: link-local ones, and groups of a link's scope or less? */
export const hasScope = (address: IpAddress): boolean => {
  if (address.isIpv4) return false
  return address.isMulticast ? ((address.w0 >>> 16) & 0xf) <= 2 : address.isLinkLocal
}

/** The wildcard of a family. */
export const anyAddress = (family: 4 | 6): IpAddress => (family === 4 ? IPV4_ANY : IPV6_ANY)
