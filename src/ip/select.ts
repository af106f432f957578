import { IPV4_ANY, IPV4_MAPPED, IPV6_ANY, type IpAddress } from '../wire/address.ts'
import { addressScope, type InterfaceAddress } from './address.ts'
import type { NetworkInterface } from './interface.ts'
import { Scope } from './route.ts'
import type { IpStack } from './stack.ts'

/**
 * The IPv4 source for packets that leave through `iface` towards `nextHop`: a primary address in the next hop's subnet,
 * else the interface's first that reaches far enough, else one of another interface. 0.0.0.0 when there is none.
 */
export const selectIpv4Source = (
  stack: IpStack,
  iface: NetworkInterface,
  nextHop: IpAddress | null,
  scope: number,
): IpAddress => {
  let found: IpAddress | null = null
  for (const entry of iface.addresses) {
    if (!entry.address.isIpv4 || entry.isSecondary || !entry.isUsable || entry.scope > scope) continue
    if (nextHop === null || entry.covers(nextHop)) return entry.address
    if (found === null) found = entry.address
  }
  if (found !== null) return found
  for (const other of stack.interfaces) {
    if (!other.isUp) continue
    for (const entry of other.addresses) {
      if (!entry.address.isIpv4 || entry.isSecondary || !entry.isUsable) continue
      if (entry.scope !== Scope.Link && entry.scope <= scope) return entry.address
    }
  }
  return IPV4_ANY
}

/**
 * The IPv6 source for packets to `destination` that leave through
 * `iface`, by RFC 6724 section 5; :: when there is none.
 *
 * Rules 4 (home addresses) and 5.5 (the next hop that advertised the prefix) have nothing to decide here.
 */
export const selectIpv6Source = (stack: IpStack, iface: NetworkInterface, destination: IpAddress): IpAddress => {
  const onlyHere = destination.isMulticast || destination.isLinkLocal
  let best: InterfaceAddress | null = null
  for (const other of stack.interfaces) {
    if (!other.isUp || (onlyHere && other !== iface)) continue
    for (const entry of other.addresses) {
      if (entry.address.isIpv4 || !entry.isUsable) continue
      // What is this host's alone is no source for packets that leave it.
      if (entry.scope === Scope.Host && !iface.isLoopback) continue
      if (best === null || isBetterSource(entry, best, destination, iface)) best = entry
    }
  }
  return best === null ? IPV6_ANY : best.address
}

/** Is `a` the better source than `b`? On a tie the one that was there first stays. */
const isBetterSource = (
  a: InterfaceAddress,
  b: InterfaceAddress,
  destination: IpAddress,
  iface: NetworkInterface,
): boolean => {
  // Rule 1: the destination itself.
  const same = rank(a.address.equals(destination), b.address.equals(destination))
  if (same !== 0) return same > 0
  // Rule 2: the smaller scope, unless it is smaller than the destination's.
  const scopeA = ipv6Scope(a.address)
  const scopeB = ipv6Scope(b.address)
  if (scopeA !== scopeB) {
    const wanted = ipv6Scope(destination)
    return scopeA < scopeB ? scopeA >= wanted : scopeB < wanted
  }
  // Rule 3: one that is not deprecated.
  const preferred = rank(!a.isDeprecated, !b.isDeprecated)
  if (preferred !== 0) return preferred > 0
  // Rule 5: one of the outgoing interface.
  const here = rank(a.interface === iface, b.interface === iface)
  if (here !== 0) return here > 0
  // Rule 6: one with the destination's label.
  const label = policyLabel(destination)
  const matching = rank(policyLabel(a.address) === label, policyLabel(b.address) === label)
  if (matching !== 0) return matching > 0
  // Rule 7: a temporary one.
  const temporary = rank(a.isSecondary, b.isSecondary)
  if (temporary !== 0) return temporary > 0
  // Rule 8: the one that shares the longest prefix.
  return sharedBits(a, destination) > sharedBits(b, destination)
}

const rank = (a: boolean, b: boolean): number => (a === b ? 0 : a ? 1 : -1)

/** The scope of an IPv6 address on the scale of multicast scopes (RFC 6724 section 3.1). */
export const ipv6Scope = (address: IpAddress): number => {
  if (address.isMulticast) return (address.w0 >>> 16) & 0xf
  const scope = addressScope(address)
  return scope === Scope.Host || scope === Scope.Link ? 2 : scope === Scope.Site ? 5 : 14
}

/** The label of an address in the default policy table (RFC 6724 section 2.1). */
export const policyLabel = (address: IpAddress): number => {
  const { w0, w1, w2, w3 } = address
  if (w0 === 0 && w1 === 0) {
    if (w2 === IPV4_MAPPED) return 4
    if (w2 === 0) return w3 === 1 ? 0 : 3
  }
  if (w0 >>> 16 === 0x2002) return 2
  if (w0 >>> 0 === 0x2001_0000) return 5
  if (w0 >>> 25 === 0x7e) return 13
  if (w0 >>> 22 === 0x3fb) return 11
  if (w0 >>> 16 === 0x3ffe) return 12
  return 1
}

/** Leading bits that a source shares with a destination, as far as the source's own prefix goes. */
const sharedBits = (entry: InterfaceAddress, destination: IpAddress): number => {
  const { address } = entry
  let bits = 96 + Math.clz32(address.w3 ^ destination.w3)
  if (address.w0 !== destination.w0) bits = Math.clz32(address.w0 ^ destination.w0)
  else if (address.w1 !== destination.w1) bits = 32 + Math.clz32(address.w1 ^ destination.w1)
  else if (address.w2 !== destination.w2) bits = 64 + Math.clz32(address.w2 ^ destination.w2)
  return Math.min(bits, entry.length)
}
