import { left } from './format.ts'
import type { Snapshot } from './snapshot.ts'
import type { SocketSnapshot, TcpSnapshot } from './snapshot-types.ts'

/** `ss -s`: how many sockets there are of which kind. */
export const printSsSummary = (snapshot: Snapshot): string => {
  const { sockets, counters, fragments } = snapshot
  const tcp = sockets.filter((socket): socket is TcpSnapshot => socket.protocol === 'tcp')
  const timeWaits = tcp.filter(({ kind }) => kind === 'time-wait').length
  const closed = tcp.filter(({ kind }) => kind === 'closed').length
  const orphans = tcp.filter(({ kind, owner }) => kind === 'connection' && owner === 'nobody').length
  const whole = tcp.filter(({ kind }) => kind === 'connection' || kind === 'listener')
  const { CurrEstab: estab = 0 } = counters.Tcp
  const total = sockets.filter((socket) => socket.inode !== 0).length
  const counts = [
    ['RAW', ofKind(sockets, 'raw')],
    ['UDP', ofKind(sockets, 'udp')],
    ['TCP', [whole.filter(({ family }) => family === 4).length, whole.filter(({ family }) => family === 6).length]],
  ] as const
  const inet = [0, 1].map((i) => counts.reduce((sum, [, count]) => sum + count[i]!, 0))
  // ss takes those in TIME_WAIT from those it finds by their endpoints, among which Linux does not count them.
  const shownClosed = closed + timeWaits
  const states = `estab ${estab}, closed ${shownClosed}, orphaned ${orphans}, timewait ${timeWaits}`
  return [
    `Total: ${total}`,
    `TCP:   ${whole.length + shownClosed} (${states})`,
    '',
    'Transport Total     IP        IPv6',
    ...counts.map(([name, [v4, v6]]) => row(name, v4!, v6!)),
    row('INET', inet[0]!, inet[1]!),
    row('FRAG', fragments.ipv4.waiting, fragments.ipv6.waiting),
    '\n',
  ].join('\n')
}

/** How many there are of IPv4 and of IPv6, those with a port. */
const ofKind = (sockets: readonly SocketSnapshot[], protocol: 'raw' | 'udp'): [number, number] => {
  const found = sockets.filter((socket) => socket.protocol === protocol && (protocol === 'raw' || hasPort(socket)))
  const v4 = found.filter((socket) => socket.protocol !== 'unix' && socket.family === 4).length
  return [v4, found.length - v4]
}

const hasPort = (socket: SocketSnapshot): boolean => socket.protocol !== 'unix' && socket.local.port !== 0

const row = (name: string, v4: number, v6: number): string =>
  `${name}\t  ${left(v4 + v6, 9)} ${left(v4, 9)} ${left(v6, 9)}`
