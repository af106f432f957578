/**
 * Why a packet was dropped. Parsers and input functions return one of these and never throw; every reason is a counter
 * (`Mib.drops`), so that nothing disappears without a name.
 */
const REASONS = [
  // 0 means: not dropped.
  'none',
  // Ethernet and below
  'eth-truncated',
  'eth-fcs',
  'eth-not-for-us',
  'eth-unknown-type',
  'eth-own-source',
  'vlan-unknown',
  'interface-down',
  'receive-ring-full',
  'backlog-full',
  'no-memory',
  // ARP
  'arp-truncated',
  'arp-not-ethernet-ipv4',
  'arp-bad-operation',
  'arp-not-for-us',
  'arp-conflict',
  // IPv4
  'ipv4-truncated',
  'ipv4-version',
  'ipv4-header-length',
  'ipv4-total-length',
  'ipv4-checksum',
  'ipv4-options',
  'ipv4-source-route',
  // IPv6
  'ipv6-truncated',
  'ipv6-version',
  'ipv6-payload-length',
  'ipv6-source',
  'ipv6-destination',
  'ipv6-extension-truncated',
  'ipv6-extension-order',
  'ipv6-extension-limit',
  'ipv6-extension-option',
  'ipv6-routing-header',
  'ipv6-no-next-header',
  'ipv6-disabled',
  // Either IP
  'ip-version',
  'ip-not-for-us',
  'ip-no-route',
  'ip-ttl-expired',
  'ip-too-big',
  'ip-unknown-protocol',
  'ip-martian',
  'ip-reverse-path',
  'ip-link-broadcast',
  'ip-no-group',
  'ip-scope',
  'ip-administrative',
  'fragment-truncated',
  'fragment-length',
  'fragment-overlap',
  'fragment-duplicate',
  'fragment-ecn',
  'fragment-too-big',
  'fragment-timeout',
  'fragment-limit',
  'neighbour-unresolved',
  'neighbour-queue-full',
  'neighbour-limit',
  // ICMP, NDP, IGMP, MLD
  'icmp-truncated',
  'icmp-checksum',
  'icmp-type',
  'icmp-bad-quote',
  'icmp-no-socket',
  'icmp-rate-limited',
  'icmp-ignored',
  'icmp-redirect',
  'ndp-truncated',
  'ndp-hop-limit',
  'ndp-code',
  'ndp-option',
  'ndp-target',
  'ndp-source',
  'ndp-destination',
  'ndp-ignored',
  'igmp-truncated',
  'igmp-checksum',
  'igmp-type',
  'mld-truncated',
  'mld-hop-limit',
  'mld-source',
  'mld-router-alert',
  // UDP
  'udp-truncated',
  'udp-length',
  'udp-checksum',
  'udp-no-checksum',
  'udp-no-socket',
  'udp-receive-buffer-full',
  // TCP
  'tcp-truncated',
  'tcp-header-length',
  'tcp-checksum',
  'tcp-bad-address',
  'tcp-no-socket',
  'tcp-flags',
  'tcp-paws',
  'tcp-old-ack',
  'tcp-out-of-window',
  'tcp-overlap',
  'tcp-zero-window',
  'tcp-invalid-ack',
  'tcp-invalid-syn',
  'tcp-reset',
  'tcp-syn-queue-full',
  'tcp-accept-queue-full',
  'tcp-receive-buffer-full',
  'tcp-md5',
  'tcp-min-ttl',
  'tcp-time-wait',
  // Raw sockets
  'raw-receive-buffer-full',
  // Links
  'link-down',
  'link-no-receiver',
  'link-loss',
  'link-filter',
  'link-queue-full',
  'link-mtu',
  'link-not-segmentable',
  'link-refused',
  // Switches
  'switch-bad-source',
  'switch-reserved-group',
  'switch-same-port',
  'switch-no-port',
] as const

/** The name of a reason, as it is printed: `'tcp-checksum'`. */
export type DropName = (typeof REASONS)[number]

/** The reasons' numbers, by name: `Drop['tcp-checksum']`. `Drop.none` is 0. */
export const Drop = Object.fromEntries(REASONS.map((name, index) => [name, index])) as {
  readonly [N in DropName]: number
}

/** The name of a reason's number. */
export const dropName = (reason: number): DropName => REASONS[reason]!

/** How many reasons there are, `none` included. */
export const DROP_REASONS = REASONS.length
