import type { Random } from '../../src/core/random.ts'
import type { Sys } from '../../src/host/calls.ts'
import type { Host } from '../../src/host/host.ts'
import { SA_RESTART, SIGHUP, SIGPIPE, SIGUSR1 } from '../../src/host/signals.ts'
import type { Sockaddr } from '../../src/socket/address.ts'
import * as C from '../../src/socket/constants.ts'
import type { ControlMessage } from '../../src/socket/control.ts'
import { Epoll } from '../../src/socket/epoll.ts'
import { Socket } from '../../src/socket/socket.ts'
import type { OptionValue } from '../../src/socket/socket-options.ts'

/** Calls with arguments by chance: right ones, wrong ones and absurd ones. */

/** What a call needs of the run it is part of. */
export interface CallContext {
  /** The life of a process: what a child does. */
  live(sys: Sys): Promise<void>
  mayFork(host: Host): boolean
}

type Call = (sys: Sys, random: Random, context: CallContext) => unknown

const pick = <T>(random: Random, values: readonly T[]): T => values[random.below(values.length)]!

/** A descriptor: mostly one that is open, sometimes one that is not. */
const fd = (sys: Sys, random: Random): number => {
  const open = [...sys.process.files.numbers()].filter((number) => number > 2)
  if (open.length > 0 && random.below(10) > 0) return pick(random, open)
  return pick(random, [-1, 0, 1, 2, 40, 47, 48, 9999, 0x7fff_ffff])
}

/** A descriptor of a socket, mostly. */
const sock = (sys: Sys, random: Random): number => {
  const { files } = sys.process
  const sockets = [...files.numbers()].filter((number) => files.get(number) instanceof Socket)
  return sockets.length > 0 && random.below(8) > 0 ? pick(random, sockets) : fd(sys, random)
}

/** A descriptor of an epoll instance, mostly. */
const epoll = (sys: Sys, random: Random): number => {
  const { files } = sys.process
  const instances = [...files.numbers()].filter((number) => files.get(number) instanceof Epoll)
  return instances.length > 0 && random.below(8) > 0 ? pick(random, instances) : fd(sys, random)
}

const ADDRESSES = [
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.2',
  '127.0.0.1',
  '127.0.0.1',
  '0.0.0.0',
  '::1',
  '::',
  '2001:db8::1',
  '2001:db8::2',
  '::ffff:10.0.0.2',
  '10.0.0.77',
  '10.0.0.255',
  '255.255.255.255',
  '239.1.2.3',
  'ff02::1%eth0',
  'fe80::1%nothing',
  '192.0.2.1',
  'nonsense',
]
const PORTS = [0, 7, 80, 80, 81, 81, 5000, 5001, 65_535, 65_536, -1]
const PATHS = ['/tmp/a', '/tmp/b', '/tmp/a/c', '\0a', '\0b', '', '/', `/${'x'.repeat(120)}`]

const address = (random: Random): Sockaddr => {
  const kind = random.below(20)
  if (kind === 0) return { family: C.AF_UNSPEC }
  if (kind === 1) return {}
  if (kind < 6) return { path: pick(random, PATHS) }
  const given: Sockaddr = { address: pick(random, ADDRESSES), port: pick(random, PORTS) }
  if (random.below(15) === 0) given.family = pick(random, [C.AF_UNIX, C.AF_INET, C.AF_INET6, 99])
  return given
}

const SIZES = [0, 1, 1, 10, 100, 1000, 5000, 70_000]
const data = (random: Random): Uint8Array => new Uint8Array(pick(random, SIZES)).fill(random.below(256))
const FLAGS = [
  0,
  0,
  C.MSG_DONTWAIT,
  C.MSG_DONTWAIT,
  C.MSG_PEEK | C.MSG_DONTWAIT,
  C.MSG_OOB,
  C.MSG_NOSIGNAL,
  C.MSG_MORE,
  C.MSG_TRUNC | C.MSG_DONTWAIT,
  C.MSG_WAITALL,
  C.MSG_ERRQUEUE,
  C.MSG_FASTOPEN,
  0x7fff_ffff,
]

