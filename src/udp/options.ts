import type { NetworkInterface } from '../ip/interface.ts'

/** What to do about path MTU: Linux's IP_PMTUDISC_*. */
export const PathMtuDiscovery = {
  /** Fragment what does not fit, never set DF. */
  Dont: 0,
  /** Set DF on what fits, fragment what does not. */
  Want: 1,
  /** Always set DF; what does not fit gives EMSGSIZE. */
  Do: 2,
  /** As `Do`, but by the interface's MTU. */
  Probe: 3,
  /** Never set DF, go by the interface's MTU; what does not fit is fragmented (`Omit`) or refused (`Interface`). */
  Interface: 4,
  Omit: 5,
} as const

/** Flags of send and receive calls: Linux's MSG_*. */
export const MessageFlag = {
  Oob: 0x1,
  Peek: 0x2,
  Trunc: 0x20,
  ErrorQueue: 0x2000,
  More: 0x8000,
} as const

/** The options of a datagram endpoint, with Linux's defaults. A plain object: write what is to change. */
export class UdpOptions {
  /** Bytes that RecvQ may hold, as `truesize` counts: twice what SO_RCVBUF was set to. */
  receiveBuffer = 212_992
  /** The same of SO_SNDBUF. Only kept: what is sent is the link's at once, so that sending never waits. */
  sendBuffer = 212_992
  /** SO_BROADCAST: may it send to everybody? */
  broadcast = false
  /** SO_NO_CHECK: send without checksum. IPv4 only. */
  noChecksum = false
  /** IP_TTL, IPV6_UNICAST_HOPS; 0 for the host's default. */
  hopLimit = 0
  /** IP_TOS, IPV6_TCLASS. */
  trafficClass = 0
  /** IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS; 0 keeps datagrams on this host. */
  multicastHopLimit = 1
  /** IP_MULTICAST_LOOP: do members on this host get a copy? */
  multicastLoop = true
  /** IP_MULTICAST_IF. */
  multicastInterface: NetworkInterface | null = null
  /** IP_UNICAST_IF, IPV6_UNICAST_IF: where datagrams to one host leave that name no interface. */
  unicastInterface: NetworkInterface | null = null
  /** IP_MULTICAST_ALL: take datagrams of groups that others on this host have joined? */
  multicastAll = true
  /** IPV6_MULTICAST_ALL: the same for groups of IPv6. */
  multicastAll6 = true
  /** One of `PathMtuDiscovery`. */
  pathMtuDiscovery: number = PathMtuDiscovery.Want
  /** IPV6_DONTFRAG: what does not fit gives EMSGSIZE, whatever `pathMtuDiscovery` says. */
  dontFragment = false
  /** IPV6_MTU: no packet that must be whole, and no fragment, is to be larger, bytes; 0 for the path's MTU. */
  fragmentSize = 0
  /** IP_RECVERR: queue all errors, and report them also when not connected. */
  receiveErrors = false
  /** UDP_CORK: gather what is sent until it is taken off. See `UdpEndpoint.setCork`. */
  cork = false
}
