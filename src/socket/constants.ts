/** The constants of <sys/socket.h>, <netinet/*.h>, <fcntl.h> and <sys/epoll.h>, with Linux's values (x86-64). */

// Address families.
export const AF_UNSPEC = 0
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_PACKET = 17

// Socket types, and the flags that socket(2) and accept4(2) take with them.
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_RDM = 4
export const SOCK_SEQPACKET = 5
export const SOCK_DCCP = 6
export const SOCK_PACKET = 10
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000

// Protocols, and levels of options.
export const IPPROTO_IP = 0
export const IPPROTO_ICMP = 1
export const IPPROTO_IGMP = 2
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
export const IPPROTO_IPV6 = 41
export const IPPROTO_UDPLITE = 136
export const IPPROTO_ICMPV6 = 58
export const IPPROTO_RAW = 255
export const SOL_SOCKET = 1
export const SOL_IP = 0
export const SOL_TCP = 6
export const SOL_UDP = 17
export const SOL_IPV6 = 41
export const SOL_ICMPV6 = 58
export const SOL_RAW = 255

// Options at SOL_SOCKET.
export const SO_DEBUG = 1
export const SO_REUSEADDR = 2
export const SO_TYPE = 3
export const SO_ERROR = 4
export const SO_DONTROUTE = 5
export const SO_BROADCAST = 6
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_KEEPALIVE = 9
export const SO_OOBINLINE = 10
export const SO_NO_CHECK = 11
export const SO_PRIORITY = 12
export const SO_LINGER = 13
export const SO_BSDCOMPAT = 14
export const SO_REUSEPORT = 15
export const SO_PASSCRED = 16
export const SO_PEERCRED = 17
export const SO_RCVLOWAT = 18
export const SO_SNDLOWAT = 19
export const SO_RCVTIMEO = 20
export const SO_SNDTIMEO = 21
export const SO_BINDTODEVICE = 25
export const SO_PEERNAME = 28
export const SO_TIMESTAMP = 29
/** The type of the control message that SO_TIMESTAMP makes. */
export const SCM_TIMESTAMP = SO_TIMESTAMP
export const SO_TIMESTAMPNS = 35
export const SCM_TIMESTAMPNS = SO_TIMESTAMPNS
export const SO_TIMESTAMPING = 37
export const SCM_TIMESTAMPING = SO_TIMESTAMPING
/** Bits of SO_TIMESTAMPING (Linux's timestamping.rst). */
export const SOF_TIMESTAMPING_TX_HARDWARE = 1
export const SOF_TIMESTAMPING_TX_SOFTWARE = 2
export const SOF_TIMESTAMPING_RX_HARDWARE = 4
export const SOF_TIMESTAMPING_RX_SOFTWARE = 8
export const SOF_TIMESTAMPING_SOFTWARE = 16
export const SOF_TIMESTAMPING_SYS_HARDWARE = 32
export const SOF_TIMESTAMPING_RAW_HARDWARE = 64
export const SOF_TIMESTAMPING_OPT_ID = 128
export const SOF_TIMESTAMPING_TX_SCHED = 256
export const SOF_TIMESTAMPING_TX_ACK = 512
export const SOF_TIMESTAMPING_OPT_CMSG = 1024
export const SOF_TIMESTAMPING_OPT_TSONLY = 2048
export const SOF_TIMESTAMPING_OPT_STATS = 4096
export const SOF_TIMESTAMPING_OPT_ID_TCP = 65_536
export const SOF_TIMESTAMPING_TX_COMPLETION = 262_144
/** What a time stamp of something sent is of: ee_info of SO_EE_ORIGIN_TIMESTAMPING. */
export const SCM_TSTAMP_SND = 0
/** The number that a packet's time stamps have, in place of the next one: a control message. */
export const SCM_TS_OPT_ID = 81
export const SCM_TSTAMP_SCHED = 1
export const SCM_TSTAMP_ACK = 2
export const SO_ACCEPTCONN = 30
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_PASSSEC = 34
export const SO_MARK = 36
export const SO_PROTOCOL = 38
export const SO_DOMAIN = 39
export const SO_RXQ_OVFL = 40
export const SO_PEEK_OFF = 42
export const SO_SELECT_ERR_QUEUE = 45
export const SO_BUSY_POLL = 46
export const SO_MAX_PACING_RATE = 47
export const SO_INCOMING_CPU = 49
export const SO_MEMINFO = 55
export const SO_COOKIE = 57
export const SO_ZEROCOPY = 60
export const SO_TXTIME = 61
export const SCM_TXTIME = SO_TXTIME
export const SO_BINDTOIFINDEX = 62
/** With times of 64 bits, as all are here. */
export const SO_RCVTIMEO_NEW = 66
export const SO_SNDTIMEO_NEW = 67
export const SO_BUF_LOCK = 72
/** Values of SO_BUF_LOCK, as bits. */
export const SOCK_SNDBUF_LOCK = 1
export const SOCK_RCVBUF_LOCK = 2
/** Flags of SO_TXTIME, and the clocks that it may go by. */
export const SOF_TXTIME_DEADLINE_MODE = 1
export const SOF_TXTIME_REPORT_ERRORS = 2
export const CLOCK_REALTIME = 0
export const CLOCK_MONOTONIC = 1
export const CLOCK_TAI = 11

