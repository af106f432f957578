import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { NetworkInterfaceInfo } from 'node:os'
import type { Host } from '../host/host.ts'
import type { InterfaceAddress } from '../ip/address.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { formatMac, IpAddress, ipv4, networkOf } from '../wire/address.ts'
import { programs } from './programs.ts'

/** `os.networkInterfaces` and `os.hostname`: those of the program's host. */
export const overlayOs = (): void => {
  const os = createRequire(import.meta.url)('node:os') as typeof import('node:os')
  const { networkInterfaces, hostname } = os
  const ownHost = (): Host | null => {
    const { current } = programs
    return current?.hasHost === true ? current.host : null
  }
  const hostnameNow = (): string => ownHost()?.name ?? hostname()
  os.hostname = Object.defineProperty(hostnameNow, Symbol.toPrimitive, { value: hostnameNow })
  os.networkInterfaces = () => {
    const host = ownHost()
    return host === null ? networkInterfaces() : interfacesOf(host)
  }
  syncBuiltinESMExports()
}

/** As libuv has it: interfaces that run and have an address. */
const interfacesOf = (host: Host): NodeJS.Dict<NetworkInterfaceInfo[]> => {
  const running = host.ip.interfaces.filter(({ isRunning, addresses }) => isRunning && addresses.length > 0)
  return Object.fromEntries(running.map((one) => [one.name, addressesOf(one)]))
}

const ALL_IPV4 = ipv4(-1)
const ALL_IPV6 = new IpAddress(-1, -1, -1, -1)

/** Those of IPv4 first. */
const inOrder = (addresses: readonly InterfaceAddress[]): readonly InterfaceAddress[] => [
  ...addresses.filter(({ address }) => address.isIpv4),
  ...addresses.filter(({ address }) => !address.isIpv4),
]

const addressesOf = ({ addresses, mac, isLoopback, index }: NetworkInterface): NetworkInterfaceInfo[] =>
  inOrder(addresses).map(({ address, length }) => {
    const common = {
      address: `${address}`,
      netmask: `${networkOf(address.isIpv4 ? ALL_IPV4 : ALL_IPV6, length)}`,
      mac: formatMac(isLoopback ? 0 : mac),
      internal: isLoopback,
      cidr: `${address}/${length}`,
    }
    if (address.isIpv4) return { ...common, family: 'IPv4' }
    return { ...common, family: 'IPv6', scopeid: address.isLinkLocal ? index : 0 }
  })
