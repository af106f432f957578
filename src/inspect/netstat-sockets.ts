import { protocolName } from '../wire/service-names.ts'
import { left, lines, right } from './format.ts'
import { hostName, type Names, portName, userName } from './names.ts'
import type { NetstatOptions } from './netstat.ts'
import type { Snapshot } from './snapshot.ts'
import type {
  EndpointSnapshot,
  Holder,
  InternetSnapshot,
  RawSnapshot,
  TcpSnapshot,
  UdpSnapshot,
  UnixSnapshot,
} from './snapshot-types.ts'

/** The socket tables of netstat. */

/** Addresses with their ports are cut to so many characters, their colon not counted, unless -W. */
const ADDRESS_WIDTH = 22
/** The program's name with its process id takes so many at most. */
const PROGRAM_WIDTH = 20

const which = (options: NetstatOptions): string => {
  if (options.all) return '(servers and established)'
  return options.listening ? '(only servers)' : '(w/o servers)'
}

/** The table of TCP, UDP and raw sockets, of the kinds and families that `options` names. */
export const printInternetSockets = (snapshot: Snapshot, options: NetstatOptions, names?: Names): string => {
  let heading = 'Proto Recv-Q Send-Q Local Address           Foreign Address         State      '
  if (options.extended > 0) heading += ' User       Inode     '
  if (options.programs) heading += ` ${left('PID/Program name', PROGRAM_WIDTH)}`
  if (options.timers) heading += ' Timer'
  const rows: string[] = []
  const family = (socket: InternetSnapshot): boolean => (socket.family === 4 ? options.inet : options.inet6)
  const sockets = snapshot.sockets.filter((socket) => socket.protocol !== 'unix').filter(family)
  const of = <P extends InternetSnapshot['protocol']>(protocol: P) =>
    sockets.filter((socket): socket is Extract<InternetSnapshot, { protocol: P }> => socket.protocol === protocol)
  if (options.tcp)
    for (const socket of of('tcp')) if (isShownTcp(socket, options)) rows.push(tcpRow(socket, options, names))
  if (options.udp)
    for (const socket of of('udp')) if (isShownDatagram(socket, options)) rows.push(udpRow(socket, options, names))
  if (options.raw)
    for (const socket of of('raw')) if (isShownDatagram(socket, options)) rows.push(rawRow(socket, options, names))
  return lines([`Active Internet connections ${which(options)}`, heading, ...rows])
}

/** Linux lists what is hashed: a socket that neither listens nor has a connection is not. */
const isShownTcp = (socket: TcpSnapshot, options: NetstatOptions): boolean => {
  if (socket.kind === 'closed') return false
  return options.all || (socket.remote.port === 0) === options.listening
}

