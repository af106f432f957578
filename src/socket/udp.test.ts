import { describe, expect, test } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'

const text = new TextDecoder()

/** The next datagram: its text, and where it came from. */
const next = async (sys: Sys, fd: number, flags = 0): Promise<string> => {
  const buffer = new Uint8Array(70_000)
  const from: Sockaddr = {}
  const count = await sys.recvfrom(fd, buffer, buffer.length, flags, from)
  return `${text.decode(buffer.subarray(0, count))} from ${from.address}:${from.port}`
}

const bound = (sys: Sys, port: number, address = '0.0.0.0'): number => {
  const fd = sys.socket(address.includes(':') ? C.AF_INET6 : C.AF_INET, C.SOCK_DGRAM)
  sys.bind(fd, { address, port })
  return fd
}

describe('datagrams', () => {
  test('there and back between two hosts, boundaries kept', async () => {
    const pair = new Pair({ link: { delay: 5 } })
    const [seen, answers] = await pair.run<string[]>(
      [
        pair.b,
        async (sys) => {
          const fd = bound(sys, 7)
          const seen = []
          const from: Sockaddr = {}
          const buffer = new Uint8Array(100)
          for (let i = 0; i < 3; i++) {
            const count = await sys.recvfrom(fd, buffer, 100, 0, from)
            seen.push(text.decode(buffer.subarray(0, count)))
            await sys.sendto(fd, buffer, count, 0, from)
          }
          return seen
        },
      ],
      [
        pair.a,
        async (sys) => {
          const fd = bound(sys, 1000)
          const to = { address: '10.0.0.2', port: 7 }
          for (const word of ['one', '', 'three']) await sys.sendto(fd, word, undefined, 0, to)
          return [await next(sys, fd), await next(sys, fd), await next(sys, fd)]
        },
      ],
    )
    expect(seen).toEqual(['one', '', 'three'])
    expect(answers).toEqual(['one from 10.0.0.2:7', ' from 10.0.0.2:7', 'three from 10.0.0.2:7'])
    expect(pair.close()).toEqual(NOTHING)
  })

  test('an IPv6 socket speaks both, in mapped addresses, unless it is for IPv6 alone', async () => {
    const pair = new Pair()
    const seen = await pair.alone(async (sys) => {
      const both = bound(sys, 7, '::')
      const four = bound(sys, 1000)
      const six = bound(sys, 1001, '2001:db8::1')
      await sys.sendto(four, 'four', undefined, 0, { address: '127.0.0.1', port: 7 })
      await sys.sendto(six, 'six', undefined, 0, { address: '2001:db8::1', port: 7 })
      const seen = [await next(sys, both), await next(sys, both)]
      // A sockaddr_in will do, too.
      await sys.sendto(both, 'back', undefined, 0, { address: '127.0.0.1', port: 1000 })
      await sys.sendto(both, 'mapped', undefined, 0, { address: '::ffff:127.0.0.1', port: 1000 })
      seen.push(await next(sys, four), await next(sys, four))
      const only = sys.socket(C.AF_INET6, C.SOCK_DGRAM)
      sys.setsockopt(only, C.SOL_IPV6, C.IPV6_V6ONLY, 1)
      seen.push(String(await codeOf(() => sys.sendto(only, 'x', 1, 0, { address: '::ffff:127.0.0.1', port: 7 }))))
      // The call has chosen a port all the same.
      seen.push(String(await codeOf(() => sys.bind(only, { address: '::', port: 99 }))))
      const later = sys.socket(C.AF_INET6, C.SOCK_DGRAM)
      sys.setsockopt(later, C.SOL_IPV6, C.IPV6_V6ONLY, 1)
      sys.bind(later, { address: '::', port: 99 })
      seen.push(String(await codeOf(() => sys.bind(sys.socket(C.AF_INET, C.SOCK_DGRAM), { port: 99 }))))
      return seen
    })
    expect(seen).toEqual([
      'four from ::ffff:127.0.0.1:1000',
      'six from 2001:db8::1:1001',
      'back from 127.0.0.1:7',
      'mapped from 127.0.0.1:7',
      'ENETUNREACH',
      'EINVAL',
      '0',
    ])
    expect(pair.close()).toEqual(NOTHING)
  })

  test('a short buffer loses the rest; MSG_TRUNC and MSG_PEEK', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = bound(sys, 7)
      const to = { address: '127.0.0.1', port: 7 }
      await sys.sendto(fd, 'abcdefgh', undefined, 0, to)
      await sys.sendto(fd, 'second', undefined, 0, to)
      await sys.sleep(0.001)
      expect(sys.ioctl(fd, C.FIONREAD)).toBe(8)
      const buffer = new Uint8Array(4)
      expect(await sys.recv(fd, buffer, 4, C.MSG_PEEK)).toBe(4)
      expect(await sys.recv(fd, buffer, 4, C.MSG_TRUNC)).toBe(8)
      expect(text.decode(buffer)).toBe('abcd')
      expect(await sys.recv(fd, buffer, 4)).toBe(4)
      expect(await codeOf(() => sys.recv(fd, buffer, 4, C.MSG_DONTWAIT))).toBe('EAGAIN')
    })
    expect(pair.close()).toEqual(NOTHING)
  })

  test('a full RecvQ drops silently and is counted; SO_RCVTIMEO ends the wait', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = bound(sys, 7)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF, 1)
      expect(sys.getsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF)).toBe(2304)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: 1, tv_usec: 500_000 })
      for (let i = 0; i < 10; i++) await sys.sendto(fd, `${i}`, 1, 0, { address: '127.0.0.1', port: 7 })
      // Of 768 bytes each: three fill 2304, a fourth finds just no excess.
      const seen = []
      for (let i = 0; i < 4; i++) seen.push((await next(sys, fd)).slice(0, 1))
      expect(seen).toEqual(['0', '1', '2', '3'])
      const before = sys.clock(true)
      expect(await codeOf(() => next(sys, fd))).toBe('EAGAIN')
      expect(sys.clock(true) - before).toBeCloseTo(1.5, 6)
      expect(pair.a.ip.mib.udp.RcvbufErrors).toBe(6)
    })
    expect(pair.close()).toEqual(NOTHING)
  })
})

