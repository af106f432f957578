import { Errno } from '../core/errno.ts'
import { type IpAddress, type IpPrefix, networkOf } from '../wire/address.ts'
import { AddressFlag, type AddressOptions, InterfaceAddress } from './address.ts'
import { startDetection, stopDetection } from './duplicate.ts'
import type { NetworkInterface } from './interface.ts'
import { KERNEL_METRIC6, type Route, Scope } from './route.ts'

/** How addresses come to an interface and go, and the routes that come and go with them. */

/**
 * Adds an address to an interface. It is usable at once, or when duplicate detection is done.
 * @returns the address; or -EEXIST when the interface has it, -EINVAL when no interface can have it, -EACCES for IPv6
 * where IPv6 is off
 */
export const addAddress = (
  iface: NetworkInterface,
  prefix: IpPrefix,
  options: AddressOptions,
): InterfaceAddress | number => {
  const { address, length } = prefix
  if (address.isUnspecified || address.isMulticast || address.isLimitedBroadcast) return -Errno.EINVAL
  if (length < 0 || length > (address.isIpv4 ? 32 : 128)) return -Errno.EINVAL
  if (!address.isIpv4 && iface.settings.disable_ipv6 !== 0) return -Errno.EACCES
  if (options.preferredLifetime !== undefined && options.preferredLifetime > (options.validLifetime ?? Infinity)) {
    return -Errno.EINVAL
  }
  if (iface.findAddress(address) !== null) return -Errno.EEXIST
  const entry = new InterfaceAddress(iface, prefix, options, iface.stack.world.loop.now)
  if (address.isIpv4 && iface.addresses.some((other) => isSameSubnet(other, entry) && !other.isSecondary)) {
    entry.flags |= AddressFlag.Secondary
  }
  iface.addresses.push(entry)
  if (!address.isIpv4) {
    iface.ndp.joinSolicitedNode(entry)
    // As on Linux the subnet is on the link while the address is still being checked.
    if (iface.isUp) installSubnet(entry)
  }
  if (startDetection(entry)) iface.stack.changed()
  else activateAddress(entry)
  entry.watchLifetimes()
  return entry
}

/** Takes an address from an interface. @returns 0, or -EADDRNOTAVAIL when the interface does not have it */
export const removeAddress = (iface: NetworkInterface, address: IpAddress): number => {
  const entry = iface.findAddress(address)
  if (entry === null) return -Errno.EADDRNOTAVAIL
  discard(entry)
  if (!address.isIpv4) return 0
  if (!entry.isSecondary) {
    const heirs = iface.addresses.filter((other) => other.isSecondary && isSameSubnet(other, entry))
    if (iface.settings.promote_secondaries !== 0 && heirs.length > 0) {
      heirs[0]!.flags &= ~AddressFlag.Secondary
      if (heirs[0]!.isUsable) installSubnet(heirs[0]!)
    } else for (const heir of heirs) discard(heir)
  }
  if (!iface.addresses.some((other) => other.address.isIpv4)) {
    iface.stack.routes.removeAll((route) => route.interface === iface && route.destination.isIpv4)
  }
  return 0
}

/** Makes an address usable: packets for it are ours, and an IPv4 subnet is on the link. */
export const activateAddress = (entry: InterfaceAddress): void => {
  const { address, interface: iface } = entry
  iface.stack.routes.install({
    prefix: { address, length: address.isIpv4 ? 32 : 128 },
    type: 'local',
    interface: iface,
    source: address.isIpv4 ? address : null,
    protocol: 'kernel',
  })
  if (!address.isIpv4) iface.ndp.addressReady(entry)
  else if (iface.isUp) installSubnet(entry)
  iface.stack.onAddressChange?.(entry, 'ready')
}

/** The routes of an address's subnet, which are there while the interface is up. */
export const installSubnet = (entry: InterfaceAddress): void => {
  const { address, length, interface: iface } = entry
  const { routes } = iface.stack
  const network = { address: networkOf(address, length), length }
  if (!address.isIpv4) {
    if (length === 128 || iface.isLoopback || (entry.flags & AddressFlag.NoPrefixRoute) !== 0) return
    if (hasSubnetRoute(entry)) return
    routes.install({ prefix: network, interface: iface, protocol: 'kernel', metric: KERNEL_METRIC6 })
    return
  }
  installBroadcast(entry)
  if (length === 32 || entry.isSecondary || (entry.flags & AddressFlag.NoPrefixRoute) !== 0) return
  if (iface.isLoopback) {
    routes.install({ prefix: network, type: 'local', interface: iface, source: address, protocol: 'kernel' })
  } else routes.install({ prefix: network, interface: iface, source: address, protocol: 'kernel', scope: Scope.Link })
}

/** The route of the subnet's broadcast address, unless another address of the interface has brought it. */
const installBroadcast = (entry: InterfaceAddress): void => {
  const { address, subnetBroadcast: broadcast, interface: iface } = entry
  const { routes } = iface.stack
  if (broadcast === null || routes.all().some((route) => isBroadcastOf(route, entry))) return
  routes.install({
    prefix: { address: broadcast, length: 32 },
    type: 'broadcast',
    interface: iface,
    source: address,
    protocol: 'kernel',
    scope: Scope.Link,
  })
}

/** Takes away the routes of an address. */
export const deactivateAddress = (entry: InterfaceAddress): void => {
  const { address, interface: iface } = entry
  const others = iface.addresses.filter((other) => other !== entry && (other.isUsable || !address.isIpv4))
  const stillLocal = iface.stack.interfaces.some((other) => other !== iface && other.findAddress(address) !== null)
  const keepSubnet = !address.isIpv4 && others.some((other) => isSameSubnet(other, entry))
  iface.stack.routes.removeAll((route) => {
    if (route.table === 'local') {
      if (route.interface !== iface || route.protocol !== 'kernel') return false
      if (route.type === 'local' && route.destination.equals(address)) return true
      return route.source?.equals(address) === true
    }
    if (!keepSubnet && isSubnetRoute(route, entry)) return true
    return !stillLocal && route.source?.equals(address) === true
  })
  if (iface.isUp) for (const other of others) installBroadcast(other)
}

const discard = (entry: InterfaceAddress): void => {
  const { interface: iface } = entry
  stopDetection(entry)
  entry.close()
  iface.addresses.splice(iface.addresses.indexOf(entry), 1)
  if (entry.isUsable || !entry.address.isIpv4) deactivateAddress(entry)
  if (!entry.address.isIpv4) iface.ndp.leaveSolicitedNode(entry)
  iface.stack.changed()
  iface.stack.onAddressChange?.(entry, 'gone')
}

const isSameSubnet = (a: InterfaceAddress, b: InterfaceAddress): boolean => a.length === b.length && a.covers(b.address)

const isBroadcastOf = (route: Route, entry: InterfaceAddress): boolean =>
  route.type === 'broadcast' &&
  route.interface === entry.interface &&
  entry.subnetBroadcast !== null &&
  route.destination.equals(entry.subnetBroadcast)

/** Is it the route of the address's subnet, made for it? */
const isSubnetRoute = (route: Route, entry: InterfaceAddress): boolean =>
  route.interface === entry.interface &&
  route.protocol === 'kernel' &&
  route.gateway === null &&
  route.length === entry.length &&
  route.destination.equals(networkOf(entry.address, entry.length)) &&
  (route.source === null || route.source.equals(entry.address))

const hasSubnetRoute = (entry: InterfaceAddress): boolean =>
  entry.interface.stack.routes.all().some((route) => route.table === 'main' && isSubnetRoute(route, entry))
