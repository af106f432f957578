import { errnoCode } from '../core/errno.ts'
import { UV_EAI_AGAIN, UV_EAI_FAMILY, UV_EAI_NONAME, UV_EOF } from './uv.ts'

/** Errors with Node's codes, messages and properties. */

export interface CodedError extends Error {
  code?: string
  errno?: number | undefined
  syscall?: string
  address?: string
  port?: number
  localAddress?: string
  localPort?: number
  hostname?: string
}

type ErrorClass = new (message: string) => Error

/** An error of Node's own: its code stands in the first line of its stack. */
const coded =
  (Class: ErrorClass, code: string) =>
  (message: string): CodedError => {
    const error: CodedError = new Class(message)
    Object.defineProperty(error, 'code', { value: code, enumerable: true, writable: true, configurable: true })
    Object.defineProperty(error, 'toString', {
      value: () => `${error.name} [${code}]: ${error.message}`,
      enumerable: false,
      writable: true,
      configurable: true,
    })
    if (error.stack !== undefined) {
      const { stack } = error
      const header = `${error.name}: `
      if (stack.startsWith(header)) error.stack = `${error.name} [${code}]: ${stack.slice(header.length)}`
    }
    return error
  }

/** A value as an error message shows it: one line, nothing deep. */
const inspect = (value: unknown): string => {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Object.is(value, -0)) return '-0'
  if (typeof value === 'function') return value.name === '' ? '[Function (anonymous)]' : `[Function: ${value.name}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const name = (value as { constructor?: { name?: string } }).constructor?.name
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[ ${value.map(shallow).join(', ')} ]`
  const entries = Object.entries(value).map(([key, entry]) => `${key}: ${shallow(entry)}`)
  const prefix = name === undefined ? '[Object: null prototype] ' : name === 'Object' ? '' : `${name} `
  return entries.length === 0 ? `${prefix}{}` : `${prefix}{ ${entries.join(', ')} }`
}

const shallow = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return inspect(value)
  if (Array.isArray(value)) return value.length === 0 ? '[]' : '[Array]'
  return Object.keys(value).length === 0 ? '{}' : '[Object]'
}

const quote = (text: string): string => {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : '`'
  return `${mark}${text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}${mark}`
}

/** What kind of thing a value is: `type number (5)`, `an instance of Date`. */
const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return value.name === '' ? 'function ' : `function ${value.name}`
  if (typeof value === 'object') {
    const name = (value as { constructor?: { name?: string } }).constructor?.name
    return name === undefined || name === '' ? inspect(value) : `an instance of ${name}`
  }
  let shown = inspect(value)
  if (shown.length > 28) shown = `${shown.slice(0, 25)}...`
  return `type ${typeof value} (${shown})`
}

const TYPES: ReadonlySet<string> = new Set([
  'string',
  'function',
  'number',
  'object',
  'boolean',
  'bigint',
  'symbol',
  'Function',
  'Object',
])

const either = (words: readonly string[]): string => {
  if (words.length <= 2) return words.join(' or ')
  return `${words.slice(0, -1).join(', ')}, or ${words.at(-1)}`
}

/** `of type string or an instance of Buffer, TypedArray, or DataView`. */
const describeExpected = (expected: readonly string[]): string => {
  const types = expected.filter((name) => TYPES.has(name)).map((name) => name.toLowerCase())
  const classes = expected.filter((name) => !TYPES.has(name) && /^[A-Z]/.test(name.split('.').at(-1)!))
  const others = expected.filter((name) => /^[a-z]+$/.test(name) && !TYPES.has(name))
  if (classes.length > 0 && types.includes('object')) {
    types.splice(types.indexOf('object'), 1)
    classes.push('Object')
  }
  const parts: string[] = []
  if (types.length > 0) parts.push(`${types.length > 1 ? 'one of type' : 'of type'} ${either(types)}`)
  if (classes.length > 0) parts.push(`an instance of ${either(classes)}`)
  return [...parts, ...others].join(' or ')
}

const argument = (name: string): string =>
  name.endsWith(' argument') ? `The ${name}` : `The "${name}" ${name.includes('.') ? 'property' : 'argument'}`

const invalidType = coded(TypeError, 'ERR_INVALID_ARG_TYPE')
export const invalidArgType = (name: string, expected: string | readonly string[], actual: unknown): CodedError =>
  invalidType(`${argument(name)} must be ${describeExpected([expected].flat())}. Received ${kindOf(actual)}`)

/** Text that is to be written in the encoding `buffer`. */
export const notBuffer = (): CodedError => invalidType('Second argument must be a buffer')

const invalidValue = coded(TypeError, 'ERR_INVALID_ARG_VALUE')
export const invalidArgValue = (name: string, value: unknown, reason = 'is invalid'): CodedError => {
  const shown = inspect(value)
  const kind = name.includes('.') ? 'property' : 'argument'
  return invalidValue(
    `The ${kind} '${name}' ${reason}. Received ${shown.length > 128 ? `${shown.slice(0, 128)}...` : shown}`,
  )
}

