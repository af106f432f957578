import { protocolName } from '../wire/service-names.ts'
import { left } from './format.ts'
import { hostName, type Names, type PrintOptions, portName } from './names.ts'
import type { Snapshot } from './snapshot.ts'
import type { InternetSnapshot, RawSnapshot, SocketSnapshot, UnixSnapshot } from './snapshot-types.ts'
import { renderSs, SsColumn, type SsRow } from './ss-columns.ts'
import { extendedText, infoText, memoryText, timerText, tosText, usersText } from './ss-details.ts'
import { ephemeralPorts, type SsRequest, SsRequestReader, STATES, type StateSet, Table } from './ss-request.ts'
import { printSsSummary } from './ss-summary.ts'

/** ss(8) of iproute2: sockets, column for column, with its filters. */

/**
 * What `ss` with these arguments prints of a host.
 * @throws UsageError for arguments that it does not understand
 */
export const ss = (snapshot: Snapshot, args: readonly string[], print: PrintOptions = {}): string => {
  const request = new SsRequestReader().read(args, snapshot, print.names)
  const summary = request.summary ? printSsSummary(snapshot) : ''
  if (request.summary && request.isDefault && isPlain(args)) return summary
  const writer = new RowWriter(request, ephemeralPorts(snapshot), print.names)
  const hidden = new Set<number>()
  if ((request.tables & (request.tables - 1)) === 0) hidden.add(SsColumn.Netid)
  if (request.states.size === 1) hidden.add(SsColumn.State)
  const rows = select(snapshot, request).map((socket) => writer.row(socket))
  return summary + renderSs({ rows, header: request.header, hidden, columns: print.columns ?? null })
}

/** Are there only options? Then -s shows the summary alone. */
const isPlain = (args: readonly string[]): boolean => args.every((arg) => arg.startsWith('-'))

/** The sockets that are asked for, in ss's order. */
const select = (snapshot: Snapshot, request: SsRequest): SocketSnapshot[] => {
  const { tables, states, families, preferred, filter } = request
  const isShown = (socket: InternetSnapshot): boolean =>
    states.has(socket.state) &&
    families.has(socket.family) &&
    ((preferred !== 4 && preferred !== 6) || socket.family === preferred) &&
    filter.takes(socket)
  const found: SocketSnapshot[] = []
  if (families.has('unix'))
    found.push(...snapshot.sockets.filter((socket) => isShownUnix(socket, tables, states) && filter.takes(socket)))
  for (const [table, protocol] of [
    [Table.Raw, 'raw'],
    [Table.Udp, 'udp'],
    [Table.Tcp, 'tcp'],
  ] as const) {
    if ((tables & table) === 0) continue
    for (const socket of snapshot.sockets) {
      if (socket.protocol === protocol && isHashed(socket) && isShown(socket)) found.push(socket)
    }
  }
  return found
}

/** Linux tells of sockets that it can find by their port or peer. */
const isHashed = (socket: InternetSnapshot): boolean => {
  if (socket.protocol === 'tcp') return socket.kind !== 'closed'
  return socket.protocol !== 'udp' || socket.local.port !== 0
}

const UNIX_TABLES = { stream: Table.UnixStream, dgram: Table.UnixDatagram, seqpacket: Table.UnixSeqpacket } as const

/** What waits to be accepted has no inode yet, and Linux does not tell of it. */
const isShownUnix = (socket: SocketSnapshot, tables: number, states: StateSet): socket is UnixSnapshot =>
  socket.protocol === 'unix' &&
  socket.inode !== 0 &&
  (tables & UNIX_TABLES[socket.type]) !== 0 &&
  states.has(unixState(socket))

/** The state of a Unix socket, in TCP's terms. */
const unixState = ({ state }: UnixSnapshot): string => {
  if (state === 'LISTENING') return 'LISTEN'
  return state === 'CONNECTED' ? 'ESTABLISHED' : 'CLOSE'
}

const UNIX_NETIDS = { stream: 'u_str', dgram: 'u_dgr', seqpacket: 'u_seq' } as const

class RowWriter {
  private readonly request: SsRequest
  private readonly ephemeral: readonly [number, number]
  private readonly names: Names | undefined

