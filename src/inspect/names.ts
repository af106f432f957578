import { type ServiceProtocol, serviceName } from '../wire/service-names.ts'

/** How printers turn numbers into names where they are not told to be numeric. Everything not given stays a number. */
export interface Names {
  /** The name of an address, as a resolver has it. */
  readonly host?: (address: string) => string | undefined
  /** The addresses of a name, where a filter has one. */
  readonly addresses?: (name: string) => readonly string[]
  /** The name of a port; wire/service-names.ts answers unless this is given. */
  readonly service?: (port: number, protocol: ServiceProtocol) => string | undefined
  /** The name of a user; 0 is `root` unless this is given. */
  readonly user?: (uid: number) => string | undefined
}

/** What printers may be told about where their text goes. */
export interface PrintOptions {
  readonly names?: Names
  /** Columns of the terminal; null, and unless given, when the text goes to no terminal. */
  readonly columns?: number | null
}

export const hostName = (names: Names | undefined, address: string): string | undefined => names?.host?.(address)

export const portName = (names: Names | undefined, port: number, protocol: ServiceProtocol): string | undefined =>
  (names?.service ?? serviceName)(port, protocol)

export const userName = (names: Names | undefined, uid: number): string | undefined =>
  names?.user === undefined ? (uid === 0 ? 'root' : undefined) : names.user(uid)
