import { type IpAddress, parseIpAddress } from '../wire/address.ts'
import { invalidArgType, invalidArgValue, invalidIpAddress } from './errors.ts'
import { isIP, validatePort, validateString, validateUint32 } from './validate.ts'

export type IpFamily = 'ipv4' | 'ipv6'

/** `ipv4` or `ipv6`, however it is written. */
export const validateFamily = (family: unknown, name: string): IpFamily => {
  validateString(family, name)
  const small = family.toLowerCase()
  if (small !== 'ipv4' && small !== 'ipv6') throw invalidArgValue(name, family)
  return small
}

export type Inspect = (value: unknown, options: object) => string

/** What `util.inspect` gives to an object that shows itself. */
export interface InspectOptions {
  readonly depth: number | null
}

/** The name of the method by which it does so. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** An object of a class as its fields, one level less deep than what it is in. */
export const inspected = (
  name: string,
  fields: object,
  depth: number,
  options: InspectOptions,
  inspect?: Inspect,
): string => {
  if (depth < 0) return `[${name}]`
  if (inspect === undefined) return `${name} ${JSON.stringify(fields)}`
  return `${name} ${inspect(fields, { ...options, depth: options.depth === null ? null : options.depth - 1 })}`
}

/** `net.SocketAddress`: an address with a port. */
export class SocketAddress {
  readonly #address: string
  readonly #family: IpFamily
  readonly #port: number
  readonly #flowlabel: number

  constructor(
    options: Partial<
      Record<'address' | 'family', string | undefined> & Record<'port' | 'flowlabel', number | undefined>
    > = {},
  ) {
    if (typeof options !== 'object' || options === null) throw invalidArgType('options', 'Object', options)
    const { family: wanted = 'ipv4' } = options
    if (typeof wanted !== 'string') throw invalidArgValue('options.family', wanted)
    const family = validateFamily(wanted, 'options.family')
    const { address = family === 'ipv4' ? '127.0.0.1' : '::', port = 0, flowlabel = 0 } = options
    validateString(address, 'options.address')
    this.#port = validatePort(port, 'options.port')
    validateUint32(flowlabel, 'options.flowlabel')
    if (isIP(address) !== (family === 'ipv4' ? 4 : 6)) {
      throw Object.assign(invalidIpAddress(address), { code: 'ERR_INVALID_ADDRESS', message: 'Invalid address' })
    }
    this.#address = address
    this.#family = family
    this.#flowlabel = flowlabel
  }

  static isSocketAddress(value: unknown): value is SocketAddress {
    return typeof value === 'object' && value !== null && #address in value
  }

  get address(): string {
    return this.#address
  }

  get family(): IpFamily {
    return this.#family
  }

  get port(): number {
    return this.#port
  }

  /** Of IPv6; 0 for IPv4. */
  get flowlabel(): number {
    return this.#family === 'ipv4' ? 0 : this.#flowlabel
  }

  toJSON(): { address: string; port: number; family: IpFamily; flowlabel: number } {
    return { address: this.address, port: this.port, family: this.family, flowlabel: this.flowlabel }
  }

  [INSPECT](depth: number, options: InspectOptions, inspect?: Inspect): string {
    return inspected('SocketAddress', this.toJSON(), depth, options, inspect)
  }
}

/** The bits of an address in a text of one family. @returns undefined for what is none */
export const addressOf = (text: string, family: IpFamily): IpAddress | undefined =>
  isIP(text) === (family === 'ipv4' ? 4 : 6) ? parseIpAddress(text.replace(/%.*$/, '')) : undefined
