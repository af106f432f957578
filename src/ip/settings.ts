/**
 * The settings of a host's IP layer, under Linux's names, in Linux's units and with Linux's defaults. Whoever holds
 * them may write one at any time, and what comes after goes by the new value.
 *
 * Linux keeps many of these once an interface and once a family; here one field serves all of them, unless an
 * interface overrides it (`NetworkInterface.settings`).
 */
const DEFAULTS = {
  // net.ipv4
  /** Does the host forward IPv4 packets: is it a router? */
  ip_forward: 0,
  ip_default_ttl: 64,
  /** 1: never do path-MTU discovery. */
  ip_no_pmtu_disc: 0,
  /** Smallest path MTU that an ICMP message may set, bytes. */
  min_pmtu: 552,
  /** How long a learned path MTU holds, seconds. */
  mtu_expires: 600,
  /** How long the fragments of a packet are kept, seconds. */
  ipfrag_time: 30,
  /** Most memory that waiting IPv4 fragments may take, bytes; more are refused. */
  ipfrag_high_thresh: 4_194_304,
  icmp_echo_ignore_all: 0,
  icmp_echo_ignore_broadcasts: 1,
  /** 1: the source of an ICMP error is the interface that the packet came in through. */
  icmp_errors_use_inbound_ifaddr: 0,
  /** Shortest time between ICMP errors to one host, milliseconds, in bursts of six; 0: no limit. */
  icmp_ratelimit: 1000,
  /** The ICMP types, as bits, that `icmp_ratelimit` and `icmp_msgs_per_sec` hold for. */
  icmp_ratemask: 6168,
  /** ICMP errors a second that the host sends in all. */
  icmp_msgs_per_sec: 1000,
  icmp_msgs_burst: 50,
  /** 1: follow ICMP redirects, unless the host is a router. */
  accept_redirects: 1,
  /** 1: follow redirects only to gateways that are in the routing table. */
  secure_redirects: 0,
  send_redirects: 1,
  /** 1: accept packets from and to 127.0.0.0/8 on any interface. */
  route_localnet: 0,
  /** 1: accept packets whose source is an address of this host. */
  accept_local: 0,
  /** 1: drop packets whose source is reached through another interface (RFC 3704, strict); 2: only unreachable ones. */
  rp_filter: 0,
  /** 0: answer for any local address; 1: only for those of the interface asked; 2: and only to its own subnets. */
  arp_ignore: 0,
  /** 0: ask from any local address; 1: prefer one in the target's subnet; 2: the interface's best. */
  arp_announce: 0,
  /** 1: learn from gratuitous ARP of hosts that are not in the table. */
  arp_accept: 0,
  /** 1: announce addresses when an interface comes up. */
  arp_notify: 0,
  promote_secondaries: 0,
  igmp_max_memberships: 20,
  igmp_max_msf: 10,
  /** The robustness variable (RFC 3376 section 8.1): how often unsolicited reports are sent. */
  igmp_qrv: 2,
  igmp_link_local_mcast_reports: 1,
  /** 0: any version; 1 to 3: this one only. */
  force_igmp_version: 0,

  // net.ipv6
  /** Does the host forward IPv6 packets? */
  ipv6_forwarding: 0,
  ipv6_hop_limit: 64,
  ipv6_mtu_expires: 600,
  ip6frag_time: 60,
  ip6frag_high_thresh: 4_194_304,
  icmpv6_echo_ignore_all: 0,
  icmpv6_echo_ignore_multicast: 0,
  icmpv6_ratelimit: 100,
  disable_ipv6: 0,
  /** 0: ignore router advertisements; 1: unless forwarding; 2: always. */
  accept_ra: 1,
  accept_ra_defrtr: 1,
  accept_ra_pinfo: 1,
  accept_ra_mtu: 1,
  accept_ra_min_hop_limit: 1,
  accept_ra_rt_info_max_plen: 0,
  accept_ipv6_redirects: 1,
  /** 1: make addresses from advertised prefixes (SLAAC, RFC 4862). */
  autoconf: 1,
  /** How many probes duplicate address detection sends; 0: none, addresses are usable at once. */
  dad_transmits: 1,
  /** 0: ignore; 1: detect duplicates; 2: and turn IPv6 off when the link-local address is taken. */
  accept_dad: 1,
  /** How interface identifiers are made: 0 EUI-64; 1 none; 2 and 3 stable and opaque (RFC 7217). */
  addr_gen_mode: 0,
  /** How often to solicit routers: -1 without end, backing off to `router_solicitation_max_interval`. */
  router_solicitations: -1,
  /** Seconds before the second solicitation. */
  router_solicitation_interval: 4,
  router_solicitation_max_interval: 3600,
  /** Most seconds, drawn at random, before the first solicitation. */
  router_solicitation_delay: 1,
  ipv6_max_addresses: 16,
  /** 1: keep global addresses when an interface goes down. */
  keep_addr_on_down: 0,
  mld_max_msf: 64,
  mld_qrv: 2,
  /** 0: any version; 1 or 2: this one only. */
  force_mld_version: 0,

  // net.ipv4.neigh and net.ipv6.neigh
  /** The mean time an entry stays REACHABLE, milliseconds; each interface draws from half to one and a half of it. */
  base_reachable_time_ms: 30_000,
  /** Milliseconds between probes. */
  retrans_time_ms: 1000,
  /** Seconds from first use of a STALE entry to the first probe. */
  delay_first_probe_time: 5,
  ucast_solicit: 3,
  mcast_solicit: 3,
  mcast_resolicit: 0,
  /** Seconds without use after which a STALE entry may be collected. */
  gc_stale_time: 60,
  /** Seconds between collections. */
  gc_interval: 30,
  gc_thresh1: 128,
  gc_thresh2: 512,
  gc_thresh3: 1024,
  /** Bytes of packets that wait for one unresolved neighbour. */
  unres_qlen_bytes: 212_992,
  /** Gap in milliseconds that must lie between two changes of a neighbour's link-layer address. */
  locktime_ms: 1000,

  // net.core
  /** Packets that wait for the processor before more are dropped. */
  netdev_max_backlog: 1000,
  /** Packets that the processor takes from one interface before it turns to the next. */
  dev_weight: 64,
}