describe('connect', () => {
  test('chooses the addresses, filters by the peer, and is undone by AF_UNSPEC', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const peer = bound(sys, 7, '127.0.0.1')
      const other = bound(sys, 8, '127.0.0.1')
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      await sys.connect(fd, { address: '127.0.0.1', port: 7 })
      const mine = sys.getsockname(fd)
      expect(mine.address).toBe('127.0.0.1')
      expect(mine.port).toBeGreaterThanOrEqual(32_768)
      expect(mine.port).toBeLessThanOrEqual(60_999)
      expect(sys.getpeername(fd)).toMatchObject({ address: '127.0.0.1', port: 7 })
      await sys.sendto(other, 'no', undefined, 0, mine)
      await sys.sendto(peer, 'yes', undefined, 0, mine)
      expect(await next(sys, fd)).toBe('yes from 127.0.0.1:7')
      expect(await codeOf(() => sys.recv(fd, new Uint8Array(9), 9, C.MSG_DONTWAIT))).toBe('EAGAIN')
      expect(await sys.send(fd, 'hello')).toBe(5)
      expect(await next(sys, peer)).toBe(`hello from 127.0.0.1:${mine.port}`)
      // The source address that was chosen stays, so that another network is out of reach (Linux).
      expect(await codeOf(() => sys.connect(fd, { address: '10.0.0.2', port: 7 }))).toBe('EINVAL')
      await sys.connect(fd, { family: C.AF_UNSPEC })
      expect(sys.getsockname(fd)).toMatchObject({ address: '0.0.0.0', port: 0 })
      expect(await codeOf(() => sys.getpeername(fd))).toBe('ENOTCONN')
      expect(await codeOf(() => sys.send(fd, 'x'))).toBe('EDESTADDRREQ')
      await sys.connect(fd, { address: '10.0.0.2', port: 7 })
      expect(sys.getsockname(fd).address).toBe('10.0.0.1')
    })
    expect(pair.close()).toEqual(NOTHING)
  })

  test('a port that was bound by number stays', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = bound(sys, 99)
      await sys.connect(fd, { address: '10.0.0.2', port: 7 })
      expect(sys.getsockname(fd)).toMatchObject({ address: '10.0.0.1', port: 99 })
      await sys.connect(fd, { family: C.AF_UNSPEC })
      expect(sys.getsockname(fd)).toMatchObject({ address: '0.0.0.0', port: 99 })
      expect(await codeOf(() => sys.bind(fd, { port: 5 }))).toBe('EINVAL')
      // Another address's connected socket is found by its own pair of endpoints.
      await sys.sendto(fd, 'me', undefined, 0, { address: '10.0.0.1', port: 99 })
      expect(await next(sys, fd)).toBe('me from 10.0.0.1:99')
    })
    expect(pair.close()).toEqual(NOTHING)
  })

  test('port unreachable: ECONNREFUSED once, for connected sockets alone', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      for (const address of ['10.0.0.2', '2001:db8::2']) {
        const domain = address.includes(':') ? C.AF_INET6 : C.AF_INET
        const fd = sys.socket(domain, C.SOCK_DGRAM)
        await sys.connect(fd, { address, port: 9 })
        await sys.send(fd, 'x')
        expect(await codeOf(() => sys.recv(fd, new Uint8Array(1)))).toBe('ECONNREFUSED')
        expect(await codeOf(() => sys.recv(fd, new Uint8Array(1), 1, C.MSG_DONTWAIT))).toBe('EAGAIN')
        await sys.send(fd, 'x')
        await sys.sleep(1)
        expect(await codeOf(() => sys.send(fd, 'x'))).toBe('ECONNREFUSED')
        // That one was not sent.
        expect(await codeOf(() => sys.recv(fd, new Uint8Array(1), 1, C.MSG_DONTWAIT))).toBe('EAGAIN')
        await sys.send(fd, 'x')
        await sys.sleep(1)
        expect(sys.getsockopt(fd, C.SOL_SOCKET, C.SO_ERROR)).toBe(111)
        expect(sys.getsockopt(fd, C.SOL_SOCKET, C.SO_ERROR)).toBe(0)
        const free = sys.socket(domain, C.SOCK_DGRAM)
        await sys.sendto(free, 'x', 1, 0, { address, port: 9 })
        await sys.sleep(1)
        expect(sys.getsockopt(free, C.SOL_SOCKET, C.SO_ERROR)).toBe(0)
      }
    })
    expect(pair.close()).toEqual(NOTHING)
  })
})

