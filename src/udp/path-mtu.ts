import type { Destination } from '../ip/destination.ts'
import { SendFlag } from '../ip/output.ts'
import { PathMtuDiscovery, type UdpOptions } from './options.ts'

/** What a datagram's size means for how it is sent: IP_MTU_DISCOVER, IPV6_DONTFRAG and IPV6_MTU. */

/** What of a socket's options it depends on. */
type SizeOptions = Pick<UdpOptions, 'pathMtuDiscovery' | 'fragmentSize' | 'multicastLoop'>

/** `SendFlag` bits of a packet of so many bytes. @param way as `narrowed` gives it */
export const sendFlags = (options: SizeOptions, way: Destination, packet: number, dontFragment: boolean): number => {
  let flags = way.kind === 'multicast' && !options.multicastLoop ? SendFlag.NoLoop : 0
  if (dontFragment) flags |= SendFlag.DontFragment
  switch (options.pathMtuDiscovery) {
    case PathMtuDiscovery.Want:
      if (packet <= way.mtu) flags |= SendFlag.DontFragment
      break
    case PathMtuDiscovery.Do:
      flags |= SendFlag.DontFragment | SendFlag.EvenLocked
      break
    case PathMtuDiscovery.Probe:
      flags |= SendFlag.DontFragment | SendFlag.EvenLocked | SendFlag.InterfaceMtu
      break
    case PathMtuDiscovery.Interface:
    case PathMtuDiscovery.Omit:
      flags |= SendFlag.InterfaceMtu
      break
    default:
  }
  const isNarrowed = options.fragmentSize !== 0 && way.mtu === options.fragmentSize
  return isNarrowed ? flags & ~SendFlag.InterfaceMtu : flags
}

/**
 * The way as IPV6_MTU narrows it: for packets that must not be cut, and for the pieces of those that are. What fits the
 * path and may be cut goes whole, as on Linux.
 */
export const narrowed = (
  options: SizeOptions,
  way: Destination,
  packet: number,
  dontFragment: boolean,
): Destination => {
  const { fragmentSize, pathMtuDiscovery } = options
  const mustFit =
    dontFragment || pathMtuDiscovery === PathMtuDiscovery.Do || pathMtuDiscovery === PathMtuDiscovery.Probe
  if (fragmentSize >= way.mtu || (!mustFit && packet <= way.mtu)) return way
  return way.narrowedTo(fragmentSize)
}
