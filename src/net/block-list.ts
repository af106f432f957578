import { type IpAddress, samePrefix } from '../wire/address.ts'
import { invalidArgType, invalidArgValue } from './errors.ts'
import {
  addressOf,
  INSPECT,
  type Inspect,
  type InspectOptions,
  type IpFamily,
  inspected,
  SocketAddress,
  validateFamily,
} from './socket-address.ts'
import { validateInteger, validateString } from './validate.ts'

interface Rule {
  readonly text: string
  matches(address: IpAddress, family: IpFamily): boolean
}

/** An address from what the methods are given: a text with its family, or a `SocketAddress`. */
const read = (value: unknown, family: unknown, name: string): { text: string; family: IpFamily; ip: IpAddress } => {
  if (SocketAddress.isSocketAddress(value)) {
    return { text: value.address, family: value.family, ip: addressOf(value.address, value.family)! }
  }
  validateString(value, name)
  const kind = validateFamily(family, 'family')
  const ip = addressOf(value, kind)
  if (ip === undefined) {
    throw Object.assign(invalidArgValue(name, value), { code: 'ERR_INVALID_ADDRESS', message: 'Invalid address' })
  }
  return { text: value, family: kind, ip }
}

const label = (family: IpFamily): string => (family === 'ipv4' ? 'IPv4' : 'IPv6')

/** Which of two comes first: less than 0 for `a`. */
const compare = (a: IpAddress, b: IpAddress): number => {
  for (const word of ['w0', 'w1', 'w2', 'w3'] as const) {
    if (a[word] !== b[word]) return (a[word] >>> 0) - (b[word] >>> 0)
  }
  return 0
}

/** `net.BlockList`: addresses, ranges and networks. IPv4 rules hold for IPv4-mapped IPv6 addresses, too. */
export class BlockList {
  #rules: readonly Rule[] = []

  static isBlockList(value: unknown): value is BlockList {
    return typeof value === 'object' && value !== null && #rules in value
  }

  #add(rule: Rule): void {
    this.#rules = [rule, ...this.#rules]
  }

  addAddress(address: unknown, family: unknown = 'ipv4'): void {
    const { text, ip, family: kind } = read(address, family, 'address')
    this.#add({ text: `Address: ${label(kind)} ${text}`, matches: (other) => other.equals(ip) })
  }

  addRange(start: unknown, end: unknown, family: unknown = 'ipv4'): void {
    const from = read(start, family, 'start')
    const to = read(end, family, 'end')
    if (compare(from.ip, to.ip) > 0) throw invalidArgValue('start', start, `must come before ${to.text}`)
    this.#add({
      text: `Range: ${label(from.family)} ${from.text}-${to.text}`,
      matches: (other) => other.isIpv4 === from.ip.isIpv4 && compare(from.ip, other) <= 0 && compare(other, to.ip) <= 0,
    })
  }

  addSubnet(network: unknown, prefix: number, family: unknown = 'ipv4'): void {
    const { text, ip, family: kind } = read(network, family, 'network')
    validateInteger(prefix, 'prefix', 0, kind === 'ipv4' ? 32 : 128)
    this.#add({
      text: `Subnet: ${label(kind)} ${text}/${prefix}`,
      matches: (other) => samePrefix(other, ip, prefix),
    })
  }

  /** Does a rule name the address? */
  check(address: unknown, family: unknown = 'ipv4'): boolean {
    if (!SocketAddress.isSocketAddress(address)) {
      validateString(address, 'address')
      const kind = validateFamily(family, 'family')
      const ip = addressOf(address, kind)
      return ip !== undefined && this.#rules.some((rule) => rule.matches(ip, kind))
    }
    const { ip, family: kind } = read(address, family, 'address')
    return this.#rules.some((rule) => rule.matches(ip, kind))
  }

  /** The rules in words, the last first. */
  get rules(): readonly string[] {
    return this.#rules.map(({ text }) => text)
  }

  toJSON(): readonly string[] {
    return this.rules
  }

  /** Adds rules in the words of `rules`. */
  fromJSON(data: unknown): void {
    const lines: unknown = typeof data === 'string' ? JSON.parse(data) : data
    if (!Array.isArray(lines)) throw invalidArgType('data', ['string', 'Array'], data)
    for (const line of lines) {
      const match = /^(Address|Range|Subnet): IPv([46]) ([^-/]+)(?:[-/](.+))?$/.exec(String(line))
      if (match === null) throw invalidArgValue('data', data)
      const [, kind, version, first, second] = match
      const family = `ipv${version}`
      if (kind === 'Address') this.addAddress(first, family)
      else if (kind === 'Range') this.addRange(first, second, family)
      else this.addSubnet(first, Number(second), family)
    }
  }

  [INSPECT](depth: number, options: InspectOptions, inspect?: Inspect): string {
    return inspected('BlockList', { rules: this.rules }, depth, options, inspect)
  }
}