describe('groups and everybody', () => {
  test('broadcast needs SO_BROADCAST, and reaches every socket on the port', async () => {
    const pair = new Pair()
    const [, ...seen] = await pair.run<string>(
      [
        pair.a,
        async (sys) => {
          // Without a default route it is the source that says where everybody is.
          expect(
            await codeOf(() => sys.sendto(bound(sys, 0), 'x', 1, 0, { address: '255.255.255.255', port: 7 })),
          ).toBe('ENETUNREACH')
          const fd = bound(sys, 1000, '10.0.0.1')
          for (const address of ['255.255.255.255', '10.0.0.255']) {
            const to = { address, port: 7 }
            if (address === '255.255.255.255') {
              expect(await codeOf(() => sys.sendto(fd, 'x', 1, 0, to))).toBe('EACCES')
              expect(await codeOf(() => sys.connect(fd, to))).toBe('EACCES')
            }
            sys.setsockopt(fd, C.SOL_SOCKET, C.SO_BROADCAST, 1)
            await sys.sendto(fd, address, undefined, 0, to)
          }
          return ''
        },
      ],
      ...[1, 2].map(
        () =>
          [
            pair.b,
            async (sys: Sys) => {
              const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
              sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
              sys.bind(fd, { port: 7 })
              return `${await next(sys, fd)}, ${await next(sys, fd)}`
            },
          ] as const,
      ),
    )
    const both = '255.255.255.255 from 10.0.0.1:1000, 10.0.0.255 from 10.0.0.1:1000'
    expect(seen).toEqual([both, both])
    expect(pair.close()).toEqual(NOTHING)
  })

  test.each([
    ['239.1.2.3', 4],
    ['ff05::7', 6],
  ])('%s: each process that has joined gets a copy; leaving ends it', async (group, version) => {
    const pair = new Pair()
    const is4 = version === 4
    const join = (sys: Sys, fd: number, leaves = false): number => {
      if (is4) {
        const name = leaves ? C.IP_DROP_MEMBERSHIP : C.IP_ADD_MEMBERSHIP
        return sys.setsockopt(fd, C.SOL_IP, name, { imr_multiaddr: group, imr_interface: '10.0.0.2' })
      }
      const name = leaves ? C.IPV6_LEAVE_GROUP : C.IPV6_JOIN_GROUP
      return sys.setsockopt(fd, C.SOL_IPV6, name, { ipv6mr_multiaddr: group, ipv6mr_interface: 2 })
    }
    const member = async (sys: Sys): Promise<string> => {
      const fd = sys.socket(is4 ? C.AF_INET : C.AF_INET6, C.SOCK_DGRAM)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
      sys.bind(fd, { address: is4 ? '0.0.0.0' : '::', port: 5000 })
      join(sys, fd)
      expect(await codeOf(() => join(sys, fd))).toBe('EADDRINUSE')
      const first = await next(sys, fd)
      join(sys, fd, true)
      expect(await codeOf(() => join(sys, fd, true))).toBe('EADDRNOTAVAIL')
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: 5, tv_usec: 0 })
      return `${first}; ${await codeOf(() => next(sys, fd))}`
    }
    const seen = await pair.run<string>(
      [pair.b, member],
      [pair.b, member],
      [
        pair.a,
        async (sys) => {
          await sys.sleep(1)
          const fd = bound(sys, 1000, is4 ? '0.0.0.0' : '::')
          if (is4) sys.setsockopt(fd, C.SOL_IP, C.IP_MULTICAST_IF, { imr_address: '10.0.0.1' })
          else sys.setsockopt(fd, C.SOL_IPV6, C.IPV6_MULTICAST_IF, 2)
          await sys.sendto(fd, 'feed', undefined, 0, { address: group, port: 5000 })
          await sys.sleep(1)
          await sys.sendto(fd, 'feed', undefined, 0, { address: group, port: 5000 })
          return ''
        },
      ],
    )
    const line = `feed from ${is4 ? '10.0.0.1' : '2001:db8::1'}:1000; EAGAIN`
    expect(seen).toEqual([line, line, ''])
    expect(pair.close()).toEqual(NOTHING)
  })
})

