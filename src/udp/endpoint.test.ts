import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { fromHex, hex, ipv4Packet, ipv6Packet, naiveSum, udpDatagram } from '../ip/testing.ts'
import { truesize } from '../ip/truesize.ts'
import { ip, MAC_BROADCAST } from '../wire/address.ts'
import { SourceAddress } from './datagram.ts'
import { ErrorOrigin } from './error-queue.ts'
import { MessageFlag, PathMtuDiscovery } from './options.ts'
import { udpPair } from './testing.ts'

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i & 0xff)

describe('datagrams', () => {
  test('go there and back, boundaries kept', () => {
    const { lab, a, b, close } = udpPair()
    const client = a.open(1000)
    const server = b.open(7)
    expect([
      client.send('one', '10.0.0.2', 7),
      client.send('', '10.0.0.2', 7),
      client.send('three', '10.0.0.2', 7),
    ]).toEqual([3, 0, 5])
    lab.run(10)
    expect([server.endpoint.queued, server.endpoint.queuedBytes, server.endpoint.nextLength]).toEqual([3, 8, 3])
    expect([server.receive(), server.receive(), server.receive(), server.receive()]).toEqual([
      'one from 10.0.0.1:1000',
      ' from 10.0.0.1:1000',
      'three from 10.0.0.1:1000',
      -Errno.EAGAIN,
    ])
    expect(server.events).toEqual([Readiness.In, Readiness.In, Readiness.In])
    expect([a.stack.mib.udp.OutDatagrams, b.stack.mib.udp.InDatagrams]).toEqual([3, 3])
    expect(close()).toEqual({ frames: 0, timers: 0 })
  })

  test('the bytes on the wire, over both versions', () => {
    const { lab, a, cable } = udpPair({ v6: true })
    a.stack.arp.setPermanent(a.stack.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    a.stack.nd.setPermanent(a.stack.iface('eth0'), ip('2001:db8::2'), 0x0200_0000_0002)
    const wire = lab.sniff(cable.a)
    a.open(0x1234).send('hi!', '10.0.0.2', 0x5678)
    a.open(0x1234, '::').send('hi!', '2001:db8::2', 0x5678)
    const four = wire.ipv4(17)[0]!.bytes.subarray(14)
    // DF, TTL 64, no identification that matters.
    expect([four[6], four[8], four.length]).toEqual([0x40, 64, 31])
    expect(hex(four.subarray(20)).replace(/^(.{12}).{4}/, '$1----')).toBe('12345678000b----686921')
    const pseudo4 = new Uint8Array([...four.subarray(12, 20), 0, 17, 0, 11, ...four.subarray(20), 0])
    expect(naiveSum(pseudo4)).toBe(0xffff)
    const six = wire.ofType(0x86dd)[0]!.bytes.subarray(14)
    expect([six[6], six[7], six.length]).toEqual([17, 64, 51])
    const pseudo6 = new Uint8Array([...six.subarray(8, 40), 0, 0, 0, 11, 0, 0, 0, 17, ...six.subarray(40), 0])
    expect(naiveSum(pseudo6)).toBe(0xffff)
  })

  test('a receiver that asks for less loses the rest; Trunc and Peek tell and keep', () => {
    const { lab, a, b } = udpPair()
    const server = b.open(7).endpoint
    a.open(1000).send('abcdefgh', '10.0.0.2', 7)
    a.open(1001).send('second', '10.0.0.2', 7)
    lab.run(10)
    const target = new Uint8Array(8)
    const from = new SourceAddress()
    expect(server.receive(target, 2, 4, MessageFlag.Peek, from)).toBe(4)
    expect([new TextDecoder().decode(target), from.truncated, from.length]).toEqual(['\0\0abcd\0\0', true, 8])
    expect(server.receive(target, 0, 4, MessageFlag.Peek | MessageFlag.Trunc, from)).toBe(8)
    expect(server.receive(target, 0, 4, MessageFlag.Trunc, from)).toBe(8)
    expect(server.receive(target, 0, 8, 0, from)).toBe(6)
    expect([new TextDecoder().decode(target.subarray(0, 6)), from.truncated, from.port]).toEqual([
      'second',
      false,
      1001,
    ])
    expect([server.charged, lab.world.frames.inUse]).toEqual([0, 0])
  })

  test('what else a receiver may ask for', () => {
    const { lab, a, b } = udpPair({ v6: true })
    const from = new SourceAddress()
    const client = a.open(1000)
    client.endpoint.options.hopLimit = 9
    client.endpoint.options.trafficClass = 0x2c
    const server = b.open(7).endpoint
    const server6 = b.open(7, '::').endpoint
    server6.v6Only = true
    lab.run(500)
    const at = lab.world.loop.now
    client.send('x', '10.0.0.2', 7)
    const client6 = a.open(1000, '::')
    client6.endpoint.options.trafficClass = 0x2c
    client6.send('x', '2001:db8::2', 7)
    lab.run(0)
    server.receive(new Uint8Array(9), 0, 9, 0, from)
    expect([
      `${from.address}`,
      `${from.destination}`,
      from.interfaceIndex,
      from.hopLimit,
      from.trafficClass,
      from.time,
    ]).toEqual(['10.0.0.1', '10.0.0.2', 2, 9, 0x2c, at])
    server6.receive(new Uint8Array(9), 0, 9, 0, from)
    expect([`${from.address}`, `${from.destination}`, from.interfaceIndex, from.hopLimit, from.trafficClass]).toEqual([
      '2001:db8::1',
      '2001:db8::2',
      2,
      64,
      0x2c,
    ])
  })

  test('the largest: 65,507 bytes over IPv4 in fragments, one more is too many', () => {
    const { lab, a, b, close } = udpPair({ v6: true })
    const data = bytes(65_528)
    const client = a.open(1000).endpoint
    const to = { address: ip('10.0.0.2'), port: 7 }
    const server = b.open(7).endpoint
    expect(client.send(data, 0, 65_508, to)).toBe(-Errno.EMSGSIZE)
    expect(client.send(data, 0, 65_507, to)).toBe(65_507)
    lab.run(10)
    const target = new Uint8Array(70_000)
    expect(server.receive(target, 0, 70_000, 0)).toBe(65_507)
    expect(hex(target.subarray(0, 65_507))).toBe(hex(data.subarray(0, 65_507)))
    expect(b.stack.mib.ip.ReasmReqds).toBe(45)
    const client6 = a.open(1000, '::').endpoint
    const to6 = { address: ip('2001:db8::2'), port: 8 }
    const server6 = b.open(8, '::').endpoint
    expect(client6.send(data, 0, 65_528, to6)).toBe(-Errno.EMSGSIZE)
    expect(client6.send(data, 0, 65_527, to6)).toBe(65_527)
    lab.run(10)
    expect(server6.receive(target, 0, 70_000, 0)).toBe(65_527)
    expect(close()).toEqual({ frames: 0, timers: 0 })
  })

  test('per-datagram source, interface, TTL and type of service', () => {
    const { lab, a, cable } = udpPair()
    a.stack.add('eth0', '10.0.0.11/24')
    a.stack.arp.setPermanent(a.stack.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    const wire = lab.sniff(cable.a)
    const client = a.open(1000).endpoint
    const to = { address: ip('10.0.0.2'), port: 7 }
    client.send(bytes(1), 0, 1, to, 0, { source: ip('10.0.0.11'), hopLimit: 3, trafficClass: 8 })
    client.send(bytes(1), 0, 1, to)
    const seen = wire.ipv4(17).map(({ bytes: b }) => [b[15], b[22], hex(b.subarray(26, 30))])
    expect(seen).toEqual([
      [8, 3, '0a00000b'],
      [0, 64, '0a000001'],
    ])
    expect(client.send(bytes(1), 0, 1, to, 0, { source: ip('10.9.9.9') })).toBe(-Errno.EINVAL)
  })
})

describe('RecvQ', () => {
  test('is charged as Linux charges, one datagram over the limit; what comes then is dropped silently', () => {
    const { lab, a, b, close } = udpPair()
    const server = b.open(7).endpoint
    const client = a.open(1000).endpoint
    const to = { address: ip('10.0.0.2'), port: 7 }
    for (let i = 0; i < 300; i++) {
      client.send(bytes(100), 0, 100, to)
      lab.run(0)
    }
    // 212,992 / 768 = 277.3: the 278th still begins below the limit.
    expect([server.queued, server.charged, server.drops]).toEqual([278, 278 * truesize(128), 22])
    expect(b.stack.drops).toEqual({ 'udp-receive-buffer-full': 22 })
    const { RcvbufErrors, InErrors, InDatagrams } = b.stack.mib.udp
    expect([RcvbufErrors, InErrors, InDatagrams]).toEqual([22, 22, 278])
    expect(a.stack.mib.udp.OutDatagrams).toBe(300)
    // Room again after some have been read.
    for (let i = 0; i < 2; i++) server.receive(new Uint8Array(100), 0, 100, 0)
    client.send(bytes(100), 0, 100, to)
    lab.run(0)
    expect(server.queued).toBe(277)
    expect(close()).toEqual({ frames: 0, timers: 0 })
  })

  test('closed: what is queued goes, what comes finds nobody', () => {
    const { lab, a, b } = udpPair()
    const server = b.open(7)
    a.open(1000).send('x', '10.0.0.2', 7)
    lab.run(10)
    server.endpoint.close()
    server.endpoint.close()
    expect([server.endpoint.queued, server.endpoint.charged, lab.world.frames.inUse]).toEqual([0, 0, 0])
  })
})

describe('connected', () => {
  test('a default peer, the local address that goes with it, and a filter', () => {
    const { lab, a, b } = udpPair()
    const client = a.open(1000)
    const server = b.open(7)
    const other = b.open(8)
    expect(client.send('x')).toBe(-Errno.EDESTADDRREQ)
    expect(client.endpoint.connect(ip('10.0.0.2'), 7)).toBe(0)
    expect(`${client.endpoint.localAddress}`).toBe('10.0.0.1')
    expect(client.send('hello')).toBe(5)
    lab.run(10)
    expect(server.receive()).toBe('hello from 10.0.0.1:1000')
    other.send('not you', '10.0.0.1', 1000)
    server.send('you', '10.0.0.1', 1000)
    lab.run(10)
    expect([client.receive(), client.receive()]).toEqual(['you from 10.0.0.2:7', -Errno.EAGAIN])
    // Somewhere else for once.
    client.send('aside', '10.0.0.2', 8)
    lab.run(10)
    expect(other.receive()).toBe('aside from 10.0.0.1:1000')
    client.endpoint.disconnect()
    expect([client.endpoint.isConnected, `${client.endpoint.localAddress}`]).toEqual([false, '0.0.0.0'])
    other.send('now', '10.0.0.1', 1000)
    lab.run(10)
    expect(client.receive()).toBe('now from 10.0.0.2:8')
  })

  test('nobody listens: the port unreachable comes as ECONNREFUSED, once', () => {
    const { lab, a, b } = udpPair()
    const client = a.open(1000)
    client.endpoint.connect(ip('10.0.0.2'), 7)
    client.send('x')
    lab.run(10)
    expect(b.stack.mib.udp.NoPorts).toBe(1)
    expect(b.stack.drops).toEqual({ 'udp-no-socket': 1 })
    expect([client.events, client.endpoint.readiness & Readiness.Err]).toEqual([[Readiness.Err], Readiness.Err])
    expect([client.receive(), client.receive()]).toEqual([-Errno.ECONNREFUSED, -Errno.EAGAIN])
    client.send('x')
    lab.run(10)
    expect([client.send('y'), client.send('z')]).toEqual([-Errno.ECONNREFUSED, 1])
    lab.run(10)
    expect([client.endpoint.takeError(), client.endpoint.takeError()]).toEqual([Errno.ECONNREFUSED, 0])
  })

  test('not connected, the error is lost, unless IP_RECVERR asks for it', () => {
    const { lab, a } = udpPair()
    const client = a.open(1000)
    client.send('lost', '10.0.0.2', 7)
    lab.run(10)
    expect(client.receive()).toBe(-Errno.EAGAIN)
    client.endpoint.options.receiveErrors = true
    client.send('data', '10.0.0.2', 7)
    client.send('more', '10.0.0.2', 9)
    lab.run(10)
    expect(client.receive()).toBe(-Errno.ECONNREFUSED)
    const first = client.endpoint.takeQueuedError()!
    expect(first).toMatchObject({ errno: Errno.ECONNREFUSED, origin: ErrorOrigin.Icmp, type: 3, code: 3, port: 7 })
    expect([`${first.offender}`, `${first.destination}`, new TextDecoder().decode(first.data)]).toEqual([
      '10.0.0.2',
      '10.0.0.2',
      'data',
    ])
    // The next error in the queue is the next to be reported.
    expect(client.endpoint.takeError()).toBe(Errno.ECONNREFUSED)
    expect(client.endpoint.takeQueuedError()).toMatchObject({ port: 9 })
    expect([client.endpoint.takeQueuedError(), client.endpoint.takeError()]).toEqual([null, 0])
  })

  test('a soft error does not reach a connected endpoint, a neighbour that is silent neither', () => {
    const { lab, a } = udpPair()
    const client = a.open(1000)
    client.endpoint.connect(ip('10.0.0.9'), 7)
    client.send('x')
    lab.run(4000)
    expect(client.receive()).toBe(-Errno.EAGAIN)
    client.endpoint.options.receiveErrors = true
    client.send('x')
    lab.run(4000)
    expect(client.receive()).toBe(-Errno.EHOSTUNREACH)
  })

  test('ways that do not exist', () => {
    const { a } = udpPair({ v6: true })
    const client = a.open(1000)
    const client6 = a.open(1000, '::')
    expect(client.endpoint.connect(ip('192.0.2.1'), 7)).toBe(-Errno.ENETUNREACH)
    expect(client.send('x', '192.0.2.1', 7)).toBe(-Errno.ENETUNREACH)
    expect(a.stack.mib.ip.OutNoRoutes).toBe(2)
    expect(client.send('x', '10.0.0.2', 0)).toBe(-Errno.EINVAL)
    expect(client.send('x', '2001:db8::2', 7)).toBe(-Errno.EAFNOSUPPORT)
    expect(client6.send('x', '10.0.0.2', 7)).toBe(1)
    client6.endpoint.v6Only = true
    expect(client6.send('x', '10.0.0.2', 7)).toBe(-Errno.ENETUNREACH)
    expect(client.send('x', '10.0.0.2', 7, MessageFlag.Oob)).toBe(-Errno.EOPNOTSUPP)
  })

  test('shutdown', () => {
    const { a } = udpPair()
    const client = a.open(1000)
    expect(client.endpoint.shutdown(true, false)).toBe(-Errno.ENOTCONN)
    client.endpoint.connect(ip('10.0.0.2'), 7)
    expect(client.endpoint.shutdown(true, true)).toBe(0)
    expect([client.send('x'), client.endpoint.receive(bytes(1), 0, 1, 0)]).toEqual([-Errno.EPIPE, 0])
    expect(client.endpoint.readiness).toBe(Readiness.In | Readiness.Out | Readiness.RdHup | Readiness.Hup)
  })
})

describe('broadcast', () => {
  test('needs permission, and reaches every socket on the port, on this host too', () => {
    const { lab, a, b } = udpPair()
    const client = a.open(1000)
    const servers = [b.open(7), b.open(7), b.open(8), a.open(7)]
    expect([client.send('x', '10.0.0.255', 7), client.endpoint.connect(ip('10.0.0.255'), 7)]).toEqual([
      -Errno.EACCES,
      -Errno.EACCES,
    ])
    client.endpoint.options.broadcast = true
    expect(client.send('all', '10.0.0.255', 7)).toBe(3)
    lab.run(10)
    expect(servers.map(({ endpoint }) => endpoint.queued)).toEqual([1, 1, 0, 1])
    expect(servers[0]!.receive()).toBe('all from 10.0.0.1:1000')
    client.send('x', '10.0.0.255', 99)
    lab.run(10)
    expect(b.stack.mib.udp.IgnoredMulti).toBe(1)
  })

  test('255.255.255.255 through a named interface, from 0.0.0.0 too', () => {
    const { lab, a, b } = udpPair()
    const eth0 = a.stack.iface('eth0')
    a.stack.iface('eth0').removeAddress(ip('10.0.0.1'))
    const client = a.open(68)
    client.endpoint.options.broadcast = true
    client.endpoint.boundInterface = eth0
    const server = b.open(67)
    expect(client.send('discover', '255.255.255.255', 67)).toBe(8)
    lab.run(10)
    expect(server.receive()).toBe('discover from 0.0.0.0:68')
  })
})

describe('groups', () => {
  test('each socket that wants the group gets a copy', () => {
    const { lab, a, b, close } = udpPair({ v6: true })
    for (const [group, any] of [
      ['239.1.2.3', '0.0.0.0'],
      ['ff05::7', '::'],
    ] as const) {
      const eth0 = b.stack.iface('eth0')
      const members = [b.open(5000, any), b.open(5000, any), b.open(5000, any)]
      expect(members[0]!.endpoint.memberships.join(ip(group), eth0)).toBe(0)
      expect(members[1]!.endpoint.memberships.join(ip(group), eth0)).toBe(0)
      expect(members[0]!.endpoint.memberships.join(ip(group), eth0)).toBe(-Errno.EADDRINUSE)
      // The third has not joined, and does not want what others have.
      Object.assign(members[2]!.endpoint.options, { multicastAll: false, multicastAll6: false })
      const client = a.open(1000, any)
      client.endpoint.options.multicastInterface = a.stack.iface('eth0')
      expect(client.send('feed', group, 5000)).toBe(4)
      lab.run(10)
      expect(members.map(({ endpoint }) => endpoint.queued)).toEqual([1, 1, 0])
      Object.assign(members[2]!.endpoint.options, { multicastAll: true, multicastAll6: true })
      client.send('feed', group, 5000)
      lab.run(10)
      expect(members.map(({ endpoint }) => endpoint.queued)).toEqual([2, 2, 1])
      members[0]!.endpoint.memberships.leave(ip(group), eth0)
      members[1]!.endpoint.close()
      client.send('feed', group, 5000)
      lab.run(10)
      expect(members.map(({ endpoint }) => endpoint.queued)).toEqual([2, 0, 1])
    }
    expect(close()).toEqual({ frames: 0, timers: 0 })
  })

  test('its own datagrams come back, unless IP_MULTICAST_LOOP is off; the TTL is 1', () => {
    const { lab, a, cable } = udpPair()
    const wire = lab.sniff(cable.a)
    const eth0 = a.stack.iface('eth0')
    const socket = a.open(5000)
    socket.endpoint.memberships.join(ip('239.1.2.3'), eth0)
    socket.endpoint.options.multicastInterface = eth0
    socket.send('one', '239.1.2.3', 5000)
    socket.endpoint.options.multicastLoop = false
    socket.send('two', '239.1.2.3', 5000)
    lab.run(10)
    expect([socket.receive(), socket.receive()]).toEqual(['one from 10.0.0.1:5000', -Errno.EAGAIN])
    expect(wire.ipv4(17).map(({ bytes: seen }) => seen[22])).toEqual([1, 1])
    socket.endpoint.options.multicastLoop = true
    socket.endpoint.options.multicastHopLimit = 0
    socket.send('three', '239.1.2.3', 5000)
    lab.run(10)
    expect([socket.receive(), wire.ipv4(17).length]).toEqual(['three from 10.0.0.1:5000', 2])
  })

  test('sources: only those wanted, or all but some', () => {
    const { lab, a, b } = udpPair()
    a.stack.add('eth0', '10.0.0.11/24')
    const group = ip('239.1.2.3')
    const eth0 = b.stack.iface('eth0')
    const member = b.open(5000)
    const { memberships } = member.endpoint
    const client = a.open(1000).endpoint
    const send = (from: string): void => {
      const to = { address: group, port: 5000, interface: a.stack.iface('eth0') }
      client.send(bytes(1), 0, 1, to, 0, { source: ip(from) })
      lab.run(10)
    }
    const heard = (): number[] =>
      ['10.0.0.1', '10.0.0.11'].map((from) => {
        const before = member.endpoint.queued
        send(from)
        return member.endpoint.queued - before
      })
    expect(memberships.allowSource(group, ip('10.0.0.11'), eth0)).toBe(0)
    expect(heard()).toEqual([0, 1])
    expect(memberships.allowSource(group, ip('10.0.0.1'), eth0)).toBe(0)
    expect(heard()).toEqual([1, 1])
    expect(memberships.blockSource(group, ip('10.0.0.1'), eth0)).toBe(0)
    expect(memberships.blockSource(group, ip('10.0.0.1'), eth0)).toBe(-Errno.EADDRNOTAVAIL)
    expect(memberships.blockSource(group, ip('10.0.0.11'), eth0)).toBe(0)
    expect(memberships.length).toBe(0)
    memberships.join(group, eth0)
    memberships.blockSource(group, ip('10.0.0.1'), eth0)
    expect(heard()).toEqual([0, 1])
    memberships.allowSource(group, ip('10.0.0.1'), eth0)
    expect(heard()).toEqual([1, 1])
  })

  test('what cannot be joined or left', () => {
    const { a } = udpPair({ settings: { igmp_max_memberships: 2 } })
    const { memberships } = a.open(5000).endpoint
    const eth0 = a.stack.iface('eth0')
    expect(memberships.join(ip('10.0.0.9'), eth0)).toBe(-Errno.EINVAL)
    expect(memberships.join(ip('239.1.1.1'), null)).toBe(-Errno.ENODEV)
    expect(memberships.leave(ip('239.1.1.1'), eth0)).toBe(-Errno.EADDRNOTAVAIL)
    expect([1, 2, 3].map((n) => memberships.join(ip(`239.1.1.${n}`), eth0))).toEqual([0, 0, -Errno.ENOBUFS])
  })
})

describe('gathering', () => {
  test('MSG_MORE and UDP_CORK make one datagram of several sends', () => {
    const { lab, a, b, close } = udpPair()
    const client = a.open(1000)
    const server = b.open(7)
    expect(client.send('one ', '10.0.0.2', 7, MessageFlag.More)).toBe(4)
    expect(client.send('two ', '10.0.0.2', 9, MessageFlag.More)).toBe(4)
    lab.run(10)
    expect(server.endpoint.queued).toBe(0)
    expect(client.send('three', '10.0.0.2', 7)).toBe(5)
    lab.run(10)
    expect(server.receive()).toBe('one two three from 10.0.0.1:1000')
    client.endpoint.setCork(true)
    client.send('corked', '10.0.0.2', 7)
    client.send('!', '10.0.0.2', 7)
    lab.run(10)
    expect(server.endpoint.queued).toBe(0)
    expect(client.endpoint.setCork(false)).toBe(0)
    lab.run(10)
    expect(server.receive()).toBe('corked! from 10.0.0.1:1000')
    client.endpoint.setCork(true)
    client.endpoint.send(bytes(65_000), 0, 65_000, { address: ip('10.0.0.2'), port: 7 })
    expect(client.endpoint.send(bytes(508), 0, 508)).toBe(-Errno.EMSGSIZE)
    // With the one that did not fit all is lost, as on Linux.
    expect(client.endpoint.setCork(false)).toBe(0)
    client.send('alone', '10.0.0.2', 7)
    lab.run(10)
    expect(server.receive()).toBe('alone from 10.0.0.1:1000')
    client.send('left', '10.0.0.2', 7, MessageFlag.More)
    // What is still being gathered goes with the endpoint.
    expect(close()).toEqual({ frames: 0, timers: 0 })
  })
})

describe('path MTU', () => {
  /** What a datagram of 1,400 bytes to a path of 1,000 gives: result, DF of what was sent, packets. */
  const outcome = (discovery: number): unknown[] => {
    const { lab, a, cable } = udpPair()
    a.stack.arp.setPermanent(a.stack.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    a.stack.updatePathMtu(ip('10.0.0.2'), 1000)
    const wire = lab.sniff(cable.a)
    const client = a.open(1000).endpoint
    client.options.pathMtuDiscovery = discovery
    const results = [900, 1400, 1600].map((length) => {
      wire.clear()
      const result = client.send(bytes(length), 0, length, { address: ip('10.0.0.2'), port: 7 })
      const sent = wire.ipv4(17)
      return [result, sent.map(({ bytes: seen }) => seen[20]! >>> 5)]
    })
    return results.flat()
  }

  test.each([
    ['Dont', PathMtuDiscovery.Dont, [900, [0], 1400, [1, 0], 1600, [1, 0]]],
    ['Want', PathMtuDiscovery.Want, [900, [2], 1400, [1, 0], 1600, [1, 0]]],
    ['Do', PathMtuDiscovery.Do, [900, [2], -90, [], -90, []]],
    ['Probe', PathMtuDiscovery.Probe, [900, [2], 1400, [2], -90, []]],
    ['Interface', PathMtuDiscovery.Interface, [900, [0], 1400, [0], -90, []]],
    ['Omit', PathMtuDiscovery.Omit, [900, [0], 1400, [0], 1600, [1, 0]]],
  ])('IP_PMTUDISC: %s', (_, discovery, expected) => {
    expect(outcome(discovery)).toEqual(expected)
  })

  test('fragmentation needed: EMSGSIZE once, then the path is known; queued with the MTU if asked for', () => {
    const { lab, a } = udpPair()
    const client = a.open(1000)
    client.endpoint.connect(ip('10.0.0.2'), 7)
    client.endpoint.options.pathMtuDiscovery = PathMtuDiscovery.Do
    const quote = ipv4Packet({ from: '10.0.0.1', to: '10.0.0.2', protocol: 17, payload: udpDatagram(1000, 7) })
    const message = new Uint8Array([3, 4, 0, 0, 0, 0, 1000 >>> 8, 1000 & 255, ...quote])
    new DataView(message.buffer).setUint16(2, ~naiveSum(message) & 0xffff)
    const tell = (): void =>
      a.stack.receive('eth0', ipv4Packet({ from: '10.0.0.9', to: '10.0.0.1', protocol: 1, payload: message }))
    tell()
    expect(client.endpoint.takeError()).toBe(Errno.EMSGSIZE)
    const way = a.stack.resolve(ip('10.0.0.2'))
    expect(typeof way !== 'number' && way.mtu).toBe(1000)
    client.endpoint.options.receiveErrors = true
    tell()
    expect(client.endpoint.takeQueuedError()).toMatchObject({ errno: Errno.EMSGSIZE, info: 1000 })
    expect(client.endpoint.send(bytes(1200), 0, 1200)).toBe(-Errno.EMSGSIZE)
    expect(client.endpoint.takeQueuedError()).toMatchObject({
      errno: Errno.EMSGSIZE,
      origin: ErrorOrigin.Local,
      info: 1000,
    })
    expect(lab.world.frames.inUse).toBe(0)
  })

  test('who goes by the MTU of the device is told of the path, but does not believe it; who searches none is not told', () => {
    const { Dont, Want, Interface, Omit } = PathMtuDiscovery
    const seen = [Dont, Want, Interface, Omit].map((pathMtuDiscovery) => {
      const { a } = udpPair()
      const { endpoint } = a.open(1000)
      Object.assign(endpoint.options, { pathMtuDiscovery, receiveErrors: true })
      const quote = ipv4Packet({ from: '10.0.0.1', to: '10.0.0.2', protocol: 17, payload: udpDatagram(1000, 7) })
      const message = new Uint8Array([3, 4, 0, 0, 0, 0, 1000 >>> 8, 1000 & 255, ...quote])
      new DataView(message.buffer).setUint16(2, ~naiveSum(message) & 0xffff)
      a.stack.receive('eth0', ipv4Packet({ from: '10.0.0.9', to: '10.0.0.1', protocol: 1, payload: message }))
      const way = a.stack.resolve(ip('10.0.0.2'))
      return [endpoint.takeQueuedError()?.info ?? null, typeof way === 'number' ? way : way.mtu]
    })
    // Linux 6.18.
    expect(seen).toEqual([
      [null, 1000],
      [1000, 1000],
      [1000, 1500],
      [1000, 1500],
    ])
  })

  test('a message about a datagram that nobody sent changes nothing', () => {
    const { a } = udpPair()
    a.open(1000)
    const quote = ipv4Packet({ from: '10.0.0.1', to: '10.0.0.2', protocol: 17, payload: udpDatagram(1001, 7) })
    const message = new Uint8Array([3, 4, 0, 0, 0, 0, 1000 >>> 8, 1000 & 255, ...quote])
    new DataView(message.buffer).setUint16(2, ~naiveSum(message) & 0xffff)
    a.stack.receive('eth0', ipv4Packet({ from: '10.0.0.9', to: '10.0.0.1', protocol: 1, payload: message }))
    expect([a.stack.paths.size, a.stack.mib.icmp.InErrors]).toEqual([0, 1])
  })
})

describe('checksums', () => {
  const give = (datagram: string, v6 = false): ReturnType<typeof udpPair> & { queued: number } => {
    const made = udpPair({ v6: true })
    const server = made.b.open(7, v6 ? '::' : '0.0.0.0')
    const payload = fromHex(datagram)
    if (v6)
      made.b.stack.receive('eth0', ipv6Packet({ from: '2001:db8::1', to: '2001:db8::2', nextHeader: 17, payload }))
    else made.b.stack.receive('eth0', ipv4Packet({ from: '10.0.0.1', to: '10.0.0.2', protocol: 17, payload }))
    return { ...made, queued: server.endpoint.queued }
  }

  test('none is right over IPv4 and wrong over IPv6', () => {
    expect(give('03e8 0007 000a 0000 6869').queued).toBe(1)
    const six = give('03e8 0007 000a 0000 6869', true)
    expect([six.queued, six.b.stack.drops['udp-no-checksum'], six.b.stack.mib.udp6.InCsumErrors]).toEqual([0, 1, 1])
  })

  test('wrong ones, wrong lengths, and bytes behind the datagram', () => {
    const wrong = give('03e8 0007 000a 1234 6869')
    expect([wrong.queued, wrong.b.stack.drops]).toMatchObject([0, { 'udp-checksum': 1 }])
    expect([wrong.b.stack.mib.udp.InCsumErrors, wrong.b.stack.mib.udp.InErrors]).toEqual([1, 1])
    expect(give('03e8 0007 0007 0000 6869').b.stack.drops).toMatchObject({ 'udp-length': 1 })
    expect(give('03e8 0007 000b 0000 6869').b.stack.drops).toMatchObject({ 'udp-truncated': 1 })
    expect(give('03e8 0007').b.stack.drops).toMatchObject({ 'udp-truncated': 1 })
    const longer = give('03e8 0007 0009 0000 6869 00')
    expect([longer.queued, longer.b.demux.endpoints[0]!.nextLength]).toEqual([1, 1])
  })

  test('SO_NO_CHECK, and a link that completes them', () => {
    const { lab, a, cable } = udpPair()
    a.stack.arp.setPermanent(a.stack.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    const wire = lab.sniff(cable.a)
    const client = a.open(1000)
    client.endpoint.options.noChecksum = true
    client.send('x', '10.0.0.2', 7)
    expect(hex(wire.ipv4(17)[0]!.bytes.subarray(40, 42))).toBe('0000')
    const offload = udpPair({ cable: { checksumOffload: true } })
    const server = offload.b.open(7)
    offload.a.open(1000).send('x', '10.0.0.2', 7)
    // Through lo too, and in fragments over a link that would complete whole datagrams.
    offload.a.open(1001).endpoint.send(bytes(5000), 0, 5000, { address: ip('10.0.0.2'), port: 7 })
    const own = offload.a.open(9)
    offload.a.open(1002).send('y', '10.0.0.1', 9)
    offload.lab.run(10)
    expect([server.endpoint.queued, own.receive(), offload.b.stack.drops]).toEqual([2, 'y from 10.0.0.1:1002', {}])
    expect(offload.close()).toEqual({ frames: 0, timers: 0 })
  })
})

test('a broadcast frame with a datagram for one host is not delivered', () => {
  const { b } = udpPair()
  const server = b.open(7)
  const payload = udpDatagram(1000, 7, bytes(3))
  b.stack.receive('eth0', ipv4Packet({ from: '10.0.0.1', to: '10.0.0.2', protocol: 17, payload }), MAC_BROADCAST)
  expect([server.endpoint.queued, b.stack.drops]).toEqual([0, { 'ip-link-broadcast': 1 }])
})
