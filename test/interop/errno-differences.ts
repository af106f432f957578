/** Where the outcomes of test/interop/errno-cases.ts differ from the kernel's. docs/LINUX.md has a row for each. */
export interface Difference {
  /** The row of docs/LINUX.md: what it is about, what Linux does, what is done here, and why. */
  readonly row: readonly [what: string, linux: string, here: string, why: string]
  /** Which scripts it shows in, by their names, and in which steps. */
  readonly cases: RegExp
  readonly steps: RegExp
}

/** Those of test/interop/row-cases.ts. */
export const ROW_DIFFERENCES: readonly Difference[] = [
  {
    row: [
      'a datagram for which there is too little room in RecvQ (row `udp-loss`)',
      'dropped, by Linux 6.12 and later, unless RecvQ is empty',
      'taken as long as RecvQ is not full',
      'It is what Linux did before.',
    ],
    cases: /^udp-loss$/,
    steps: /^recv s 2000 MSG_DONTWAIT/,
  },
]

export const DIFFERENCES: readonly Difference[] = [
  {
    row: [
      '`socket(AF_INET, SOCK_PACKET)`',
      'makes a packet socket',
      'EAFNOSUPPORT',
      'There are no sockets of AF_PACKET: captures are taken at links.',
    ],
    cases: /^socket\(2, 10\) of user 0/,
    steps: /^s = socket/,
  },
  {
    row: [
      '`l_linger` of -1',
      'is read back as -1752346657',
      'is read back as 2147483647',
      "The kernel's number is what an overflow of its clock's ticks leaves.",
    ],
    cases: /SO_LINGER linger:1,5/,
    steps: /^getsockopt x SOL_SOCKET SO_LINGER/,
  },
  {
    row: [
      '`SIOCOUTQ` and `SIOCOUTQNSD` once a connection is over',
      'counts that are left over, even of a listener that was shut down',
      '0',
      'They mean nothing any more.',
    ],
    cases: /^(TCP|listener).*OUTQ/,
    steps: /^ioctl x (TIOCOUTQ|SIOCOUTQNSD)/,
  },
  {
    row: [
      '`SIOCOUTQ` of a corked UDP socket',
      'memory of the datagram that is being gathered',
      '0',
      'Buffers are not those of the kernel.',
    ],
    cases: /^UDP corked/,
    steps: /^ioctl x TIOCOUTQ/,
  },
  {
    row: [
      'send(2) on a corked UDP socket after `shutdown(SHUT_WR)`',
      'adds to the datagram',
      'EPIPE',
      'Linux notices the shutdown only when it makes a new buffer.',
    ],
    cases: /^UDP corked: shutdown/,
    steps: /^send x 1/,
  },
  {
    row: ['`MSG_MORE` on a raw socket', 'gathers a packet', 'sends at once', 'The flag is for TCP and UDP (send(2)).'],
    cases: /^raw connected: send x 5 MSG_MORE/,
    steps: /^poll/,
  },
  {
    row: [
      'a raw IPv6 socket that connects to an IPv4-mapped address',
      'is connected, and can send nothing',
      'ENETUNREACH',
      'It could not speak IPv4.',
    ],
    cases: /^raw6: connect x \[::ffff/,
    steps: /^(connect|getsockname|getpeername)/,
  },
  {
    row: [
      'an IPv6 TCP socket bound to an IPv4-mapped address that connects to an IPv6 address without a route',
      'ENETUNREACH',
      'EAFNOSUPPORT',
      'Where there is a route Linux says EAFNOSUPPORT too.',
    ],
    cases: /^TCP6 bound to an IPv4 address: connect/,
    steps: /^connect/,
  },
  {
    row: ['`TCP_REPAIR` (19)', 'is there', 'ENOPROTOOPT', 'It is for moving live connections between machines.'],
    cases: /: SOL_TCP 19$/,
    steps: /sockopt x SOL_TCP 19/,
  },
  {
    row: [
      '`IP_ROUTER_ALERT` (5), `IP_RECVOPTS` (6), `IP_RETOPTS` (7), `IP_PASSSEC` (18)',
      'are there',
      'ENOPROTOOPT',
      'IP options are not handed to programs; there are no security labels.',
    ],
    cases: /: SOL_IP (5|6|7|18)$/,
    steps: /sockopt x SOL_IP (5|6|7|18)/,
  },
  {
    row: ['`IPV6_AUTOFLOWLABEL` (70)', 'is there', 'ENOPROTOOPT', 'Packets have the flow label 0.'],
    cases: /: SOL_IPV6 70$/,
    steps: /sockopt x SOL_IPV6 70/,
  },
]
