/** Names of well-known ports and of protocols above IP: parts of /etc/services and /etc/protocols. */

/** Port, and the names of the service over TCP and over UDP; an empty name for none. */
const SERVICES: readonly (readonly [port: number, tcp: string, udp: string])[] = [
  [1, 'tcpmux', ''],
  [7, 'echo', 'echo'],
  [9, 'discard', 'discard'],
  [11, 'systat', ''],
  [13, 'daytime', 'daytime'],
  [15, 'netstat', ''],
  [17, 'qotd', ''],
  [19, 'chargen', 'chargen'],
  [20, 'ftp-data', ''],
  [21, 'ftp', 'fsp'],
  [22, 'ssh', ''],
  [23, 'telnet', ''],
  [25, 'smtp', ''],
  [37, 'time', 'time'],
  [43, 'whois', ''],
  [49, 'tacacs', 'tacacs'],
  [53, 'domain', 'domain'],
  [67, '', 'bootps'],
  [68, '', 'bootpc'],
  [69, '', 'tftp'],
  [70, 'gopher', ''],
  [79, 'finger', ''],
  [80, 'http', ''],
  [88, 'kerberos', 'kerberos'],
  [110, 'pop3', ''],
  [111, 'sunrpc', 'sunrpc'],
  [113, 'auth', ''],
  [119, 'nntp', ''],
  [123, '', 'ntp'],
  [143, 'imap2', ''],
  [161, 'snmp', 'snmp'],
  [162, 'snmp-trap', 'snmp-trap'],
  [179, 'bgp', ''],
  [389, 'ldap', 'ldap'],
  [443, 'https', 'https'],
  [444, 'snpp', ''],
  [445, 'microsoft-ds', ''],
  [465, 'submissions', ''],
  [500, '', 'isakmp'],
  [513, 'login', 'who'],
  [514, 'shell', 'syslog'],
  [515, 'printer', ''],
  [520, '', 'route'],
  [546, '', 'dhcpv6-client'],
  [547, '', 'dhcpv6-server'],
  [554, 'rtsp', 'rtsp'],
  [587, 'submission', ''],
  [636, 'ldaps', 'ldaps'],
  [853, 'domain-s', 'domain-s'],
  [873, 'rsync', ''],
  [989, 'ftps-data', ''],
  [990, 'ftps', ''],
  [992, 'telnets', ''],
  [993, 'imaps', ''],
  [995, 'pop3s', ''],
  [1080, 'socks', ''],
  [1194, 'openvpn', 'openvpn'],
  [1433, 'ms-sql-s', ''],
  [1812, 'radius', 'radius'],
  [1813, 'radius-acct', 'radius-acct'],
  [2049, 'nfs', 'nfs'],
  [3306, 'mysql', ''],
  [3389, 'ms-wbt-server', ''],
  [4500, '', 'ipsec-nat-t'],
  [5060, 'sip', 'sip'],
  [5061, 'sip-tls', 'sip-tls'],
  [5222, 'xmpp-client', ''],
  [5269, 'xmpp-server', ''],
  [5353, '', 'mdns'],
  [5432, 'postgresql', ''],
  [5671, 'amqps', ''],
  [5672, 'amqp', ''],
  [6000, 'x11', ''],
  [6379, 'redis', ''],
  [6667, 'ircd', ''],
  [8080, 'http-alt', ''],
]

/** The protocols that ports belong to. */
export type ServiceProtocol = 'tcp' | 'udp'

/** The name of a port, as getservbyport(3) gives it; `undefined` when it has none. */
export const serviceName = (port: number, protocol: ServiceProtocol): string | undefined => {
  const entry = SERVICES.find(([number]) => number === port)
  const name = entry?.[protocol === 'tcp' ? 1 : 2]
  return name === '' ? undefined : name
}

/** The port of a name, as getservbyname(3) gives it; `undefined` for a name that is not known. */
export const servicePort = (name: string, protocol: ServiceProtocol): number | undefined =>
  SERVICES.find((entry) => entry[protocol === 'tcp' ? 1 : 2] === name && name !== '')?.[0]

/** Names of protocols above IP, as /etc/protocols has them: raw sockets show theirs as a port. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'ip',
  1: 'icmp',
  2: 'igmp',
  4: 'ipencap',
  6: 'tcp',
  17: 'udp',
  41: 'ipv6',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'ipv6-icmp',
  89: 'ospf',
  103: 'pim',
  132: 'sctp',
}

/** The name of a protocol above IP; `undefined` when it has none here. */
export const protocolName = (protocol: number): string | undefined => PROTOCOLS[protocol]

/** The number of a protocol above IP; `undefined` for a name that is not known. */
export const protocolNumber = (name: string): number | undefined => {
  const entry = Object.entries(PROTOCOLS).find(([, known]) => known === name)
  return entry === undefined ? undefined : Number(entry[0])
}
