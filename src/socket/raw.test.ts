import { describe, expect, test } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { naiveSum } from '../ip/testing.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'

const next = async (sys: Sys, fd: number, flags = 0): Promise<[Uint8Array, string]> => {
  const buffer = new Uint8Array(70_000)
  const from: Sockaddr = {}
  const count = await sys.recvfrom(fd, buffer, buffer.length, flags, from)
  return [buffer.slice(0, count), `${from.address}:${from.port}`]
}

/** An echo request, or another message, with `data`; the checksum only where it is to be right. */
const echo = (type: number, data: string, isSummed = true): Uint8Array => {
  const bytes = new Uint8Array([type, 0, 0, 0, 0x12, 0x34, 0, 1, ...new TextEncoder().encode(data)])
  if (!isSummed) return bytes
  const sum = ~naiveSum(bytes.length % 2 === 0 ? bytes : new Uint8Array([...bytes, 0])) & 0xffff
  bytes[2] = sum >>> 8
  bytes[3] = sum & 0xff
  return bytes
}

describe('raw sockets', () => {
  test('ICMP over IPv4: the reply comes with its IP header, and the filter keeps types out', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_RAW, C.IPPROTO_ICMP)
      expect(sys.getsockname(fd)).toMatchObject({ address: '0.0.0.0', port: 1 })
      expect(await sys.sendto(fd, echo(8, 'ping!'), undefined, 0, { address: '10.0.0.2' })).toBe(13)
      const [packet, from] = await next(sys, fd)
      expect(from).toBe('10.0.0.2:0')
      expect([packet.length, packet[0], packet[9], [...packet.subarray(12, 16)]]).toEqual([33, 0x45, 1, [10, 0, 0, 2]])
      expect([...packet.subarray(20, 22), ...packet.subarray(24)]).toEqual(
        [0, 0, 0x12, 0x34, 0, 1, ...'ping!'].map((value) => (typeof value === 'string' ? value.charCodeAt(0) : value)),
      )
      // Type 0, echo reply, is kept out; the request that is sent to this host itself gets through.
      sys.setsockopt(fd, C.SOL_RAW, C.ICMP_FILTER, { data: 1 })
      expect(sys.getsockopt(fd, C.SOL_RAW, C.ICMP_FILTER)).toEqual({ data: 1 })
      await sys.sendto(fd, echo(8, 'self'), undefined, 0, { address: '127.0.0.1' })
      const [request] = await next(sys, fd)
      expect(request[20]).toBe(8)
      await sys.sleep(1)
      expect(await codeOf(() => next(sys, fd, C.MSG_DONTWAIT))).toBe('EAGAIN')
    })
    expect(pair.close()).toEqual(NOTHING)
  })

  test('ICMPv6: without header, and the stack fills the checksum in', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET6, C.SOCK_RAW, C.IPPROTO_ICMPV6)
      const onlyReplies = Array.from({ length: 8 }, () => -1)
      onlyReplies[4] = ~(1 << 1)
      sys.setsockopt(fd, C.SOL_ICMPV6, C.ICMPV6_FILTER, { data: onlyReplies })
      sys.setsockopt(fd, C.SOL_IPV6, C.IPV6_RECVHOPLIMIT, 1)
      await sys.sendto(fd, echo(128, 'six', false), undefined, 0, { address: '2001:db8::2' })
      const buffer = new Uint8Array(100)
      const message = { msg_iov: [buffer], msg_name: {} as Sockaddr, msg_control: [], msg_controllen: 100 }
      expect(await sys.recvmsg(fd, message)).toBe(11)
      expect([...buffer.subarray(0, 2), ...buffer.subarray(4, 8)]).toEqual([129, 0, 0x12, 0x34, 0, 1])
      expect(message.msg_name).toMatchObject({ address: '2001:db8::2', port: 0 })
      expect(message.msg_control).toEqual([{ cmsg_level: C.SOL_IPV6, cmsg_type: C.IPV6_HOPLIMIT, data: 64 }])
    })
    expect(pair.close()).toEqual(NOTHING)
  })

  test('a protocol of its own, both ways; nobody is told that it is unknown while somebody listens', async () => {
    const pair = new Pair()
    const got = await pair.run<string>(
      [
        pair.b,
        async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_RAW, 200)
          const [packet, from] = await next(sys, fd)
          return `${new TextDecoder().decode(packet.subarray(20))} from ${from}`
        },
      ],
      [
        pair.a,
        async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_RAW, 200)
          await sys.connect(fd, { address: '10.0.0.2' })
          await sys.send(fd, 'hello, b')
          await sys.sleep(1)
          // Now nobody listens: protocol unreachable is ENOPROTOOPT.
          await sys.send(fd, 'hello, b')
          return String(await codeOf(() => next(sys, fd)))
        },
      ],
    )
    expect(got).toEqual(['hello, b from 10.0.0.1:0', 'ENOPROTOOPT'])
    expect(pair.close()).toEqual(NOTHING)
  })

  test('IP_HDRINCL: the packet is sent as it is, with length, checksum, source and identification filled in', async () => {
    const pair = new Pair()
    const header = [0x45, 0x20, 0, 0, 0, 0, 0, 0, 7, 201, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]
    const [packet] = await pair.run<Uint8Array>(
      [pair.b, async (sys) => (await next(sys, sys.socket(C.AF_INET, C.SOCK_RAW, 201)))[0]],
      [
        pair.a,
        async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_RAW, C.IPPROTO_RAW)
          expect(sys.getsockopt(fd, C.SOL_IP, C.IP_HDRINCL)).toBe(1)
          const to = { address: '10.0.0.2' }
          await sys.sendto(fd, new Uint8Array([...header, 1, 2, 3]), undefined, 0, to)
          expect(await codeOf(() => sys.sendto(fd, new Uint8Array(19), undefined, 0, to))).toBe('EINVAL')
          expect(await codeOf(() => sys.sendto(fd, new Uint8Array(1501), undefined, 0, to))).toBe('EMSGSIZE')
          return new Uint8Array(0)
        },
      ],
    )
    expect([...packet!.subarray(0, 4)]).toEqual([0x45, 0x20, 0, 23])
    expect([packet![8], packet![9], ...packet!.subarray(12, 16), ...packet!.subarray(20)]).toEqual([
      7, 201, 10, 0, 0, 1, 1, 2, 3,
    ])
    expect(naiveSum(packet!.subarray(0, 20))).toBe(0xffff)
    expect(pair.close()).toEqual(NOTHING)
  })

  test('a full queue drops, and is counted', async () => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_RAW, 200)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF, 1)
      for (let i = 0; i < 5; i++) await sys.sendto(fd, 'x', 1, 0, { address: '127.0.0.1' })
      await sys.sleep(0.001)
      expect(pair.a.ip.mib.drops.filter((count) => count === 2).length).toBe(1)
    })
    expect(pair.close()).toEqual(NOTHING)
  })
})