/** Control messages at SOL_SOCKET (unix(7)), and the most descriptors in one. */
export const SCM_RIGHTS = 1
export const SCM_CREDENTIALS = 2
export const SCM_MAX_FD = 253

// Options at IPPROTO_TCP.
export const TCP_NODELAY = 1
export const TCP_MAXSEG = 2
export const TCP_CORK = 3
export const TCP_KEEPIDLE = 4
export const TCP_KEEPINTVL = 5
export const TCP_KEEPCNT = 6
export const TCP_SYNCNT = 7
export const TCP_LINGER2 = 8
export const TCP_DEFER_ACCEPT = 9
export const TCP_WINDOW_CLAMP = 10
export const TCP_INFO = 11
export const TCP_QUICKACK = 12
export const TCP_CONGESTION = 13
export const TCP_MD5SIG = 14
export const TCP_THIN_LINEAR_TIMEOUTS = 16
export const TCP_THIN_DUPACK = 17
export const TCP_USER_TIMEOUT = 18
export const TCP_FASTOPEN = 23
export const TCP_TIMESTAMP = 24
export const TCP_NOTSENT_LOWAT = 25
export const TCP_CC_INFO = 26
export const TCP_SAVE_SYN = 27
export const TCP_SAVED_SYN = 28
export const TCP_FASTOPEN_CONNECT = 30
export const TCP_ULP = 31
export const TCP_FASTOPEN_KEY = 33
export const TCP_FASTOPEN_NO_COOKIE = 34
export const TCP_MD5SIG_EXT = 32
export const TCP_MD5SIG_FLAG_PREFIX = 1
export const TCP_INQ = 36
export const TCP_CM_INQ = TCP_INQ
export const TCP_IS_MPTCP = 43
export const TCP_RTO_MAX_MS = 44
export const TCP_RTO_MIN_US = 45
export const TCP_DELACK_MAX_US = 46

