import { DNS_PORT } from '../wire/dns.ts'
import { invalidArgType, invalidIpAddress } from './errors.ts'
import { isIP, isIPv6, validateString } from './validate.ts'

/** A name server. */
export interface DnsServer {
  readonly address: string
  readonly port: number
}

/** Reads what `setServers` is given: addresses, in IPv6 in brackets where a port follows. */
export const parseServers = (servers: unknown): DnsServer[] => {
  if (!Array.isArray(servers)) throw invalidArgType('servers', 'Array', servers)
  const parsed: DnsServer[] = []
  // Holes in the list are none.
  servers.forEach((text: unknown, index) => {
    parsed.push(parseServer(text, index))
  })
  return parsed
}

const parseServer = (text: unknown, index: number): DnsServer => {
  validateString(text, `servers[${index}]`)
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT }
  const [, bracketed, behind] = /^\[([^[\]]*)\](?::(\d+))?/.exec(text) ?? []
  if (bracketed !== undefined && isIPv6(bracketed)) return { address: bracketed, port: Number(behind ?? DNS_PORT) }
  const [, address = '', port] = /^(.+?)(?::(\d+))?$/.exec(text) ?? []
  if (isIP(address) === 0) throw invalidIpAddress(text)
  return { address, port: Number(port ?? DNS_PORT) }
}

export const formatServer = ({ address, port }: DnsServer): string => {
  if (port === DNS_PORT || port === 0) return address
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
