/** The scripts that test/interop/errno.test.ts runs on both sides: see test/support/script.ts for their language. */

/** A script with its name. */
export interface Case {
  readonly name: string
  readonly script: string
}

const LISTENER = 'l = socket AF_INET SOCK_STREAM; bind l 10.1.0.1:80; listen l 5'
const CONNECTED = `${LISTENER}; x = socket AF_INET SOCK_STREAM; bind x 10.1.0.1:7000; connect x 10.1.0.1:80; y = accept l`
const LISTENER6 = 'l = socket AF_INET6 SOCK_STREAM; bind l [fd00:1::1]:80; listen l 5'
const CONNECTED6 = `${LISTENER6}; x = socket AF_INET6 SOCK_STREAM; bind x [fd00:1::1]:7000; connect x [fd00:1::1]:80; y = accept l`
const PAIR_UDP = 'y = socket AF_INET SOCK_DGRAM; bind y 10.1.0.1:90; x = socket AF_INET SOCK_DGRAM; bind x 10.1.0.1:91'

/** What x can be, and how it gets there. */
const STATES: Readonly<Record<string, string>> = {
  'no descriptor': 'x = dup 999',
  'no socket': 'x = null',
  'a pipe to read from': 'x y = pipe',
  'a pipe to write to': 'y x = pipe',
  epoll: 'x = epoll_create1',
  'TCP fresh': 'x = socket AF_INET SOCK_STREAM',
  'TCP bound': 'x = socket AF_INET SOCK_STREAM; bind x 10.1.0.1:80',
  'TCP listening': 'x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; bind x 10.1.0.1:80; listen x 5',
  'TCP listening without bind': 'x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; listen x 5',
  'TCP listening with a connection':
    'x = socket AF_INET SOCK_STREAM; bind x 10.1.0.1:80; listen x 5; y = socket AF_INET SOCK_STREAM; connect y 10.1.0.1:80',
  'TCP connecting': 'x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; bind x 10.1.0.1:7000; connect x 10.1.0.9:80',
  'TCP connected': CONNECTED,
  'TCP accepted': CONNECTED.replaceAll('x ', 'z ').replace('y =', 'x ='),
  'TCP with data': `${CONNECTED}; send y 100`,
  'TCP with urgent data': `${CONNECTED}; send y 5; send y 3 MSG_OOB`,
  'TCP with urgent data in line': `${CONNECTED}; setsockopt x SOL_SOCKET SO_OOBINLINE 1; send y 5; send y 3 MSG_OOB`,
  'TCP whose peer has shut down': `${CONNECTED}; shutdown y SHUT_WR`,
  'TCP whose peer has sent and shut down': `${CONNECTED}; send y 7; shutdown y SHUT_WR`,
  'TCP whose peer has closed': `${CONNECTED}; close y`,
  'TCP whose peer has closed, written to': `${CONNECTED}; close y; send x 1`,
  'TCP whose peer has closed, written to twice': `${CONNECTED}; close y; send x 1; send x 1 MSG_NOSIGNAL`,
  'TCP whose peer has closed with data unread': `${CONNECTED}; send x 10; close y`,
  'TCP reset': `${CONNECTED}; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y`,
  'TCP reset with data': `${CONNECTED}; send y 5; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y`,
  'TCP reset, told': `${CONNECTED}; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y; recv x 10`,
  'TCP shut down for writing': `${CONNECTED}; shutdown x SHUT_WR`,
  'TCP shut down for reading': `${CONNECTED}; shutdown x SHUT_RD`,
  'TCP shut down for both': `${CONNECTED}; shutdown x SHUT_RDWR`,
  'TCP shut down on both sides': `${CONNECTED}; shutdown x SHUT_WR; shutdown y SHUT_WR`,
  'TCP shut down second': `${CONNECTED}; shutdown y SHUT_WR; shutdown x SHUT_WR`,
  'TCP refused': 'x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:99',
  'TCP refused later': 'x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect x 10.1.0.1:99',
  'TCP dissolved': `${CONNECTED}; connect x AF_UNSPEC@0.0.0.0:0`,
  'TCP non-blocking': `${CONNECTED}; fcntl x F_SETFL O_NONBLOCK`,
  'TCP with a full queue': `${CONNECTED.replace('bind l', 'setsockopt l SOL_SOCKET SO_RCVBUF 2304; bind l')}; setsockopt x SOL_SOCKET SO_SNDBUF 2304; fill x; fcntl x F_SETFL O_NONBLOCK`,
  'listener shut down': 'x = socket AF_INET SOCK_STREAM; bind x 10.1.0.1:80; listen x 5; shutdown x SHUT_RD',
  'UDP fresh': 'x = socket AF_INET SOCK_DGRAM',
  'UDP bound': 'x = socket AF_INET SOCK_DGRAM; bind x 10.1.0.1:90',
  'UDP with a datagram': `${PAIR_UDP}; sendto y 100 0 10.1.0.1:91`,
  'UDP with an empty datagram': `${PAIR_UDP}; sendto y 0 0 10.1.0.1:91; sendto y 10 0 10.1.0.1:91`,
  'UDP connected': `${PAIR_UDP}; connect x 10.1.0.1:90`,
  'UDP refused': 'x = socket AF_INET SOCK_DGRAM; bind x 10.1.0.1:91; connect x 10.1.0.1:99; send x 5',
  'UDP refused with RECVERR':
    'x = socket AF_INET SOCK_DGRAM; bind x 10.1.0.1:91; setsockopt x SOL_IP IP_RECVERR 1; sendto x 5 0 10.1.0.1:99',
  'UDP shut down': `${PAIR_UDP}; connect x 10.1.0.1:90; shutdown x SHUT_RDWR`,
  'UDP shut down for reading': `${PAIR_UDP}; connect x 10.1.0.1:90; shutdown x SHUT_RD; connect y 10.1.0.1:91; send y 5`,
  'UDP shut down for writing': `${PAIR_UDP}; connect x 10.1.0.1:90; shutdown x SHUT_WR`,
  'UDP disconnected': `${PAIR_UDP}; connect x 10.1.0.1:90; connect x AF_UNSPEC@0.0.0.0:0`,
  'UDP corked': `${PAIR_UDP}; connect x 10.1.0.1:90; setsockopt x SOL_UDP UDP_CORK 1; send x 5`,
  raw: 'x = socket AF_INET SOCK_RAW 200',
  'raw bound': 'x = socket AF_INET SOCK_RAW 200; bind x 10.1.0.1:0',
  'raw connected': 'x = socket AF_INET SOCK_RAW 200; connect x 10.1.0.1:0',
  ping: 'x = socket AF_INET SOCK_DGRAM IPPROTO_ICMP',
  'TCP6 fresh': 'x = socket AF_INET6 SOCK_STREAM',
  'TCP6 bound': 'x = socket AF_INET6 SOCK_STREAM; bind x [fd00:1::1]:80',
  'TCP6 bound to an IPv4 address': 'x = socket AF_INET6 SOCK_STREAM; bind x [::ffff:10.1.0.1]:80',
  'TCP6 V6ONLY': 'x = socket AF_INET6 SOCK_STREAM; setsockopt x SOL_IPV6 IPV6_V6ONLY 1',
  'TCP6 listening': 'x = socket AF_INET6 SOCK_STREAM|SOCK_NONBLOCK; bind x [::]:80; listen x 5',
  'TCP6 connected': CONNECTED6,
  'TCP6 accepted from IPv4':
    'l = socket AF_INET6 SOCK_STREAM; bind l [::]:80; listen l 5; y = socket AF_INET SOCK_STREAM; connect y 10.1.0.1:80; x = accept l',
  'UDP6 fresh': 'x = socket AF_INET6 SOCK_DGRAM',
  'UDP6 bound': 'x = socket AF_INET6 SOCK_DGRAM; bind x [fd00:1::1]:90',
  'UDP6 with a datagram of IPv4':
    'x = socket AF_INET6 SOCK_DGRAM; bind x [::]:90; y = socket AF_INET SOCK_DGRAM; bind y 10.1.0.1:91; sendto y 9 0 10.1.0.1:90',
  'UDP6 connected':
    'y = socket AF_INET6 SOCK_DGRAM; bind y [fd00:1::1]:90; x = socket AF_INET6 SOCK_DGRAM; connect x [fd00:1::1]:90',
  'UDP6 refused': 'x = socket AF_INET6 SOCK_DGRAM; connect x [fd00:1::1]:99; send x 5',
  raw6: 'x = socket AF_INET6 SOCK_RAW 200',
  ping6: 'x = socket AF_INET6 SOCK_DGRAM IPPROTO_ICMPV6',
}