// Options at IPPROTO_IP.
export const IP_TOS = 1
export const IP_TTL = 2
export const IP_HDRINCL = 3
export const IP_OPTIONS = 4
export const IP_PKTINFO = 8
export const IP_MTU_DISCOVER = 10
export const IP_RECVERR = 11
export const IP_RECVTTL = 12
export const IP_RECVTOS = 13
export const IP_MTU = 14
export const IP_FREEBIND = 15
export const IP_TRANSPARENT = 19
export const IP_RECVORIGDSTADDR = 20
export const IP_ORIGDSTADDR = IP_RECVORIGDSTADDR
export const IP_MINTTL = 21
export const IP_BIND_ADDRESS_NO_PORT = 24
export const IP_MULTICAST_IF = 32
export const IP_MULTICAST_TTL = 33
export const IP_MULTICAST_LOOP = 34
export const IP_ADD_MEMBERSHIP = 35
export const IP_DROP_MEMBERSHIP = 36
export const IP_UNBLOCK_SOURCE = 37
export const IP_BLOCK_SOURCE = 38
export const IP_ADD_SOURCE_MEMBERSHIP = 39
export const IP_DROP_SOURCE_MEMBERSHIP = 40
export const IP_MSFILTER = 41
export const MCAST_JOIN_GROUP = 42
export const MCAST_BLOCK_SOURCE = 43
export const MCAST_UNBLOCK_SOURCE = 44
export const MCAST_LEAVE_GROUP = 45
export const MCAST_JOIN_SOURCE_GROUP = 46
export const MCAST_LEAVE_SOURCE_GROUP = 47
export const IP_MULTICAST_ALL = 49
export const IP_UNICAST_IF = 50
export const IP_LOCAL_PORT_RANGE = 51
/** Values of IP_MTU_DISCOVER. */
export const IP_PMTUDISC_DONT = 0
export const IP_PMTUDISC_WANT = 1
export const IP_PMTUDISC_DO = 2
export const IP_PMTUDISC_PROBE = 3
export const IP_PMTUDISC_INTERFACE = 4
export const IP_PMTUDISC_OMIT = 5

// Options at IPPROTO_IPV6.
export const IPV6_CHECKSUM = 7
export const IPV6_UNICAST_HOPS = 16
export const IPV6_MULTICAST_IF = 17
export const IPV6_MULTICAST_HOPS = 18
export const IPV6_MULTICAST_LOOP = 19
export const IPV6_JOIN_GROUP = 20
export const IPV6_LEAVE_GROUP = 21
export const IPV6_MTU_DISCOVER = 23
export const IPV6_MTU = 24
export const IPV6_RECVERR = 25
export const IPV6_V6ONLY = 26
export const IPV6_MULTICAST_ALL = 29
export const IPV6_HDRINCL = 36
export const IPV6_RECVPKTINFO = 49
export const IPV6_PKTINFO = 50
export const IPV6_RECVHOPLIMIT = 51
export const IPV6_HOPLIMIT = 52
export const IPV6_PATHMTU = 61
export const IPV6_DONTFRAG = 62
export const IPV6_RECVTCLASS = 66
export const IPV6_TCLASS = 67
export const IPV6_MINHOPCOUNT = 73
export const IPV6_RECVORIGDSTADDR = 74
export const IPV6_ORIGDSTADDR = IPV6_RECVORIGDSTADDR
export const IPV6_TRANSPARENT = 75
export const IPV6_UNICAST_IF = 76
export const IPV6_FREEBIND = 78

/** Options at IPPROTO_UDP. */
export const UDP_CORK = 1

// Options at SOL_RAW and SOL_ICMPV6.
export const ICMP_FILTER = 1
export const ICMPV6_FILTER = 1

/** Where an extended error comes from (IP_RECVERR). */
export const SO_EE_ORIGIN_NONE = 0
export const SO_EE_ORIGIN_LOCAL = 1
export const SO_EE_ORIGIN_ICMP = 2
export const SO_EE_ORIGIN_ICMP6 = 3
export const SO_EE_ORIGIN_TIMESTAMPING = 4
export const SO_EE_ORIGIN_ZEROCOPY = 5
/** The bytes of a send with MSG_ZEROCOPY were copied all the same. */
export const SO_EE_CODE_ZEROCOPY_COPIED = 1

