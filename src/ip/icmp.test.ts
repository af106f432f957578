import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { ip } from '../wire/address.ts'
import { IcmpError } from './protocol.ts'
import {
  fromHex,
  hex,
  icmpMessage,
  ipv4Packet,
  ipv6Packet,
  naiveSum,
  type TestHost,
  TestNet,
  udpDatagram,
} from './testing.ts'

/** Host a, 10.0.0.1 and 2001:db8::1, and a wire on which all that it sends is written down. */
const host = (settings = {}) => {
  const lab = new TestNet()
  const a = lab.host6('a', { dad_transmits: 0, ...settings })
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0')
  a.add('eth0', '10.0.0.1/24')
  a.add('eth0', '2001:db8::1/64')
  for (const [address, table] of [
    ['10.0.0.2', a.arp],
    ['2001:db8::2', a.nd],
    ['fe80::2', a.nd],
  ] as const) {
    table.setPermanent(a.iface('eth0'), ip(address), 0x0200_0000_0002)
  }
  lab.run(0)
  const wire = lab.sniff(cable.a)
  return { lab, a, cable, wire }
}

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i & 0xff)
const udp4 = (data = bytes(20)): Uint8Array =>
  ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 17, payload: udpDatagram(1111, 2222, data) })

/** What ICMP says of protocol 17 is written down. */
const listenToErrors = (a: TestHost): IcmpError[] => {
  const errors: IcmpError[] = []
  a.register(17, {
    receive: (header, frame, from) => {
      a.portUnreachable(header, frame, from)
      a.world.frames.release(frame)
    },
    icmpError: (error) => errors.push(Object.assign(new IcmpError(), error)),
  })
  return errors
}

describe('echo', () => {
  test('the reply, byte for byte: addresses turned round, type of service and data kept', () => {
    const { lab, a, wire } = host()
    const request = icmpMessage(8, 0, 0x1234_0001, bytes(5))
    a.receive(
      'eth0',
      ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 1, tos: 0x10, ttl: 7, payload: request }),
    )
    lab.run(0)
    const packet = wire.ipv4(1)[0]!.bytes.subarray(14)
    expect(hex(packet.subarray(20))).toBe(hex(icmpMessage(0, 0, 0x1234_0001, bytes(5))))
    expect([packet[1], packet[8], hex(packet.subarray(12, 20))]).toEqual([0x10, 64, '0a0000010a000002'])
    expect(naiveSum(packet.subarray(0, 20))).toBe(0xffff)
    expect([a.mib.icmp.InEchos, a.mib.icmp.OutEchoReps, a.mib.icmpInType[8], a.mib.icmpOutType[0]]).toEqual([
      1, 1, 1, 1,
    ])
  })

  test('over IPv6, with the checksum over the addresses', () => {
    const { lab, a, wire } = host()
    const echo = (type: number): Uint8Array => fromHex(`${type.toString(16)}00 0000 1234 0001 0102030405`)
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1', nextHeader: 58, payload: echo(128) }))
    lab.run(0)
    const expected = ipv6Packet({ from: '2001:db8::1', to: '2001:db8::2', nextHeader: 58, payload: echo(129) })
    expect(wire.icmpv6(129).map(({ bytes: seen }) => hex(seen.subarray(14)))).toEqual([hex(expected)])
  })

  test('a wrong checksum, and settings that forbid an answer', () => {
    const { lab, a, wire } = host()
    const request = icmpMessage(8, 0, 0x1234_0001, bytes(5))
    const broken = request.slice()
    broken[9]! ^= 1
    const from = { from: '10.0.0.2', protocol: 1 } as const
    a.receive('eth0', ipv4Packet({ ...from, to: '10.0.0.1', payload: broken }))
    a.receive('eth0', ipv4Packet({ ...from, to: '10.0.0.255', payload: request }), 0xffff_ffff_ffff)
    a.settings.icmp_echo_ignore_all = 1
    a.receive('eth0', ipv4Packet({ ...from, to: '10.0.0.1', payload: request }))
    lab.run(0)
    expect(wire.seen).toEqual([])
    expect(a.drops).toEqual({ 'icmp-checksum': 1, 'icmp-ignored': 2 })
    expect([a.mib.icmp.InErrors, a.mib.icmp.InCsumErrors]).toEqual([1, 1])
    a.settings.icmp_echo_ignore_all = 0
    a.settings.icmp_echo_ignore_broadcasts = 0
    a.receive('eth0', ipv4Packet({ ...from, to: '10.0.0.255', payload: request }), 0xffff_ffff_ffff)
    lab.run(0)
    // From its own address, not from the broadcast address.
    expect(hex(wire.ipv4(1)[0]!.bytes.subarray(26, 34))).toBe('0a0000010a000002')
  })

  test('a timestamp request is answered with the time of day', () => {
    const { lab, a, wire } = host()
    lab.run(1500)
    const request = new Uint8Array(20)
    request.set(icmpMessage(13, 0, 0x0001_0002))
    new DataView(request.buffer).setUint32(8, 77)
    request[2] = request[3] = 0
    new DataView(request.buffer).setUint16(2, ~naiveSum(request) & 0xffff)
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 1, payload: request }))
    lab.run(0)
    const reply = wire.ipv4(1)[0]!.bytes.subarray(34)
    expect(hex(reply.subarray(4))).toBe('000100020000004d000005dc000005dc')
    expect([reply[0], naiveSum(reply)]).toEqual([14, 0xffff])
  })
})