/** What is asked of x once it is there. */
const CALLS = [
  'bind x 10.1.0.1:99',
  'bind x 10.9.9.9:99',
  'bind x 0.0.0.0:0',
  'bind x AF_UNSPEC@0.0.0.0:99',
  'bind x AF_UNSPEC@10.1.0.1:99',
  'bind x 99@10.1.0.1:99',
  'bind x [::]:99',
  'bind x [fd00:1::1]:0',
  'bind x [fd00:9::9]:99',
  'bind x [fe80::1]:99',
  'bind x [::ffff:10.1.0.1]:99',
  'bind x 10.1.0.255:99',
  'bind x 224.0.0.5:99',
  'bind x 255.255.255.255:99',
  'listen x 5',
  'listen x 0; listen x -1',
  'z = accept x SOCK_NONBLOCK; z = accept x 1',
  'connect x 10.1.0.1:99',
  'connect x 10.1.0.1:0',
  'connect x 0.0.0.0:99',
  'connect x 10.9.9.9:99',
  'connect x 224.0.0.1:99',
  'connect x 255.255.255.255:99',
  'connect x 10.1.0.255:99',
  'connect x [fd00:1::1]:99',
  'connect x [fd00:9::1]:99',
  'connect x [ff02::1]:99',
  'connect x [fe80::7]:99',
  'connect x [::ffff:10.1.0.1]:99',
  'connect x AF_UNSPEC@0.0.0.0:0; connect x AF_UNSPEC@0.0.0.0:0',
  'connect x 99@10.1.0.1:99',
  'send x 10 MSG_DONTWAIT',
  'send x 0 MSG_DONTWAIT',
  'send x 1 MSG_OOB|MSG_DONTWAIT',
  'send x 0 MSG_OOB|MSG_DONTWAIT',
  'send x 5 MSG_MORE|MSG_DONTWAIT',
  'send x 5 MSG_DONTROUTE|MSG_DONTWAIT',
  'send x 5 MSG_EOR|MSG_DONTWAIT',
  'sendto x 5 MSG_DONTWAIT 10.1.0.1:99',
  'sendto x 5 MSG_DONTWAIT 10.1.0.1:0',
  'sendto x 5 MSG_DONTWAIT 10.9.9.9:99',
  'sendto x 5 MSG_DONTWAIT 10.1.0.255:99',
  'sendto x 70000 MSG_DONTWAIT 10.1.0.1:99',
  'sendto x 65507 MSG_DONTWAIT 10.1.0.1:99; sendto x 65508 MSG_DONTWAIT 10.1.0.1:99',
  'sendto x 5 MSG_DONTWAIT [fd00:1::1]:99',
  'sendto x 5 MSG_DONTWAIT [::ffff:10.1.0.1]:99',
  'sendto x 5 MSG_DONTWAIT AF_UNSPEC@10.1.0.1:99',
  'sendto x 5 MSG_DONTWAIT 99@10.1.0.1:99',
  'sendmsg x 3 4 MSG_DONTWAIT; sendmsg x 0 0 MSG_DONTWAIT; sendmsg x 1025 1 MSG_DONTWAIT',
  'recv x 10 MSG_DONTWAIT; recv x 10 MSG_DONTWAIT',
  'recv x 0 MSG_DONTWAIT',
  'recv x 10 MSG_PEEK|MSG_DONTWAIT; recv x 10 MSG_DONTWAIT',
  'recv x 10 MSG_OOB|MSG_DONTWAIT; recv x 1 MSG_OOB|MSG_DONTWAIT; recv x 200 MSG_DONTWAIT; recv x 200 MSG_DONTWAIT',
  'recv x 10 MSG_OOB|MSG_PEEK; recv x 1 MSG_OOB',
  'recv x 10 MSG_ERRQUEUE',
  'recv x 3 MSG_TRUNC|MSG_DONTWAIT; recv x 300 MSG_TRUNC|MSG_DONTWAIT',
  'recv x 200 MSG_WAITALL|MSG_DONTWAIT',
  'recvfrom x 3 MSG_DONTWAIT; recvfrom x 3 MSG_DONTWAIT',
  'recvmsg x 2 3 MSG_DONTWAIT; recvmsg x 1 300 MSG_DONTWAIT; recvmsg x 0 0 MSG_DONTWAIT',
  'recvmsg x 1 3 MSG_ERRQUEUE',
  'shutdown x SHUT_RD; recv x 10 MSG_DONTWAIT; send x 1 MSG_DONTWAIT',
  'shutdown x SHUT_WR; recv x 10 MSG_DONTWAIT; send x 1 MSG_DONTWAIT',
  'shutdown x SHUT_RDWR; recv x 10 MSG_DONTWAIT; send x 1 MSG_DONTWAIT; shutdown x SHUT_WR',
  'shutdown x 3; shutdown x -1',
  'getsockopt x SOL_SOCKET SO_ERROR; getsockopt x SOL_SOCKET SO_ERROR; getsockopt x SOL_SOCKET SO_ACCEPTCONN',
  'getsockopt x SOL_SOCKET SO_TYPE; getsockopt x SOL_SOCKET SO_DOMAIN; getsockopt x SOL_SOCKET SO_PROTOCOL',
  'getsockopt x 99 1; setsockopt x 99 1 1; getsockopt x SOL_SOCKET 99; setsockopt x SOL_SOCKET 99 1; getsockopt x SOL_TCP 1; getsockopt x SOL_UDP 1; getsockopt x SOL_IP 1; getsockopt x SOL_IPV6 26',
  'setsockopt x SOL_SOCKET SO_REUSEADDR 1; setsockopt x SOL_SOCKET SO_LINGER 5; setsockopt x SOL_SOCKET SO_RCVTIMEO 5; setsockopt x SOL_SOCKET SO_RCVTIMEO time:0,1000000; setsockopt x SOL_SOCKET SO_TYPE 1; setsockopt x SOL_SOCKET SO_ERROR 1',
  'wait 50; ioctl x FIONREAD; ioctl x TIOCOUTQ; ioctl x SIOCATMARK; ioctl x SIOCOUTQNSD; ioctl x 1234',
  'ioctl x FIONBIO 1; fcntl x F_GETFL; ioctl x FIONBIO 0; fcntl x F_GETFL',
  'fcntl x F_GETFL; fcntl x F_GETFD; fcntl x F_SETFD 1; fcntl x F_GETFD; fcntl x 9999; fcntl x F_GETPIPE_SZ; fcntl x F_DUPFD -1; fcntl x F_DUPFD 2000',
  'fcntl x F_SETFL O_NONBLOCK|O_ASYNC; fcntl x F_GETFL; fcntl x F_SETOWN 0; fcntl x F_GETOWN',
  'd = dup x; d = dup2 x 50; d = dup2 x -1; d = dup2 x 5000; d = dup3 x 51 O_CLOEXEC; d = dup3 x 51 7; d = dup2 x 999; close d; close d',
  'e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x 0x2007; epoll_wait e 5; epoll_wait e 5; epoll_ctl e EPOLL_CTL_ADD x 1; epoll_ctl e EPOLL_CTL_MOD x EPOLLONESHOT|EPOLLIN; epoll_wait e 5; epoll_wait e 5; epoll_ctl e EPOLL_CTL_DEL x; epoll_ctl e EPOLL_CTL_DEL x; epoll_ctl e EPOLL_CTL_MOD x 1',
  'e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLET|EPOLLIN|EPOLLOUT|EPOLLRDHUP; epoll_wait e 5; epoll_wait e 5',
  'e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLEXCLUSIVE|EPOLLIN; epoll_ctl e EPOLL_CTL_MOD x EPOLLIN; epoll_ctl e EPOLL_CTL_ADD e 1; epoll_ctl e 9 x 1; epoll_ctl x EPOLL_CTL_ADD e 1; epoll_wait x 5; epoll_wait e 0',
  'poll x 0x7fff; select x; poll x 0; poll x POLLIN; poll x POLLOUT; poll x POLLRDHUP; poll x POLLPRI',
  'read x 0; read x 10 # may block',
  'write x 0; write x 10',
]

