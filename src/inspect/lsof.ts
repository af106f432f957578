import { type IpAddress, ip, parseIpAddress } from '../wire/address.ts'
import { servicePort } from '../wire/service-names.ts'
import { left, lines, right } from './format.ts'
import { hostName, type Names, type PrintOptions, portName, userName } from './names.ts'
import { UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'
import type { EndpointSnapshot, Holder, TcpSnapshot, UdpSnapshot } from './snapshot-types.ts'

/** lsof(8) of Internet sockets: who holds them. `lsof -i -nP`, `lsof -iTCP:80 -sTCP:LISTEN -t`. */

type Listed = TcpSnapshot | UdpSnapshot

/** One `-i`: what of it was given must agree. */
interface AddressFilter {
  readonly family: 4 | 6 | null
  readonly protocol: 'tcp' | 'udp' | null
  readonly host: IpAddress | null
  /** Ranges of ports; none for any. */
  readonly ports: readonly (readonly [first: number, last: number])[]
}

interface LsofOptions {
  internet: AddressFilter[]
  pids: Set<number>
  commands: string[]
  users: Set<string>
  /** -s: states by protocol, and whether they are wanted. */
  states: Map<string, boolean>
  numericHosts: boolean
  numericPorts: boolean
  numericUsers: boolean
  /** -a: all that was given must agree, not any. */
  and: boolean
  /** -t: process ids alone. */
  terse: boolean
}

/** Of its options, what is here. */
export const LSOF_USAGE =
  'usage: lsof -i [46][tcp|udp][@host][:port[-port],...] [-nPlat] [-p PIDS] [-c COMMAND] [-u USERS] [-s TCP:STATE]'

/** Reads the arguments. The value of -i may be missing; it is then the next word only if that is no option. */
const readOptions = (args: readonly string[]): LsofOptions => {
  const options: LsofOptions = {
    internet: [],
    pids: new Set(),
    commands: [],
    users: new Set(),
    states: new Map(),
    numericHosts: false,
    numericPorts: false,
    numericUsers: false,
    and: false,
    terse: false,
  }
  const rest = [...args]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith('-') || word === '-')
      throw new UsageError(`lsof: ${word}: only sockets are here\n${LSOF_USAGE}`)
    for (let i = 1; i < word.length; i++) {
      const letter = word[i]!
      const attached = word.slice(i + 1)
      if (!'ipcus'.includes(letter)) {
        setFlag(options, letter)
        continue
      }
      const isMissing = attached === '' && (letter === 'i' || letter === 's') && (rest[0]?.startsWith('-') ?? true)
      setValue(options, letter, isMissing ? '' : attached === '' ? (rest.shift() ?? '') : attached)
      break
    }
  }
  return options
}

const setFlag = (options: LsofOptions, letter: string): void => {
  if (letter === 'n') options.numericHosts = true
  else if (letter === 'P') options.numericPorts = true
  else if (letter === 'l') options.numericUsers = true
  else if (letter === 'a') options.and = true
  else if (letter === 't') options.terse = true
  else throw new UsageError(`lsof: illegal option character: ${letter}\n${LSOF_USAGE}`)
}

const setValue = (options: LsofOptions, letter: string, value: string): void => {
  if (letter === 'i') options.internet.push(parseAddressFilter(value))
  else if (value === '') throw new UsageError(`lsof: -${letter} takes a value\n${LSOF_USAGE}`)
  else if (letter === 'p') for (const pid of value.split(',')) options.pids.add(Number(pid))
  else if (letter === 'c') options.commands.push(value)
  else if (letter === 'u') for (const user of value.split(',')) options.users.add(user)
  else readStates(options, value)
}

const readStates = (options: LsofOptions, value: string): void => {
  const [protocol = '', names = ''] = value.split(':')
  if (protocol.toLowerCase() !== 'tcp') throw new UsageError(`lsof: unsupported -s protocol: ${protocol}`)
  for (const name of names.split(',')) {
    options.states.set(name.replace(/^\^/, '').toUpperCase(), !name.startsWith('^'))
  }
}

/** `[46][PROTOCOL][@HOST][:PORTS]` */
const parseAddressFilter = (text: string): AddressFilter => {
  const match = /^([46])?(tcp|udp)?(?:@(\[[^\]]*\]|[^:]*))?(?::(.+))?$/i.exec(text)
  if (match === null) throw new UsageError(`lsof: unacceptable Internet address: ${text}`)
  const [, family, protocolText, hostText, portsText] = match
  const protocol = (protocolText?.toLowerCase() ?? null) as 'tcp' | 'udp' | null
  const host = hostText === undefined ? null : parseIpAddress(hostText.replace(/^\[|\]$/g, ''))
  if (host === undefined) throw new UsageError(`lsof: unknown host name (${hostText}) in: -i ${text}`)
  const port = (name: string): number => {
    const number = /^[0-9]+$/.test(name)
      ? Number(name)
      : (servicePort(name, protocol ?? 'tcp') ?? servicePort(name, 'udp'))
    if (number === undefined) throw new UsageError(`lsof: unknown service ${name} in: -i ${text}`)
    return number
  }
  const ports = (portsText ?? '').split(',').filter((range) => range !== '')
  return {
    family: family === undefined ? null : family === '4' ? 4 : 6,
    protocol,
    host,
    ports: ports.map((range) => {
      const isRange = /^[0-9]+-[0-9]+$/.test(range)
      const [first, last] = isRange ? range.split('-') : [range, range]
      return [port(first!), port(last!)] as const
    }),
  }
}

