import { describe, expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'

/** Runs `use` with a connection to a peer that reads all, and the time of the host's clock in milliseconds. */
const connected = async <T>(
  use: (sys: Sys, fd: number, pair: Pair) => Promise<T>,
  listen: (sys: Sys, listener: number) => void = () => {},
  open: (sys: Sys, fd: number) => void = () => {},
): Promise<[T, unknown]> => {
  const pair = new Pair({ link: { delay: 1 } })
  const [result, far] = await pair.run<unknown>(
    [
      pair.a,
      async (sys) => {
        await sys.usleep(1000)
        const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
        open(sys, fd)
        await sys.connect(fd, { address: '10.0.0.2', port: 7 })
        const found = await use(sys, fd, pair)
        await sys.close(fd)
        return found
      },
    ],
    [
      pair.b,
      async (sys) => {
        const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
        listen(sys, listener)
        sys.bind(listener, { address: '0.0.0.0', port: 7 })
        sys.listen(listener, 1)
        const fd = await sys.accept(listener)
        sys.setsockopt(fd, C.SOL_TCP, C.TCP_QUICKACK, 0)
        const found = [C.TCP_RTO_MAX_MS, C.TCP_RTO_MIN_US, C.TCP_DELACK_MAX_US].map((name) =>
          sys.getsockopt(fd, C.SOL_TCP, name),
        )
        const buffer = new Uint8Array(1000)
        while ((await codeOf(() => sys.recv(fd, buffer))) !== 0) {}
        return found
      },
    ],
  )
  expect(pair.close()).toEqual(NOTHING)
  return [result as T, far]
}

/** How long after it was written each copy of a byte leaves that never arrives, milliseconds, for `seconds`. */
const copies = async (sys: Sys, fd: number, pair: Pair, seconds: number): Promise<number[]> => {
  const { loop } = pair.network.world
  pair.network.partition([pair.a], [pair.b])
  const from = loop.now
  const sentAt: number[] = []
  let before = pair.a.ip.mib.tcp.RetransSegs
  await sys.send(fd, 'x')
  for (let i = 0; i < seconds * 1000; i++) {
    await sys.usleep(1000)
    const now = pair.a.ip.mib.tcp.RetransSegs
    if (now > before) sentAt.push(Math.round((loop.now - from) / 1000))
    before = now
  }
  pair.network.heal()
  await sys.usleep(5_000_000)
  return sentAt
}

describe('time limits of single connections, as Linux 6.15 and later have them', () => {
  it('TCP_RTO_MIN_US and TCP_RTO_MAX_MS bound the retransmission time-out', async () => {
    const [times] = await connected(
      (sys, fd, pair) => copies(sys, fd, pair, 5),
      () => {},
      (sys, fd) => {
        sys.setsockopt(fd, C.SOL_TCP, C.TCP_RTO_MIN_US, 20_000)
        sys.setsockopt(fd, C.SOL_TCP, C.TCP_RTO_MAX_MS, 1000)
      },
    )
    const gaps = times.map((at, i) => at - (times[i - 1] ?? 0))
    expect(gaps).toEqual([24, 24, 48, 96, 192, 384, 768, 1000, 1000, 1000])
  })

  it('TCP_DELACK_MAX_US bounds how long an ACK waits', async () => {
    const until = async (limit: number): Promise<number> => {
      const [time] = await connected(
        async (sys, fd, pair) => {
          const { loop } = pair.network.world
          await sys.usleep(10_000)
          const from = loop.now
          await sys.send(fd, 'b')
          while (sys.ioctl(fd, C.SIOCOUTQ) !== 0) await sys.usleep(100)
          return loop.now - from
        },
        (sys, listener) => {
          if (limit > 0) sys.setsockopt(listener, C.SOL_TCP, C.TCP_DELACK_MAX_US, limit)
        },
      )
      return Math.round(time / 1000)
    }
    expect([await until(0), await until(12_000)]).toEqual([42, 14])
  })

  it('what a listener has set its connections have; numbers are ticks of Linux, 4 ms', async () => {
    const [, far] = await connected(
      async () => 0,
      (sys, listener) => {
        sys.setsockopt(listener, C.SOL_TCP, C.TCP_RTO_MAX_MS, 5000)
        sys.setsockopt(listener, C.SOL_TCP, C.TCP_RTO_MIN_US, 50_001)
        sys.setsockopt(listener, C.SOL_TCP, C.TCP_DELACK_MAX_US, 5000)
      },
    )
    expect(far).toEqual([5000, 52_000, 8000])
  })
})

describe('what else getsockopt(2) tells', () => {
  it('of a connection', async () => {
    const [told] = await connected(async (sys, fd) => {
      const at = (level: number, name: number): unknown => sys.getsockopt(fd, level, name)
      sys.setsockopt(fd, C.SOL_TCP, C.TCP_CONGESTION, 'cubic')
      const info = [at(C.SOL_TCP, C.TCP_CC_INFO)]
      sys.setsockopt(fd, C.SOL_TCP, C.TCP_CONGESTION, 'bbr')
      info.push(Object.keys(at(C.SOL_TCP, C.TCP_CC_INFO) as object).length)
      const stamp = at(C.SOL_TCP, C.TCP_TIMESTAMP) as number
      await sys.usleep(7000)
      const later = at(C.SOL_TCP, C.TCP_TIMESTAMP) as number
      await sys.send(fd, new Uint8Array(700))
      return [
        ...info,
        (later - stamp) >>> 0,
        at(C.SOL_SOCKET, C.SO_PEERNAME),
        at(C.SOL_SOCKET, C.SO_PEERCRED),
        (at(C.SOL_SOCKET, C.SO_MEMINFO) as number[])[5],
        at(C.SOL_TCP, C.TCP_ULP),
      ]
    })
    const peer = { family: C.AF_INET, address: '10.0.0.2', port: 7, flowinfo: 0, scopeId: 0 }
    expect(told).toEqual(['', 5, 7, peer, { pid: 0, uid: 0xffff_ffff, gid: 0xffff_ffff }, 1980, ''])
  })

  it('SO_MEMINFO of a UDP socket counts what waits and what found no room', async () => {
    const pair = new Pair()
    const told = await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF, 1200)
      sys.bind(fd, { address: '127.0.0.1', port: 9 })
      await sys.connect(fd, { address: '127.0.0.1', port: 9 })
      for (let i = 0; i < 5; i++) await sys.send(fd, new Uint8Array(100))
      await sys.usleep(1000)
      return sys.getsockopt(fd, C.SOL_SOCKET, C.SO_MEMINFO)
    })
    const waiting = pair.a.ip.mib.udp.InDatagrams
    expect(told).toEqual([waiting * 768, 2400, 0, 212_992, 0, 0, 0, 0, 5 - waiting])
    expect(waiting).toBeGreaterThan(1)
    expect(pair.close()).toEqual(NOTHING)
  })

  it('SO_TXTIME lets SCM_TXTIME through; SO_SELECT_ERR_QUEUE tells of errors by POLLPRI too', async () => {
    const pair = new Pair()
    const told = await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      const message = {
        msg_name: { address: '127.0.0.1', port: 9 },
        msg_iov: [new Uint8Array(1)],
        msg_control: [{ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_TXTIME, data: 5 }],
      }
      const before = await codeOf(() => sys.sendmsg(fd, message))
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TXTIME, { clockid: C.CLOCK_MONOTONIC, flags: 2 })
      const after = await codeOf(() => sys.sendmsg(fd, message))
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_SELECT_ERR_QUEUE, 1)
      sys.setsockopt(fd, C.SOL_IP, C.IP_RECVERR, 1)
      await sys.sendto(fd, 'x', 1, 0, { address: '127.0.0.1', port: 9 })
      await sys.usleep(1000)
      const entry = { fd, events: C.POLLPRI, revents: 0 }
      await sys.poll([entry], 0)
      const wrong = await codeOf(() => sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TXTIME, { clockid: 2, flags: 0 }))
      return [before, after, sys.getsockopt(fd, C.SOL_SOCKET, C.SO_TXTIME), entry.revents, wrong]
    })
    expect(told).toEqual(['EINVAL', 1, { clockid: 1, flags: 2 }, C.POLLPRI | C.POLLERR, 'EINVAL'])
    expect(pair.close()).toEqual(NOTHING)
  })

  it('of IPv6 sockets: the path MTU of the peer, where a datagram was sent to, and foreign addresses', async () => {
    const pair = new Pair()
    const told = await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET6, C.SOCK_DGRAM)
      const path = await codeOf(() => sys.getsockopt(fd, C.SOL_IPV6, C.IPV6_PATHMTU))
      const refused = await codeOf(() => sys.bind(fd, { address: '2001:db8::99', port: 9 }))
      sys.setsockopt(fd, C.SOL_IPV6, C.IPV6_FREEBIND, 1)
      sys.bind(fd, { address: '2001:db8::99', port: 9 })
      const own = sys.socket(C.AF_INET6, C.SOCK_DGRAM)
      sys.bind(own, { address: '2001:db8::1', port: 9 })
      sys.setsockopt(own, C.SOL_IPV6, C.IPV6_RECVORIGDSTADDR, 1)
      await sys.connect(own, { address: '2001:db8::1', port: 9 })
      await sys.send(own, 'x')
      const message = { msg_iov: [new Uint8Array(9)], msg_controllen: 44, msg_control: [] as ControlMessage[] }
      await sys.recvmsg(own, message)
      const { ip6m_mtu } = sys.getsockopt(own, C.SOL_IPV6, C.IPV6_PATHMTU) as { ip6m_mtu: number }
      return [path, refused, sys.getsockname(fd).address, ip6m_mtu, message.msg_control]
    })
    const data = { family: C.AF_INET6, address: '2001:db8::1', port: 9, flowinfo: 0, scopeId: 0 }
    const tells = [{ cmsg_level: C.SOL_IPV6, cmsg_type: C.IPV6_ORIGDSTADDR, data }]
    expect(told).toEqual(['ENOTCONN', 'EADDRNOTAVAIL', '2001:db8::99', 65_536, tells])
    expect(pair.close()).toEqual(NOTHING)
  })

  it('SO_MAX_PACING_RATE takes rates beyond 32 bits', async () => {
    const pair = new Pair()
    const rate = await pair.alone((sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_MAX_PACING_RATE, 5 * 2 ** 32)
      return (sys.getsockopt(fd, C.SOL_TCP, C.TCP_INFO) as { tcpi_max_pacing_rate: number }).tcpi_max_pacing_rate
    })
    expect(rate).toBe(5 * 2 ** 32)
    expect(pair.close()).toEqual(NOTHING)
  })
})
