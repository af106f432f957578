import type { Host } from '../host/host.ts'
import { parseIpPrefix } from '../wire/address.ts'
import { Network, type NetworkLinkOptions, type NetworkOptions } from './network.ts'

/** A network as a JSON file describes it. */
export interface NetworkFile {
  /** 1 unless given. */
  readonly seed?: number
  readonly hosts: Readonly<Record<string, NetworkFileHost>>
  readonly links?: readonly NetworkFileLink[]
  /** Further names, with an address or several. */
  readonly names?: Readonly<Record<string, string | readonly string[]>>
}

export interface NetworkFileHost {
  /** Settings, as `sysctl -w` takes them. */
  readonly sysctl?: Readonly<Record<string, string | number>>
  /** Does it forward packets? */
  readonly router?: boolean
  /** A program to run on it, and its arguments: for who runs such a file. */
  readonly run?: string | readonly string[]
}

/** A cable between two hosts, and what is wrong with it: times in milliseconds, rates in bits a second. */
export interface NetworkFileLink extends NetworkLinkOptions {
  readonly between: readonly [string, string]
}

/** A network that was built from a file. */
export interface BuiltNetwork {
  readonly network: Network
  /** The addresses of a name: of a host by its own, or one of `names`. */
  addressesOf(name: string): readonly string[] | undefined
  nameOf(address: string): string | undefined
}

const fail = (what: string): never => {
  throw new TypeError(what)
}

/**
 * Builds the network of a file. Hosts reach each other over routers by the fewest links.
 * @param options come before what the file says
 * @throws TypeError, in one line, for what is wrong in it
 */
export const buildNetwork = (file: NetworkFile, options: NetworkOptions = {}): BuiltNetwork => {
  check(file)
  const network = new Network({ ...(file.seed === undefined ? {} : { seed: file.seed }), ...options })
  for (const [name, { sysctl, router }] of Object.entries(file.hosts)) {
    network.host(name, { sysctl: { ...(router === true ? FORWARDING : {}), ...sysctl } })
  }
  for (const { between, ...options } of file.links ?? []) {
    network.link(network.host(between[0]), network.host(between[1]), options)
  }
  for (const host of network.hosts.values()) addRoutes(network, host)
  const names = new Map(Object.entries(file.names ?? {}).map(([name, value]) => [name.toLowerCase(), [value].flat()]))
  for (const host of network.hosts.values()) names.set(host.name.toLowerCase(), hostAddresses(host))
  const byAddress = new Map([...names].flatMap(([name, found]) => found.map((address) => [address, name] as const)))
  return { network, addressesOf: (name) => names.get(name), nameOf: (address) => byAddress.get(address) }
}

const FORWARDING = { 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 }

/** Every part that it may have is named, so that what is misspelt is found. */
const check = (file: NetworkFile): void => {
  if (typeof file !== 'object' || file === null) fail('a network is a JSON object with "hosts" and "links"')
  only(file, ['seed', 'hosts', 'links', 'names'], 'a network')
  if (typeof file.hosts !== 'object' || file.hosts === null) fail('"hosts" is missing: {"hosts": {"a": {}, "b": {}}}')
  for (const [name, host] of Object.entries(file.hosts)) only(host, ['sysctl', 'router', 'run'], `the host ${name}`)
  for (const link of file.links ?? []) {
    const { between } = link
    if (!Array.isArray(between) || between.length !== 2) fail('a link has two ends: {"between": ["a", "b"]}')
    for (const end of between) if (file.hosts[end] === undefined) fail(`a link ends at ${end}, which is no host`)
    only(link, LINK_PARTS, `the link between ${between[0]} and ${between[1]}`)
  }
}

const LINK_PARTS = [
  ...['between', 'addresses', 'mtu', 'medium', 'maxSegmentedPacket', 'checksumOffload', 'fcs'],
  ...['delay', 'jitter', 'jitterShape', 'rate', 'overhead', 'queue', 'queueBytes', 'loss', 'burst'],
  ...['duplicate', 'reorder', 'reorderDelay', 'corrupt', 'corruptBits'],
]

const only = (value: object, known: readonly string[], where: string): void => {
  const odd = Object.keys(value).find((key) => !known.includes(key))
  if (odd !== undefined) fail(`${where} has no "${odd}": it may have ${known.join(', ')}`)
}

/** The addresses that others reach a host at. */
export const hostAddresses = (host: Host): string[] =>
  host.ip.interfaces
    .filter((iface) => !iface.isLoopback)
    .flatMap((iface) => iface.addresses)
    .filter(({ address }) => !address.isLinkLocal)
    .map(({ address }) => address.toString())

/** Adds routes to all subnets that are not a host's own, by the first of the ways with the fewest links. */
const addRoutes = (network: Network, host: Host): void => {
  const reached = new Map<Host, { via: string[]; name: string }>()
  let edge: Host[] = [host]
  while (edge.length > 0) {
    const next: Host[] = []
    for (const at of edge) {
      if (at !== host && at.ipSettings.ip_forward === 0) continue
      for (const { a, b } of network.links) {
        const [near, far] = a.stack === at.ip ? [a, b] : [b, a]
        if (near.stack !== at.ip) continue
        const other = [...network.hosts.values()].find(({ ip }) => ip === far.stack)
        if (other === undefined || other === host || reached.has(other)) continue
        const via = far.addresses.map(({ address }) => address.toString())
        reached.set(other, at === host ? { via, name: near.name } : reached.get(at)!)
        next.push(other)
      }
    }
    edge = next
  }
  for (const [other, { via, name }] of reached) addRoutesTo(host, other, via, name)
}

const addRoutesTo = (host: Host, other: Host, via: readonly string[], name: string): void => {
  for (const iface of other.ip.interfaces) {
    if (iface.isLoopback) continue
    for (const { address, length } of iface.addresses) {
      const gateway = via.find((text) => text.includes(':') !== address.isIpv4)
      const subnet = parseIpPrefix(`${address}/${length}`)
      const way = parseIpPrefix(gateway ?? '')
      if (way === undefined || subnet === undefined || address.isLinkLocal) continue
      if (host.ip.interfaces.some((own) => own.addresses.some((entry) => entry.covers(address)))) continue
      host.ip.routes.add({ prefix: subnet, gateway: way.address, interface: host.ip.interfaceNamed(name) })
    }
  }
}
