import type { Random } from '../core/random.ts'
import type { IpStack } from '../ip/stack.ts'
import type { TcpSettings } from '../tcp/settings.ts'
import type { Credentials } from './control.ts'
import { IpOptions } from './ip-options.ts'
import { PortTable, tcpConflict, udpConflict } from './ports.ts'
import { RawDemux } from './raw-demux.ts'
import { KeptOptions, type Socket } from './socket.ts'
import { SocketList } from './socket-list.ts'
import { TcpDemux } from './tcp-demux.ts'
import { UdpSocketDemux } from './udp-demux.ts'
import type { UnixSocket } from './unix.ts'
import { UnixNames } from './unix-names.ts'

/** Settings of sockets in general, under Linux's names (net.core, net.ipv4). */
export class SocketSettings {
  rmem_default = 212_992
  wmem_default = 212_992
  rmem_max = 212_992
  wmem_max = 212_992
  /** Ports that are chosen for sockets that have none, first and last. */
  ip_local_port_range: [number, number] = [32_768, 60_999]
  /** Ports below this are the superuser's. */
  ip_unprivileged_port_start = 1024
  /** May sockets bind addresses that the host does not have? */
  ip_nonlocal_bind = 0
  /** Who may make ping sockets: groups, first and last; a user's group has the user's number here. */
  ping_group_range: [number, number] = [0, 2_147_483_647]
  /** Are IPv6 sockets for IPv6 alone unless they say otherwise? */
  bindv6only = 0
  /** Datagrams that a Unix domain socket holds, beside one more. */
  max_dgram_qlen = 10
}

/** The process that calls now: the kernel's `current`. */
export interface Caller {
  readonly pid: number
  readonly uid: number
  readonly credentials: Credentials
}

const KERNEL: Caller = { pid: 0, uid: 0, credentials: { pid: 0, uid: 0, gid: 0 } }

/** The sockets of one host: what they share. */
export class SocketLayer {
  readonly ip: IpStack
  readonly settings = new SocketSettings()
  readonly tcp: TcpDemux
  readonly udp: UdpSocketDemux
  readonly raw: RawDemux
  readonly random: Random
  readonly tcpPorts = new PortTable(tcpConflict)
  readonly udpPorts = new PortTable(udpConflict)
  readonly unixNames = new UnixNames()
  /** Unix domain sockets to which messages refer that nobody has read. */
  readonly unixInFlight = new Set<UnixSocket>()
  /** Who calls: set at the beginning of every call, and when one goes on that had to wait. */
  caller: Caller = KERNEL
  /** Every socket that a descriptor refers to. */
  readonly sockets = new SocketList()
  /** The options of sockets that have set none. */
  readonly defaultKept = new KeptOptions()
  private readonly keptByUser = new Map<number, KeptOptions>()
  readonly defaultIpOptions = new IpOptions()
  /** Those of IPv6 sockets, which hear only the IPv4 groups that they have joined. */
  readonly defaultIpOptions6 = Object.assign(new IpOptions(), { multicastAll: false })
  private inodes = 0
  /** Told when urgent data is announced to a socket: whoever owns it gets SIGURG. */
  onUrgent: ((socket: Socket) => void) | null = null
  /** Told when something has happened to a socket with O_ASYNC: whoever owns it gets SIGIO. */
  onAsync: ((socket: Socket) => void) | null = null

  constructor(ip: IpStack, tcpSettings: TcpSettings, random: Random) {
    this.ip = ip
    this.random = random
    this.tcp = new TcpDemux(ip, tcpSettings, this.settings, random)
    this.udp = new UdpSocketDemux(ip, random.fork('udp'))
    this.raw = new RawDemux(ip)
  }

  /** The options of sockets of one user that have set none. */
  keptOf(uid: number): KeptOptions {
    let kept = this.keptByUser.get(uid)
    if (kept === undefined) {
      kept = new KeptOptions()
      kept.uid = uid
      this.keptByUser.set(uid, kept)
    }
    return kept
  }

  /** A number that names a new socket of this host: never given twice, never 0. */
  newInode(): number {
    return ++this.inodes
  }

  /**
   * Tries the ports that may be chosen, each once, from a random one on (RFC 6056 section 3.3.1).
   * @param take takes a port if it can be had
   * @param range IP_LOCAL_PORT_RANGE: first and last, 0 for the host's own bound
   * @returns what `take` returned for the first that could; null when none can
   */
  chooseEphemeral<T>(take: (port: number) => T | null, range: readonly [number, number] = NO_RANGE): T | null {
    const [first, last] = this.settings.ip_local_port_range
    const low = Math.max(first, range[0])
    const high = range[1] === 0 ? last : Math.min(last, range[1])
    if (low > high) return null
    const count = high - low + 1
    const start = this.random.below(count)
    for (let i = 0; i < count; i++) {
      const taken = take(low + ((start + i) % count))
      if (taken !== null) return taken
    }
    return null
  }

  /** A message that refers to a socket was sent (1), or is gone (-1). */
  noteInFlight(socket: UnixSocket, change: 1 | -1): void {
    socket.inFlight += change
    if (socket.inFlight === 0) this.unixInFlight.delete(socket)
    else this.unixInFlight.add(socket)
  }

  /** The index of an interface by its name or number, as a zone names it; 0 when there is none. */
  zoneIndex(zone: string): number {
    const named = this.ip.interfaceNamed(zone)
    if (named !== null) return named.index
    const index = Number(zone)
    return Number.isInteger(index) && this.ip.interfaceAt(index) !== null ? index : 0
  }

  /** Ends everything at once, silently: what a host that loses power does. */
  close(): void {
    for (const entry of this.tcp.table.entries()) this.tcp.discard(entry)
    for (const claim of this.tcp.listeners.all()) this.tcp.listeners.remove(claim)
  }
}

const NO_RANGE: readonly [number, number] = [0, 0]
