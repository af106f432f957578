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
    const family = validateFamily(options.family ?? 'ipv4', 'options.family')
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

  [Symbol.for('nodejs.util.inspect.custom')](_depth: number, options: object, inspect?: Inspect): string {
    const shown = inspect === undefined ? JSON.stringify(this) : inspect(this.toJSON(), options)
    return `SocketAddress ${shown}`
  }
}

export type Inspect = (value: unknown, options: object) => string

/** The bits of an address in a text of one family. @returns undefined for what is none */
export const addressOf = (text: string, family: IpFamily): IpAddress | undefined =>
  isIP(text) === (family === 'ipv4' ? 4 : 6) ? parseIpAddress(text.replace(/%.*$/, '')) : undefined
