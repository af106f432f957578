import type { Host } from '../host/host.ts'
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
    const options = sysctl === undefined ? {} : { sysctl }
    if (router === true) network.router(name, options)
    else network.host(name, options)
  }
  for (const { between, ...options } of file.links ?? []) {
    network.link(network.host(between[0]), network.host(between[1]), options)
  }
  network.computeRoutes()
  const names = new Map(Object.entries(file.names ?? {}).map(([name, value]) => [name.toLowerCase(), [value].flat()]))
  for (const host of network.hosts.values()) names.set(host.name.toLowerCase(), hostAddresses(host))
  const byAddress = new Map([...names].flatMap(([name, found]) => found.map((address) => [address, name] as const)))
  return { network, addressesOf: (name) => names.get(name), nameOf: (address) => byAddress.get(address) }
}

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
