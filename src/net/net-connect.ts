import { ADDRCONFIG } from './dns-lookup.ts'
import type { LookupAddress, LookupOptions } from './dns-types.ts'
import {
  type CodedError,
  endpointException,
  invalidAddressFamily,
  invalidArgType,
  invalidIpAddress,
  missingEndpoint,
} from './errors.ts'
import { Attempts } from './net-attempts.ts'
import {
  bindLocal,
  type ConnectOptions,
  connectFailure,
  type Destination,
  isConnected,
  refusal,
} from './net-connection.ts'
import { NetHandle } from './net-handle.ts'
import type { NetSocket } from './net-socket.ts'
import { allowWriting, attach, stateOf } from './net-socket-state.ts'
import {
  isIP,
  validateBoolean,
  validateFunction,
  validateInt32,
  validateNumber,
  validatePort,
  validateString,
} from './validate.ts'

/** What `connect` and `listen` may be called with: options, or a port and a host, or a path; then a listener. */
export type ConnectArguments = unknown[]
export type Listener = (...args: never[]) => void

/** A number of at least 0, which a text may stand for; false for anything else. */
export const toNumber = (value: unknown): number | false => {
  const number = Number(value)
  return number >= 0 ? number : false
}

export const isPipeName = (value: unknown): value is string => typeof value === 'string' && toNumber(value) === false

const NORMALIZED = Symbol('netglass normalized')
export type Normalized = [options: Record<string, unknown>, listener: Listener | null] & { [NORMALIZED]?: true }

/** Brings the ways to call `connect` and `listen` into one. */
export const normalizeArgs = (args: readonly unknown[]): Normalized => {
  const [first, second] = args
  if (Array.isArray(first) && (first as Normalized)[NORMALIZED] === true) return first as Normalized
  let options: Record<string, unknown> = {}
  if (typeof first === 'object' && first !== null) options = first as Record<string, unknown>
  else if (isPipeName(first)) options['path'] = first
  else if (args.length > 0) {
    options['port'] = first
    if (args.length > 1 && typeof second === 'string') options['host'] = second
  }
  const last = args.at(-1)
  const normalized: Normalized = [options, typeof last === 'function' ? (last as Listener) : null]
  normalized[NORMALIZED] = true
  return normalized
}

/** `socket.connect`. */
export const connectSocket = (socket: NetSocket, args: ConnectArguments): void => {
  const [options, listener] = normalizeArgs(args) as [ConnectOptions, Listener | null]
  if (listener !== null) socket.once('connect', listener as () => void)
  if (socket._parent?.connecting === true) return
  allowWriting(socket)
  if (socket.destroyed) {
    ;(socket as unknown as { _undestroy(): void })._undestroy()
    socket._handle = null
    socket._peername = null
    socket._sockname = null
  }
  const { path } = options
  if (path === undefined || path === null || path === '') {
    const attempt = prepare(socket, options)
    attach(socket, socket._handle ?? new NetHandle(stateOf(socket).surroundings))
    socket._unrefTimer()
    socket.connecting = true
    attempt()
    return
  }
  validateString(path, 'options.path')
  attach(socket, socket._handle ?? new NetHandle(stateOf(socket).surroundings))
  socket._unrefTimer()
  socket.connecting = true
  connectTo(socket, { kind: 'path', address: path, port: 0 }, options)
}

/** Checks the options. @returns what begins to connect */
const prepare = (socket: NetSocket, options: ConnectOptions): (() => void) => {
  const { localAddress, localPort, lookup } = options
  const { port } = options
  if (localAddress && isIP(localAddress) === 0) throw invalidIpAddress(localAddress)
  if (localPort) validateNumber(localPort, 'options.localPort')
  if (port === undefined) throw missingEndpoint()
  if (typeof port !== 'number' && typeof port !== 'string') {
    throw invalidArgType('options.port', ['number', 'string'], port)
  }
  validatePort(port)
  const { autoSelectFamily, autoSelectFamilyAttemptTimeout: given } = options
  const defaults = stateOf(socket).surroundings.autoSelectFamily
  let isAuto = defaults.enabled
  if (autoSelectFamily !== undefined && autoSelectFamily !== null) {
    validateBoolean(autoSelectFamily, 'options.autoSelectFamily')
    isAuto = autoSelectFamily
  }
  let timeout = defaults.timeout
  if (given !== undefined && given !== null) {
    validateInt32(given, 'options.autoSelectFamilyAttemptTimeout', 1)
    timeout = Math.max(LEAST_ATTEMPT, given)
  }
  if (lookup !== undefined && lookup !== null) validateFunction(lookup, 'options.lookup')
  return () => begin(socket, options, Number(port) | 0, isAuto, timeout)
}

/** The shortest that one of several addresses is tried before the next, ms. */
export const LEAST_ATTEMPT = 10