const UNIX_CONNECTED =
  'l = socket AF_UNIX SOCK_STREAM; bind l @l; listen l 2; x = socket AF_UNIX SOCK_STREAM; connect x @l; y = accept l'

/** What x can be in the Unix domain. */
const UNIX_STATES: Readonly<Record<string, string>> = {
  'Unix stream': 'x = socket AF_UNIX SOCK_STREAM',
  'Unix stream bound': 'x = socket AF_UNIX SOCK_STREAM; bind x @x',
  'Unix stream bound to a path': 'x = socket AF_UNIX SOCK_STREAM; bind x ./x',
  'Unix stream listening': 'x = socket AF_UNIX SOCK_STREAM; bind x @x; listen x 1',
  'Unix stream listening with a connection':
    'x = socket AF_UNIX SOCK_STREAM; bind x @x; listen x 1; y = socket AF_UNIX SOCK_STREAM; connect y @x',
  'Unix stream connected': UNIX_CONNECTED,
  'Unix stream accepted': UNIX_CONNECTED.replaceAll('x ', 'z ').replace('y =', 'x ='),
  'Unix stream with data': `${UNIX_CONNECTED}; send y 20`,
  'Unix stream whose peer has closed': `${UNIX_CONNECTED}; close y`,
  'Unix stream whose peer has closed with data unread': `${UNIX_CONNECTED}; send x 5; close y`,
  'Unix stream whose peer has shut down': `${UNIX_CONNECTED}; shutdown y SHUT_WR`,
  'Unix stream shut down': `${UNIX_CONNECTED}; shutdown x SHUT_RDWR`,
  'Unix stream refused': 'x = socket AF_UNIX SOCK_STREAM; connect x @nobody',
  'Unix stream pair': 'x y = socketpair AF_UNIX SOCK_STREAM',
  'Unix datagram': 'x = socket AF_UNIX SOCK_DGRAM',
  'Unix datagram bound': 'x = socket AF_UNIX SOCK_DGRAM; bind x @x',
  'Unix datagram connected':
    'y = socket AF_UNIX SOCK_DGRAM; bind y @y; x = socket AF_UNIX SOCK_DGRAM; bind x @x; connect x @y',
  'Unix datagram with data': 'x y = socketpair AF_UNIX SOCK_DGRAM; send y 20; send y 0; send y 7',
  'Unix datagram whose peer has closed': 'x y = socketpair AF_UNIX SOCK_DGRAM; close y',
  'Unix datagram pair': 'x y = socketpair AF_UNIX SOCK_DGRAM',
  'Unix seqpacket': 'x = socket AF_UNIX SOCK_SEQPACKET',
  'Unix seqpacket listening': 'x = socket AF_UNIX SOCK_SEQPACKET; bind x @x; listen x 1',
  'Unix seqpacket with data': 'x y = socketpair AF_UNIX SOCK_SEQPACKET; send y 20; send y 7',
  'Unix seqpacket whose peer has closed': 'x y = socketpair AF_UNIX SOCK_SEQPACKET; send y 4; close y',
}