const LEVELS = [C.SOL_SOCKET, C.SOL_SOCKET, C.SOL_IP, C.SOL_TCP, C.SOL_TCP, C.SOL_IPV6, C.SOL_UDP, C.SOL_RAW, 99]
const optionValue = (random: Random): OptionValue => {
  const values: OptionValue[] = [
    ...[0, 1, 1, 2, -1, 64, 1500, 100_000, 0x7fff_ffff],
    { l_onoff: 1, l_linger: random.below(3) },
    { l_onoff: 0, l_linger: 0 },
    { tv_sec: random.below(2), tv_usec: random.below(1_000_000) },
    { tv_sec: 0, tv_usec: -1 },
    { imr_multiaddr: '239.1.2.3', imr_address: '10.0.0.1' },
    { ipv6mr_multiaddr: 'ff02::1234', ipv6mr_interface: 2 },
    'eth0',
    'cubic',
    'nonsense',
  ]
  return pick(random, values)
}

/** Options that would only make a run slow are left out: large buffers. */
const option = (random: Random): number => random.below(70)

const control = (sys: Sys, random: Random): ControlMessage[] => {
  const count = random.below(3)
  return Array.from({ length: count }, () => {
    switch (random.below(4)) {
      case 0:
      case 1:
        return { cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_RIGHTS, data: [fd(sys, random), fd(sys, random)] }
      case 2: {
        const credentials = random.below(2) === 0 ? sys.process.credentials : { pid: 1, uid: 0, gid: 0 }
        return { cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_CREDENTIALS, data: credentials }
      }
      default:
        return { cmsg_level: pick(random, LEVELS), cmsg_type: random.below(60), data: random.below(300) - 2 }
    }
  })
}

const message = (sys: Sys, random: Random) => ({
  msg_iov: Array.from({ length: random.below(4) }, () => data(random)),
  msg_controllen: pick(random, [0, 16, 24, 200]),
  ...(random.below(2) === 0 ? { msg_name: address(random) } : {}),
  ...(random.below(2) === 0 ? { msg_control: control(sys, random) } : {}),
})

const room = (random: Random) => ({
  msg_iov: Array.from({ length: random.below(4) }, () => new Uint8Array(pick(random, SIZES))),
  msg_controllen: pick(random, [0, 16, 24, 200]),
})

const DOMAINS = [C.AF_INET, C.AF_INET, C.AF_INET6, C.AF_UNIX, C.AF_UNIX, C.AF_UNSPEC, C.AF_PACKET, 99, -1]
const TYPES = [C.SOCK_STREAM, C.SOCK_STREAM, C.SOCK_DGRAM, C.SOCK_SEQPACKET, C.SOCK_RAW, C.SOCK_RDM, 0, 12]
const type = (random: Random): number =>
  pick(random, TYPES) | pick(random, [0, C.SOCK_NONBLOCK, C.SOCK_NONBLOCK, C.SOCK_CLOEXEC, 0x100])
const protocol = (random: Random): number =>
  pick(random, [0, 0, 0, 0, C.IPPROTO_TCP, C.IPPROTO_UDP, 1, 58, 255, -1, 300])

const POLL_BITS = [C.POLLIN, C.POLLOUT, C.POLLIN | C.POLLOUT, C.POLLRDHUP, C.POLLPRI, 0, 0xffff]
const EPOLL_MODES = [0, 0, C.EPOLLET, C.EPOLLONESHOT, C.EPOLLEXCLUSIVE]
const set = (sys: Sys, random: Random): Set<number> => new Set([fd(sys, random), fd(sys, random)])

const kin = (sys: Sys, random: Random): number =>
  pick(random, [...sys.process.host.processes.keys(), sys.getpid(), 1, 99_999])