describe('who gets the datagram', () => {
  test('connected before bound, an address before the wildcard, the last of equals', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const open = (address: string): number => {
        const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
        sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
        sys.bind(fd, { address, port: 99 })
        return fd
      }
      const any = open('0.0.0.0')
      const one = open('127.0.0.1')
      const connected = open('0.0.0.0')
      await sys.connect(connected, { address: '127.0.0.1', port: 1000 })
      const client = bound(sys, 1000)
      const stranger = bound(sys, 1001)
      await sys.sendto(client, 'connected', undefined, 0, { address: '127.0.0.1', port: 99 })
      await sys.sendto(stranger, 'one', undefined, 0, { address: '127.0.0.1', port: 99 })
      await sys.sendto(stranger, 'any', undefined, 0, { address: '127.0.0.2', port: 99 })
      expect(await next(sys, connected)).toBe('connected from 127.0.0.1:1000')
      expect(await next(sys, one)).toBe('one from 127.0.0.1:1001')
      expect(await next(sys, any)).toBe('any from 127.0.0.1:1001')
      const later = open('127.0.0.1')
      await sys.sendto(stranger, 'later', undefined, 0, { address: '127.0.0.1', port: 99 })
      expect(await next(sys, later)).toBe('later from 127.0.0.1:1001')
      await sys.close(later)
      await sys.sendto(stranger, 'one', undefined, 0, { address: '127.0.0.1', port: 99 })
      expect(await next(sys, one)).toBe('one from 127.0.0.1:1001')
    })
    expect(pair.close()).toEqual(NOTHING)
  })

  test('SO_REUSEPORT: each flow to one of four, evenly', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fds = [0, 1, 2, 3].map(() => {
        const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM | C.SOCK_NONBLOCK)
        sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEPORT, 1)
        sys.bind(fd, { address: '127.0.0.1', port: 99 })
        return fd
      })
      for (let i = 0; i < 400; i++) {
        const client = sys.socket(C.AF_INET, C.SOCK_DGRAM)
        await sys.sendto(client, `${i}`, undefined, 0, { address: '127.0.0.1', port: 99 })
        await sys.close(client)
        await sys.sleep(0.001)
      }
      const counts = []
      for (const fd of fds) {
        let count = 0
        while ((await codeOf(() => next(sys, fd))) !== 'EAGAIN') count++
        counts.push(count)
      }
      expect(counts.reduce((sum, count) => sum + count)).toBe(400)
      for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(40)
    })
    expect(pair.close()).toEqual(NOTHING)
  })
})