export type IpSettings = typeof DEFAULTS

/** The name of a field of `IpSettings`. */
export type IpSettingName = keyof IpSettings

export const IP_SETTING_NAMES = Object.keys(DEFAULTS) as readonly IpSettingName[]

/**
 * What the settings of hosts and of interfaces are. Not objects that inherit from the host's: V8 gives each object that
 * others inherit from a hidden class of its own, and code that has seen several hosts would know none of them.
 */
class SettingsStore {
  private readonly values: number[] = Object.values(DEFAULTS)
  /** The host's settings, of an interface's, and which of them were set for the interface alone. */
  private readonly host: SettingsStore | null
  private readonly own: Uint8Array | null

  constructor(host: SettingsStore | null) {
    this.host = host
    this.own = host === null ? null : new Uint8Array(this.values.length)
  }

  static {
    IP_SETTING_NAMES.forEach((name, at) => {
      Object.defineProperty(SettingsStore.prototype, name, {
        get(this: SettingsStore): number {
          const { host, own } = this
          return host === null || own![at] === 1 ? this.values[at]! : host.values[at]!
        },
        set(this: SettingsStore, value: number) {
          this.values[at] = value
          if (this.own !== null) this.own[at] = 1
        },
      })
    })
  }
}

/** A host's settings: the defaults, but for `overrides`. */
export const ipSettings = (overrides: Partial<IpSettings> = {}): IpSettings =>
  Object.assign(new SettingsStore(null) as unknown as IpSettings, overrides)