const begin = (socket: NetSocket, options: ConnectOptions, port: number, isAuto: boolean, timeout: number): void => {
  const host = options.host || 'localhost'
  const { surroundings } = stateOf(socket)
  const family = isIP(host)
  if (family !== 0) {
    surroundings.platform.nextTick(() => {
      if (socket.connecting) connectTo(socket, { kind: family, address: host, port }, options)
    })
    return
  }
  const wanted = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family
  const question: LookupOptions = { family: wanted as number, hints: options.hints || 0 }
  if (wanted !== 4 && wanted !== 6 && question.hints === 0) question.hints = ADDRCONFIG
  socket._host = host
  const lookup = options.lookup ?? surroundings.dns.lookup
  if (isAuto && wanted !== 4 && wanted !== 6 && !options.localAddress) {
    question.all = true
    lookup(host, question, (error, addresses) =>
      foundAll(socket, options, { host, port, timeout }, error, addresses as LookupAddress[]),
    )
    return
  }
  lookup(host, question, (error, address, found) =>
    foundOne(socket, options, { host, port }, error, address as string, found),
  )
}

const fail = (socket: NetSocket, error: CodedError): void => {
  stateOf(socket).surroundings.platform.nextTick(() => void socket.destroy(error))
}

const foundOne = (
  socket: NetSocket,
  options: ConnectOptions,
  { host, port }: { host: string; port: number },
  error: CodedError | null,
  address: string,
  family: number | undefined,
): void => {
  socket.emit('lookup', error, address, family, host)
  socket._unrefTimer()
  if (!socket.connecting) return
  if (error) fail(socket, error)
  else if (isIP(address) === 0) fail(socket, invalidIpAddress(address))
  else if (family !== 4 && family !== 6) fail(socket, invalidAddressFamily(family, options.host, options.port))
  else connectTo(socket, { kind: family, address, port }, options)
}

const foundAll = (
  socket: NetSocket,
  options: ConnectOptions,
  { host, port, timeout }: { host: string; port: number; timeout: number },
  error: CodedError | null,
  addresses: readonly LookupAddress[],
): void => {
  if (!socket.connecting) return
  if (error) {
    socket.emit('lookup', error, undefined, undefined, host)
    fail(socket, error)
    return
  }
  const usable: LookupAddress[] = []
  for (const found of addresses) {
    socket.emit('lookup', error, found.address, found.family, host)
    // Somebody may have ended it.
    if (!socket.connecting) return
    const isKnown = usable.some(({ address }) => address === found.address)
    if (isIP(found.address) !== 0 && (found.family === 4 || found.family === 6) && !isKnown) usable.push(found)
  }
  const [first] = addresses
  if (usable.length === 0) {
    if (first === undefined || isIP(first.address) === 0) fail(socket, invalidIpAddress(first?.address))
    else fail(socket, invalidAddressFamily(first.family, options.host, options.port))
    return
  }
  const destinations = alternate(usable).map(
    ({ address, family }): Destination => ({ kind: family as 4 | 6, address, port }),
  )
  socket._unrefTimer()
  if (destinations.length === 1) {
    connectTo(socket, destinations[0]!, options)
    return
  }
  socket.autoSelectFamilyAttemptedAddresses = []
  new Attempts(socket, destinations, options, timeout).next()
}

/** In the order given, but one of each family after the other (RFC 8305 section 4). */
const alternate = (addresses: readonly LookupAddress[]): LookupAddress[] => {
  const [preferred] = addresses
  const one = addresses.filter(({ family }) => family === preferred!.family)
  const other = addresses.filter(({ family }) => family !== preferred!.family)
  const sorted: LookupAddress[] = []
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    for (const list of [one, other]) if (i < list.length) sorted.push(list[i]!)
  }
  return sorted
}

const connectTo = (socket: NetSocket, to: Destination, options: ConnectOptions): void => {
  const handle = socket._handle!
  const problem = bindLocal(handle, to.kind, options)
  if (problem !== null) {
    socket.destroy(problem)
    return
  }
  if (to.kind !== 'path') socket.emit('connectionAttempt', to.address, to.port, to.kind)
  if (socket._handle !== handle) return
  const refused = refusal(socket, to)
  if (refused !== null) {
    socket.destroy(refused)
    return
  }
  const result = handle.connect(to.kind, to.address, to.port, (status) => afterConnect(socket, status, to, options))
  if (result === 0) return
  const { address, port } = socket._getsockname()
  const local = to.kind === 'path' ? undefined : `${address}:${port}`
  socket.destroy(endpointException(result, 'connect', to.address, to.kind === 'path' ? undefined : to.port, local))
}

const afterConnect = (socket: NetSocket, status: number, to: Destination, options: ConnectOptions): void => {
  if (socket.destroyed) return
  if (status === 0) {
    isConnected(socket)
    return
  }
  const error = connectFailure(status, to, options)
  if (to.kind !== 'path') socket.emit('connectionAttemptFailed', to.address, to.port, to.kind, error)
  socket.connecting = false
  socket._sockname = null
  socket.destroy(error)
}
