import { type IpAddress, parseIpAddress } from '../wire/address.ts'
import { DNS_PORT } from '../wire/dns.ts'

/** A line of the hosts table: an address and its names, the first of which is the canonical one. */
export interface HostsEntry {
  readonly address: IpAddress
  readonly names: readonly string[]
}

/** Whom a resolver asks. */
export interface NameServer {
  readonly address: string
  readonly port: number
}

/** How a host finds names: its hosts table and what resolv.conf(5) says. */
export interface ResolverConfig {
  hosts: readonly HostsEntry[]
  /** In the order in which they are asked; three at most. */
  servers: readonly NameServer[]
  /** Domains that are tried behind a name. */
  search: readonly string[]
  /** A name with so many dots is tried as it is first. */
  ndots: number
  /** Seconds until the first answer is given up; and how often all servers are asked. */
  timeout: number
  attempts: number
}

const MOST_SERVERS = 3
const MOST_SEARCHED = 6

/** /etc/hosts as every host has it. */
const LOCAL: readonly HostsEntry[] = [
  { address: parseIpAddress('127.0.0.1')!, names: ['localhost'] },
  { address: parseIpAddress('::1')!, names: ['localhost', 'ip6-localhost'] },
]

/** Names for the loopback, and no name server. */
export const defaultResolverConfig = (): ResolverConfig => ({
  hosts: LOCAL,
  servers: [],
  search: [],
  ndots: 1,
  timeout: 5,
  attempts: 2,
})

/** Reads a hosts table, as hosts(5) has it. Lines that are none are passed over. */
export const parseHosts = (text: string): HostsEntry[] =>
  text.split('\n').flatMap((line) => {
    const [first = '', ...names] = words(line)
    const address = parseIpAddress(first)
    return address === undefined || names.length === 0 ? [] : [{ address, names }]
  })

/**
 * Reads resolv.conf(5): nameserver (an address; `#` and a port may follow it), search, domain, and the options ndots, timeout
 * and attempts. What is not known is passed over.
 */
export const parseResolvConf = (text: string): Omit<ResolverConfig, 'hosts'> => {
  const { hosts: _hosts, ...config } = defaultResolverConfig()
  const servers: NameServer[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...values] = /^\s*[;#]/.test(line) ? [] : line.trim().split(/\s+/)
    if (keyword === 'nameserver' && values[0] !== undefined) {
      const [address = '', port] = values[0].split('#')
      if (parseIpAddress(address) !== undefined)
        servers.push({ address, port: port === undefined ? DNS_PORT : Number(port) })
    } else if (keyword === 'search' || keyword === 'domain') config.search = values.slice(0, MOST_SEARCHED)
    else if (keyword === 'options') for (const option of values) readOption(config, option)
  }
  config.servers = servers.slice(0, MOST_SERVERS)
  return config
}

/** Values as glibc limits them. */
const readOption = (config: Omit<ResolverConfig, 'hosts'>, option: string): void => {
  const [name, value = ''] = option.split(':')
  if (!/^[0-9]+$/.test(value)) return
  if (name === 'ndots') config.ndots = Math.min(15, Number(value))
  else if (name === 'timeout') config.timeout = Math.min(30, Number(value))
  else if (name === 'attempts') config.attempts = Math.min(5, Number(value))
}

/** The words of a line, up to a comment. */
const words = (line: string): string[] =>
  line
    .replace(/#.*/, '')
    .split(/\s+/)
    .filter((word) => word !== '')
