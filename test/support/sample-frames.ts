import { type Bytes, bytesOf } from '../../src/core/memory.ts'
import { ip as address, multicastMac } from '../../src/wire/address.ts'
import { ArpOperation, ArpPacket, emitArp } from '../../src/wire/arp.ts'
import type { DecodedLayer } from '../../src/wire/decode.ts'
import {
  ETHERNET_HEADER,
  EthernetHeader,
  EtherType,
  emitEthernet,
  emitFcs,
  padEthernet,
} from '../../src/wire/ethernet.ts'
import { emitIcmp, IcmpMessage, IcmpType, IcmpUnreachable } from '../../src/wire/icmp.ts'
import { emitIcmpv6, Icmpv6Message, Icmpv6Type } from '../../src/wire/icmpv6.ts'
import { emitIgmp, emitIgmpReport, GroupRecordType, IgmpMessage, IgmpType } from '../../src/wire/igmp.ts'
import { IpHeader, IpProtocol } from '../../src/wire/ip.ts'
import { emitIpv4 } from '../../src/wire/ipv4.ts'
import { emitIpv4Options, type Ipv4Option } from '../../src/wire/ipv4-options.ts'
import { emitIpv6, emitIpv6Fragment, emitIpv6RouterAlert, Ipv6RouterAlert } from '../../src/wire/ipv6.ts'
import { emitMld, emitMldReport, MldMessage } from '../../src/wire/mld.ts'
import { emitNdp, NdpMessage } from '../../src/wire/ndp.ts'
import { emitTcp, FastOpenForm, TcpFlag, TcpHeader } from '../../src/wire/tcp.ts'
import { fillTransportChecksum } from '../../src/wire/transport.ts'
import { emitUdp, UdpHeader } from '../../src/wire/udp.ts'

/**
 * One valid packet of every kind that the codecs know, for tests that truncate, corrupt or carry them. What they say
 * makes sense to a protocol analyser; every checksum is right.
 */
export interface SamplePacket {
  readonly name: string
  readonly etherType: number
  /** What an Ethernet frame that carries it is sent to. */
  readonly destinationMac: number
  /** The IP or ARP packet. */
  readonly packet: Uint8Array
  /** The innermost header in it. */
  readonly layer: DecodedLayer
}

export const SAMPLE_MAC_A = 0x0200_0000_000a
export const SAMPLE_MAC_B = 0x0200_0000_000b
const IPV4_A = address('10.9.0.1')
const IPV4_B = address('10.9.0.2')
const IPV6_A = address('fd09::1')
const IPV6_B = address('fd09::2')
const LINK_LOCAL_A = address('fe80::ff:fe00:a')
const LINK_LOCAL_B = address('fe80::ff:fe00:b')
const ANY = address('::')
const ALL_NODES = address('ff02::1')
const ALL_ROUTERS = address('ff02::2')
const MLD_ROUTERS = address('ff02::16')
const GROUP = address('239.1.2.3')
const GROUP6 = address('ff05::1:3')

const PAYLOAD = Uint8Array.from('the quick brown fox', (c) => c.charCodeAt(0))

/** Room in which a packet is written; whoever writes says how long it came out. */
const build = (write: (bytes: Bytes) => number): Uint8Array => {
  const bytes = bytesOf(new Uint8Array(2048))
  return bytes.u8.slice(0, write(bytes))
}

const ipHeader = (fields: Partial<IpHeader>): IpHeader => Object.assign(new IpHeader(), fields)

/** An IPv4 packet whose payload `body` writes at its place. */
const ipv4 = (
  fields: Partial<IpHeader>,
  body: (bytes: Bytes, at: number, header: IpHeader) => number,
  options: readonly Ipv4Option[] = [],
): Uint8Array =>
  build((bytes) => {
    const header = ipHeader({ identification: 0x1234, source: IPV4_A, destination: IPV4_B, ...fields })
    header.headerLength = 20 + emitIpv4Options(options, bytes, 20)
    const length = body(bytes, header.headerLength, header)
    emitIpv4(header, bytes, 0, length)
    return header.headerLength + length
  })