const UNIX_CALLS = [
  'bind x @other; bind x @other2',
  'bind x ./other; bind x ./other',
  'bind x @',
  'bind x 10.1.0.1:80',
  'o = socket AF_UNIX SOCK_STREAM; bind o @same; bind x @same',
  'listen x 5; listen x -1',
  'z = accept x SOCK_NONBLOCK',
  'connect x @nobody',
  'connect x ./nobody',
  'connect x 10.1.0.1:80',
  'connect x AF_UNSPEC@0.0.0.0:0',
  'o = socket AF_UNIX SOCK_DGRAM; bind o @o; connect x @o; getpeername x; send x 3; recvfrom o 10 MSG_DONTWAIT',
  'o = socket AF_UNIX SOCK_STREAM; bind o @o; listen o 1; connect x @o; getpeername x; acceptfrom o',
  'o = socket AF_UNIX SOCK_STREAM; bind o @o; connect x @o',
  'send x 10 MSG_DONTWAIT|MSG_NOSIGNAL; send x 0 MSG_DONTWAIT|MSG_NOSIGNAL',
  'send x 1 MSG_OOB|MSG_DONTWAIT|MSG_NOSIGNAL',
  'sendto x 5 MSG_DONTWAIT|MSG_NOSIGNAL @nobody',
  'o = socket AF_UNIX SOCK_DGRAM; bind o @o; sendto x 5 MSG_DONTWAIT|MSG_NOSIGNAL @o; recvfrom o 10 MSG_DONTWAIT',
  'sendto x 5 MSG_DONTWAIT|MSG_NOSIGNAL 10.1.0.1:80',
  'send x 300000 MSG_DONTWAIT|MSG_NOSIGNAL',
  'recv x 10 MSG_DONTWAIT; recv x 100 MSG_DONTWAIT; recv x 10 MSG_DONTWAIT',
  'recv x 0 MSG_DONTWAIT; read x 0',
  'recv x 10 MSG_PEEK|MSG_DONTWAIT; recv x 100 MSG_DONTWAIT',
  'recv x 3 MSG_TRUNC|MSG_DONTWAIT; recv x 3 MSG_DONTWAIT',
  'recv x 10 MSG_OOB|MSG_DONTWAIT',
  'recv x 5 MSG_WAITALL|MSG_DONTWAIT',
  'recvfrom x 3 MSG_DONTWAIT; recvmsg x 2 3 MSG_DONTWAIT; recvmsg x 1 100 MSG_DONTWAIT',
  'shutdown x SHUT_RD; recv x 10 MSG_DONTWAIT; send x 1 MSG_DONTWAIT|MSG_NOSIGNAL',
  'shutdown x SHUT_WR; recv x 10 MSG_DONTWAIT; send x 1 MSG_DONTWAIT|MSG_NOSIGNAL',
  'shutdown x 3; shutdown x -1; shutdown x SHUT_RDWR; shutdown x SHUT_RDWR',
  'getsockopt x SOL_SOCKET SO_TYPE; getsockopt x SOL_SOCKET SO_DOMAIN; getsockopt x SOL_SOCKET SO_PROTOCOL; getsockopt x SOL_SOCKET SO_ACCEPTCONN; getsockopt x SOL_SOCKET SO_ERROR; getsockopt x SOL_SOCKET SO_RCVLOWAT',
  'setsockopt x SOL_SOCKET SO_REUSEADDR 1; setsockopt x SOL_SOCKET SO_PASSCRED 1; getsockopt x SOL_SOCKET SO_PASSCRED; setsockopt x SOL_SOCKET SO_KEEPALIVE 1; setsockopt x SOL_SOCKET SO_REUSEPORT 1; setsockopt x SOL_SOCKET SO_BROADCAST 1; setsockopt x SOL_SOCKET SO_LINGER linger:1,1; setsockopt x SOL_SOCKET SO_OOBINLINE 1',
  'setsockopt x SOL_TCP TCP_NODELAY 1; getsockopt x SOL_TCP TCP_NODELAY; setsockopt x SOL_IP IP_TTL 1; getsockopt x 99 1',
  'ioctl x FIONREAD; ioctl x TIOCOUTQ; ioctl x SIOCATMARK; ioctl x 1234; fcntl x F_GETFL',
  'e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x 0x2007; epoll_wait e 5',
  'poll x 0x7fff; select x; poll x POLLIN; poll x POLLOUT; poll x POLLRDHUP',
]

/** How things stand after a call. */
const AFTER = 'poll x 0x7fff; getsockname x; getpeername x; getsockopt x SOL_SOCKET SO_ERROR; close x; close x'

const unixStates = (): Case[] =>
  Object.entries(UNIX_STATES).flatMap(([state, setup]) =>
    UNIX_CALLS.map((calls) => ({ name: `${state}: ${calls}`, script: `${setup}\n${calls}\n${AFTER}` })),
  )

/** Every call in every state: `bad-calls`, and the masks of poll(2) and epoll(7) in all of them. */
const states = (): Case[] =>
  Object.entries(STATES).flatMap(([state, setup]) =>
    CALLS.map((calls) => ({ name: `${state}: ${calls}`, script: `${setup}\n${calls}\n${AFTER}` })),
  )

const PROTOCOLS = [0, 1, 2, 6, 17, 41, 47, 58, 103, 255, 256, 263, 1000, -1]

/** socket(2): `domains`. */
const domains = (): Case[] => {
  const cases: Case[] = []
  for (const domain of [0, 1, 2, 10, 3, 11, 12, 19, 45, 46, 100, -1]) {
    for (const user of [0, 1000]) {
      for (const type of [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 15, 16, 0x1001, 0x801, 0x80801]) {
        const lines = PROTOCOLS.map((protocol) => `s = socket ${domain} ${type} ${protocol}`)
        cases.push({ name: `socket(${domain}, ${type}) of user ${user}`, script: `as ${user}\n${lines.join('\n')}` })
      }
    }
  }
  return cases
}

const OPTIONS = { neither: '', REUSEADDR: 'SO_REUSEADDR', REUSEPORT: 'SO_REUSEPORT' }
const PLACES: readonly (readonly [name: string, domain: string, address: string, only: boolean])[] = [
  ['0.0.0.0', 'AF_INET', '0.0.0.0', false],
  ['A', 'AF_INET', '10.1.0.1', false],
  ['B', 'AF_INET', '10.2.0.1', false],
  ['::', 'AF_INET6', '[::]', false],
  [':: V6ONLY', 'AF_INET6', '[::]', true],
  ['A6', 'AF_INET6', '[fd00:1::1]', false],
  ['B6', 'AF_INET6', '[fd00:2::1]', false],
  ['A mapped', 'AF_INET6', '[::ffff:10.1.0.1]', false],
]