const many = (count: number, entry: readonly [string, Call]): (readonly [string, Call])[] =>
  new Array(count).fill(entry)

/** A listener, on one of few ports or paths. */
const serve: Call = (sys, r) => {
  const isUnix = r.below(3) === 0
  const listener = sys.socket(isUnix ? C.AF_UNIX : C.AF_INET, C.SOCK_STREAM | pick(r, [0, C.SOCK_NONBLOCK]))
  sys.setsockopt(listener, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
  sys.bind(listener, isUnix ? { path: pick(r, ['/tmp/a', '\0a', '\0b']) } : { address: '0.0.0.0', port: 81 })
  return sys.listen(listener, r.below(6))
}

/** A connection to where such a listener may be. */
const visit: Call = (sys, r) => {
  const isUnix = r.below(3) === 0
  const client = sys.socket(isUnix ? C.AF_UNIX : C.AF_INET, C.SOCK_STREAM | pick(r, [0, C.SOCK_NONBLOCK]))
  const to = isUnix
    ? { path: pick(r, ['/tmp/a', '\0a', '\0b']) }
    : { address: pick(r, ['127.0.0.1', '10.0.0.1', '10.0.0.2']), port: pick(r, [80, 80, 81]) }
  return sys.connect(client, to)
}

/** Datagrams between sockets that are there. */
const talk: Call = async (sys, r) => {
  const socket = sys.socket(C.AF_INET, C.SOCK_DGRAM)
  sys.bind(socket, { address: '0.0.0.0', port: pick(r, [0, 5000, 5001]) })
  return sys.sendto(socket, data(r), undefined, 0, {
    address: pick(r, ['127.0.0.1', '10.0.0.1', '10.0.0.2']),
    port: pick(r, [5000, 5001]),
  })
}

/** Options with values that they take. */
const setGood = (sys: Sys, socket: number, r: Random): number => {
  const [level, name, value] = pick<readonly [number, number, OptionValue]>(r, [
    [C.SOL_SOCKET, C.SO_RCVBUF, 3000],
    [C.SOL_SOCKET, C.SO_SNDBUF, 5000],
    [C.SOL_SOCKET, C.SO_LINGER, { l_onoff: 1, l_linger: r.below(2) }],
    [C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: 0, tv_usec: 50_000 }],
    [C.SOL_SOCKET, C.SO_SNDTIMEO, { tv_sec: 0, tv_usec: 50_000 }],
    [C.SOL_SOCKET, C.SO_PASSCRED, 1],
    [C.SOL_SOCKET, C.SO_OOBINLINE, r.below(2)],
    [C.SOL_SOCKET, C.SO_RCVLOWAT, 100],
    [C.SOL_TCP, C.TCP_NODELAY, r.below(2)],
    [C.SOL_TCP, C.TCP_CORK, r.below(2)],
    [C.SOL_TCP, C.TCP_USER_TIMEOUT, 1000],
    [C.SOL_TCP, C.TCP_DEFER_ACCEPT, 1],
    [C.SOL_TCP, C.TCP_MAXSEG, 500],
    [C.SOL_IP, C.IP_ADD_MEMBERSHIP, { imr_multiaddr: '239.1.2.3', imr_address: '127.0.0.1' }],
    [C.SOL_IP, C.IP_RECVERR, 1],
  ])
  return sys.setsockopt(socket, level, name, value)
}