/** An IPv6 packet whose payload `body` writes at its place, behind what `extensions` writes. */
const ipv6 = (
  fields: Partial<IpHeader>,
  body: (bytes: Bytes, at: number, header: IpHeader) => number,
  extensions: (bytes: Bytes, at: number, header: IpHeader) => number = () => 0,
  first?: number,
): Uint8Array =>
  build((bytes) => {
    const header = ipHeader({ version: 6, source: IPV6_A, destination: IPV6_B, flowLabel: 0xabcde, ...fields })
    const length = extensions(bytes, 40, header)
    const whole = length + body(bytes, 40 + length, header)
    emitIpv6(header, bytes, 0, whole, first)
    return 40 + whole
  })

const put = (bytes: Bytes, at: number, data: Uint8Array): number => {
  bytes.u8.set(data, at)
  return data.length
}

const tcp =
  (fields: Partial<TcpHeader>, payload = PAYLOAD, sack: readonly number[] = [], cookie: Uint8Array | null = null) =>
  (bytes: Bytes, at: number, header: IpHeader): number => {
    const segment = Object.assign(new TcpHeader(), {
      sourcePort: 37_986,
      destinationPort: 7777,
      seq: 0x4634_2378,
      ack: 0x9739_771c | 0,
      flags: TcpFlag.Ack,
      window: 64_240,
      ...fields,
    })
    segment.sack.set(sack)
    segment.sackCount = sack.length / 2
    const length = emitTcp(segment, bytes, at, cookie)
    const end = at + length + put(bytes, at + length, payload)
    fillTransportChecksum(header, IpProtocol.Tcp, bytes, at, end)
    return end - at
  }

const udp =
  (withChecksum: boolean, payload = PAYLOAD) =>
  (bytes: Bytes, at: number, header: IpHeader): number => {
    const length = 8 + payload.length
    emitUdp(Object.assign(new UdpHeader(), { sourcePort: 32_790, destinationPort: 9, length }), bytes, at)
    put(bytes, at + 8, payload)
    if (withChecksum) fillTransportChecksum(header, IpProtocol.Udp, bytes, at, at + length)
    return length
  }

const icmp =
  (fields: Partial<IcmpMessage>, data: Uint8Array, headerLength = 8) =>
  (bytes: Bytes, at: number): number => {
    const length = headerLength + put(bytes, at + headerLength, data)
    emitIcmp(Object.assign(new IcmpMessage(), fields), bytes, at, at + length)
    return length
  }

const icmpv6 =
  (fields: Partial<Icmpv6Message>, data: Uint8Array) =>
  (bytes: Bytes, at: number, header: IpHeader): number => {
    const length = 8 + put(bytes, at + 8, data)
    emitIcmpv6(Object.assign(new Icmpv6Message(), fields), header, bytes, at, at + length)
    return length
  }

const ndp =
  (type: number, fill: (message: NdpMessage) => void) =>
  (bytes: Bytes, at: number, header: IpHeader): number => {
    const message = new NdpMessage()
    message.clear()
    message.type = type
    fill(message)
    return emitNdp(message, header, bytes, at)
  }

const UDP4 = ipv4({ protocol: IpProtocol.Udp }, udp(true))
const UDP6 = ipv6({ protocol: IpProtocol.Udp }, udp(true))

const v4 = (name: string, layer: DecodedLayer, packet: Uint8Array, destinationMac = SAMPLE_MAC_B): SamplePacket => ({
  name: `IPv4 ${name}`,
  etherType: EtherType.Ipv4,
  destinationMac,
  packet,
  layer,
})

const v6 = (name: string, layer: DecodedLayer, packet: Uint8Array, destinationMac = SAMPLE_MAC_B): SamplePacket => ({
  name: `IPv6 ${name}`,
  etherType: EtherType.Ipv6,
  destinationMac,
  packet,
  layer,
})