const isShownDatagram = (socket: UdpSnapshot | RawSnapshot, options: NetstatOptions): boolean => {
  if (socket.protocol === 'udp' && socket.local.port === 0) return false
  return options.all || isWildcard(socket.remote.address) === options.listening
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

const tcpRow = (socket: TcpSnapshot, options: NetstatOptions, names?: Names): string => {
  const local = address(socket.local, socket.family, 'tcp', options, names)
  const remote = address(socket.remote, socket.family, 'tcp', options, names)
  const protocol = left(socket.family === 4 ? 'tcp' : 'tcp6', 4)
  const row = `${protocol}  ${queues(socket)} ${left(local, 23)} ${left(remote, 23)} ${left(socket.state, 11)}`
  return row + rest(socket, options, tcpTimer(socket), names)
}

const udpRow = (socket: UdpSnapshot, options: NetstatOptions, names?: Names): string => {
  const local = address(socket.local, socket.family, 'udp', options, names)
  const remote = address(socket.remote, socket.family, 'udp', options, names)
  const state = socket.state === 'ESTABLISHED' ? socket.state : ''
  const protocol = left(socket.family === 4 ? 'udp' : 'udp6', 5)
  const row = `${protocol} ${queues(socket)} ${left(local, 23)} ${left(remote, 23)} ${left(state, 11)}`
  return row + rest(socket, options, 'off (0.00/0/0)', names)
}

const rawRow = (socket: RawSnapshot, options: NetstatOptions, names?: Names): string => {
  const local = address({ ...socket.local, port: socket.ipProtocol }, socket.family, 'raw', options, names)
  const remote = address({ ...socket.remote, port: 0 }, socket.family, 'raw', options, names)
  const protocol = left(socket.family === 4 ? 'raw' : 'raw6', 4)
  // The state as its number: 1 when it is connected.
  const state = socket.state === 'ESTABLISHED' ? 1 : 7
  const row = `${protocol}  ${queues(socket)} ${left(local, 23)} ${left(remote, 23)} ${left(state, 11)}`
  return row + rest(socket, options, 'off (0.00/0/0)', names)
}

const queues = (socket: InternetSnapshot): string => `${right(socket.receiveQueue, 6)} ${right(socket.sendQueue, 6)}`

const address = (
  { address: text, port }: EndpointSnapshot,
  family: 4 | 6,
  protocol: 'tcp' | 'udp' | 'raw',
  options: NetstatOptions,
  names?: Names,
): string => {
  const host = options.numericHosts ? text : namedHost(text, family, names)
  const service = port === 0 ? '*' : options.numericPorts ? `${port}` : namedPort(port, protocol, names)
  if (options.wide || host.length + service.length <= ADDRESS_WIDTH) return `${host}:${service}`
  // The port is cut only when it leaves no room for an address at all.
  const serviceLength = Math.min(service.length, ADDRESS_WIDTH - 4)
  return `${host.slice(0, ADDRESS_WIDTH - serviceLength)}:${service.slice(0, serviceLength)}`
}

const namedHost = (text: string, family: 4 | 6, names?: Names): string => {
  if (isWildcard(text)) return family === 4 ? '0.0.0.0' : '[::]'
  return hostName(names, text) ?? text
}

const namedPort = (port: number, protocol: 'tcp' | 'udp' | 'raw', names?: Names): string =>
  (protocol === 'raw' ? protocolName(port) : portName(names, port, protocol)) ?? `${port}`

/** The columns behind the state. */
const rest = (socket: InternetSnapshot, options: NetstatOptions, timer: string, names?: Names): string => {
  let text = ''
  if (options.extended > 0) {
    const user = options.numericUsers ? `${socket.uid}` : (userName(names, socket.uid) ?? `${socket.uid}`)
    text += ` ${left(user, 10)} ${left(socket.inode, 10)}`
  }
  if (options.programs) text += ` ${program(socket.holders)}`
  if (options.timers) text += ` ${timer}`
  return text
}

/** The first process that has it. */
const program = (holders: readonly Holder[]): string => {
  const [first] = holders
  const name = first === undefined ? '-' : `${first.pid}/${first.process}`.slice(0, PROGRAM_WIDTH - 1)
  return left(name, PROGRAM_WIDTH)
}

/** The timer that is pending, the time left in seconds, retransmissions, and probes without an answer. */
const tcpTimer = (socket: TcpSnapshot): string => {
  const counts = `/${socket.retransmits}/${socket.kind === 'half-open' ? 0 : socket.probes})`
  const [timer] = socket.timers.filter(({ kind }) => kind !== 'delayed ack')
  if (timer === undefined) return `off (0.00${counts}`
  const names = { persist: 'probe', keepalive: 'keepalive', 'time-wait': 'timewait' } as Record<
    string,
    string | undefined
  >
  // Linux counts in hundredths of a second here, cut off.
  const seconds = (Math.floor(timer.left / 10_000) / 100).toFixed(2)
  return `${names[timer.kind] ?? 'on'} (${seconds}${counts}`
}

const UNIX_TYPES = { stream: 'STREAM', dgram: 'DGRAM', seqpacket: 'SEQPACKET' } as const

/** The table of Unix domain sockets. */
export const printUnixSockets = (snapshot: Snapshot, options: NetstatOptions): string => {
  let heading = 'Proto RefCnt Flags       Type       State         I-Node  '
  if (options.programs) heading += ` ${left('PID/Program name', PROGRAM_WIDTH)}`
  heading += ' Path'
  const rows = snapshot.sockets
    .filter((socket): socket is UnixSnapshot => socket.protocol === 'unix')
    .filter(({ state }) => options.all || (state === 'LISTENING') === options.listening)
    .map((socket) => {
      const flags = socket.state === 'LISTENING' ? '[ ACC ]' : '[ ]'
      const columns = [left('unix', 5), left(socket.references, 6), left(flags, 11), left(UNIX_TYPES[socket.type], 10)]
      const inode = `${left(socket.state, 13)} ${left(socket.inode, 8)}`
      const holder = options.programs ? ` ${program(socket.holders)}` : ''
      return `${columns.join(' ')} ${inode}${holder} ${socket.path ?? ''}`
    })
  return lines([`Active UNIX domain sockets ${which(options)}`, heading, ...rows])
}