const open = (fd: string, type: string, [, domain, , only]: (typeof PLACES)[number], option: string): string[] => [
  `${fd} = socket ${domain} ${type}`,
  ...(only ? [`setsockopt ${fd} SOL_IPV6 IPV6_V6ONLY 1`] : []),
  ...(option === '' ? [] : [`setsockopt ${fd} SOL_SOCKET ${option} 1`]),
]

/** How the socket that has the port got into a state; x is what is left of it. */
const holder = (state: string, place: (typeof PLACES)[number], option: string): string[] => {
  const [, domain, address] = place
  const wildcard = address === '0.0.0.0' ? '10.1.0.1' : address === '[::]' ? '[fd00:1::1]' : address
  const first = [...open('x', 'SOCK_STREAM', place, option), `bind x ${address}:5000`]
  const accepted = [
    ...first,
    'listen x 5',
    `c = socket ${domain} SOCK_STREAM`,
    `connect c ${wildcard}:5000`,
    'y = accept x',
    'close x',
  ]
  switch (state) {
    case 'bound':
      return first
    case 'listening':
      return [...first, 'listen x 5']
    case 'connected':
      return accepted
    default:
      return [...accepted, 'close y', 'close c']
  }
}

/** The table of `bind-rules`. */
const bindRules = (): Case[] => {
  const cases: Case[] = []
  for (const [type, states] of [
    ['SOCK_STREAM', ['bound', 'listening', 'connected', 'TIME_WAIT']],
    ['SOCK_DGRAM', ['bound']],
  ] as const) {
    for (const state of states) {
      for (const first of PLACES) {
        for (const [title, option] of Object.entries(OPTIONS)) {
          const lines = [
            ...(type === 'SOCK_STREAM'
              ? holder(state, first, option)
              : [...open('x', type, first, option), `bind x ${first[2]}:5000`]),
          ]
          for (const second of PLACES) {
            for (const other of Object.values(OPTIONS)) {
              lines.push(...open('b', type, second, other), `bind b ${second[2]}:5000`)
              if (type === 'SOCK_STREAM') lines.push('listen b 1')
              lines.push('close b')
            }
          }
          cases.push({ name: `${type} ${first[0]}, ${title}, ${state}`, script: lines.join('\n') })
        }
      }
    }
  }
  return cases
}

const KINDS = {
  tcp: 'x = socket AF_INET SOCK_STREAM',
  listener: 'x = socket AF_INET SOCK_STREAM; bind x 10.1.0.1:80; listen x 5',
  connection: CONNECTED,
  tcp6: 'x = socket AF_INET6 SOCK_STREAM',
  udp: 'x = socket AF_INET SOCK_DGRAM',
  udp6: 'x = socket AF_INET6 SOCK_DGRAM',
  raw: 'x = socket AF_INET SOCK_RAW 200',
  raw6: 'x = socket AF_INET6 SOCK_RAW 200',
  ping: 'x = socket AF_INET SOCK_DGRAM IPPROTO_ICMP',
}
const VALUES = [1, 0, -1, 2, 7, 255, 256, 1000, 100_000, 2_000_000_000]
/** The options of each level that are looked at: all but those whose values are structures that differ everywhere. */
const LEVELS: Readonly<Record<string, readonly number[]>> = {
  SOL_SOCKET: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 19, 29, 30, 32, 33, 34, 36, 38, 39, 40, 45, 72],
  SOL_TCP: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 17, 18, 19, 23, 25, 27, 30, 43, 44, 45, 46],
  SOL_IP: [1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 24, 33, 34, 49, 50],
  SOL_IPV6: [7, 16, 17, 18, 19, 23, 24, 25, 26, 29, 36, 49, 51, 62, 66, 67, 70, 74, 75, 78],
  SOL_UDP: [1],
}

/** Every option's value at first, and after it was set to this and that. */
const options = (): Case[] =>
  Object.entries(KINDS).flatMap(([kind, setup]) =>
    Object.entries(LEVELS).flatMap(([level, names]) =>
      names.map((name) => ({
        name: `${kind}: ${level} ${name}`,
        script: [
          setup,
          `getsockopt x ${level} ${name}`,
          ...VALUES.flatMap((value) => [`setsockopt x ${level} ${name} ${value}`, `getsockopt x ${level} ${name}`]),
        ].join('\n'),
      })),
    ),
  )

