import type { Sys } from '../host/calls.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, SOCK_STREAM } from '../socket/constants.ts'
import { listenAt, outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section A: what socket() makes, and what calls say that cannot be done. */

const DOMAINS = { AF_INET, AF_INET6, AF_UNIX, AF_PACKET: C.AF_PACKET, AF_77: 77 } as const
const TYPES = {
  SOCK_STREAM,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET: C.SOCK_SEQPACKET,
  SOCK_RDM: C.SOCK_RDM,
} as const
const PROTOCOLS = { '0': 0, TCP: C.IPPROTO_TCP, UDP: C.IPPROTO_UDP, ICMP: C.IPPROTO_ICMP } as const

/** What Linux makes or says: for each domain and type, by the protocols 0, TCP, UDP, ICMP. `ok` is a socket. */
const EXPECTED: Readonly<Record<string, string>> = {
  'AF_INET SOCK_STREAM': 'ok ok EPROTONOSUPPORT EPROTONOSUPPORT',
  'AF_INET SOCK_DGRAM': 'ok EPROTONOSUPPORT ok ok',
  'AF_INET SOCK_RAW': 'EPROTONOSUPPORT ok ok ok',
  'AF_INET SOCK_SEQPACKET': 'ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT',
  'AF_INET SOCK_RDM': 'ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT',
  'AF_INET6 SOCK_STREAM': 'ok ok EPROTONOSUPPORT EPROTONOSUPPORT',
  'AF_INET6 SOCK_DGRAM': 'ok EPROTONOSUPPORT ok EPROTONOSUPPORT',
  'AF_INET6 SOCK_RAW': 'EPROTONOSUPPORT ok ok ok',
  'AF_INET6 SOCK_SEQPACKET': 'ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT',
  'AF_INET6 SOCK_RDM': 'ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT ESOCKTNOSUPPORT',
  'AF_UNIX SOCK_STREAM': 'ok EPROTONOSUPPORT EPROTONOSUPPORT ok',
  'AF_UNIX SOCK_DGRAM': 'ok EPROTONOSUPPORT EPROTONOSUPPORT ok',
  'AF_UNIX SOCK_RAW': 'ok EPROTONOSUPPORT EPROTONOSUPPORT ok',
  'AF_UNIX SOCK_SEQPACKET': 'ok EPROTONOSUPPORT EPROTONOSUPPORT ok',
  'AF_UNIX SOCK_RDM': 'ESOCKTNOSUPPORT EPROTONOSUPPORT EPROTONOSUPPORT ESOCKTNOSUPPORT',
}
const NO_FAMILY = 'EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT'

const domains: Scenario = {
  name: 'domains',
  group: 'A',
  title: 'Which sockets there are: domain, type, protocol',
  description:
    'socket() for every domain, type and protocol. Protocol 0 stands for the default of the type. Three errors tell what is wrong: EAFNOSUPPORT the domain, ESOCKTNOSUPPORT the type, EPROTONOSUPPORT the protocol for that type. For AF_UNIX the only other protocol is its own number, 1, which is ICMP’s. Then each type of AF_UNIX by a path, in the abstract space and as an unnamed pair.',
  async run(lab) {
    const host = lab.host('host')
    const rows: string[][] = [['domain', 'type', ...Object.keys(PROTOCOLS)]]
    const wrong: string[] = []
    const program = lab.spawn(host, 'maker', async (sys) => {
      for (const [domain, domainNumber] of Object.entries(DOMAINS)) {
        for (const [type, typeNumber] of Object.entries(TYPES)) {
          const results: string[] = []
          for (const protocol of Object.values(PROTOCOLS)) {
            const fd = await outcome(() => sys.socket(domainNumber, typeNumber, protocol))
            results.push(typeof fd === 'number' ? 'ok' : fd)
            if (typeof fd === 'number') await sys.close(fd)
          }
          rows.push([domain, type, ...results])
          const expected = EXPECTED[`${domain} ${type}`] ?? NO_FAMILY
          if (results.join(' ') !== expected) wrong.push(`${domain} ${type}: ${results.join(' ')}`)
        }
      }
    })
    await lab.quietly(() => !program.isAlive)
    lab.figure('socket(domain, type, protocol)', table(rows))
    await lab.step('A hundred combinations')
    lab.check('combinations that were tried', (rows.length - 1) * 4, 100)
    lab.check('those that are not as on Linux', wrong, [])
    lab.check(
      'sockets that could be made',
      rows
        .slice(1)
        .flat()
        .filter((cell) => cell === 'ok').length,
      23,
    )

    lab.show(host, 'netstat -xa')
    const seen: string[] = []
    const done = lab.gate()
    const unix = lab.spawn(host, 'unix', async (sys) => {
      for (const [name, type] of Object.entries({ SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET: C.SOCK_SEQPACKET })) {
        for (const path of [`/tmp/${name}`, `\0${name}`]) seen.push(await exchange(sys, type, path))
        const [a, b] = sys.socketpair(AF_UNIX, type)
        await sys.send(a, 'pair')
        seen.push(await text(sys, b))
      }
      await done.wait(sys)
    })
    await lab.until('Unix domain sockets of every type, with every kind of name', () => seen.length === 9)
    lab.check('what came through each', seen, new Array(3).fill(['path', 'abstract', 'pair']).flat())
    done.open()
    await lab.quietly(() => !unix.isAlive)
  },
}

/** Sends a word from one socket to another that has a name. @returns what came */
const exchange = async (sys: Sys, type: number, path: string): Promise<string> => {
  const word = path.startsWith('\0') ? 'abstract' : 'path'
  const server = sys.socket(AF_UNIX, type)
  sys.bind(server, { path })
  const client = sys.socket(AF_UNIX, type)
  if (type !== SOCK_DGRAM) sys.listen(server, 1)
  await sys.connect(client, { path })
  await sys.send(client, word)
  return text(sys, type === SOCK_DGRAM ? server : await sys.accept(server))
}

const text = async (sys: Sys, fd: number): Promise<string> => {
  const buffer = new Uint8Array(100)
  const count = await sys.recv(fd, buffer)
  return new TextDecoder().decode(buffer.subarray(0, count))
}

/** Descriptors in the states that calls may find them in. */
interface Places {
  readonly bad: number
  readonly pipe: number
  readonly tcp: number
  readonly bound: number
  readonly listener: number
  readonly connected: number
  readonly connecting: number
  readonly finished: number
  readonly udp: number
  readonly epoll: number
}

const prepare = async (sys: Sys): Promise<Places> => {
  const [pipe] = sys.pipe()
  const tcp = sys.socket(AF_INET, SOCK_STREAM)
  const bound = sys.socket(AF_INET, SOCK_STREAM)
  sys.bind(bound, { address: '127.0.0.1', port: 5000 })
  const listener = listenAt(sys, 80)
  const connect = async (): Promise<number> => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '127.0.0.1', port: 80 })
    return fd
  }
  const connected = await connect()
  const finished = await connect()
  sys.shutdown(finished, C.SHUT_WR)
  const connecting = sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
  await outcome(() => sys.connect(connecting, { address: '10.0.0.77', port: 80 }))
  const udp = sys.socket(AF_INET, SOCK_DGRAM)
  return { bad: 999, pipe, tcp, bound, listener, connected, connecting, finished, udp, epoll: sys.epoll_create1() }
}

