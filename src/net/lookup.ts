import type { Host } from '../host/host.ts'
import { hostAddresses } from '../sim/network-file.ts'
import { parseIpAddress } from '../wire/address.ts'
import { serviceName } from '../wire/service-names.ts'

/** Names and their addresses: what a hosts file is. Names are in small letters. */
export interface NameTable {
  /** In the order in which they are to be tried. */
  addressesOf(name: string): readonly string[] | undefined
  nameOf(address: string): string | undefined
}

/** Nothing is known. */
export const noNames: NameTable = { addressesOf: () => undefined, nameOf: () => undefined }

/** What `lookup` may be asked to do. */
export interface LookupOrder {
  /** 4, 6, or 0 for both. */
  readonly family: 0 | 4 | 6
  readonly order: 'verbatim' | 'ipv4first' | 'ipv6first'
}

/**
 * The addresses of a name as getaddrinfo(3) gives them with a hosts file alone: those of the host's own name, of
 * `localhost` and of the table.
 * @returns none when the name is not known, or has no address of the family
 */
export const lookup = (host: Host, names: NameTable, name: string, { family, order }: LookupOrder): string[] => {
  const found = known(host, names, name.toLowerCase().replace(/\.$/, '')).filter(
    (address) => family === 0 || (family === 6) === address.includes(':'),
  )
  if (order === 'verbatim') return found
  const isFirst = (address: string): boolean => address.includes(':') === (order === 'ipv6first')
  return [...found.filter(isFirst), ...found.filter((address) => !isFirst(address))]
}

const known = (host: Host, names: NameTable, name: string): readonly string[] => {
  if (parseIpAddress(name) !== undefined) return [name]
  if (name === 'localhost' || name.endsWith('.localhost')) return loopbackAddresses(host)
  const found = names.addressesOf(name)
  if (found !== undefined) return found
  return name === host.name.toLowerCase() ? hostAddresses(host) : []
}

/** ::1 comes first, as by RFC 6724 section 6. */
const loopbackAddresses = (host: Host): string[] =>
  host.ip.loopback.addresses.map(({ address }) => address.toString()).sort((a, b) => rank(a) - rank(b))

const rank = (address: string): number => (address.includes(':') ? 0 : 1)

/**
 * The name of an address and of a port, as getnameinfo(3) gives them: where there is none, the address and the number.
 */
export const reverseLookup = (
  host: Host,
  names: NameTable,
  address: string,
  port: number,
): { name: string; service: string } => {
  const parsed = parseIpAddress(address)
  const isLoopback = parsed?.isLoopback === true
  const own = hostAddresses(host).includes(address)
  const name = isLoopback ? 'localhost' : own ? host.name : (names.nameOf(address) ?? address)
  return { name, service: serviceName(port, 'tcp') ?? String(port) }
}