/** The settings of an interface of a host: the host's, but for what is written to them, which concerns no other. */
export const interfaceSettings = (host: IpSettings): IpSettings =>
  new SettingsStore(host as unknown as SettingsStore) as unknown as IpSettings

/** One name of sysctl(8), and what it stands for. */
export interface IpSysctl {
  readonly field: IpSettingName
  /** The smallest and the largest value that a write may give. */
  readonly min: number
  readonly max: number
}

/** The most that a setting takes which has no limit of its own: that of an `int`. */
export const INT_MAX = 0x7fff_ffff

const entry = (field: IpSettingName, min = 0, max = INT_MAX): IpSysctl => ({ field, min, max })
const flag = (field: IpSettingName): IpSysctl => entry(field, 0, 1)

const NEIGHBOUR: Record<string, IpSysctl> = {
  base_reachable_time_ms: entry('base_reachable_time_ms', 1),
  retrans_time_ms: entry('retrans_time_ms', 1),
  delay_first_probe_time: entry('delay_first_probe_time'),
  ucast_solicit: entry('ucast_solicit'),
  mcast_solicit: entry('mcast_solicit'),
  mcast_resolicit: entry('mcast_resolicit'),
  gc_stale_time: entry('gc_stale_time'),
  gc_interval: entry('gc_interval', 1),
  gc_thresh1: entry('gc_thresh1'),
  gc_thresh2: entry('gc_thresh2'),
  gc_thresh3: entry('gc_thresh3'),
  unres_qlen_bytes: entry('unres_qlen_bytes'),
}

const CONF_V4: Record<string, IpSysctl> = {
  forwarding: flag('ip_forward'),
  accept_redirects: flag('accept_redirects'),
  secure_redirects: flag('secure_redirects'),
  send_redirects: flag('send_redirects'),
  route_localnet: flag('route_localnet'),
  accept_local: flag('accept_local'),
  rp_filter: entry('rp_filter', 0, 2),
  arp_ignore: entry('arp_ignore', 0, 2),
  arp_announce: entry('arp_announce', 0, 2),
  arp_accept: flag('arp_accept'),
  arp_notify: flag('arp_notify'),
  promote_secondaries: flag('promote_secondaries'),
  force_igmp_version: entry('force_igmp_version', 0, 3),
}

const CONF_V6: Record<string, IpSysctl> = {
  forwarding: flag('ipv6_forwarding'),
  hop_limit: entry('ipv6_hop_limit', 1, 255),
  disable_ipv6: flag('disable_ipv6'),
  accept_ra: entry('accept_ra', 0, 2),
  accept_ra_defrtr: flag('accept_ra_defrtr'),
  accept_ra_pinfo: flag('accept_ra_pinfo'),
  accept_ra_mtu: flag('accept_ra_mtu'),
  accept_ra_min_hop_limit: entry('accept_ra_min_hop_limit', 0, 255),
  accept_ra_rt_info_max_plen: entry('accept_ra_rt_info_max_plen', 0, 128),
  accept_redirects: flag('accept_ipv6_redirects'),
  autoconf: flag('autoconf'),
  dad_transmits: entry('dad_transmits', 0, 100),
  accept_dad: entry('accept_dad', 0, 2),
  addr_gen_mode: entry('addr_gen_mode', 0, 3),
  router_solicitations: entry('router_solicitations', -1),
  router_solicitation_interval: entry('router_solicitation_interval', 1),
  router_solicitation_max_interval: entry('router_solicitation_max_interval', 1),
  router_solicitation_delay: entry('router_solicitation_delay'),
  max_addresses: entry('ipv6_max_addresses'),
  keep_addr_on_down: flag('keep_addr_on_down'),
  force_mld_version: entry('force_mld_version', 0, 2),
}

const under = (prefix: string, table: Record<string, IpSysctl>): Record<string, IpSysctl> =>
  Object.fromEntries(Object.entries(table).map(([name, value]) => [`${prefix}.${name}`, value]))