type Attempt = readonly [call: string, expected: string, attempt: (sys: Sys, p: Places) => unknown]

const ONE = new Uint8Array(1)
const HERE = { address: '127.0.0.1', port: 80 }
const OWN = { address: '127.0.0.1', port: 5001 }

const ATTEMPTS: readonly Attempt[] = [
  ['bind(bad descriptor)', 'EBADF', (sys, { bad }) => sys.bind(bad, OWN)],
  ['listen(bad descriptor)', 'EBADF', (sys, { bad }) => sys.listen(bad, 1)],
  ['accept(bad descriptor)', 'EBADF', (sys, { bad }) => sys.accept(bad)],
  ['connect(bad descriptor)', 'EBADF', (sys, { bad }) => sys.connect(bad, HERE)],
  ['send(bad descriptor)', 'EBADF', (sys, { bad }) => sys.send(bad, 'x')],
  ['recv(bad descriptor)', 'EBADF', (sys, { bad }) => sys.recv(bad, ONE)],
  ['shutdown(bad descriptor)', 'EBADF', (sys, { bad }) => sys.shutdown(bad, 0)],
  ['getsockname(bad descriptor)', 'EBADF', (sys, { bad }) => sys.getsockname(bad)],
  ['setsockopt(bad descriptor)', 'EBADF', (sys, { bad }) => sys.setsockopt(bad, 1, 2, 1)],
  ['close(bad descriptor)', 'EBADF', (sys, { bad }) => sys.close(bad)],
  ['dup(bad descriptor)', 'EBADF', (sys, { bad }) => sys.dup(bad)],
  ['fcntl(bad descriptor)', 'EBADF', (sys, { bad }) => sys.fcntl(bad, C.F_GETFL)],
  ['epoll_ctl(bad descriptor)', 'EBADF', (sys, { epoll, bad }) => sys.epoll_ctl(epoll, 1, bad, { events: 1, data: 0 })],
  ['bind(pipe)', 'ENOTSOCK', (sys, { pipe }) => sys.bind(pipe, OWN)],
  ['listen(pipe)', 'ENOTSOCK', (sys, { pipe }) => sys.listen(pipe, 1)],
  ['accept(pipe)', 'ENOTSOCK', (sys, { pipe }) => sys.accept(pipe)],
  ['connect(pipe)', 'ENOTSOCK', (sys, { pipe }) => sys.connect(pipe, HERE)],
  ['recv(pipe)', 'ENOTSOCK', (sys, { pipe }) => sys.recv(pipe, ONE)],
  ['getsockopt(pipe)', 'ENOTSOCK', (sys, { pipe }) => sys.getsockopt(pipe, 1, 2)],
  ['accept(socket that does not listen)', 'EINVAL', (sys, { bound }) => sys.accept(bound)],
  ['bind(bound socket)', 'EINVAL', (sys, { bound }) => sys.bind(bound, OWN)],
  ['bind(connected socket)', 'EINVAL', (sys, { connected }) => sys.bind(connected, OWN)],
  ['listen(connected socket)', 'EINVAL', (sys, { connected }) => sys.listen(connected, 1)],
  ['connect(listener)', 'EISCONN', (sys, { listener }) => sys.connect(listener, HERE)],
  ['connect(connected socket)', 'EISCONN', (sys, { connected }) => sys.connect(connected, HERE)],
  ['connect(connecting socket)', 'EALREADY', (sys, { connecting }) => sys.connect(connecting, HERE)],
  ['send(unconnected TCP socket)', 'EPIPE', (sys, { tcp }) => sys.send(tcp, 'x', 1, C.MSG_NOSIGNAL)],
  ['recv(unconnected TCP socket)', 'ENOTCONN', (sys, { tcp }) => sys.recv(tcp, ONE)],
  ['recv(listener)', 'ENOTCONN', (sys, { listener }) => sys.recv(listener, ONE)],
  ['send(after shutdown(SHUT_WR))', 'EPIPE', (sys, { finished }) => sys.send(finished, 'x', 1, C.MSG_NOSIGNAL)],
  ['shutdown(unconnected TCP socket)', 'ENOTCONN', (sys, { tcp }) => sys.shutdown(tcp, C.SHUT_WR)],
  ['shutdown(…, 7)', 'EINVAL', (sys, { connected }) => sys.shutdown(connected, 7)],
  ['getpeername(unconnected socket)', 'ENOTCONN', (sys, { tcp }) => sys.getpeername(tcp)],
  ['send(UDP socket without a peer)', 'EDESTADDRREQ', (sys, { udp }) => sys.send(udp, 'x')],
  ['sendto(UDP, 65,508 bytes)', 'EMSGSIZE', (sys, { udp }) => sys.sendto(udp, new Uint8Array(65_508), 65_508, 0, HERE)],
  ['listen(UDP socket)', 'EOPNOTSUPP', (sys, { udp }) => sys.listen(udp, 1)],
  ['accept(UDP socket)', 'EOPNOTSUPP', (sys, { udp }) => sys.accept(udp)],
  ['recv(TCP, MSG_OOB), nothing urgent', 'EINVAL', (sys, { connected }) => sys.recv(connected, ONE, 1, C.MSG_OOB)],
  [
    'bind(an address of another host)',
    'EADDRNOTAVAIL',
    (sys, { tcp }) => sys.bind(tcp, { address: '10.0.0.2', port: 1 }),
  ],
  ['bind(a port in use)', 'EADDRINUSE', (sys, { tcp }) => sys.bind(tcp, { address: '127.0.0.1', port: 5000 })],
  ['bind(IPv6 address, IPv4 socket)', 'EAFNOSUPPORT', (sys, { tcp }) => sys.bind(tcp, { address: '::1', port: 1 })],
  [
    'connect(a network without a route)',
    'ENETUNREACH',
    (sys, { tcp }) => sys.connect(tcp, { address: '192.0.2.1', port: 1 }),
  ],
  ['getsockopt(SOL_SOCKET, 999)', 'ENOPROTOOPT', (sys, { tcp }) => sys.getsockopt(tcp, C.SOL_SOCKET, 999)],
  ['setsockopt(SOL_TCP, 999)', 'ENOPROTOOPT', (sys, { tcp }) => sys.setsockopt(tcp, C.SOL_TCP, 999, 1)],
  [
    'setsockopt(UDP socket, SOL_TCP)',
    'ENOPROTOOPT',
    (sys, { udp }) => sys.setsockopt(udp, C.SOL_TCP, C.TCP_NODELAY, 1),
  ],
  ['setsockopt(TCP_MAXSEG, 7)', 'EINVAL', (sys, { tcp }) => sys.setsockopt(tcp, C.SOL_TCP, C.TCP_MAXSEG, 7)],
  [
    'setsockopt(SO_RCVTIMEO, 2,000,000 µs)',
    'EDOM',
    (sys, { tcp }) => sys.setsockopt(tcp, 1, C.SO_RCVTIMEO, { tv_sec: 0, tv_usec: 2e6 }),
  ],
  [
    'setsockopt(SO_BINDTODEVICE, nothing there)',
    'ENODEV',
    (sys, { tcp }) => sys.setsockopt(tcp, 1, C.SO_BINDTODEVICE, 'eth7'),
  ],
  ['dup2(…, 1024)', 'EBADF', (sys, { tcp }) => sys.dup2(tcp, 1024)],
  ['dup3(3, 3)', 'EINVAL', (sys, { tcp }) => sys.dup3(tcp, tcp, 0)],
  ['fcntl(…, 999)', 'EINVAL', (sys, { tcp }) => sys.fcntl(tcp, 999)],
  ['ioctl(…, 0x1234)', 'ENOTTY', (sys, { tcp }) => sys.ioctl(tcp, 0x1234)],
  ['accept4(…, flags 1)', 'EINVAL', (sys, { listener }) => sys.accept4(listener, undefined, 1)],
  ['epoll_wait(a socket)', 'EINVAL', (sys, { tcp }) => sys.epoll_wait(tcp, [], 1, 0)],
  ['epoll_ctl(ADD twice)', 'EEXIST', (sys, { epoll, tcp }) => add(sys, epoll, tcp) + add(sys, epoll, tcp)],
  ['epoll_ctl(DEL, not there)', 'ENOENT', (sys, { epoll, udp }) => sys.epoll_ctl(epoll, C.EPOLL_CTL_DEL, udp)],
  ['write(the end to read from)', 'EBADF', (sys, { pipe }) => sys.write(pipe, 'x')],
  ['kill(no such process)', 'ESRCH', (sys) => sys.kill(99_999, 0)],
  ['waitpid(no child)', 'ECHILD', (sys) => sys.waitpid()],
]