describe('errors sent', () => {
  test('port unreachable quotes the packet: up to 576 bytes in all over IPv4, 1280 over IPv6', () => {
    const { lab, a, wire } = host()
    listenToErrors(a)
    for (const length of [20, 1400]) a.receive('eth0', udp4(bytes(length)))
    const big = udpDatagram(1111, 2222, bytes(1400))
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1', nextHeader: 17, payload: big }))
    lab.run(0)
    const [small, large] = wire.ipv4(1).map(({ bytes: seen }) => seen.subarray(14))
    expect(hex(small!.subarray(20, 28))).toMatch(/^0303....00000000$/)
    expect(hex(small!.subarray(28))).toBe(hex(udp4(bytes(20))))
    expect(naiveSum(small!.subarray(20))).toBe(0xffff)
    // Precedence of internetwork control.
    expect(small![1]).toBe(0xc0)
    expect(large!.length).toBe(576)
    expect(hex(large!.subarray(28))).toBe(hex(udp4(bytes(1400)).subarray(0, 548)))
    const [six] = wire.icmpv6(1).map(({ bytes: seen }) => seen.subarray(14))
    expect([six!.length, six![40 + 1]]).toEqual([1280, 4])
    expect(a.mib.icmp.OutDestUnreachs + a.mib.icmp6.OutDestUnreachs).toBe(3)
  })

  test('an unknown protocol: protocol unreachable, or a parameter problem about the next-header field', () => {
    const { lab, a, wire } = host()
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 200, payload: bytes(8) }))
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1', nextHeader: 200, payload: bytes(8) }))
    lab.run(0)
    expect(hex(wire.ipv4(1)[0]!.bytes.subarray(34, 36))).toBe('0302')
    const problem = wire.icmpv6(4)[0]!.bytes.subarray(54)
    expect([problem[1], hex(problem.subarray(4, 8))]).toEqual([1, '00000006'])
    expect(a.drops).toEqual({ 'ip-unknown-protocol': 2 })
    expect([a.mib.ip.InUnknownProtos, a.mib.ip6.InUnknownProtos]).toEqual([1, 1])
  })

  test('a raw socket that takes the packet keeps the error back', () => {
    const { lab, a, wire } = host()
    const seen: number[] = []
    a.rawReceiver = (header, _frame, from) => {
      seen.push(header.protocol)
      return from.name === 'eth0'
    }
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 200, payload: bytes(8) }))
    lab.run(0)
    expect([seen, wire.seen, a.mib.ip.InUnknownProtos]).toEqual([[200], [], 0])
    expect(lab.world.frames.inUse).toBe(0)
  })

  test('never about errors, groups, fragments but the first, or from nobody', () => {
    const { lab, a, wire } = host()
    const unknown = { protocol: 200, payload: bytes(8) }
    const about = (message: Uint8Array): Uint8Array =>
      ipv4Packet({ from: '10.0.0.2', to: '10.9.9.9', protocol: 1, payload: message, ttl: 1 })
    a.settings.ip_forward = 1
    a.receive('eth0', about(icmpMessage(3, 1, 0, bytes(28))))
    a.receive('eth0', about(icmpMessage(11, 0, 0, bytes(28))))
    a.receive('eth0', about(icmpMessage(5, 0, 0, bytes(28))))
    a.receive('eth0', about(icmpMessage(40, 0, 0, bytes(28))))
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.255', ...unknown }), 0xffff_ffff_ffff)
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '224.0.0.1', ...unknown }), 0x0100_5e00_0001)
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.9.9.9', fragment: 1, ttl: 1, ...unknown }))
    lab.run(0)
    expect(wire.seen).toEqual([])
    // An echo that expires is no error, and is told of.
    a.route('0.0.0.0/0', '10.0.0.2')
    a.receive('eth0', about(icmpMessage(8, 0, 0)))
    lab.run(0)
    expect(hex(wire.ipv4(1)[0]!.bytes.subarray(34, 36))).toBe('0b00')
  })

  test('IPv6: never about errors or redirects, wherever the message begins', () => {
    const { lab, a, wire } = host({ ipv6_forwarding: 1 })
    const send = (payload: Uint8Array, nextHeader = 58): void =>
      a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db9::9', nextHeader, hopLimit: 1, payload }))
    send(fromHex('0100 0000 00000000'))
    send(fromHex('8900 0000 00000000'))
    send(fromHex('3a00 0104 00000000 0100 0000 00000000'), 60)
    lab.run(0)
    expect(wire.seen).toEqual([])
    send(fromHex('8000 0000 00000000'))
    lab.run(0)
    expect(wire.icmpv6(1).map(({ bytes: seen }) => seen[55])).toEqual([0])
  })
})

