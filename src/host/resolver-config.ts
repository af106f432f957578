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
  /** Domains that are tried behind a name, without dots at their ends; '' is the root. */
  search: readonly string[]
  /** A name with so many dots is tried as it is first. */
  ndots: number
  /** Seconds until the first answer is given up; and how often all servers are asked. */
  timeout: number
  attempts: number
  /** Is another server asked first each time (rotate)? */
  rotates: boolean
  /** Are questions asked over TCP at once (use-vc); one after the other (single-request)? */
  usesTcp: boolean
  asksSingly: boolean
  /** May a name without a dot be tried as it is after the search (unless no-tld-query)? */
  asksTopLevel: boolean
}

const MOST_SERVERS = 3

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
  rotates: false,
  usesTcp: false,
  asksSingly: false,
  asksTopLevel: true,
})

/** Reads a hosts table, as hosts(5) has it. Lines that are none are passed over. */
export const parseHosts = (text: string): HostsEntry[] =>
  text.split('\n').flatMap((line) => {
    const [first = '', ...names] = words(line)
    const address = parseIpAddress(first)
    return address === undefined || names.length === 0 ? [] : [{ address, names }]
  })

/**
 * Reads resolv.conf(5): nameserver (an address; `#` and a port may follow it), search, domain, and options. What is not
 * known is passed over, and so are keywords that do not begin their line, as with glibc.
 */
export const parseResolvConf = (text: string): Omit<ResolverConfig, 'hosts'> => {
  const { hosts: _hosts, ...config } = defaultResolverConfig()
  const servers: NameServer[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trimEnd().split(/[ \t]+/)
    if (keyword === 'nameserver' && values[0] !== undefined) {
      const [address = '', port = `${DNS_PORT}`] = values[0].split('#')
      const isPort = /^[0-9]{1,5}$/.test(port) && Number(port) > 0 && Number(port) <= 65_535
      if (parseIpAddress(address.split('%')[0]!) !== undefined && isPort) servers.push({ address, port: Number(port) })
    } else if (keyword === 'search') config.search = values.map(domainOf)
    else if (keyword === 'domain') config.search = values.slice(0, 1).map(domainOf)
    else if (keyword === 'options') for (const option of values) readOption(config, option)
  }
  config.servers = servers.slice(0, MOST_SERVERS)
  return config
}

const domainOf = (text: string): string => text.replace(/^\./, '').replace(/\.$/, '')

/** Values as glibc limits them. */
const readOption = (config: Omit<ResolverConfig, 'hosts'>, option: string): void => {
  const [name, value = ''] = option.split(':')
  const number = /^[0-9]+$/.test(value) ? Number(value) : null
  if (name === 'ndots' && number !== null) config.ndots = Math.min(15, number)
  else if (name === 'timeout' && number !== null) config.timeout = Math.min(30, number)
  else if (name === 'attempts' && number !== null) config.attempts = Math.min(5, number)
  else if (name === 'rotate') config.rotates = true
  else if (name === 'use-vc') config.usesTcp = true
  else if (name === 'single-request' || name === 'single-request-reopen') config.asksSingly = true
  else if (name === 'no-tld-query' || name === 'no_tld_query') config.asksTopLevel = false
}

/** The words of a line, up to a comment. */
const words = (line: string): string[] =>
  line
    .replace(/#.*/, '')
    .split(/\s+/)
    .filter((word) => word !== '')