const arp = (name: string, fields: Partial<ArpPacket>): SamplePacket => ({
  name: `ARP ${name}`,
  etherType: EtherType.Arp,
  destinationMac: fields.operation === ArpOperation.Reply ? SAMPLE_MAC_B : 0xffff_ffff_ffff,
  packet: build((bytes) => emitArp(Object.assign(new ArpPacket(), { senderMac: SAMPLE_MAC_A, ...fields }), bytes, 0)),
  layer: 'arp',
})

const arpPackets = (): SamplePacket[] => [
  arp('request', { senderIp: IPV4_A.w3, targetIp: IPV4_B.w3 }),
  arp('reply', {
    operation: ArpOperation.Reply,
    senderIp: IPV4_A.w3,
    targetMac: SAMPLE_MAC_B,
    targetIp: IPV4_B.w3,
  }),
  arp('probe', { targetIp: IPV4_A.w3 }),
  arp('announcement', { senderIp: IPV4_A.w3, targetIp: IPV4_A.w3 }),
]

const tcpBodies: readonly (readonly [string, ReturnType<typeof tcp>])[] = [
  [
    'TCP SYN',
    tcp(
      {
        flags: TcpFlag.Syn | TcpFlag.Ece | TcpFlag.Cwr,
        ack: 0,
        mss: 1460,
        sackPermitted: true,
        hasTimestamps: true,
        timestamp: 0xe498_027f | 0,
        windowScale: 10,
        userTimeout: 300,
        fastOpen: FastOpenForm.Standard,
      },
      new Uint8Array(0),
    ),
  ],
  [
    'TCP SYN with a cookie',
    tcp(
      { flags: TcpFlag.Syn, ack: 0, mss: 1440, fastOpen: FastOpenForm.Experimental },
      PAYLOAD,
      [],
      PAYLOAD.slice(0, 8),
    ),
  ],
  ['TCP data', tcp({ flags: TcpFlag.Ack | TcpFlag.Psh, hasTimestamps: true, timestamp: 7, timestampEcho: -1 })],
  ['TCP without options', tcp({ flags: TcpFlag.Ack | TcpFlag.Fin | TcpFlag.Urg, urgent: 3 })],
  [
    'TCP SACK',
    tcp({ hasTimestamps: true, timestamp: 8, timestampEcho: 9 }, new Uint8Array(0), [
      0x9739_8000 | 0,
      0x9739_8800 | 0,
      0x9739_9000 | 0,
      0x9739_9001 | 0,
      0x9739_a000 | 0,
      0x9739_b000 | 0,
    ]),
  ],
  ['TCP MD5', tcp({ md5At: 0, flags: TcpFlag.Ack | TcpFlag.Rst }, new Uint8Array(0))],
]