/** Every call with its name; some stand more than once. */
export const CALLS: readonly (readonly [name: string, call: Call])[] = [
  ['socket', (sys, r) => sys.socket(pick(r, DOMAINS), type(r), protocol(r))],
  ['socket', (sys, r) => sys.socket(pick(r, DOMAINS), type(r), 0)],
  ['socket', (sys, r) => sys.socket(C.AF_INET, C.SOCK_STREAM | pick(r, [0, C.SOCK_NONBLOCK]))],
  ['socketpair', (sys, r) => void sys.socketpair(pick(r, [C.AF_UNIX, C.AF_UNIX, C.AF_INET]), type(r), 0)],
  ['pipe2', (sys, r) => void sys.pipe2(pick(r, [0, C.O_NONBLOCK, C.O_CLOEXEC, 1]))],
  ['bind', (sys, r) => sys.bind(sock(sys, r), address(r))],
  [
    'bind',
    (sys, r) => sys.bind(sock(sys, r), { address: pick(r, ['0.0.0.0', '::', '127.0.0.1']), port: pick(r, [80, 81]) }),
  ],
  ['listen', (sys, r) => sys.listen(sock(sys, r), r.below(5) - 1)],
  ['listen', (sys, r) => sys.listen(sock(sys, r), r.below(5) - 1)],
  ['accept', (sys, r) => sys.accept(sock(sys, r), {})],
  ['accept4', (sys, r) => sys.accept4(sock(sys, r), {}, pick(r, [0, C.SOCK_NONBLOCK, C.SOCK_CLOEXEC, 1]))],
  ['connect', (sys, r) => sys.connect(sock(sys, r), address(r))],
  [
    'connect',
    (sys, r) => sys.connect(sock(sys, r), { address: pick(r, ['127.0.0.1', '10.0.0.2']), port: pick(r, [80, 81]) }),
  ],
  ['send', (sys, r) => sys.send(sock(sys, r), data(r), undefined, pick(r, FLAGS))],
  ['send', (sys, r) => sys.send(sock(sys, r), data(r), r.below(100), pick(r, FLAGS))],
  ['sendto', (sys, r) => sys.sendto(sock(sys, r), data(r), undefined, pick(r, FLAGS), address(r))],
  ['sendmsg', (sys, r) => sys.sendmsg(sock(sys, r), message(sys, r), pick(r, FLAGS))],
  ['sendmmsg', (sys, r) => sys.sendmmsg(sock(sys, r), [{ msg_hdr: message(sys, r), msg_len: 0 }], pick(r, FLAGS))],
  ['recv', (sys, r) => sys.recv(sock(sys, r), data(r), undefined, pick(r, FLAGS))],
  ['recvfrom', (sys, r) => sys.recvfrom(sock(sys, r), new Uint8Array(100), r.below(120), pick(r, FLAGS), {})],
  ['recvmsg', (sys, r) => sys.recvmsg(sock(sys, r), room(r), pick(r, FLAGS))],
  [
    'recvmmsg',
    (sys, r) =>
      sys.recvmmsg(
        sock(sys, r),
        [0, 1].map(() => ({ msg_hdr: room(r), msg_len: 0 })),
        pick(r, FLAGS),
        {
          tv_sec: 0,
          tv_usec: r.below(1000),
        },
      ),
  ],
  ['shutdown', (sys, r) => sys.shutdown(sock(sys, r), r.below(5) - 1)],
  ['getsockname', (sys, r) => void sys.getsockname(sock(sys, r))],
  ['getpeername', (sys, r) => void sys.getpeername(sock(sys, r))],
  ['setsockopt', (sys, r) => sys.setsockopt(sock(sys, r), pick(r, LEVELS), option(r), optionValue(r))],
  ['setsockopt', (sys, r) => sys.setsockopt(sock(sys, r), pick(r, LEVELS), option(r), optionValue(r))],
  ['getsockopt', (sys, r) => void sys.getsockopt(sock(sys, r), pick(r, LEVELS), option(r))],
  ['read', (sys, r) => sys.read(fd(sys, r), data(r))],
  ['write', (sys, r) => sys.write(fd(sys, r), data(r))],
  ['readv', (sys, r) => sys.readv(fd(sys, r), [data(r), data(r)])],
  ['writev', (sys, r) => sys.writev(fd(sys, r), [data(r), data(r)])],
  ['close', (sys, r) => sys.close(fd(sys, r))],
  ['close', (sys, r) => sys.close(fd(sys, r))],
  ['close', (sys, r) => sys.close(fd(sys, r))],
  ['dup', (sys, r) => sys.dup(fd(sys, r))],
  ['dup2', (sys, r) => sys.dup2(fd(sys, r), fd(sys, r))],
  ['dup3', (sys, r) => sys.dup3(fd(sys, r), fd(sys, r), pick(r, [0, C.O_CLOEXEC]))],
  [
    'fcntl',
    (sys, r) =>
      sys.fcntl(fd(sys, r), pick(r, [0, 1, 2, 3, 4, 8, 9, 1030, 1032, 77]), pick(r, [0, 1, 5, 100, C.O_NONBLOCK])),
  ],
  [
    'ioctl',
    (sys, r) => sys.ioctl(fd(sys, r), pick(r, [C.FIONREAD, C.FIONBIO, C.TIOCOUTQ, C.SIOCATMARK, 1]), r.below(2)),
  ],
  [
    'poll',
    (sys, r) =>
      sys.poll(
        [0, 1, 2].map(() => ({ fd: fd(sys, r), events: pick(r, POLL_BITS), revents: 0 })),
        r.below(30) - 1,
      ),
  ],
  [
    'select',
    (sys, r) =>
      sys.select(pick(r, [-1, 0, 10, 48]), set(sys, r), set(sys, r), set(sys, r), {
        tv_sec: 0,
        tv_usec: r.below(9999),
      }),
  ],
  ['epoll_create1', (sys, r) => sys.epoll_create1(pick(r, [0, C.EPOLL_CLOEXEC]))],
  [
    'epoll_ctl',
    (sys, r) => {
      const event = { events: (pick(r, POLL_BITS) | pick(r, EPOLL_MODES)) >>> 0, data: 0 }
      return sys.epoll_ctl(epoll(sys, r), r.below(5), fd(sys, r), event)
    },
  ],
  ['epoll_wait', (sys, r) => sys.epoll_wait(epoll(sys, r), [], r.below(4), r.below(30))],
  [
    'fork',
    (sys, r, run) => (run.mayFork(sys.process.host) && r.below(2) === 0 ? sys.fork((child) => run.live(child)) : 0),
  ],
  ['waitpid', (sys, r) => sys.waitpid(pick(r, [-1, kin(sys, r)]))],
  ['kill', (sys, r) => sys.kill(kin(sys, r), pick(r, [0, SIGUSR1, SIGHUP, 99]))],
  [
    'sigaction',
    (sys, r) =>
      sys.sigaction(pick(r, [SIGUSR1, SIGHUP, SIGPIPE, 9, 99]), {
        sa_handler: () => {},
        sa_flags: pick(r, [0, SA_RESTART]),
      }),
  ],
  ['usleep', (sys, r) => sys.usleep(r.below(50_000))],
  ['unlink', (sys, r) => sys.unlink(pick(r, PATHS))],
  ['chmod', (sys, r) => sys.chmod(pick(r, PATHS), pick(r, [0, 0o777, 0o755]))],
  // What takes several right calls in a row, so that there is something to call wrongly.
  ...many(8, ['serve', serve]),
  ...many(12, ['visit', visit]),
  ...many(3, ['talk', talk]),
  ...many(4, ['accept', (sys, r) => sys.accept(sock(sys, r), {})]),
  ...many(6, ['send', (sys, r) => sys.send(sock(sys, r), data(r), undefined, C.MSG_NOSIGNAL | C.MSG_DONTWAIT)]),
  ...many(6, ['recv', (sys, r) => sys.recv(sock(sys, r), new Uint8Array(5000), undefined, C.MSG_DONTWAIT)]),
  ...many(3, ['setsockopt', (sys, r) => setGood(sys, sock(sys, r), r)]),
]