const rangeError = coded(RangeError, 'ERR_OUT_OF_RANGE')
export const outOfRange = (name: string, range: string, received: unknown): CodedError => {
  const isLarge = typeof received === 'number' && Number.isInteger(received) && Math.abs(received) > 2 ** 32
  const shown = isLarge ? String(received).replace(/\B(?=(\d{3})+$)/g, '_') : inspect(received)
  return rangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${shown}`)
}

const badPort = coded(RangeError, 'ERR_SOCKET_BAD_PORT')
export const socketBadPort = (name: string, port: unknown, allowsZero = true): CodedError =>
  badPort(`${name} should be ${allowsZero ? '>=' : '>'} 0 and < 65536. Received ${kindOf(port)}.`)

const missing = coded(TypeError, 'ERR_MISSING_ARGS')
export const missingArgs = (...names: string[]): CodedError => {
  const quoted = names.map((name) => `"${name}"`)
  if (quoted.length === 1) return missing(`The ${quoted[0]} argument must be specified`)
  const list = quoted.length === 2 ? quoted.join(' and ') : `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`
  return missing(`The ${list} arguments must be specified`)
}

const ipAddress = coded(TypeError, 'ERR_INVALID_IP_ADDRESS')
export const invalidIpAddress = (address: unknown): CodedError => ipAddress(`Invalid IP address: ${String(address)}`)

const addressFamily = coded(RangeError, 'ERR_INVALID_ADDRESS_FAMILY')
export const invalidAddressFamily = (family: unknown, host: unknown, port: unknown): CodedError =>
  Object.assign(addressFamily(`Invalid address family: ${String(family)} ${String(host)}:${String(port)}`), {
    host,
    port,
  }) as CodedError

const blocked = coded(Error, 'ERR_IP_BLOCKED')
export const ipBlocked = (address: string): CodedError => blocked(`IP(${address}) is blocked by net.BlockList`)

const fixed = (Class: ErrorClass, code: string, message: string) => {
  const make = coded(Class, code)
  return (): CodedError => make(message)
}

export const missingEndpoint = fixed(
  TypeError,
  'ERR_MISSING_ARGS',
  'The "options" or "port" or "path" argument must be specified',
)
export const invalidLocalAddress = (message: string): CodedError => invalidValue(message)
export const socketClosed = fixed(Error, 'ERR_SOCKET_CLOSED', 'Socket is closed')
export const closedBeforeConnection = fixed(
  Error,
  'ERR_SOCKET_CLOSED_BEFORE_CONNECTION',
  'Socket closed before the connection was established',
)
export const connectionTimeout = fixed(Error, 'ERR_SOCKET_CONNECTION_TIMEOUT', 'Socket connection timeout')
export const serverAlreadyListening = fixed(
  Error,
  'ERR_SERVER_ALREADY_LISTEN',
  'Listen method has been called more than once without closing.',
)
export const serverNotRunning = fixed(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.')
export const invalidHandleType = fixed(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent')
export const invalidFdType = (type: string): CodedError =>
  coded(TypeError, 'ERR_INVALID_FD_TYPE')(`Unsupported fd type: ${type}`)
export const dgramAlreadyBound = fixed(Error, 'ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound')
export const dgramBadType = fixed(
  TypeError,
  'ERR_SOCKET_BAD_TYPE',
  'Bad socket type specified. Valid types are: udp4, udp6',
)
export const dgramBadBufferSize = fixed(
  TypeError,
  'ERR_SOCKET_BAD_BUFFER_SIZE',
  'Buffer size must be a positive integer',
)
export const dgramConnected = fixed(Error, 'ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected')
export const dgramNotConnected = fixed(Error, 'ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected')
export const dgramNotRunning = fixed(Error, 'ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running')
export const bufferOutOfBounds = (name?: string): CodedError =>
  coded(
    RangeError,
    'ERR_BUFFER_OUT_OF_BOUNDS',
  )(name === undefined ? 'Attempt to access memory outside buffer bounds' : `"${name}" is outside of buffer bounds`)
export const dnsSetServersFailed = (reason: string, servers: string): CodedError =>
  coded(Error, 'ERR_DNS_SET_SERVERS_FAILED')(`c-ares failed to set servers: "${reason}" [${servers}]`)

/** The other side has ended the connection, and will not read. */
export const endedByOther = (): CodedError =>
  Object.assign(new Error('This socket has been ended by the other party'), { code: 'EPIPE' })

/** libuv's words for its errors, where they are not those of strerror(3) in small letters. */
const UV_MESSAGES: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'address not available',
  EAFNOSUPPORT: 'address family not supported',
  EAGAIN: 'resource temporarily unavailable',
  EALREADY: 'connection already in progress',
  EBADF: 'bad file descriptor',
  ECANCELED: 'operation canceled',
  ECONNABORTED: 'software caused connection abort',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by peer',
  EDESTADDRREQ: 'destination address required',
  EHOSTUNREACH: 'host is unreachable',
  EINVAL: 'invalid argument',
  EISCONN: 'socket is already connected',
  EMFILE: 'too many open files',
  EMSGSIZE: 'message too long',
  ENETUNREACH: 'network is unreachable',
  ENOBUFS: 'no buffer space available',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  ENOTCONN: 'socket is not connected',
  ENOTSUP: 'operation not supported on socket',
  EPERM: 'operation not permitted',
  EPIPE: 'broken pipe',
  ETIMEDOUT: 'connection timed out',
}

const UV_NAMES = new Map<number, string>([
  [UV_EOF, 'EOF'],
  [UV_EAI_AGAIN, 'EAI_AGAIN'],
  [UV_EAI_FAMILY, 'EAI_FAMILY'],
  [UV_EAI_NONAME, 'EAI_NONAME'],
])

/** The name of one of libuv's errors, a negative number. */
const uvName = (status: number): string =>
  UV_NAMES.get(status) ?? errnoCode(-status) ?? `Unknown system error ${status}`

const uvMessage = (status: number): string => UV_MESSAGES[uvName(status)] ?? `unknown error ${Math.abs(status)}`

/** A failed call: `write EPIPE`. @param status a negative `Errno` */
export const errnoException = (status: number, syscall: string): CodedError => {
  const code = uvName(status)
  return Object.assign(new Error(`${syscall} ${code}`), { errno: status, code, syscall })
}

const where = (address: string | null | undefined, port: number | undefined): string => {
  if (port !== undefined && port > 0) return ` ${address}:${port}`
  return address ? ` ${address}` : ''
}

const withEndpoint = (error: CodedError, address: string, port: number | undefined): CodedError => {
  error.address = address
  if (port) error.port = port
  return error
}

/** A failed call about an address: `connect ECONNREFUSED 10.0.0.1:80`. @param local what it came from */
export const endpointException = (
  status: number,
  syscall: string,
  address: string,
  port?: number,
  local?: string,
): CodedError => {
  const code = uvName(status)
  const beside = local === undefined ? '' : ` - Local (${local})`
  const error = new Error(`${syscall} ${code}${where(address, port)}${beside}`)
  return withEndpoint(Object.assign(error, { errno: status, code, syscall }), address, port)
}

/** Likewise, in words: `listen EADDRINUSE: address already in use :::80`. */
export const listenException = (status: number, syscall: string, address: string | null, port?: number): CodedError => {
  const code = uvName(status)
  const error = new Error(`${syscall} ${code}: ${uvMessage(status)}${where(address, port)}`)
  return withEndpoint(Object.assign(error, { code, errno: status, syscall }), address as string, port)
}

/** A failed call in words, as Node's `SystemError`: what was tried, and libuv's message. */
export const bufferSizeException = (status: number, syscall: string): CodedError => {
  const code = uvName(status)
  const message = uvMessage(status)
  const error = coded(
    Error,
    'ERR_SOCKET_BUFFER_SIZE',
  )(`Could not get or set buffer size: ${syscall} returned ${code} (${message})`)
  Object.defineProperty(error, 'name', { value: 'SystemError', configurable: true, writable: true })
  if (error.stack !== undefined) error.stack = error.stack.replace(/^Error/, 'SystemError')
  const info: Record<string, unknown> = { errno: status, code, message, syscall }
  const from = (key: 'errno' | 'syscall') => ({
    get: () => info[key],
    set: (value: unknown) => {
      info[key] = value
    },
    enumerable: true,
    configurable: true,
  })
  return Object.defineProperties(error, {
    info: { value: info, enumerable: true, configurable: true },
    errno: from('errno'),
    syscall: from('syscall'),
    [Symbol.for('nodejs.util.inspect.custom')]: {
      value: (_depth: number, options: object, inspectDeep: (value: unknown, options: object) => string) =>
        inspectDeep(error, { ...options, getters: true, customInspect: false }),
    },
  })
}

/** What became of a question for a name. @param status one of libuv's numbers, or a code of c-ares such as `ENODATA` */
export const dnsException = (status: number | string, syscall: string, hostname?: string): CodedError => {
  const code = typeof status === 'string' ? status : status === UV_EAI_NONAME ? 'ENOTFOUND' : uvName(status)
  const error: CodedError = new Error(`${syscall} ${code}${hostname === undefined ? '' : ` ${hostname}`}`)
  error.errno = typeof status === 'number' ? status : undefined
  error.code = code
  error.syscall = syscall
  if (hostname) error.hostname = hostname
  return error
}

/** Every attempt to connect has failed. */
export const attemptsFailed = (errors: readonly CodedError[]): CodedError => {
  const error: CodedError = new AggregateError(errors)
  const [first] = errors
  if (first?.code !== undefined) error.code = first.code
  return error
}
