import type { Case } from './errno-cases.ts'

/**
 * Rows of the catalogue as scripts for two machines, a and b: the calls of the row's programs, and what netstat and ss
 * show at its steps. `host` says on which machine the calls are made that follow.
 */

const LISTEN =
  'host b; l = socket AF_INET SOCK_STREAM; setsockopt l SOL_SOCKET SO_REUSEADDR 1; bind l 0.0.0.0:80; listen l 5'
const CONNECT = 'host a; x = socket AF_INET SOCK_STREAM; bind x 10.9.0.1:7000; connect x 10.9.0.2:80'
const ACCEPTED = `${LISTEN}; ${CONNECT}; host b; y = accept l; host a`
const BOTH = 'host a; netstat; host b; netstat'

export const ROWS: readonly Case[] = Object.entries({
  // A and B.
  descriptors: `${ACCEPTED}; d = dup x; close x; ${BOTH}; host a; send d 5; host b; recv y 9; host a; close d; wait 60; ${BOTH}`,
  'fd-limit': `${LISTEN}; host a; p = socket AF_INET SOCK_STREAM; connect p 10.9.0.2:80; q = socket AF_INET SOCK_STREAM; connect q 10.9.0.2:80; r = socket AF_INET SOCK_STREAM; connect r 10.9.0.2:80
    host b; leave 1; c = accept l; d = accept l; ss -ltn; e = socket AF_INET SOCK_STREAM; g = dup l; poll l POLLIN; close c; d = accept l; ss -ltn; h = accept l; rlimit 100; h = accept l; ss -ltn; fcntl l F_SETFL O_NONBLOCK; i = accept l`,
  pipes: `host a; r w = pipe; write w 5; read r 9; poll r 0x7fff; poll w 0x7fff; ioctl r FIONREAD; write w 70000; ioctl r FIONREAD; close w; read r 100000; read r 1; poll r 0x7fff; p q = pipe2 O_NONBLOCK; read p 1; close p; write q 1; poll q 0x7fff
    u v = socketpair AF_UNIX SOCK_STREAM; write u 5; read v 3; read v 9; shutdown u SHUT_WR; read v 1; write v 4; read u 9; close v; write u 1; read u 1`,
  domains: `host a; s = socket AF_UNIX SOCK_STREAM; bind s @s; listen s 5; netstat -xa; netstat -x; netstat -xl; ss -xan; ss -xl; c = socket AF_UNIX SOCK_STREAM; connect c @s
    netstat -xa; ss -xan; ss -x; send c 30; d = accept s; netstat -xa; ss -xa; ss -xn; p q = socketpair AF_UNIX SOCK_DGRAM; send p 40; u = socket AF_UNIX SOCK_SEQPACKET; bind u @u; listen u 3
    v = socket AF_UNIX SOCK_DGRAM; bind v @; connect v @; netstat -xan; ss -xa; ss -xln; close c; netstat -xa; ss -xa; close s; netstat -xa; ss -xan`,
  'implicit-bind': `${LISTEN}; host a; x = socket AF_INET SOCK_STREAM; getsockname x; connect x 10.9.0.2:80; getsockname x; getpeername x
    u = socket AF_INET SOCK_DGRAM; sendto u 5 0 10.9.0.2:9; getsockname u; q = socket AF_INET SOCK_STREAM; listen q 1; getsockname q; netstat -antu`,
  'client-bind': `${LISTEN}; host a; x = socket AF_INET SOCK_STREAM; bind x 10.9.0.1:7000; y = socket AF_INET SOCK_STREAM; bind y 10.9.0.1:7000
    z = socket AF_INET SOCK_STREAM; bind z 10.9.9.9:7001; connect x 10.9.0.2:80; getsockname x; host b; c = accept l; getpeername c`,
  // C.
  connect: `${LISTEN}; ${BOTH}; ${CONNECT}; ${BOTH}; host a; getsockname x; getpeername x`,
  'listen-accept': `${LISTEN}; netstat; ss -ltn; ${CONNECT}; host b; netstat; ss -ltn; acceptfrom l; netstat; ss -ltn`,
  'early-data': `${LISTEN}; ${CONNECT}; send x 100; ${BOTH}; host b; y = accept l; netstat; recv y 200; netstat`,
  refused: `host b; l = socket AF_INET SOCK_STREAM; bind l 0.0.0.0:80; ${CONNECT}; getsockopt x SOL_SOCKET SO_ERROR; connect x 10.9.0.2:81; ${BOTH}`,
  'connect-timeout': `host a; sysctl net.ipv4.tcp_syn_retries 1; sysctl net.ipv4.tcp_syn_linear_timeouts 0; cut
    x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect x 10.9.0.2:80; netstat; wait 1500; getsockopt x SOL_SOCKET SO_ERROR; netstat; wait 2500; getsockopt x SOL_SOCKET SO_ERROR; netstat`,
  'nonblocking-connect': `${LISTEN}; host b; cut; host a; x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect x 10.9.0.2:80; poll x POLLOUT; connect x 10.9.0.2:80
    host b; join; host a; wait 2500; poll x POLLOUT; getsockopt x SOL_SOCKET SO_ERROR; connect x 10.9.0.2:80; connect x 10.9.0.2:80`,
  'simultaneous-open': `host b; sysctl net.ipv4.tcp_syn_linear_timeouts 0; cut; y = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; bind y 10.9.0.2:6000
    host a; sysctl net.ipv4.tcp_syn_linear_timeouts 0; cut; x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; bind x 10.9.0.1:7000; connect x 10.9.0.2:6000
    host b; connect y 10.9.0.1:7000; netstat; join; host a; join; wait 3000; ${BOTH}; send y 5; host a; recv x 10`,
  'two-queues': `host b; l = socket AF_INET SOCK_STREAM; bind l 0.0.0.0:80; listen l 1; ss -ltn; host a; p = socket AF_INET SOCK_STREAM; connect p 10.9.0.2:80; host b; ss -ltn
    host a; q = socket AF_INET SOCK_STREAM; connect q 10.9.0.2:80; host b; ss -ltn; host a; r = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; connect r 10.9.0.2:80; poll r POLLOUT
    host b; ss -ltn; c = accept l; ss -ltn; host a; wait 2500; poll r POLLOUT; host b; ss -ltn`,
  'synack-lost': `host b; sysctl net.ipv4.tcp_synack_retries 1; cut; ${LISTEN}; host a; sysctl net.ipv4.tcp_syn_retries 1; sysctl net.ipv4.tcp_syn_linear_timeouts 0; x = socket AF_INET SOCK_STREAM|SOCK_NONBLOCK; bind x 10.9.0.1:7000; connect x 10.9.0.2:80
    netstat; host b; netstat; ss -ltn; wait 3600; netstat; host a; getsockopt x SOL_SOCKET SO_ERROR; netstat`,
  'accept-errors': `${LISTEN}; fcntl l F_SETFL O_NONBLOCK; c = accept l; ${CONNECT}; setsockopt x SOL_SOCKET SO_LINGER linger:1,0; host b; poll l POLLIN; host a; close x; host b; poll l POLLIN
    ss -ltn; c = accept l; recv c 5; c = accept l; c = accept l SOCK_NONBLOCK|SOCK_CLOEXEC`,
  'close-first': `${ACCEPTED}; host b; shutdown y SHUT_WR; wait 60; ${BOTH}; host a; recv x 10; close x; wait 60; ${BOTH}`,
  'close-second': `${ACCEPTED}; close x; wait 60; ${BOTH}; host b; recv y 10; close y; ${BOTH}`,
  'close-together': `${ACCEPTED}; cut; host b; cut; close y; host a; close x; ${BOTH}; join; host b; join; wait 1500; ${BOTH}`,
  'half-close': `${ACCEPTED}; send x 5; shutdown x SHUT_WR; host b; recv y 10; recv y 10; send y 30; wait 60; netstat; close y; host a; recv x 100; recv x 10; send x 1; netstat`,
  orphan: `host b; sysctl net.ipv4.tcp_fin_timeout 2; ${ACCEPTED}; host b; close y; wait 60; ${BOTH}; host b; wait 2600; netstat; host a; netstat; send x 1; recv x 10`,
  'time-wait': `${LISTEN}; ${CONNECT}; host b; y = accept l; host a; close x; host b; close y; host a; netstat; x = socket AF_INET SOCK_STREAM; bind x 10.9.0.1:7000
    setsockopt x SOL_SOCKET SO_REUSEADDR 1; bind x 10.9.0.1:7000; sysctl net.ipv4.tcp_tw_reuse 0; connect x 10.9.0.2:80; netstat`,
  'server-restart': `host b; l = socket AF_INET SOCK_STREAM; bind l 0.0.0.0:80; listen l 5; ${CONNECT}; host b; y = accept l; close l; close y; netstat
    l = socket AF_INET SOCK_STREAM; bind l 0.0.0.0:80; setsockopt l SOL_SOCKET SO_REUSEADDR 1; bind l 0.0.0.0:80; listen l 5; netstat; host a; recv x 10; close x; wait 60
    host b; netstat; k = socket AF_INET SOCK_STREAM; bind k 0.0.0.0:80`,
  linger: `${ACCEPTED}; send x 100; setsockopt x SOL_SOCKET SO_LINGER linger:1,5; close x; host b; recv y 200; recv y 10; close y; ${BOTH}`,
  'linger, nobody answers': `${ACCEPTED}; cut; send x 100; fcntl x F_SETFL O_NONBLOCK; setsockopt x SOL_SOCKET SO_LINGER linger:1,5; close x; netstat`,
  'linger 0': `${ACCEPTED}; send x 100; setsockopt x SOL_SOCKET SO_LINGER linger:1,0; close x; ${BOTH}; host b; recv y 200; recv y 10`,
  'close-unread': `${ACCEPTED}; send x 100; host b; close y; ${BOTH}; host a; recv x 10; getsockopt x SOL_SOCKET SO_ERROR; netstat`,
  'write-to-closed': `${ACCEPTED}; host b; close y; wait 60; ${BOTH}; host a; send x 5; ${BOTH}; host a; send x 5 MSG_NOSIGNAL; recv x 5; poll x 0x7fff`,
  'lost-on-close': `${ACCEPTED}; cut; send x 1000; send x 500; netstat; shutdown x SHUT_WR; close x; ${BOTH}; poll y 0x7fff; recv y 10`,
  'half-open': `${ACCEPTED}; send x 100; host b; recv y 200; cut; setsockopt y SOL_SOCKET SO_LINGER linger:1,0; close y; close l; join; ${BOTH}; host a; poll x 0x7fff; send x 50; wait 50; ${BOTH}; host a; poll x 0x7fff; recv x 10; recv x 10; send x 1 MSG_NOSIGNAL`,
  'stuck-close-wait': `host a; sysctl net.ipv4.tcp_fin_timeout 1; ${ACCEPTED}; close x; wait 60; ${BOTH}; host a; wait 1600; ${BOTH}; host b; send y 5; recv y 5; send y 5; ${BOTH}`,
  // D.
  'three-queues': `host b; l = socket AF_INET SOCK_STREAM; bind l 0.0.0.0:80; listen l 5; ${CONNECT}; host b; y = accept l; host a; send x 1000; send x 2000; send x 5000; wait 50
    ${BOTH}; host b; recv y 2000; recv y 4000; netstat; recv y 4000; netstat`,
  'four-buffers': `${ACCEPTED}; send x 700; host b; send y 900; wait 50; ${BOTH}; host a; cut; send x 300; host b; cut; send y 400; ${BOTH}; recv y 2000; host a; recv x 2000`,
  'nonblocking-send': `${ACCEPTED}; setsockopt x SOL_SOCKET SO_RCVTIMEO time:0,50000; recv x 5; fcntl x F_SETFL O_NONBLOCK; recv x 5; host b; send y 30; host a
    recv x 10 MSG_PEEK; recv x 10 MSG_TRUNC; recv x 100 MSG_WAITALL; recv x 1 MSG_DONTWAIT`,
  'zero-window': `host b; l = socket AF_INET SOCK_STREAM; setsockopt l SOL_SOCKET SO_RCVBUF 4096; bind l 0.0.0.0:80; listen l 5; ${CONNECT}; host b; y = accept l
    host a; fill x; send x 1 MSG_DONTWAIT; poll x POLLOUT; wait 1000; poll x 0x7fff; getsockopt x SOL_SOCKET SO_ERROR; host b; recv y 100`,
  buffers: `host a; x = socket AF_INET SOCK_STREAM; getsockopt x SOL_SOCKET SO_SNDBUF; getsockopt x SOL_SOCKET SO_RCVBUF; setsockopt x SOL_SOCKET SO_RCVBUF 1; getsockopt x SOL_SOCKET SO_RCVBUF
    setsockopt x SOL_SOCKET SO_SNDBUF 1; getsockopt x SOL_SOCKET SO_SNDBUF; setsockopt x SOL_SOCKET SO_SNDBUF 100000000; setsockopt x SOL_SOCKET SO_RCVBUF 5000; getsockopt x SOL_SOCKET SO_RCVBUF`,
  // G.
  demux: `host b; p = socket AF_INET SOCK_STREAM; setsockopt p SOL_SOCKET SO_REUSEPORT 1; bind p 0.0.0.0:99; listen p 5; q = socket AF_INET SOCK_STREAM; setsockopt q SOL_SOCKET SO_REUSEPORT 1; bind q 10.9.0.2:99; listen q 5
    netstat; host a; x = socket AF_INET SOCK_STREAM; connect x 10.9.0.2:99; host b; ss -ltn; fcntl p F_SETFL O_NONBLOCK; c = accept p; c = accept q; getsockname c`,
  'same-port': `${LISTEN}; host a; x = socket AF_INET SOCK_STREAM; bind x 10.9.0.1:7001; connect x 10.9.0.2:80; z = socket AF_INET SOCK_STREAM; bind z 10.9.0.1:7002; connect z 10.9.0.2:80
    host b; c = accept l; d = accept l; getpeername c; getpeername d; netstat`,
  'shared-listener': `${LISTEN}; m = dup l; close l; ${CONNECT}; host b; y = accept m; fcntl m F_SETFL O_NONBLOCK; z = accept m; netstat`,
  'any-address': `host b; l = socket AF_INET SOCK_STREAM; bind l 127.0.0.1:80; listen l 5; m = socket AF_INET SOCK_STREAM; bind m 0.0.0.0:81; listen m 5
    host a; x = socket AF_INET SOCK_STREAM; connect x 10.9.0.2:80; connect x 10.9.0.2:81; host b; z = socket AF_INET SOCK_STREAM; connect z 127.0.0.1:81; c = accept m; d = accept m; getsockname c; getsockname d; netstat`,
  'dual-stack': `host b; l = socket AF_INET6 SOCK_STREAM; bind l [::]:80; listen l 5; o = socket AF_INET6 SOCK_STREAM; setsockopt o SOL_IPV6 IPV6_V6ONLY 1; bind o [::]:81; listen o 5
    host a; x = socket AF_INET SOCK_STREAM; connect x 10.9.0.2:80; z = socket AF_INET6 SOCK_STREAM; connect z [fd09::2]:80; w = socket AF_INET SOCK_STREAM; connect w 10.9.0.2:81
    host b; c = accept l; getsockname c; getpeername c; d = accept l; getpeername d; netstat; ss -tn`,
  // H.
  datagrams: `host b; s = socket AF_INET SOCK_DGRAM; bind s 0.0.0.0:90; host a; u = socket AF_INET SOCK_DGRAM; bind u 10.9.0.1:91; sendto u 100 0 10.9.0.2:90; sendto u 50 0 10.9.0.2:90; sendto u 0 0 10.9.0.2:90
    host b; recvfrom s 60; recvmsg s 1 20; recvfrom s 10; recv s 10 MSG_DONTWAIT; netstat -anu`,
  'udp-connect': `host a; u = socket AF_INET SOCK_DGRAM; connect u 10.9.0.2:90; send u 5; wait 20; send u 5; recv u 5 MSG_DONTWAIT; poll u 0x7fff; netstat -anu; connect u AF_UNSPEC@0.0.0.0:0; send u 5; getpeername u; netstat -anu`,
  'udp-loss': `host b; s = socket AF_INET SOCK_DGRAM; setsockopt s SOL_SOCKET SO_RCVBUF 1; bind s 0.0.0.0:90; host a; u = socket AF_INET SOCK_DGRAM; sendto u 1400 0 10.9.0.2:90; sendto u 1400 0 10.9.0.2:90
    sendto u 1400 0 10.9.0.2:90; host b; recv s 2000; recv s 2000 MSG_DONTWAIT`,
  fragments: `host b; s = socket AF_INET SOCK_DGRAM; bind s 0.0.0.0:90; host a; u = socket AF_INET SOCK_DGRAM; sendto u 4000 0 10.9.0.2:90; sendto u 65507 0 10.9.0.2:90; sendto u 65508 0 10.9.0.2:90; host b
    recv s 5000; recv s 70000`,
  broadcast: `host b; s = socket AF_INET SOCK_DGRAM; bind s 0.0.0.0:90; host a; u = socket AF_INET SOCK_DGRAM; sendto u 5 0 10.9.0.255:90; setsockopt u SOL_SOCKET SO_BROADCAST 1; sendto u 5 0 10.9.0.255:90
    host b; recv s 10 MSG_DONTWAIT; recv s 10 MSG_DONTWAIT`,
  multicast: `host b; s = socket AF_INET SOCK_DGRAM; setsockopt s SOL_SOCKET SO_REUSEADDR 1; bind s 224.1.1.1:90; setsockopt s SOL_IP IP_ADD_MEMBERSHIP mreq:224.1.1.1,10.9.0.2; t = socket AF_INET SOCK_DGRAM
    setsockopt t SOL_SOCKET SO_REUSEADDR 1; bind t 224.1.1.1:90; setsockopt t SOL_IP IP_ADD_MEMBERSHIP mreq:224.1.1.1,10.9.0.2; host a; u = socket AF_INET SOCK_DGRAM
    setsockopt u SOL_IP IP_MULTICAST_IF in:10.9.0.1; sendto u 7 0 224.1.1.1:90; host b; recv s 10 MSG_DONTWAIT; recv t 10 MSG_DONTWAIT; setsockopt t SOL_IP IP_DROP_MEMBERSHIP mreq:224.1.1.1,10.9.0.2`,
  'udp-timeout': `host a; u = socket AF_INET SOCK_DGRAM; setsockopt u SOL_SOCKET SO_RCVTIMEO time:0,50000; connect u 10.9.0.2:90; cut; send u 5; recv u 10; send u 5; recv u 10`,
  // I.
  select: `${ACCEPTED}; select x; host b; send y 5; host a; select x; recv x 9; select x; host b; close y; host a; select x; host b; select l`,
  poll: `${ACCEPTED}; poll x 0x7fff; host b; send y 5; host a; poll x 0x7fff; recv x 9; host b; shutdown y SHUT_WR; host a; poll x 0x7fff; shutdown x SHUT_WR; poll x 0x7fff`,
  'epoll-level': `${ACCEPTED}; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN; host b; send y 2000; wait 50; host a; epoll_wait e 5; recv x 1000; epoll_wait e 5; recv x 1000; epoll_wait e 5`,
  'epoll-edge': `${ACCEPTED}; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN|EPOLLET; host b; send y 2000; wait 50; host a; epoll_wait e 5; recv x 1000; epoll_wait e 5; host b; send y 1; host a; epoll_wait e 5; recv x 2000; recv x 10 MSG_DONTWAIT`,
  EPOLLRDHUP: `${ACCEPTED}; e = epoll_create1; epoll_ctl e EPOLL_CTL_ADD x EPOLLIN|EPOLLRDHUP|EPOLLONESHOT; epoll_wait e 5; host b; shutdown y SHUT_WR; host a; epoll_wait e 5; epoll_wait e 5; epoll_ctl e EPOLL_CTL_MOD x EPOLLRDHUP; epoll_wait e 5`,
  eintr: `${ACCEPTED}; recv x 10; host b; send y 3; host a; recv x 10 MSG_WAITALL; host b; z = accept l; z = accept l`,
}).map(([name, script]) => ({ name, script }))