const ipv4Packets = (): SamplePacket[] => {
  const igmp =
    (type: number, version: number, fields: Partial<IgmpMessage>, sources: readonly number[] = []) =>
    (bytes: Bytes, at: number): number => {
      for (const [i, source] of sources.entries()) bytes.view.setInt32(at + 12 + i * 4, source)
      const message = Object.assign(new IgmpMessage(), { type, version, sourceCount: sources.length, ...fields })
      return emitIgmp(message, bytes, at)
    }
  const toGroup = { protocol: IpProtocol.Igmp, hopLimit: 1, destination: GROUP }
  const alert: Ipv4Option[] = [{ name: 'routerAlert', value: 0 }]
  const groupMac = multicastMac(GROUP)
  const echo = { type: IcmpType.Echo, identifier: 0x31df, sequence: 1 }
  const icmpHeader = { protocol: IpProtocol.Icmp, trafficClass: 0xc0 }
  return [
    ...tcpBodies.map(([name, body]) => v4(name, 'tcp', ipv4({ protocol: IpProtocol.Tcp, dontFragment: true }, body))),
    v4('UDP', 'udp', UDP4),
    v4('UDP without payload', 'udp', ipv4({ protocol: IpProtocol.Udp }, udp(true, new Uint8Array(0)))),
    v4('UDP without checksum', 'udp', ipv4({ protocol: IpProtocol.Udp }, udp(false))),
    v4('ICMP echo', 'icmp', ipv4({ protocol: IpProtocol.Icmp }, icmp(echo, PAYLOAD))),
    v4('ICMP echo reply', 'icmp', ipv4(icmpHeader, icmp({ ...echo, type: IcmpType.EchoReply }, PAYLOAD))),
    v4(
      'ICMP port unreachable',
      'icmp',
      ipv4(icmpHeader, icmp({ type: IcmpType.DestinationUnreachable, code: IcmpUnreachable.Port }, UDP4)),
    ),
    v4(
      'ICMP fragmentation needed',
      'icmp',
      ipv4(
        icmpHeader,
        icmp({ type: IcmpType.DestinationUnreachable, code: IcmpUnreachable.FragmentationNeeded, mtu: 1000 }, UDP4),
      ),
    ),
    v4('ICMP time exceeded', 'icmp', ipv4(icmpHeader, icmp({ type: IcmpType.TimeExceeded }, UDP4))),
    v4('ICMP parameter problem', 'icmp', ipv4(icmpHeader, icmp({ type: IcmpType.ParameterProblem, pointer: 9 }, UDP4))),
    v4('ICMP redirect', 'icmp', ipv4(icmpHeader, icmp({ type: IcmpType.Redirect, code: 1, gateway: IPV4_B.w3 }, UDP4))),
    v4('ICMP source quench', 'icmp', ipv4(icmpHeader, icmp({ type: IcmpType.SourceQuench }, UDP4))),
    v4(
      'ICMP timestamp',
      'icmp',
      ipv4(icmpHeader, icmp({ ...echo, type: IcmpType.Timestamp, originate: 34_567_890 }, new Uint8Array(0), 20)),
    ),
    v4(
      'ICMP timestamp reply',
      'icmp',
      ipv4(
        icmpHeader,
        icmp(
          { ...echo, type: IcmpType.TimestampReply, originate: 34_567_890, receive: 34_567_891, transmit: 34_567_892 },
          new Uint8Array(0),
          20,
        ),
      ),
    ),
    v4('IGMPv1 query', 'igmp', ipv4(toGroup, igmp(IgmpType.Query, 1, {})), groupMac),
    v4('IGMPv1 report', 'igmp', ipv4(toGroup, igmp(IgmpType.ReportV1, 1, { group: GROUP.w3 })), groupMac),
    v4('IGMPv2 query', 'igmp', ipv4(toGroup, igmp(IgmpType.Query, 2, { maxResponse: 100 }), alert), groupMac),
    v4('IGMPv2 report', 'igmp', ipv4(toGroup, igmp(IgmpType.ReportV2, 2, { group: GROUP.w3 }), alert), groupMac),
    v4('IGMPv2 leave', 'igmp', ipv4(toGroup, igmp(IgmpType.Leave, 2, { group: GROUP.w3 }), alert), groupMac),
    v4(
      'IGMPv3 query',
      'igmp',
      ipv4(
        toGroup,
        igmp(IgmpType.Query, 3, { group: GROUP.w3, maxResponse: 320, robustness: 2, interval: 125, suppress: true }, [
          IPV4_A.w3,
          IPV4_B.w3,
        ]),
        alert,
      ),
      groupMac,
    ),
    v4(
      'IGMPv3 report',
      'igmp',
      ipv4(
        toGroup,
        (bytes, at) =>
          emitIgmpReport(
            [
              { type: GroupRecordType.ChangeToExclude, group: GROUP.w3, sources: [] },
              { type: GroupRecordType.AllowNewSources, group: GROUP.w3 + 1, sources: [IPV4_A.w3, IPV4_B.w3] },
            ],
            bytes,
            at,
          ),
        alert,
      ),
      groupMac,
    ),
    v4(
      'options',
      'icmp',
      ipv4({ protocol: IpProtocol.Icmp }, icmp(echo, PAYLOAD), [
        { name: 'recordRoute', pointer: 8, addresses: [IPV4_A, address('0.0.0.0')] },
        { name: 'nop' },
        { name: 'timestamp', pointer: 13, overflow: 1, flag: 1, slots: [IPV4_A.w3 >>> 0, 34_567_890, 0, 0] },
        { name: 'eol', padding: new Uint8Array(0) },
      ]),
    ),
    v4(
      'source route',
      'udp',
      ipv4({ protocol: IpProtocol.Udp }, udp(true), [
        { name: 'looseSourceRoute', pointer: 8, addresses: [IPV4_A] },
        { name: 'eol', padding: new Uint8Array(0) },
      ]),
    ),
    v4(
      'first fragment',
      'ip',
      ipv4({ protocol: IpProtocol.Udp, moreFragments: true }, (bytes, at) => put(bytes, at, UDP4.slice(20, 36))),
    ),
    v4(
      'last fragment',
      'ip',
      ipv4({ protocol: IpProtocol.Udp, fragmentOffset: 16 }, (bytes, at) => put(bytes, at, UDP4.slice(36))),
    ),
  ]
}