const { hop_limit: _ofHosts, ...CONF_V6_OF_ONE } = CONF_V6

/**
 * What each interface has a value of its own of, below `net.ipv4.conf.IFACE` and `net.ipv6.conf.IFACE`. Until it is set
 * it is the host's, and the host's counts no more for it from then on: there are no rules of combining them.
 */
export const INTERFACE_SYSCTLS: Readonly<Record<string, Readonly<Record<string, IpSysctl>>>> = {
  'net.ipv4.conf': CONF_V4,
  'net.ipv6.conf': CONF_V6_OF_ONE,
}

/** Every name of sysctl(8) that the IP layer answers to. The `all` and `default` trees are one. */
export const IP_SYSCTLS: Readonly<Record<string, IpSysctl>> = {
  'net.core.netdev_max_backlog': entry('netdev_max_backlog', 1),
  'net.core.dev_weight': entry('dev_weight', 1),
  'net.ipv4.ip_forward': flag('ip_forward'),
  'net.ipv4.ip_default_ttl': entry('ip_default_ttl', 1, 255),
  'net.ipv4.ip_no_pmtu_disc': entry('ip_no_pmtu_disc', 0, 3),
  'net.ipv4.route.min_pmtu': entry('min_pmtu', 68),
  'net.ipv4.route.mtu_expires': entry('mtu_expires', 1),
  'net.ipv4.ipfrag_time': entry('ipfrag_time', 1),
  'net.ipv4.ipfrag_high_thresh': entry('ipfrag_high_thresh'),
  'net.ipv4.icmp_echo_ignore_all': flag('icmp_echo_ignore_all'),
  'net.ipv4.icmp_echo_ignore_broadcasts': flag('icmp_echo_ignore_broadcasts'),
  'net.ipv4.icmp_errors_use_inbound_ifaddr': flag('icmp_errors_use_inbound_ifaddr'),
  'net.ipv4.icmp_ratelimit': entry('icmp_ratelimit'),
  'net.ipv4.icmp_ratemask': entry('icmp_ratemask'),
  'net.ipv4.icmp_msgs_per_sec': entry('icmp_msgs_per_sec'),
  'net.ipv4.icmp_msgs_burst': entry('icmp_msgs_burst'),
  'net.ipv4.igmp_max_memberships': entry('igmp_max_memberships'),
  'net.ipv4.igmp_max_msf': entry('igmp_max_msf'),
  'net.ipv4.igmp_qrv': entry('igmp_qrv', 1, 7),
  'net.ipv4.igmp_link_local_mcast_reports': flag('igmp_link_local_mcast_reports'),
  'net.ipv6.ip6frag_time': entry('ip6frag_time', 1),
  'net.ipv6.ip6frag_high_thresh': entry('ip6frag_high_thresh'),
  'net.ipv6.icmp.echo_ignore_all': flag('icmpv6_echo_ignore_all'),
  'net.ipv6.icmp.echo_ignore_multicast': flag('icmpv6_echo_ignore_multicast'),
  'net.ipv6.icmp.ratelimit': entry('icmpv6_ratelimit'),
  'net.ipv6.mld_max_msf': entry('mld_max_msf'),
  'net.ipv6.mld_qrv': entry('mld_qrv', 1, 7),
  'net.ipv6.route.mtu_expires': entry('ipv6_mtu_expires', 1),
  ...under('net.ipv4.conf.all', CONF_V4),
  ...under('net.ipv4.conf.default', CONF_V4),
  ...under('net.ipv6.conf.all', CONF_V6),
  ...under('net.ipv6.conf.default', CONF_V6),
  ...under('net.ipv4.neigh.default', { ...NEIGHBOUR, locktime: entry('locktime_ms') }),
  ...under('net.ipv6.neigh.default', NEIGHBOUR),
}