  constructor(request: SsRequest, ephemeral: readonly [number, number], names: Names | undefined) {
    this.request = request
    this.ephemeral = ephemeral
    this.names = names
  }

  row(socket: SocketSnapshot): SsRow {
    return socket.protocol === 'unix' ? this.unixRow(socket) : this.internetRow(socket)
  }

  private internetRow(socket: InternetSnapshot): SsRow {
    const { local, remote } = socket
    const sendQueue = socket.protocol === 'tcp' && socket.kind === 'listener' ? socket.backlog : socket.sendQueue
    const [localPort, remotePort] =
      socket.protocol === 'raw'
        ? [this.rawPort(socket), '*']
        : [this.port(local.port, socket), this.port(remote.port, socket)]
    return [
      this.netid(socket),
      shownState(socket.state),
      left(socket.receiveQueue, 6),
      left(sendQueue, 6),
      this.address(local.address, socket, socket.interface),
      localPort,
      this.address(remote.address, socket, null),
      remotePort,
      this.details(socket),
    ]
  }

  private netid(socket: InternetSnapshot): string {
    return socket.protocol === 'raw' && socket.ipProtocol === 58 ? 'icmp6' : socket.protocol
  }

  private address(text: string, socket: InternetSnapshot, device: string | null): string {
    const zone = device === null ? '' : `%${device}`
    // A raw socket of IPv6 does not receive IPv4 either, but nobody has told the kernel so.
    const isAny = socket.family === 6 && text === '::' && (socket.protocol === 'raw' || !socket.v6only)
    if (isAny) return `*${zone}:`
    const mapped = socket.family === 6 && !text.includes(':') ? `::ffff:${text}` : text
    const host = (this.request.resolve ? hostName(this.names, text) : undefined) ?? mapped
    return host.includes(':') ? `[${host}]${zone}:` : `${host}${zone}:`
  }

  private port(port: number, socket: InternetSnapshot): string {
    if (port === 0) return '*'
    const [first, last] = this.ephemeral
    if (this.request.numeric || (port >= first && port <= last)) return `${port}`
    return portName(this.names, port, socket.protocol === 'udp' ? 'udp' : 'tcp') ?? `${port}`
  }

  private rawPort({ ipProtocol }: RawSnapshot): string {
    return (this.request.numeric ? undefined : protocolName(ipProtocol)) ?? `${ipProtocol}`
  }

  /** Everything behind the addresses. */
  private details(socket: InternetSnapshot): string {
    const { request } = this
    let text = request.processes ? usersText(socket.holders, request.threads) : ''
    if (request.options && socket.protocol === 'tcp') text += timerText(socket)
    if (request.extended) text += extendedText(socket)
    if (request.tos && isWhole(socket) && socket.protocol !== 'raw') text += tosText(socket)
    if (!request.memory && (!request.info || socket.protocol === 'udp')) return text
    if (!request.oneLine) text += '\n\t'
    if (request.memory && isWhole(socket)) text += memoryText(socket.memory)
    if (request.info && socket.protocol === 'tcp') text += infoText(socket, request.options, request.numeric)
    return text
  }

  private unixRow(socket: UnixSnapshot): SsRow {
    const { request } = this
    const isListener = socket.state === 'LISTENING'
    let details = request.processes ? usersText(socket.holders, request.threads) : ''
    if (request.memory) details += memoryText(socket.memory)
    if (request.extended) details += extendedText(socket)
    return [
      UNIX_NETIDS[socket.type],
      shownState(unixState(socket)),
      left(socket.receiveQueue, 6),
      left(isListener ? socket.backlog : socket.sendQueue, 6),
      `${socket.path ?? '*'} `,
      `${socket.inode}`,
      '* ',
      `${socket.peer}`,
      details,
    ]
  }
}

/** Is it more than what Linux keeps of half-open connections and in TIME_WAIT? */
const isWhole = (socket: InternetSnapshot): boolean =>
  socket.protocol !== 'tcp' || socket.kind === 'listener' || socket.kind === 'connection'

const shownState = (state: string): string => STATES.find(([name]) => name === state)?.[1] ?? 'UNKNOWN'
