import type { Host } from '../host/host.ts'
import { parseIpAddress } from '../wire/address.ts'
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
  fill(network, file)
  const names = new Map(Object.entries(file.names ?? {}).map(([name, value]) => [name.toLowerCase(), [value].flat()]))
  for (const host of network.hosts.values()) names.set(host.name.toLowerCase(), hostAddresses(host))
  const byAddress = new Map([...names].flatMap(([name, found]) => found.map((address) => [address, name] as const)))
  return { network, addressesOf: (name) => names.get(name), nameOf: (address) => byAddress.get(address) }
}

/**
 * Adds the hosts and links of a file to a network, and the routes.
 * @throws TypeError, in one line, for what is wrong in it
 */
export const fillNetwork = (network: Network, file: NetworkFile): void => {
  check(file)
  fill(network, file)
}

const fill = (network: Network, file: NetworkFile): void => {
  for (const [name, { sysctl, router }] of Object.entries(file.hosts)) {
    const options = sysctl === undefined ? {} : { sysctl }
    within(`the host ${name}`, () => (router === true ? network.router(name, options) : network.host(name, options)))
  }
  for (const { between, ...options } of file.links ?? []) {
    const [a, b] = between
    within(linkName(between), () => network.link(network.host(a), network.host(b), options))
  }
  network.computeRoutes()
}

/** Does something, and says of what goes wrong where in the file it is. */
const within = (where: string, body: () => unknown): void => {
  try {
    body()
  } catch (error) {
    throw new TypeError(`${where}: ${(error as Error).message}`)
  }
}

const linkName = ([a, b]: readonly [string, string]): string => `the link between ${a} and ${b}`

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Every part that it may have is named, so that what is misspelt is found. */
const check = (file: NetworkFile): void => {
  if (!isObject(file)) fail('a network is a JSON object with "hosts" and "links"')
  only(file, ['seed', 'hosts', 'links', 'names'], 'a network')
  const { seed = 1, hosts, links = [], names = {} } = file
  if (!Number.isSafeInteger(seed) || seed < 0) fail('"seed" is a whole number from 0 on')
  if (!isObject(hosts)) fail('"hosts" names them: {"hosts": {"a": {}, "b": {}}}')
  for (const [name, host] of Object.entries(hosts)) {
    if (!isObject(host)) fail(`the host ${name} is an object, like {} or {"router": true}`)
    only(host, ['sysctl', 'router', 'run'], `the host ${name}`)
  }
  if (!Array.isArray(links)) fail('"links" is a list: {"links": [{"between": ["a", "b"]}]}')
  for (const link of links) {
    const between: unknown = isObject(link) ? (link as NetworkFileLink).between : null
    if (!Array.isArray(between) || between.length !== 2) fail('a link has two ends: {"between": ["a", "b"]}')
    for (const end of link.between) if (hosts[end] === undefined) fail(`a link ends at ${end}, which is no host`)
    only(link, LINK_PARTS, linkName(link.between))
  }
  if (!isObject(names)) fail('"names" is an object: {"names": {"db.example": "10.0.0.2"}}')
  for (const [name, addresses] of Object.entries(names)) {
    for (const address of [addresses].flat()) {
      if (parseIpAddress(address) === undefined)
        fail(`the name ${name} has no address ${address}: write one like 10.0.0.2`)
    }
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