/** Sequences that none of the above is. */
const sequences = (): Case[] =>
  [
    // SO_LINGER, as it is set and read; closing with it.
    `x = socket AF_INET SOCK_STREAM; getsockopt x SOL_SOCKET SO_LINGER; setsockopt x SOL_SOCKET SO_LINGER linger:1,5
     getsockopt x SOL_SOCKET SO_LINGER; setsockopt x SOL_SOCKET SO_LINGER linger:0,7; getsockopt x SOL_SOCKET SO_LINGER
     setsockopt x SOL_SOCKET SO_LINGER linger:1,-1; getsockopt x SOL_SOCKET SO_LINGER; setsockopt x SOL_SOCKET SO_LINGER linger:1,100000
     getsockopt x SOL_SOCKET SO_LINGER`,
    `${CONNECTED}; send x 100; setsockopt x SOL_SOCKET SO_LINGER linger:1,5; close x; recv y 200; recv y 200`,
    `${CONNECTED}; send x 100; setsockopt x SOL_SOCKET SO_LINGER linger:1,0; close x; recv y 200; recv y 200; send y 1`,
    // Time-outs.
    `x = socket AF_INET SOCK_STREAM; getsockopt x SOL_SOCKET SO_RCVTIMEO; setsockopt x SOL_SOCKET SO_RCVTIMEO time:1,500000
     getsockopt x SOL_SOCKET SO_RCVTIMEO; setsockopt x SOL_SOCKET SO_RCVTIMEO time:-1,0; getsockopt x SOL_SOCKET SO_RCVTIMEO
     setsockopt x SOL_SOCKET SO_SNDTIMEO time:0,1000000; setsockopt x SOL_SOCKET SO_SNDTIMEO time:0,-1; getsockopt x SOL_SOCKET SO_SNDTIMEO`,
    `${CONNECTED}; setsockopt x SOL_SOCKET SO_RCVTIMEO time:0,50000; recv x 10; send y 3; recv x 10 MSG_WAITALL; recv x 10`,
    `l = socket AF_INET SOCK_STREAM; setsockopt l SOL_SOCKET SO_RCVTIMEO time:0,50000; bind l 10.1.0.1:80; listen l 1; c = accept l`,
    `x = socket AF_INET SOCK_STREAM; setsockopt x SOL_SOCKET SO_SNDTIMEO time:0,50000; connect x 10.1.0.9:80; connect x 10.1.0.9:80`,
    `x = socket AF_INET SOCK_DGRAM; bind x 10.1.0.1:90; setsockopt x SOL_SOCKET SO_RCVTIMEO time:0,50000; recv x 10`,
    // Blocking calls block, and are interrupted.
    `${CONNECTED}; recv x 10; recv x 10 MSG_PEEK; read x 10; getsockopt x SOL_SOCKET SO_ERROR`,
    `${CONNECTED}; send y 5; recv x 10 MSG_WAITALL; recv x 10 MSG_DONTWAIT`,
    `${LISTENER}; c = accept l; poll l POLLIN`,
    'x = socket AF_INET SOCK_STREAM; connect x 10.1.0.9:80; connect x 10.1.0.9:80; getsockname x',
    'x = socket AF_INET SOCK_DGRAM; bind x 10.1.0.1:90; recv x 10; recvfrom x 10 0',
    'x y = pipe; read x 10; write y 100000; read x 100000; close y; read x 10',
    // A datagram socket's boundaries; what is too long is cut.
    `${PAIR_UDP}; connect x 10.1.0.1:90; connect y 10.1.0.1:91; send x 100; send x 50; recv y 60; recv y 60 MSG_TRUNC; recv y 60 MSG_DONTWAIT`,
    `${PAIR_UDP}; connect x 10.1.0.1:90; connect y 10.1.0.1:91; send x 100; recv y 10 MSG_PEEK|MSG_TRUNC; recvmsg y 2 20; send x 10; recvmsg y 2 20 MSG_TRUNC`,
    `${PAIR_UDP}; connect x 10.1.0.1:90; setsockopt x SOL_UDP UDP_CORK 1; send x 60000; send x 60000; setsockopt x SOL_UDP UDP_CORK 0; recv y 10 MSG_DONTWAIT; send x 7; recv y 10`,
    `${PAIR_UDP}; connect x 10.1.0.1:90; send x 5 MSG_MORE; send x 6; recv y 100; setsockopt x SOL_UDP UDP_CORK 1; send x 1; send x 2; recv y 10 MSG_DONTWAIT; setsockopt x SOL_UDP UDP_CORK 0; recv y 10`,
    `${PAIR_UDP}; connect x 10.1.0.1:90; z = socket AF_INET SOCK_DGRAM; sendto z 5 0 10.1.0.1:91; recv x 10 MSG_DONTWAIT; sendto y 6 0 10.1.0.1:91; recv x 10 MSG_DONTWAIT`,
    'x = socket AF_INET SOCK_DGRAM; sendto x 5 0 255.255.255.255:99; setsockopt x SOL_SOCKET SO_BROADCAST 1; sendto x 5 0 255.255.255.255:99; sendto x 5 0 10.1.0.255:99; sendto x 5 0 127.255.255.255:9',
    'x = socket AF_INET SOCK_DGRAM; connect x 10.1.0.1:99; send x 1; send x 1; send x 1; recv x 1; recv x 1 MSG_DONTWAIT',
    'x = socket AF_INET SOCK_DGRAM; connect x 10.1.0.1:99; send x 1; poll x 0x7fff; getsockopt x SOL_SOCKET SO_ERROR; poll x 0x7fff',
    // Data after the end, in all its orders.
    `${CONNECTED}; send y 5; close y; recv x 3; recv x 10; recv x 10; send x 1; recv x 1; send x 1 MSG_NOSIGNAL; getsockopt x SOL_SOCKET SO_ERROR`,
    `${CONNECTED}; send y 5; send x 5; close y; recv x 10; recv x 10; send x 1 MSG_NOSIGNAL; recv x 1`,
    `${CONNECTED}; shutdown x SHUT_WR; send y 5; recv x 10; close y; recv x 10; recv x 10; poll x 0x7fff`,
    `${CONNECTED}; shutdown x SHUT_RD; send y 5; recv x 10; recv x 10; poll x 0x7fff`,
    `${CONNECTED}; send y 5; shutdown x SHUT_RD; recv x 10; recv x 10; send y 5; recv x 10`,
    `${CONNECTED}; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y; send x 1; send x 1; recv x 1`,
    `${CONNECTED}; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y; recv x 1; recv x 1; send x 1; getpeername x; connect x 10.1.0.1:80`,
    `${CONNECTED}; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y; getsockopt x SOL_SOCKET SO_ERROR; recv x 1; poll x 0x7fff`,
    // A connection reset before it was accepted.
    `${LISTENER}; x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:80; setsockopt x SOL_SOCKET SO_LINGER linger:1,0; close x; poll l POLLIN; y = accept l; recv y 5; getpeername y; poll y 0x7fff`,
    `${LISTENER}; x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:80; send x 7; close x; y = accept l; recv y 10; recv y 10; send y 1; send y 1; getpeername y`,
    `${LISTENER}; x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:80; close l; recv x 1; send x 1; getsockopt x SOL_SOCKET SO_ERROR`,
    // The backlog.
    `l = socket AF_INET SOCK_STREAM; bind l 10.1.0.1:80; listen l 1; a = socket AF_INET SOCK_STREAM; connect a 10.1.0.1:80; b = socket AF_INET SOCK_STREAM; connect b 10.1.0.1:80
     c = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect c 10.1.0.1:80; poll c POLLOUT; getsockname c; d = accept l; e = accept l; listen l 5; listen l 0`,
    // connect, again and again.
    `${LISTENER}; x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect x 10.1.0.1:80; connect x 10.1.0.1:80; connect x 10.1.0.1:80; getsockopt x SOL_SOCKET SO_ERROR`,
    'x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect x 10.1.0.9:80; connect x 10.1.0.9:80; connect x 10.1.0.8:80; poll x POLLOUT; getsockopt x SOL_SOCKET SO_ERROR; close x',
    'x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect x 10.1.0.1:99; poll x 0x7fff; connect x 10.1.0.1:99; connect x 10.1.0.1:99; getsockopt x SOL_SOCKET SO_ERROR',
    `x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:99; connect x 10.1.0.1:99; ${LISTENER}; connect x 10.1.0.1:80; getpeername x`,
    'x = socket AF_INET SOCK_STREAM; bind x 10.1.0.1:80; connect x 10.1.0.1:80; send x 5; recv x 10; getpeername x; close x',
    `${CONNECTED}; connect x AF_UNSPEC@0.0.0.0:0; getsockname x; connect x 10.1.0.1:80; recv y 10; getsockname x`,
    `${LISTENER}; connect l AF_UNSPEC@0.0.0.0:0; z = accept l; listen l 5`,
    `${LISTENER}; shutdown l SHUT_RDWR; listen l 5; x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:80; y = accept l`,
    // Ports.
    'sysctl net.ipv4.ip_local_port_range 40000,40001; a = socket AF_INET SOCK_STREAM; bind a 10.1.0.1:0; b = socket AF_INET SOCK_STREAM; bind b 10.1.0.1:0; c = socket AF_INET SOCK_STREAM; bind c 10.1.0.1:0; d = socket AF_INET SOCK_STREAM; bind d 10.2.0.1:0',
    'sysctl net.ipv4.ip_local_port_range 40000,40001; a = socket AF_INET SOCK_DGRAM; bind a 10.1.0.1:0; b = socket AF_INET SOCK_DGRAM; bind b 10.1.0.1:0; c = socket AF_INET SOCK_DGRAM; bind c 10.1.0.1:0; d = socket AF_INET SOCK_DGRAM; sendto d 1 0 10.1.0.1:9',
    `${LISTENER}; sysctl net.ipv4.ip_local_port_range 40000,40001; a = socket AF_INET SOCK_STREAM; connect a 10.1.0.1:80; b = socket AF_INET SOCK_STREAM; connect b 10.1.0.1:80; c = socket AF_INET SOCK_STREAM; connect c 10.1.0.1:80; d = socket AF_INET SOCK_STREAM; listen d 1`,
    'as 1000; a = socket AF_INET SOCK_STREAM; bind a 10.1.0.1:80; bind a 10.1.0.1:1023; bind a 10.1.0.1:1024',
    'a = socket AF_INET SOCK_STREAM; setsockopt a SOL_SOCKET SO_REUSEPORT 1; bind a 10.1.0.1:5000; as 1000; b = socket AF_INET SOCK_STREAM; setsockopt b SOL_SOCKET SO_REUSEPORT 1; bind b 10.1.0.1:5000',
    'a = socket AF_INET SOCK_DGRAM; setsockopt a SOL_SOCKET SO_REUSEPORT 1; bind a 10.1.0.1:5000; as 1000; b = socket AF_INET SOCK_DGRAM; setsockopt b SOL_SOCKET SO_REUSEPORT 1; bind b 10.1.0.1:5000; setsockopt b SOL_SOCKET SO_REUSEADDR 1; bind b 10.1.0.1:5000',
    'a = socket AF_INET SOCK_STREAM; setsockopt a SOL_IP IP_FREEBIND 1; bind a 10.9.9.9:80; b = socket AF_INET SOCK_STREAM; sysctl net.ipv4.ip_nonlocal_bind 1; bind b 10.9.9.9:81; c = socket AF_INET SOCK_STREAM; setsockopt c SOL_IP IP_BIND_ADDRESS_NO_PORT 1; bind c 10.1.0.1:0; getsockname c',
    // Interfaces.
    'x = socket AF_INET SOCK_STREAM; setsockopt x SOL_SOCKET SO_BINDTODEVICE "d0"; getsockopt x SOL_SOCKET SO_BINDTODEVICE; setsockopt x SOL_SOCKET SO_BINDTODEVICE "moon"; bind x 127.0.0.1:80; connect x 127.0.0.1:99',
    'x = socket AF_INET6 SOCK_DGRAM; bind x [fe80::1]:90; bind x [::1]:90; getsockname x; connect x [::]:90; getpeername x',
    // Descriptors.
    'rlimit 8; a = socket AF_INET SOCK_STREAM; b = dup a; c = dup a; d = dup a; e = dup a; f = dup a; g = socket AF_INET SOCK_STREAM; h i = pipe; close a; h i = pipe; g = epoll_create1',
    `${LISTENER}; x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:80; rlimit 5; y = accept l; rlimit 100; y = accept l`,
    'a b = pipe2 O_NONBLOCK; read a 1; write b 70000; write b 1; read a 70000; write b 1; close a; write b 1; poll b 0x7fff; close b; close b',
    'a b = pipe2 O_NONBLOCK; write b 5; close b; read a 3; poll a 0x7fff; read a 3; read a 3; poll a 0x7fff; ioctl a FIONREAD',
    'a b = pipe2 7; a b = pipe2 O_CLOEXEC; fcntl a F_GETFD; fcntl b F_GETFD; fcntl a F_GETFL; fcntl b F_GETFL; write a 1; read b 1',
    // epoll.
    `${CONNECTED}; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN|EPOLLET; epoll_wait e 5; send y 2; epoll_wait e 5; recv x 1; epoll_wait e 5; send y 1; epoll_wait e 5; close y; epoll_wait e 5; epoll_wait e 5`,
    `${CONNECTED}; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN; send y 2; epoll_wait e 5; recv x 1; epoll_wait e 5; recv x 1; epoll_wait e 5; close x; epoll_wait e 5; epoll_ctl e EPOLL_CTL_DEL x`,
    `${CONNECTED}; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN|EPOLLONESHOT; send y 2; epoll_wait e 5; epoll_wait e 5; epoll_ctl e EPOLL_CTL_MOD x EPOLLIN|EPOLLONESHOT; epoll_wait e 5`,
    'a = epoll_create1; b = epoll_create1; epoll_ctl a EPOLL_CTL_ADD b 1; epoll_ctl b EPOLL_CTL_ADD a 1; epoll_ctl a EPOLL_CTL_ADD 999 1; epoll_ctl 999 EPOLL_CTL_ADD a 1; n = null; epoll_ctl a EPOLL_CTL_ADD n 1; epoll_create1 1; poll a POLLIN; epoll_ctl a EPOLL_CTL_ADD b -1',
    `${CONNECTED}; d = dup x; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN; epoll_ctl e EPOLL_CTL_ADD d EPOLLIN; close x; send y 1; epoll_wait e 5; close d; epoll_wait e 5`,
    // Groups.
    'x = socket AF_INET SOCK_DGRAM; setsockopt x SOL_IP IP_ADD_MEMBERSHIP mreq:224.1.1.1,10.1.0.1; setsockopt x SOL_IP IP_ADD_MEMBERSHIP mreq:224.1.1.1,10.1.0.1; setsockopt x SOL_IP IP_DROP_MEMBERSHIP mreq:224.1.1.1,10.1.0.1; setsockopt x SOL_IP IP_DROP_MEMBERSHIP mreq:224.1.1.1,10.1.0.1; setsockopt x SOL_IP IP_ADD_MEMBERSHIP mreq:10.1.1.1,10.1.0.1; setsockopt x SOL_IP IP_ADD_MEMBERSHIP mreq:224.1.1.1,9.9.9.9; setsockopt x SOL_IP IP_ADD_MEMBERSHIP 5; setsockopt x SOL_IP IP_ADD_MEMBERSHIP mreqn:224.1.1.2,0.0.0.0,99',
    'x = socket AF_INET SOCK_DGRAM; setsockopt x SOL_IP IP_ADD_SOURCE_MEMBERSHIP source:232.1.1.1,10.1.0.1,10.1.0.7; setsockopt x SOL_IP IP_ADD_SOURCE_MEMBERSHIP source:232.1.1.1,10.1.0.1,10.1.0.7; setsockopt x SOL_IP IP_BLOCK_SOURCE source:232.1.1.1,10.1.0.1,10.1.0.7; setsockopt x SOL_IP IP_DROP_SOURCE_MEMBERSHIP source:232.1.1.1,10.1.0.1,10.1.0.7; setsockopt x SOL_IP IP_DROP_SOURCE_MEMBERSHIP source:232.1.1.1,10.1.0.1,10.1.0.7',
    'x = socket AF_INET SOCK_DGRAM; getsockopt x SOL_IP IP_UNICAST_IF; setsockopt x SOL_IP IP_UNICAST_IF 0x02000000; getsockopt x SOL_IP IP_UNICAST_IF; sendto x 5 0 10.1.0.1:9; setsockopt x SOL_IP IP_UNICAST_IF 0x01000000; sendto x 5 0 10.2.0.77:9; sendto x 5 0 127.0.0.1:9; setsockopt x SOL_IP IP_UNICAST_IF 2; setsockopt x SOL_IP IP_UNICAST_IF 0x63000000; setsockopt x SOL_IP IP_UNICAST_IF 0; getsockopt x SOL_IP IP_UNICAST_IF',
    'x = socket AF_INET6 SOCK_DGRAM; getsockopt x SOL_IPV6 IPV6_UNICAST_IF; setsockopt x SOL_IPV6 IPV6_UNICAST_IF 0x02000000; getsockopt x SOL_IPV6 IPV6_UNICAST_IF; setsockopt x SOL_IPV6 IPV6_UNICAST_IF 0x01000000; sendto x 5 0 [fd00:1::7]:9; setsockopt x SOL_IPV6 IPV6_UNICAST_IF 2; setsockopt x SOL_IPV6 IPV6_UNICAST_IF 0',
    'x = socket AF_INET SOCK_DGRAM; getsockopt x SOL_IP IP_MULTICAST_IF; setsockopt x SOL_IP IP_MULTICAST_IF in:10.1.0.1; getsockopt x SOL_IP IP_MULTICAST_IF; setsockopt x SOL_IP IP_MULTICAST_IF in:9.9.9.9; setsockopt x SOL_IP IP_MULTICAST_IF in:0.0.0.0',
    'x = socket AF_INET6 SOCK_DGRAM; setsockopt x SOL_IPV6 IPV6_JOIN_GROUP mreq6:ff02::7,1; setsockopt x SOL_IPV6 IPV6_JOIN_GROUP mreq6:ff02::7,1; setsockopt x SOL_IPV6 IPV6_JOIN_GROUP mreq6:fd00::7,1; setsockopt x SOL_IPV6 IPV6_JOIN_GROUP mreq6:ff02::8,99; setsockopt x SOL_IPV6 IPV6_LEAVE_GROUP mreq6:ff02::7,1; setsockopt x SOL_IPV6 IPV6_LEAVE_GROUP mreq6:ff02::7,1',
    'x = socket AF_INET SOCK_DGRAM; setsockopt x SOL_IP IP_ADD_MEMBERSHIP mreq:224.1.1.1,10.1.0.1; bind x 224.1.1.1:90; y = socket AF_INET SOCK_DGRAM; setsockopt y SOL_IP IP_MULTICAST_IF in:10.1.0.1; sendto y 5 0 224.1.1.1:90; recv x 10 MSG_DONTWAIT; setsockopt y SOL_IP IP_MULTICAST_LOOP 0; sendto y 5 0 224.1.1.1:90; recv x 10 MSG_DONTWAIT',
    // TCP options that bear on calls.
    'x = socket AF_INET SOCK_STREAM; getsockopt x SOL_TCP TCP_CONGESTION; setsockopt x SOL_TCP TCP_CONGESTION "moon"; setsockopt x SOL_TCP TCP_CONGESTION "reno"; getsockopt x SOL_TCP TCP_CONGESTION',
    `${CONNECTED}; getsockopt x SOL_TCP TCP_MAXSEG; getsockopt y SOL_TCP TCP_MAXSEG; getsockopt x SOL_IP IP_MTU; setsockopt x SOL_TCP TCP_MAXSEG 500; getsockopt x SOL_TCP TCP_MAXSEG`,
    'l = socket AF_INET SOCK_STREAM; setsockopt l SOL_TCP TCP_DEFER_ACCEPT 1; bind l 10.1.0.1:80; listen l 5; x = socket AF_INET SOCK_STREAM; connect x 10.1.0.1:80; poll l POLLIN; send x 1; poll l POLLIN; y = accept l; recv y 5',
    `${CONNECTED}; setsockopt x SOL_SOCKET SO_RCVLOWAT 10; send y 5; poll x POLLIN; recv x 20 MSG_DONTWAIT; send y 10; poll x POLLIN`,
    `${CONNECTED}; send x 10; ioctl y FIONREAD; ioctl x TIOCOUTQ; recv y 4; ioctl y FIONREAD; send x 1 MSG_OOB; ioctl y SIOCATMARK; recv y 10; ioctl y SIOCATMARK; recv y 1 MSG_OOB; ioctl y SIOCATMARK`,
    // Signals and processes.
    'kill 999999 0; kill 999999 15; killself 0; killself 99; sigaction SIGKILL; sigaction SIGUSR1; killself SIGUSR1; sigaction 99; waitpid -1; waitpid 5',
  ].map((script) => ({ name: script.replace(/\s+/g, ' ').slice(0, 120), script }))

/** All scripts, by what they are about. */
export const GROUPS: Readonly<Record<string, readonly Case[]>> = {
  'every call in every state': states(),
  'the Unix domain': unixStates(),
  domains: domains(),
  'bind rules': bindRules(),
  options: options(),
  sequences: sequences(),
}