const add = (sys: Sys, epoll: number, fd: number): number =>
  sys.epoll_ctl(epoll, C.EPOLL_CTL_ADD, fd, { events: C.EPOLLIN, data: 0 })

const badCalls: Scenario = {
  name: 'bad-calls',
  group: 'A',
  title: 'What cannot be done, and the errno that says why',
  description:
    'Calls on a number that is no descriptor, on a pipe, on sockets in the wrong state and with arguments that make no sense. Each gives the errno that Linux gives, and changes nothing.',
  async run(lab) {
    const host = lab.host('host')
    const other = lab.host('other')
    lab.link(host, other)
    const results: [call: string, expected: string, actual: string][] = []
    const program = lab.spawn(host, 'caller', async (sys) => {
      const places = await prepare(sys)
      for (const [call, expected, attempt] of ATTEMPTS) {
        results.push([call, expected, String(await outcome(async () => attempt(sys, places)))])
      }
    })
    await lab.quietly(() => !program.isAlive)
    lab.figure('Calls and their errors', table(results.map(([call, , actual]) => [call, actual])))
    await lab.step(`${ATTEMPTS.length} calls`)
    lab.check('calls that were made', results.length, ATTEMPTS.length)
    const wrong = results.filter(([, expected, actual]) => expected !== actual).map((row) => row.join(' '))
    lab.check('those that did not fail as on Linux', wrong, [])
    lab.check('the program has ended well', program.status, 0)
  },
}

export const callScenarios: readonly Scenario[] = [domains, badCalls]