const ndpPackets = (): SamplePacket[] => {
  const header = { protocol: IpProtocol.Icmpv6, hopLimit: 255, source: LINK_LOCAL_A }
  const solicited = address('ff02::1:ff00:2')
  return [
    v6(
      'router solicitation',
      'ndp',
      ipv6(
        { ...header, destination: ALL_ROUTERS },
        ndp(Icmpv6Type.RouterSolicitation, (m) => {
          m.sourceMac = SAMPLE_MAC_A
        }),
      ),
      multicastMac(ALL_ROUTERS),
    ),
    v6(
      'router advertisement',
      'ndp',
      ipv6({ ...header, destination: ALL_NODES }, ndp(Icmpv6Type.RouterAdvertisement, fillAdvertisement)),
      multicastMac(ALL_NODES),
    ),
    v6(
      'neighbour solicitation',
      'ndp',
      ipv6(
        { ...header, source: IPV6_A, destination: solicited },
        ndp(Icmpv6Type.NeighborSolicitation, (m) => {
          m.target = IPV6_B
          m.sourceMac = SAMPLE_MAC_A
        }),
      ),
      multicastMac(solicited),
    ),
    v6(
      'duplicate address detection',
      'ndp',
      ipv6(
        { ...header, source: ANY, destination: solicited },
        ndp(Icmpv6Type.NeighborSolicitation, (m) => {
          m.target = IPV6_B
          m.nonce = 0xe023_14af_00b0
        }),
      ),
      multicastMac(solicited),
    ),
    v6(
      'neighbour advertisement',
      'ndp',
      ipv6(
        { ...header, source: IPV6_A },
        ndp(Icmpv6Type.NeighborAdvertisement, (m) => {
          m.target = IPV6_A
          m.targetMac = SAMPLE_MAC_A
          m.isSolicited = m.isOverride = m.isRouter = true
        }),
      ),
    ),
    v6('redirect', 'ndp', redirect(header)),
  ]
}

const fillAdvertisement = (m: NdpMessage): void => {
  m.hopLimit = 64
  m.isOtherConfig = true
  m.preference = 1
  m.routerLifetime = 1800
  m.reachableTime = 30_000
  m.retransmitTimer = 1000
  m.sourceMac = SAMPLE_MAC_A
  m.mtu = 1500
  const prefix = m.addPrefix()!
  Object.assign(prefix, {
    length: 64,
    onLink: true,
    autonomous: true,
    validLifetime: 86_400,
    preferredLifetime: 14_400,
  })
  prefix.prefix = address('fd09::')
  const route = m.addRoute()!
  Object.assign(route, { length: 48, preference: -1, lifetime: 0xffff_ffff })
  route.prefix = address('fd0a::')
  const server = m.addDnsServer()!
  server.lifetime = 1200
  server.address = IPV6_B
}

