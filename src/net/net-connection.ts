import type { LookupFunction } from './dns-types.ts'
import { attemptsFailed, type CodedError, connectionTimeout, endpointException, ipBlocked } from './errors.ts'
import type { AddressKind, NetHandle } from './net-handle.ts'
import type { NetSocket } from './net-socket.ts'
import { stateOf } from './net-socket-state.ts'

/** Where to connect, and how. */
export interface ConnectOptions {
  host?: string
  port?: number | string
  path?: string
  localAddress?: string
  localPort?: number
  family?: number | string
  hints?: number
  lookup?: LookupFunction
  autoSelectFamily?: boolean
  autoSelectFamilyAttemptTimeout?: number
}

/** What a socket can be connected to. */
export interface Destination {
  readonly kind: AddressKind
  readonly address: string
  readonly port: number
}

const UNSPECIFIED = { 4: '0.0.0.0', 6: '::' } as const

/** Binds where the program wants it. @returns why that failed; null when it did not */
export const bindLocal = (
  handle: NetHandle,
  kind: AddressKind,
  { localAddress, localPort }: ConnectOptions,
): CodedError | null => {
  if (kind === 'path' || (!localAddress && !localPort)) return null
  const address = localAddress || UNSPECIFIED[kind]
  const result = handle.bind(kind, address, localPort ?? 0)
  return result === 0 ? null : endpointException(result, 'bind', address, localPort)
}

/** Why the program does not want to be connected there; null when it has nothing against it. */
export const refusal = (socket: NetSocket, { kind, address }: Destination): CodedError | null =>
  kind !== 'path' && stateOf(socket).blockList?.check(address, `ipv${kind}`) === true ? ipBlocked(address) : null

/** What was to be connected from, for an error. */
const localDetails = ({ localAddress, localPort }: ConnectOptions): string | undefined =>
  localAddress && localPort ? `${localAddress}:${localPort}` : undefined

/** Why an attempt has failed. */
export const connectFailure = (
  status: number,
  { address, port, kind }: Destination,
  options: ConnectOptions,
): CodedError => {
  const details = localDetails(options)
  const error = endpointException(status, 'connect', address, kind === 'path' ? undefined : port, details)
  if (details !== undefined) Object.assign(error, { localAddress: options.localAddress, localPort: options.localPort })
  return error
}

/** The connection is there: what was asked for while it was not is done, and the program told. */
export const isConnected = (socket: NetSocket): void => {
  socket.connecting = false
  socket._sockname = null
  socket._unrefTimer()
  const { noDelay, keepAlive, keepAliveDelay } = stateOf(socket)
  const handle = socket._handle!
  if (noDelay) handle.setNoDelay(true)
  if (keepAlive) handle.setKeepAlive(true, keepAliveDelay)
  socket.emit('connect')
  socket.emit('ready')
  if (!socket.isPaused()) socket.read(0)
}

/** All attempts are over. */
export const noneConnected = (socket: NetSocket, errors: readonly CodedError[]): void => {
  socket.destroy(errors.length === 0 ? connectionTimeout() : attemptsFailed(errors))
}