describe('ping sockets', () => {
  test.each([
    [C.AF_INET, C.IPPROTO_ICMP, 8, 0, '10.0.0.2'],
    [C.AF_INET6, C.IPPROTO_ICMPV6, 128, 129, '2001:db8::2'],
  ])('family %i: the identifier is the port', async (domain, protocol, request, reply, address) => {
    const pair = new Pair()
    await pair.alone(async (sys) => {
      const fd = sys.socket(domain, C.SOCK_DGRAM, protocol)
      const other = sys.socket(domain, C.SOCK_DGRAM, protocol)
      sys.bind(fd, { address: domain === C.AF_INET ? '0.0.0.0' : '::', port: 777 })
      expect(await codeOf(() => sys.bind(other, { address: domain === C.AF_INET ? '0.0.0.0' : '::', port: 777 }))).toBe(
        'EADDRINUSE',
      )
      await sys.sendto(fd, echo(request, 'data', false), undefined, 0, { address })
      const [message, from] = await next(sys, fd)
      expect(from).toBe(`${address}:0`)
      expect([message[0], message[1], ...message.subarray(4)]).toEqual([
        reply,
        0,
        777 >>> 8,
        777 & 0xff,
        0,
        1,
        ...new TextEncoder().encode('data'),
      ])
      expect(await codeOf(() => next(sys, other, C.MSG_DONTWAIT))).toBe('EAGAIN')
      expect(await codeOf(() => sys.sendto(fd, echo(reply, ''), undefined, 0, { address }))).toBe('EINVAL')
      expect(await codeOf(() => sys.sendto(fd, new Uint8Array(7), undefined, 0, { address }))).toBe('EINVAL')
    })
    expect(pair.close()).toEqual(NOTHING)
  })
})