describe('limits', () => {
  test('six at once to one host, then one a second', () => {
    const { lab, a, wire } = host()
    listenToErrors(a)
    for (let i = 0; i < 20; i++) a.receive('eth0', udp4())
    lab.run(0)
    expect(wire.ipv4(1).length).toBe(6)
    expect([a.mib.icmp.OutRateLimitHost, a.drops]).toEqual([14, { 'icmp-rate-limited': 14 }])
    lab.run(999)
    a.receive('eth0', udp4())
    lab.run(0)
    expect(wire.ipv4(1).length).toBe(6)
    lab.run(1)
    for (let i = 0; i < 3; i++) a.receive('eth0', udp4())
    lab.run(0)
    expect(wire.ipv4(1).length).toBe(7)
  })

  test('in all about a thousand a second, in bursts of fifty', () => {
    const { lab, a, wire } = host({ icmp_ratelimit: 0 })
    listenToErrors(a)
    for (let i = 0; i < 500; i++) a.receive('eth0', udp4())
    lab.run(0)
    const burst = wire.ipv4(1).length
    // Fifty credits of which each error takes none, one or two.
    expect(burst).toBeGreaterThan(30)
    expect(burst).toBeLessThan(80)
    expect(a.mib.icmp.OutRateLimitGlobal).toBe(500 - burst)
  })

  test('what path MTU discovery needs is never held back', () => {
    const { lab, a, wire } = host({ ip_forward: 1 })
    const c = lab.host('c')
    lab.connect(a, 'eth1', c, 'eth0', { mtu: 576 })
    a.add('eth1', '10.1.0.1/24')
    for (let i = 0; i < 20; i++) {
      a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.1.0.2', fragment: 0x4000, payload: bytes(1000) }))
    }
    lab.run(0)
    const told = wire.ipv4(1).map(({ bytes: seen }) => hex(seen.subarray(34, 36)) + hex(seen.subarray(38, 42)))
    expect(told).toEqual(new Array(20).fill('030400000240'))
  })
})