const redirect = (header: Partial<IpHeader>): Uint8Array =>
  ipv6(header, (bytes, at, ip) => {
    const message = Object.assign(new NdpMessage(), { type: Icmpv6Type.Redirect, targetMac: SAMPLE_MAC_B })
    message.target = LINK_LOCAL_B
    message.destination = address('fd0b::9')
    message.quoteStart = at + 40 + 8 + 8
    message.quoteEnd = message.quoteStart + put(bytes, message.quoteStart, UDP6.slice(0, 64))
    return emitNdp(message, ip, bytes, at)
  })

const mldPackets = (): SamplePacket[] => {
  const alert = (bytes: Bytes, at: number): number =>
    emitIpv6RouterAlert(bytes, at, IpProtocol.Icmpv6, Ipv6RouterAlert.Mld)
  const packet = (destination: typeof GROUP6, body: (bytes: Bytes, at: number, header: IpHeader) => number) =>
    ipv6(
      { protocol: IpProtocol.Icmpv6, hopLimit: 1, source: LINK_LOCAL_A, destination },
      body,
      alert,
      IpProtocol.HopByHop,
    )
  const mld =
    (type: number, version: number, fields: Partial<MldMessage>, sources: readonly (typeof GROUP6)[] = []) =>
    (bytes: Bytes, at: number, header: IpHeader): number => {
      for (const [i, { w0, w1, w2, w3 }] of sources.entries()) {
        for (const [k, w] of [w0, w1, w2, w3].entries()) bytes.view.setInt32(at + 28 + i * 16 + k * 4, w)
      }
      const message = Object.assign(new MldMessage(), { type, version, sourceCount: sources.length, ...fields })
      return emitMld(message, header, bytes, at)
    }
  const group = { group: GROUP6 }
  const { MulticastListenerQuery, MulticastListenerReport, MulticastListenerDone } = Icmpv6Type
  const mac = multicastMac(GROUP6)
  return [
    v6(
      'MLDv1 query',
      'mld',
      packet(ALL_NODES, mld(MulticastListenerQuery, 1, { maxResponse: 10_000 })),
      multicastMac(ALL_NODES),
    ),
    v6('MLDv1 report', 'mld', packet(GROUP6, mld(MulticastListenerReport, 1, group)), mac),
    v6('MLDv1 done', 'mld', packet(ALL_ROUTERS, mld(MulticastListenerDone, 1, group)), multicastMac(ALL_ROUTERS)),
    v6(
      'MLDv2 query',
      'mld',
      packet(
        GROUP6,
        mld(MulticastListenerQuery, 2, { ...group, maxResponse: 65_536, robustness: 2, interval: 128 }, [
          IPV6_A,
          IPV6_B,
        ]),
      ),
      mac,
    ),
    v6(
      'MLDv2 report',
      'mld',
      packet(MLD_ROUTERS, (bytes, at, header) =>
        emitMldReport(
          [
            { type: GroupRecordType.ChangeToExclude, group: GROUP6, sources: [] },
            { type: GroupRecordType.BlockOldSources, group: address('ff05::1:4'), sources: [IPV6_A, IPV6_B] },
          ],
          header,
          bytes,
          at,
        ),
      ),
      multicastMac(MLD_ROUTERS),
    ),
  ]
}

