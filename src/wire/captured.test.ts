import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { type Bytes, bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { emitArp } from './arp.ts'
import { DecodedFrame, decodeFrame } from './decode.ts'
import { dropName } from './drop.ts'
import { emitEthernet } from './ethernet.ts'
import { emitIcmp, IcmpType, IcmpUnreachable } from './icmp.ts'
import { emitIcmpv6, Icmpv6Type, Icmpv6Unreachable } from './icmpv6.ts'
import { emitIgmpReport, IgmpRecord, readIgmpRecord } from './igmp.ts'
import { IpProtocol } from './ip.ts'
import { emitIpv4 } from './ipv4.ts'
import { parseIpv4OptionList } from './ipv4-options.ts'
import { emitIpv6, emitIpv6RouterAlert } from './ipv6.ts'
import { emitMldReport, MldRecord, type MldRecordContent, readMldRecord } from './mld.ts'
import { emitNdp } from './ndp.ts'
import { emitTcp, TcpFlag } from './tcp.ts'
import { fillTransportChecksum } from './transport.ts'
import { emitUdp } from './udp.ts'

/**
 * Frames that Linux 6.18 sent between two network namespaces, caught with dumpcap: ping (also -R and -T tsandaddr), UDP
 * to a closed port, IP_ADD_MEMBERSHIP, a TCP connection, and what IPv6 does by itself when a link comes up.
 */
const FRAMES = {
  arpRequest: 'ffffffffffff02000000000a0806000108000604000102000000000a0a0900010000000000000a090002',
  arpReply: '02000000000a02000000000b0806000108000604000202000000000b0a09000202000000000a0a090001',
  ping:
    '02000000000b02000000000a08004500002d080a400040011eb20a0900010a0900020800b7b431df00011d6a016b00000000' +
    'dc9503000000000010',
  recordRoute:
    '02000000000a02000000000b08004f00007c03060000400122220a0900020a0900010727100a0900010a0900020a09000200' +
    '0000000000000000000000000000000000000000000000000000aad131e000011d6a016b0000000042a50300000000001011' +
    '12131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637',
  timestamps:
    '02000000000a02000000000b08004e000078030800004001960e0a0900020a09000144241d010a090001021f6a3d0a090002' +
    '021f6a3d0a090002021f6a3d0000000000000000000019b431e200011d6a016b00000000d3c0030000000000101112131415' +
    '161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637',
  udp: '02000000000b02000000000a08004500001fa47d40004011823c0a0900010a09000280160009000b792a78797a',
  unreachable:
    '02000000000a02000000000b080045c0003b039e0000400162500a0900020a0900010303112e000000004500001fa47d4000' +
    '4011823c0a0900010a09000280160009000b792a78797a',
  igmp:
    '01005e00001602000000000b080046c00028000040000102f9ee0a090002e0000016940400002200e8f90000000104000000' + 'ef010203',
  syn:
    '02000000000b02000000000a08004500003c9bd9400040068ace0a0900010a09000294621e614634237800000000a002faf0' +
    '35700000020405b40402080ae498027f000000000103030a',
  data:
    '02000000000b02000000000a0800450000379bdc400040068ad00a0900010a09000294621e61463423799739771c8018003f' +
    'f4ec00000101080ae498027fc943cdec616263',
  syn6:
    '02000000000b02000000000a86dd600943cc00280640fd090000000000000000000000000001fd0900000000000000000000' +
    '00000002eba21e61b2f0408500000000a002fd20014b0000020405a00402080aa734aae0000000000103030a',
  solicitation:
    '3333ff00000b02000000000b86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001' +
    'ff00000b8700798500000000fe80000000000000000000fffe00000b0e01e02314af00b0',
  routerSolicitation:
    '33330000000202000000000b86dd6000000000103afffe80000000000000000000fffe00000bff0200000000000000000000' +
    '0000000285007b1800000000010102000000000b',
  advertisement:
    '02000000000a02000000000b86dd6000000000203afffd090000000000000000000000000002fd0900000000000000000000' +
    '0000000188001c7660000000fd090000000000000000000000000002020102000000000b',
  mld:
    '33330000001602000000000a86dd600000000038000100000000000000000000000000000000ff0200000000000000000000' +
    '000000163a000502000001008f006d650000000204000000ff0200000000000000000001ff00000a04000000ff0200000000' +
    '000000000001ff000001',
  unreachable6:
    '02000000000a02000000000b86dd600c31a9003b3a40fd090000000000000000000000000002fd0900000000000000000000' +
    '000000010104068c0000000060008cb4000b1140fd090000000000000000000000000001fd09000000000000000000000000' +
    '0002dfae0009000b339078797a',
}

type Name = keyof typeof FRAMES

const decode = (name: Name): { frame: DecodedFrame; bytes: Bytes; reason: string } => {
  const u8 = hex(FRAMES[name])
  const frame = new DecodedFrame()
  const bytes = bytesOf(u8)
  return { frame, bytes, reason: dropName(decodeFrame(frame, bytes, 0, u8.length, 'ethernet')) }
}

test.each(Object.keys(FRAMES) as Name[])('%s: nothing to drop', (name) => {
  expect(decode(name).reason).toBe('none')
})

describe('what they say', () => {
  test('ARP', () => {
    const { arp, ethernet } = decode('arpRequest').frame
    expect([ethernet.destination, arp.operation, arp.targetIp]).toEqual([0xffff_ffff_ffff, 1, ip('10.9.0.2').w3])
    expect(decode('arpReply').frame.arp).toMatchObject({ operation: 2, senderMac: 0x0200_0000_000b })
  })

  test('ICMP', () => {
    expect(decode('ping').frame.icmp).toMatchObject({ type: 8, code: 0, identifier: 0x31df, sequence: 1 })
    const { frame } = decode('unreachable')
    expect(frame.icmp).toMatchObject({ type: IcmpType.DestinationUnreachable, code: IcmpUnreachable.Port })
    expect(frame.ip).toMatchObject({ trafficClass: 0xc0, hopLimit: 64 })
    const six = decode('unreachable6').frame
    expect(six.icmpv6).toMatchObject({ type: Icmpv6Type.DestinationUnreachable, code: Icmpv6Unreachable.Port })
    expect(six.ip.flowLabel).toBe(0xc31a9)
  })

  test('options of IPv4', () => {
    const list = (name: Name): unknown => {
      const { frame, bytes } = decode(name)
      return parseIpv4OptionList(bytes.u8.slice(frame.ip.optionsStart, frame.ip.payloadStart))
    }
    const [a, b, zero] = ['10.9.0.1', '10.9.0.2', '0.0.0.0'].map(ip)
    expect(list('recordRoute')).toEqual([
      { name: 'recordRoute', pointer: 16, addresses: [a, b, b, zero, zero, zero, zero, zero, zero] },
      { name: 'eol', padding: new Uint8Array(0) },
    ])
    const time = 0x021f_6a3d
    const slots = [a!.w3, time, b!.w3, time, b!.w3, time, 0, 0]
    expect(list('timestamps')).toEqual([{ name: 'timestamp', pointer: 29, overflow: 0, flag: 1, slots }])
    expect(decode('igmp').frame.ipv4Options).toMatchObject({ routerAlert: true })
  })

  test('TCP', () => {
    expect(decode('syn').frame.tcp).toMatchObject({
      flags: TcpFlag.Syn,
      mss: 1460,
      sackPermitted: true,
      hasTimestamps: true,
      windowScale: 10,
    })
    expect(decode('syn6').frame.tcp).toMatchObject({ mss: 1440, destinationPort: 7777 })
    const { frame, bytes } = decode('data')
    expect(String.fromCharCode(...bytes.u8.slice(frame.payloadStart, frame.payloadEnd))).toBe('abc')
  })

  test('groups', () => {
    const { frame, bytes } = decode('igmp')
    const record = new IgmpRecord()
    readIgmpRecord(record, bytes, frame.igmp.recordsAt)
    expect([frame.igmp.version, frame.igmp.recordCount, record.type, record.group]).toEqual([
      3,
      1,
      4,
      ip('239.1.2.3').w3,
    ])
    const mld = decode('mld')
    const groups: string[] = []
    const mldRecord = new MldRecord()
    let at = mld.frame.mld.recordsAt
    for (let i = 0; i < mld.frame.mld.recordCount; i++) {
      at = readMldRecord(mldRecord, mld.bytes, at)
      groups.push(mldRecord.group.toString())
    }
    expect(groups).toEqual(['ff02::1:ff00:a', 'ff02::1:ff00:1'])
    expect(mld.frame.ipv6Chain.routerAlert).toBe(0)
  })

  test('neighbour discovery', () => {
    const { ndp } = decode('solicitation').frame
    expect([ndp.target.toString(), ndp.nonce]).toEqual(['fe80::ff:fe00:b', 0xe023_14af_00b0])
    expect(decode('routerSolicitation').frame.ndp.sourceMac).toBe(0x0200_0000_000b)
    expect(decode('advertisement').frame.ndp).toMatchObject({ isRouter: false, isSolicited: true, isOverride: true })
  })
})

/** Writes the transport header of `frame` anew over the payload, which stays in its place. */
const emitTransport = (frame: DecodedFrame, bytes: Bytes, source: Bytes): void => {
  const { ip: header, layer } = frame
  const { payloadStart: start, payloadEnd: end } = header
  if (layer === 'tcp') {
    frame.tcp.checksum = 0
    emitTcp(frame.tcp, bytes, start)
    fillTransportChecksum(header, IpProtocol.Tcp, bytes, start, end)
  } else if (layer === 'udp') {
    emitUdp(frame.udp, bytes, start)
    fillTransportChecksum(header, IpProtocol.Udp, bytes, start, end)
  } else if (layer === 'icmp') emitIcmp(frame.icmp, bytes, start, end)
  else if (layer === 'icmpv6') emitIcmpv6(frame.icmpv6, header, bytes, start, end)
  else if (layer === 'ndp') expect(emitNdp(frame.ndp, header, bytes, start)).toBe(end - start)
  else if (layer === 'igmp') {
    const record = new IgmpRecord()
    readIgmpRecord(record, source, frame.igmp.recordsAt)
    expect(emitIgmpReport([{ type: record.type, group: record.group, sources: [] }], bytes, start)).toBe(end - start)
  } else {
    const records: MldRecordContent[] = []
    const record = new MldRecord()
    let at = frame.mld.recordsAt
    for (let i = 0; i < frame.mld.recordCount; i++) {
      at = readMldRecord(record, source, at)
      records.push({ type: record.type, group: record.group, sources: [] })
    }
    expect(emitMldReport(records, header, bytes, start)).toBe(end - start)
  }
}

test.each(Object.keys(FRAMES) as Name[])('%s: emitted from what was parsed, it is the same to the last bit', (name) => {
  const { frame, bytes: source } = decode(name)
  const length = hex(FRAMES[name]).length
  // Only what is payload or options is there before; all headers come from the parsed values.
  const bytes = bytesOf(new Uint8Array(length))
  bytes.u8.set(source.u8.subarray(frame.payloadStart, length), frame.payloadStart)
  const at = emitEthernet(frame.ethernet, bytes, 0)
  if (frame.layer === 'arp') emitArp(frame.arp, bytes, at)
  else {
    const { ip: header } = frame
    emitTransport(frame, bytes, source)
    if (header.version === 4) {
      bytes.u8.set(source.u8.subarray(header.optionsStart, header.payloadStart), header.optionsStart)
      emitIpv4(header, bytes, at, header.payloadLength)
    } else {
      const hasAlert = header.headerLength > 40
      if (hasAlert) emitIpv6RouterAlert(bytes, at + 40, header.protocol, frame.ipv6Chain.routerAlert)
      emitIpv6(header, bytes, at, header.headerLength - 40 + header.payloadLength, hasAlert ? 0 : header.protocol)
    }
  }
  expect(toHex(bytes.u8.slice(0, length))).toBe(FRAMES[name])
})