describe('errors received', () => {
  const errorsFor = (a: TestHost, type: number, code: number, rest = 0): void => {
    const quote = ipv4Packet({ from: '10.0.0.1', to: '10.9.9.9', protocol: 17, payload: udpDatagram(2222, 1111) })
    a.receive(
      'eth0',
      ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 1, payload: icmpMessage(type, code, rest, quote) }),
    )
  }

  test('each code has the errno that Linux gives it', () => {
    const { a } = host()
    const errors = listenToErrors(a)
    for (let code = 0; code <= 15; code++) errorsFor(a, 3, code, 1400)
    errorsFor(a, 11, 0)
    errorsFor(a, 12, 0)
    const names = Object.entries(Errno)
    const named = errors.map(({ errno, hard }) => [names.find(([, n]) => n === errno)![0], hard])
    expect(named).toEqual([
      ['ENETUNREACH', false],
      ['EHOSTUNREACH', false],
      ['ENOPROTOOPT', true],
      ['ECONNREFUSED', true],
      ['EMSGSIZE', false],
      ['EOPNOTSUPP', false],
      ['ENETUNREACH', true],
      ['EHOSTDOWN', true],
      ['ENONET', true],
      ['ENETUNREACH', true],
      ['EHOSTUNREACH', true],
      ['ENETUNREACH', false],
      ['EHOSTUNREACH', false],
      ['EHOSTUNREACH', true],
      ['EHOSTUNREACH', true],
      ['EHOSTUNREACH', true],
      ['EHOSTUNREACH', false],
      ['EPROTO', true],
    ])
    expect(errors.map(({ mtu }) => mtu).filter((mtu) => mtu !== 0)).toEqual([1400])
    expect([errors[0]!.version, errors[0]!.reporter2, errors[0]!.reporter3]).toEqual([4, 0xffff, 0x0a00_0002])
    expect(`${errors[0]!.quoted.source} ${errors[0]!.quoted.destination}`).toBe('10.0.0.1 10.9.9.9')
    expect(errors[0]!.transportEnd - errors[0]!.transportStart).toBe(8)
  })

  test('codes that nobody knows, and fragments that did not all arrive, are told to nobody', () => {
    const { a } = host()
    const errors = listenToErrors(a)
    for (const code of [16, 20, 255]) errorsFor(a, 3, code, 1400)
    errorsFor(a, 11, 1)
    expect(errors).toEqual([])
    expect([a.drops, a.mib.icmp.InDestUnreachs, a.mib.icmp.InTimeExcds]).toEqual([{ 'icmp-ignored': 4 }, 3, 1])
  })

  test('and of ICMPv6 too', () => {
    const { a } = host()
    const errors = listenToErrors(a)
    const quote = ipv6Packet({
      from: '2001:db8::1',
      to: '2001:db9::9',
      nextHeader: 17,
      payload: udpDatagram(2222, 1111),
    })
    const give = (type: number, code: number, rest = 0): void => {
      const payload = icmpMessage(type, code, rest, quote)
      a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1', nextHeader: 58, payload }))
    }
    for (let code = 0; code <= 6; code++) give(1, code)
    give(2, 0, 1300)
    give(3, 0)
    give(4, 1, 6)
    const names = Object.entries(Errno)
    expect(errors.map(({ errno, hard, mtu }) => [names.find(([, n]) => n === errno)![0], hard, mtu])).toEqual([
      ['ENETUNREACH', false, 0],
      ['EACCES', true, 0],
      ['EHOSTUNREACH', false, 0],
      ['EHOSTUNREACH', false, 0],
      ['ECONNREFUSED', true, 0],
      ['EACCES', true, 0],
      ['EACCES', true, 0],
      ['EMSGSIZE', false, 1300],
      ['EHOSTUNREACH', false, 0],
      ['EPROTO', true, 0],
    ])
  })

  test('those that quote somebody else, too little, or an unknown protocol are dropped', () => {
    const { a } = host()
    const errors = listenToErrors(a)
    const give = (quote: Uint8Array): void =>
      a.receive(
        'eth0',
        ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 1, payload: icmpMessage(3, 1, 0, quote) }),
      )
    give(ipv4Packet({ from: '10.0.0.77', to: '10.9.9.9', protocol: 17, payload: udpDatagram(1, 2) }))
    give(ipv4Packet({ from: '10.0.0.1', to: '10.9.9.9', protocol: 17, payload: bytes(7) }))
    give(ipv4Packet({ from: '10.0.0.1', to: '10.9.9.9', protocol: 200, payload: bytes(8) }))
    expect(errors).toEqual([])
    expect(a.drops).toEqual({ 'icmp-bad-quote': 2, 'icmp-no-socket': 1 })
  })
})