const ipv6Packets = (): SamplePacket[] => {
  const header = { protocol: IpProtocol.Icmpv6 }
  const echo = { type: Icmpv6Type.EchoRequest as number, identifier: 0x31e3, sequence: 1 }
  const tcpBody = tcp({ flags: TcpFlag.Ack | TcpFlag.Psh })
  const tcpHeader = { protocol: IpProtocol.Tcp }
  const fragment =
    (next: number) =>
    (bytes: Bytes, at: number, ip: IpHeader): number =>
      emitIpv6Fragment(ip, bytes, at, next)
  return [
    ...tcpBodies.map(([name, body]) => v6(name, 'tcp', ipv6({ protocol: IpProtocol.Tcp, trafficClass: 2 }, body))),
    v6('UDP', 'udp', UDP6),
    v6('ICMPv6 echo', 'icmpv6', ipv6(header, icmpv6(echo, PAYLOAD))),
    v6('ICMPv6 echo reply', 'icmpv6', ipv6(header, icmpv6({ ...echo, type: Icmpv6Type.EchoReply }, PAYLOAD))),
    v6(
      'ICMPv6 port unreachable',
      'icmpv6',
      ipv6(header, icmpv6({ type: Icmpv6Type.DestinationUnreachable, code: 4 }, UDP6)),
    ),
    v6('ICMPv6 packet too big', 'icmpv6', ipv6(header, icmpv6({ type: Icmpv6Type.PacketTooBig, mtu: 1280 }, UDP6))),
    v6('ICMPv6 time exceeded', 'icmpv6', ipv6(header, icmpv6({ type: Icmpv6Type.TimeExceeded }, UDP6))),
    v6(
      'ICMPv6 parameter problem',
      'icmpv6',
      ipv6(header, icmpv6({ type: Icmpv6Type.ParameterProblem, code: 1, pointer: 6 }, UDP6)),
    ),
    ...ndpPackets(),
    ...mldPackets(),
    v6(
      'destination options',
      'tcp',
      ipv6(tcpHeader, tcpBody, (bytes, at) => put(bytes, at, Uint8Array.of(6, 0, 1, 4, 0, 0, 0, 0)), 60),
    ),
    v6(
      'routing header',
      'tcp',
      ipv6(tcpHeader, tcpBody, (bytes, at) => put(bytes, at, Uint8Array.of(6, 0, 253, 0, 0, 0, 0, 0)), 43),
    ),
    v6('atomic fragment', 'tcp', ipv6({ ...tcpHeader, identification: 0x1234_5678 }, tcpBody, fragment(6), 44)),
    v6(
      'first fragment',
      'ip',
      ipv6(
        { protocol: IpProtocol.Udp, moreFragments: true, identification: -1 },
        (bytes, at) => put(bytes, at, UDP6.slice(40, 56)),
        fragment(17),
        44,
      ),
    ),
    v6(
      'last fragment',
      'ip',
      ipv6(
        { protocol: IpProtocol.Udp, fragmentOffset: 16, identification: -1 },
        (bytes, at) => put(bytes, at, UDP6.slice(56)),
        fragment(17),
        44,
      ),
    ),
  ]
}

/** All of them. */
export const samplePackets = (): SamplePacket[] => [...arpPackets(), ...ipv4Packets(), ...ipv6Packets()]

/** The packet in an Ethernet frame, padded, with so many VLAN tags (0 to 2) and, if asked, a frame check sequence. */
export const sampleFrame = (sample: SamplePacket, tags = 0, fcs = false): Uint8Array =>
  build((bytes) => {
    const header = Object.assign(new EthernetHeader(), {
      destination: sample.destinationMac,
      source: SAMPLE_MAC_A,
      etherType: sample.etherType,
      tags,
    })
    Object.assign(header.vlan, { id: 100, priority: 5 })
    Object.assign(header.outerVlan, { id: 7, protocol: EtherType.ServiceVlan, dropEligible: true })
    const length = emitEthernet(header, bytes, 0)
    const end = padEthernet(bytes, 0, length + put(bytes, length, sample.packet))
    return fcs ? emitFcs(bytes, 0, end) : end
  })

/** Bytes of Ethernet header in a frame of `sampleFrame`. */
export const sampleHeaderLength = (tags: number): number => ETHERNET_HEADER + tags * 4