/**
 * What `lsof` with these arguments prints of a host.
 * @throws UsageError for arguments that it does not understand
 */
export const lsof = (snapshot: Snapshot, args: readonly string[], print: PrintOptions = {}): string => {
  const options = readOptions(args)
  const { names } = print
  const rows: { holder: Holder; socket: Listed }[] = []
  for (const socket of snapshot.sockets) {
    if (!isListed(socket)) continue
    for (const holder of socket.holders) if (isSelected(holder, socket, options, names)) rows.push({ holder, socket })
  }
  rows.sort((a, b) => a.holder.pid - b.holder.pid || a.holder.fd - b.holder.fd)
  if (options.terse) return lines([...new Set(rows.map(({ holder }) => `${holder.pid}`))])
  return table(rows, options, names)
}

/** lsof cannot tell what a socket is that Linux does not list. */
const isListed = (socket: Snapshot['sockets'][number]): socket is Listed => {
  if (socket.protocol === 'tcp') return socket.kind !== 'closed'
  return socket.protocol === 'udp' && socket.local.port !== 0
}

const isSelected = (holder: Holder, socket: Listed, options: LsofOptions, names?: Names): boolean => {
  if (socket.protocol === 'tcp' && options.states.size > 0) {
    const wanted = options.states.get(socket.state)
    if (wanted === false || (wanted === undefined && [...options.states.values()].some((value) => value))) return false
  }
  const answers: boolean[] = []
  if (options.internet.length > 0) answers.push(options.internet.some((filter) => agrees(socket, filter)))
  if (options.pids.size > 0) answers.push(options.pids.has(holder.pid))
  if (options.commands.length > 0) answers.push(options.commands.some((command) => holder.process.startsWith(command)))
  if (options.users.size > 0) {
    const user = userName(names, holder.uid)
    answers.push(options.users.has(`${holder.uid}`) || (user !== undefined && options.users.has(user)))
  }
  if (answers.length === 0) return true
  return options.and ? answers.every((yes) => yes) : answers.some((yes) => yes)
}

const agrees = (socket: Listed, { family, protocol, host, ports }: AddressFilter): boolean => {
  if (family !== null && socket.family !== family) return false
  if (protocol !== null && socket.protocol !== protocol) return false
  if (host === null && ports.length === 0) return true
  return [socket.local, socket.remote].some(
    (end) =>
      (host === null || ip(end.address).equals(host)) &&
      (ports.length === 0 || ports.some(([first, last]) => end.port >= first && end.port <= last)),
  )
}

const HEADINGS = ['COMMAND', 'PID', 'USER', 'FD', 'TYPE', 'DEVICE', 'SIZE/OFF', 'NODE', 'NAME']
/** A command's name is cut to so many characters. */
const COMMAND_LIMIT = 9
/** Descriptors have four places at least, access and lock two more. */
const FD_PLACES = 4

/** So many has a user without a name. */
const USER_PLACES = 8

/** Columns as wide as what is in them. Without a row there is no heading. */
const table = (rows: readonly { holder: Holder; socket: Listed }[], options: LsofOptions, names?: Names): string => {
  if (rows.length === 0) return ''
  const cells = rows.map(({ holder, socket }) => [
    holder.process.slice(0, COMMAND_LIMIT),
    `${holder.pid}`,
    (options.numericUsers ? undefined : userName(names, holder.uid)) ?? right(holder.uid, USER_PLACES),
    `${right(holder.fd, FD_PLACES)}u `,
    socket.family === 4 ? 'IPv4' : 'IPv6',
    `${socket.inode}`,
    '0t0',
    socket.protocol.toUpperCase(),
    name(socket, options, names),
  ])
  const widths = HEADINGS.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i]!.length)))
  const heading = HEADINGS.map((text, i) => (i === 3 ? `${right(text, widths[3]! - 2)}  ` : text))
  return lines([heading, ...cells].map((row) => row.map((cell, i) => align(cell, i, widths)).join(' ')))
}

const align = (cell: string, column: number, widths: readonly number[]): string => {
  if (column === 0) return left(cell, widths[0]!)
  return column === HEADINGS.length - 1 ? cell : right(cell, widths[column]!)
}

/** Endpoints and state. */
const name = (socket: Listed, options: LsofOptions, names?: Names): string => {
  const end = ({ address, port }: EndpointSnapshot): string => {
    const service = options.numericPorts ? undefined : portName(names, port, socket.protocol)
    return `${host(address, options, names)}:${port === 0 ? '*' : (service ?? port)}`
  }
  const both = socket.remote.port === 0 ? end(socket.local) : `${end(socket.local)}->${end(socket.remote)}`
  return socket.protocol === 'udp' ? `${both} ` : `${both} (${socket.state})`
}

const host = (address: string, options: LsofOptions, names?: Names): string => {
  if (address === '0.0.0.0' || address === '::') return '*'
  const found = options.numericHosts ? undefined : hostName(names, address)
  if (found !== undefined) return found
  return address.includes(':') ? `[${address}]` : address
}
