import { Errno } from '../core/errno.ts'
import { IPV4_ANY, IPV4_LOOPBACK, IPV6_ANY, IPV6_LOOPBACK, type IpAddress, parseIpAddress } from '../wire/address.ts'
import { AF_INET, AF_INET6, AF_UNSPEC } from './constants.ts'

/** `struct sockaddr_in` and `sockaddr_in6`, as programs write them. */
export interface Sockaddr {
  /** AF_INET, AF_INET6 or AF_UNSPEC; taken from the address when it is missing. */
  family?: number
  /** Its text; a zone (`fe80::1%eth0`) stands for the scope. */
  address?: string
  port?: number
  /** sin6_flowinfo and sin6_scope_id (an interface's index). */
  flowinfo?: number
  scopeId?: number
}

/** An endpoint, as the stack keeps it. */
export interface Endpoint {
  readonly address: IpAddress
  readonly port: number
  /** Interface index of a link-local address; 0 for none. */
  readonly scope: number
}

/** An IPv4 address as IPv6 sockets see it is the same value: four words, mapped. */
const isMappedText = (text: string): boolean => text.includes(':')

/** Reads an interface's index from a zone's text. */
export type ZoneIndex = (zone: string) => number

/**
 * Checks an address that a program gave against its socket's family.
 * @returns the endpoint, or a negative `Errno`: -EINVAL, -EAFNOSUPPORT
 */
export const parseSockaddr = (given: Sockaddr, family: 4 | 6, zoneIndex: ZoneIndex): Endpoint | number => {
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
  const writtenAs = isMappedText(text) ? AF_INET6 : AF_INET
  const said = given.family ?? writtenAs
  if (said !== AF_INET && said !== AF_INET6) return -Errno.EAFNOSUPPORT
  if (said !== writtenAs) return -Errno.EINVAL
  if (family === 4 && said !== AF_INET) return -Errno.EAFNOSUPPORT
  // An IPv6 socket wants a sockaddr_in6; a shorter one is refused before its family is looked at.
  if (family === 6 && said !== AF_INET6) return -Errno.EINVAL
  return { address, port, scope }
}

/** Does a program ask to undo a connection: AF_UNSPEC? */
export const isUnspec = (given: Sockaddr): boolean => given.family === AF_UNSPEC

/** An endpoint as a program reads it, in the terms of its socket's family. */
export const formatSockaddr = (address: IpAddress, port: number, family: 4 | 6, scope = 0): Required<Sockaddr> => {
  if (family === 4) return { family: AF_INET, address: address.toString(), port, flowinfo: 0, scopeId: 0 }
  const text = address.isIpv4 ? `::ffff:${address.toString()}` : address.toString()
  return { family: AF_INET6, address: text, port, flowinfo: 0, scopeId: address.isLinkLocal ? scope : 0 }
}

/** The wildcard of a family. */
export const anyAddress = (family: 4 | 6): IpAddress => (family === 4 ? IPV4_ANY : IPV6_ANY)

/** The loopback address that connecting to the wildcard leads to. */
export const loopbackFor = (address: IpAddress): IpAddress => {
  if (!address.isUnspecified) return address
  return address.isIpv4 ? IPV4_LOOPBACK : IPV6_LOOPBACK
}