// Flags of send(2) and recv(2).
export const MSG_OOB = 0x1
export const MSG_PEEK = 0x2
export const MSG_DONTROUTE = 0x4
export const MSG_CTRUNC = 0x8
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const MSG_EOR = 0x80
export const MSG_WAITALL = 0x100
export const MSG_CONFIRM = 0x800
export const MSG_ERRQUEUE = 0x2000
export const MSG_NOSIGNAL = 0x4000
export const MSG_MORE = 0x8000
export const MSG_WAITFORONE = 0x1_0000
/** No program's flag: a send goes on that had to wait for room (0x10000000 is free on Linux). */
export const MSG_CONTINUED = 0x1000_0000
export const MSG_ZEROCOPY = 0x400_0000
export const MSG_FASTOPEN = 0x2000_0000
export const MSG_CMSG_CLOEXEC = 0x4000_0000

/** The most buffers of one readv(2) or sendmsg(2), and the most messages of one sendmmsg(2). */
export const IOV_MAX = 1024
/** Bytes that are written to a pipe in one piece. */
export const PIPE_BUF = 4096

// How to shut down.
export const SHUT_RD = 0
export const SHUT_WR = 1
export const SHUT_RDWR = 2

/** The greatest backlog that a program need think of; the host's somaxconn cuts it. */
export const SOMAXCONN = 4096

// fcntl(2).
export const F_DUPFD = 0
export const F_GETFD = 1
export const F_SETFD = 2
export const F_GETFL = 3
export const F_SETFL = 4
export const F_SETOWN = 8
export const F_GETOWN = 9
export const F_DUPFD_CLOEXEC = 1030
export const F_GETPIPE_SZ = 1032
export const FD_CLOEXEC = 1
export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_NONBLOCK = 0o4000
export const O_ASYNC = 0o20000
export const O_CLOEXEC = 0o2000000
export const O_DIRECT = 0o40000

// ioctl(2).
export const FIONREAD = 0x541b
export const FIONBIO = 0x5421
export const FIOASYNC = 0x5452
export const SIOCINQ = FIONREAD
export const TIOCOUTQ = 0x5411
export const SIOCOUTQ = TIOCOUTQ
export const SIOCATMARK = 0x8905
export const SIOCOUTQNSD = 0x894b

// poll(2) and epoll(7).
export const POLLIN = 0x0001
export const POLLPRI = 0x0002
export const POLLOUT = 0x0004
export const POLLERR = 0x0008
export const POLLHUP = 0x0010
export const POLLNVAL = 0x0020
export const POLLRDNORM = 0x0040
export const POLLRDBAND = 0x0080
export const POLLWRNORM = 0x0100
export const POLLWRBAND = 0x0200
export const POLLRDHUP = 0x2000
export const EPOLLIN = 0x0001
export const EPOLLPRI = 0x0002
export const EPOLLOUT = 0x0004
export const EPOLLERR = 0x0008
export const EPOLLHUP = 0x0010
export const EPOLLRDNORM = 0x0040
export const EPOLLRDBAND = 0x0080
export const EPOLLWRNORM = 0x0100
export const EPOLLWRBAND = 0x0200
export const EPOLLMSG = 0x0400
export const EPOLLRDHUP = 0x2000
export const EPOLLEXCLUSIVE = 0x1000_0000
export const EPOLLWAKEUP = 0x2000_0000
export const EPOLLONESHOT = 0x4000_0000
export const EPOLLET = 0x8000_0000
export const EPOLL_CTL_ADD = 1
export const EPOLL_CTL_DEL = 2
export const EPOLL_CTL_MOD = 3
export const EPOLL_CLOEXEC = O_CLOEXEC

// splice(2).
export const SPLICE_F_MOVE = 1
export const SPLICE_F_NONBLOCK = 2
export const SPLICE_F_MORE = 4
export const SPLICE_F_GIFT = 8
export const SPLICE_F_ALL = 15

/** waitpid(2): return at once when no child has ended. */
export const WNOHANG = 1
