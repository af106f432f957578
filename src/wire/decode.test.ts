import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type SamplePacket, sampleFrame, sampleHeaderLength, samplePackets } from '../../test/support/sample-frames.ts'
import { type Bytes, bytesOf } from '../core/memory.ts'
import { DecodedFrame, decodeFrame } from './decode.ts'
import { type DropName, dropName } from './drop.ts'
import { emitFcs } from './ethernet.ts'
import { setIpv4Checksum } from './ipv4.ts'
import { fillTransportChecksum, transportChecksumOffset } from './transport.ts'

const SAMPLES = samplePackets()
const IP_SAMPLES = SAMPLES.filter((sample) => sample.layer !== 'arp')
const named = SAMPLES.map((sample) => [sample.name, sample] as const)
const namedIp = IP_SAMPLES.map((sample) => [sample.name, sample] as const)

type Medium = 'ethernet' | 'ip'

/** Decodes the first `length` bytes of a copy of `frame` that is followed by nothing: reading on would throw. */
const decode = (frame: Uint8Array, medium: Medium, fcs = false, into = new DecodedFrame()): DropName => {
  const reason = dropName(decodeFrame(into, bytesOf(frame), 0, frame.length, medium, fcs))
  expect(reason, 'a reason has a name').toBeTypeOf('string')
  return reason
}

const flip = (frame: Uint8Array, bit: number): Uint8Array => {
  const copy = frame.slice()
  copy[bit >>> 3]! ^= 0x80 >>> (bit & 7)
  return copy
}

test('there is a sample of every kind', () => {
  expect(new Set(SAMPLES.map((sample) => sample.name)).size).toBe(SAMPLES.length)
  expect(new Set(SAMPLES.map((sample) => sample.layer))).toEqual(
    new Set(['arp', 'ip', 'tcp', 'udp', 'icmp', 'icmpv6', 'ndp', 'igmp', 'mld']),
  )
})

describe('valid frames', () => {
  test.each(named)('%s decodes behind every link header, at every offset', (_name, sample) => {
    const into = new DecodedFrame()
    for (const tags of [0, 1, 2]) {
      for (const fcs of [false, true]) {
        const frame = sampleFrame(sample, tags, fcs)
        for (let offset = 0; offset < 4; offset++) {
          const bytes = bytesOf(Uint8Array.from([...new Uint8Array(offset), ...frame]))
          expect(dropName(decodeFrame(into, bytes, offset, offset + frame.length, 'ethernet', fcs))).toBe('none')
          expect([into.layer, into.etherType, into.ethernet.tags]).toEqual([sample.layer, sample.etherType, tags])
          expect(into.networkAt).toBe(offset + sampleHeaderLength(tags))
        }
      }
    }
  })

  test.each(namedIp)('%s decodes without a link header', (_name, sample) => {
    const into = new DecodedFrame()
    expect(decode(sample.packet, 'ip', false, into)).toBe('none')
    expect([into.layer, into.etherType, into.ip.payloadEnd]).toEqual([
      sample.layer,
      sample.etherType,
      sample.packet.length,
    ])
  })
})

describe('truncation', () => {
  test.each(named)('%s: every shorter frame has a reason', (_name, sample) => {
    const header = sampleHeaderLength(2)
    const frame = sampleFrame(sample, 2)
    const shifted = bytesOf(Uint8Array.from([...new Uint8Array(50), ...frame]))
    for (let n = 0; n < header + sample.packet.length; n++) {
      const reason = decode(frame.slice(0, n), 'ethernet')
      expect(dropName(decodeFrame(new DecodedFrame(), shifted, 50, 50 + n, 'ethernet'))).toBe(reason)
      expect(reason, `${n} bytes`).toMatch(n < header ? /^eth-truncated$/ : /^(arp|ipv4|ipv6)-truncated$/)
    }
    const whole = sampleFrame(sample, 1, true)
    for (let n = 0; n < whole.length; n++) {
      expect(decode(whole.slice(0, n), 'ethernet', true), `${n} bytes`).toBe(n < 4 ? 'eth-truncated' : 'eth-fcs')
    }
  })

  /** The IP packet cut to `n` bytes, its own length made to agree. */
  const shorten = (packet: Uint8Array, n: number): Uint8Array => {
    const bytes = bytesOf(packet.slice(0, n))
    if (packet[0]! >>> 4 === 4) {
      bytes.view.setUint16(2, n)
      setIpv4Checksum(bytes, 0, (packet[0]! & 0xf) * 4)
    } else bytes.view.setUint16(4, n - 40)
    return bytes.u8.slice(0, n)
  }

  const covered = IP_SAMPLES.filter(({ layer, name }) => layer !== 'ip' && !name.includes('without checksum'))

  test.each(covered.map((sample) => [sample.name, sample] as const))(
    '%s: every shorter payload has a reason though IP agrees with it',
    (_name, { packet }) => {
      const least = packet[0]! >>> 4 === 4 ? (packet[0]! & 0xf) * 4 : 40
      for (let n = least; n < packet.length; n++) {
        expect(decode(shorten(packet, n), 'ip'), `${n} bytes`).toMatch(/-(truncated|checksum|payload-length)$/)
      }
    },
  )
})

describe('single-bit corruption', () => {
  test.each(named)('%s: the frame check sequence finds every flipped bit', (_name, sample) => {
    const frame = sampleFrame(sample, 1, true)
    for (let bit = 0; bit < frame.length * 8; bit++) expect(decode(flip(frame, bit), 'ethernet', true)).toBe('eth-fcs')
  })

  /** Bits of a packet whose flipping leaves it valid. */
  const unnoticed = ({ packet }: SamplePacket): number[] =>
    Array.from({ length: packet.length * 8 }, (_, bit) => bit).filter(
      (bit) => decode(flip(packet, bit), 'ip') === 'none',
    )

  const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

  const covered = (sample: SamplePacket): boolean =>
    sample.layer !== 'ip' && !/without checksum|destination options|routing header|atomic/.test(sample.name)

  const v4 = IP_SAMPLES.filter((sample) => covered(sample) && sample.packet[0]! >>> 4 === 4)
  test.each(v4.map((sample) => [sample.name, sample] as const))(
    '%s: its own checksums find every flipped bit',
    (_name, sample) => {
      expect(unnoticed(sample)).toEqual([])
    },
  )

  /** Traffic class and flow label; no checksum covers them. */
  const CLASS_AND_LABEL = range(4, 32)
  const HOP_LIMIT = range(56, 64)

  const v6 = IP_SAMPLES.filter((sample) => covered(sample) && sample.packet[0]! >>> 4 === 6)
  test.each(v6.map((sample) => [sample.name, sample] as const))(
    '%s: only what no checksum covers goes unnoticed',
    (_name, sample) => {
      if (sample.layer === 'mld') {
        // The padding may become any option that can be skipped, but
        // for a router alert; in version 1 that one may, too.
        const padding = range(370, 376).filter((bit) => bit !== 373)
        const alert = sample.name.includes('MLDv1') ? [...range(338, 344), ...range(352, 368)] : []
        expect(unnoticed(sample)).toEqual([...CLASS_AND_LABEL, ...alert, ...padding])
        return
      }
      expect(unnoticed(sample)).toEqual(sample.layer === 'ndp' ? CLASS_AND_LABEL : [...CLASS_AND_LABEL, ...HOP_LIMIT])
    },
  )

  test.each(namedIp)('%s: any flipped bit gives a reason or a packet, never an exception', (_name, sample) => {
    expect(() => unnoticed(sample)).not.toThrow()
  })
})

describe('hostile bytes', () => {
  /** Decodes `frame` with different bytes behind it: they must make no difference. */
  const decodeGuarded = (frame: Uint8Array, medium: Medium): void => {
    const results = [0x00, 0xff].map((fill) => {
      const bytes = bytesOf(new Uint8Array(frame.length + 128).fill(fill))
      bytes.u8.set(frame)
      const into = new DecodedFrame()
      const reason = dropName(decodeFrame(into, bytes, 0, frame.length, medium))
      return { reason, into: JSON.stringify(into) }
    })
    expect(results[0]).toEqual(results[1])
    expect(results[0]!.reason).toBe(decode(frame, medium))
    // Nor must it make one where the frame lies.
    const shifted = bytesOf(Uint8Array.from([...new Uint8Array(61).fill(0x45), ...frame]))
    const reason = decodeFrame(new DecodedFrame(), shifted, 61, 61 + frame.length, medium)
    expect(dropName(reason)).toBe(results[0]!.reason)
  }

  test('random bytes', () => {
    const medium = fc.constantFrom<Medium>('ethernet', 'ip')
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), medium, decodeGuarded), { numRuns: 2000 })
  })

  /** Makes all checksums of a damaged packet right again, as an attacker would. */
  const repair = (packet: Uint8Array): Uint8Array => {
    const bytes: Bytes = bytesOf(packet)
    const into = new DecodedFrame()
    if (packet[0]! >>> 4 === 4) {
      const headerLength = (packet[0]! & 0xf) * 4
      if (headerLength >= 20 && headerLength <= packet.length) setIpv4Checksum(bytes, 0, headerLength)
    }
    decodeFrame(into, bytes, 0, packet.length, 'ip')
    const { ip } = into
    const at = transportChecksumOffset(ip.version, ip.protocol)
    if (into.layer !== 'none' && at >= 0 && ip.payloadStart + at + 2 <= ip.payloadEnd) {
      fillTransportChecksum(ip, ip.protocol, bytes, ip.payloadStart, ip.payloadEnd)
    }
    return bytes.u8.slice(0, packet.length)
  }

  test('valid packets with any one byte changed and every checksum repaired', () => {
    const reasons = new Set<DropName>()
    for (const { packet } of IP_SAMPLES) {
      for (let at = 0; at < packet.length; at++) {
        for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
          const damaged = packet.slice()
          damaged[at] = value
          reasons.add(decode(repair(damaged), 'ip'))
        }
      }
    }
    // The damage got past IP, and behind it to the parsers of options and lists.
    for (const reason of ['none', 'ipv4-options', 'tcp-header-length', 'udp-length', 'igmp-truncated', 'ndp-option']) {
      expect(reasons).toContain(reason)
    }
  })

  test('valid packets cut anywhere, with some bytes changed, and every checksum repaired', () => {
    const change = fc.tuple(fc.nat(255), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)))
    fc.assert(
      fc.property(
        fc.constantFrom(...IP_SAMPLES),
        fc.array(change, { maxLength: 4 }),
        fc.option(fc.nat(255)),
        ({ packet }, changes, length) => {
          const damaged = packet.slice(0, length === null ? packet.length : Math.max(1, length % packet.length))
          for (const [at, value] of changes) damaged[at % damaged.length] = value
          const repaired = repair(damaged)
          decodeGuarded(repaired, 'ip')
          decodeGuarded(repaired.slice(0, -1), 'ip')
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('reasons', () => {
  const udp = SAMPLES.find((sample) => sample.name === 'IPv4 UDP')!
  const changed = (packet: Uint8Array, change: (u8: Uint8Array) => void): DropName => {
    const copy = packet.slice()
    change(copy)
    return decode(copy, 'ip')
  }

  test('the link', () => {
    expect(decode(new Uint8Array(0), 'ethernet')).toBe('eth-truncated')
    expect(decode(new Uint8Array(0), 'ip')).toBe('ip-version')
    expect(decode(Uint8Array.of(0x50), 'ip')).toBe('ip-version')
    expect(dropName(decodeFrame(new DecodedFrame(), bytesOf(udp.packet), 0, 0, 'ip'))).toBe('ip-version')
    const frame = sampleFrame({ ...udp, etherType: 0x8906 })
    expect(decode(frame, 'ethernet')).toBe('eth-unknown-type')
    const bytes = bytesOf(Uint8Array.from([...frame, 0, 0, 0, 0]))
    emitFcs(bytes, 0, frame.length)
    const into = new DecodedFrame()
    expect(dropName(decodeFrame(into, bytes, 0, frame.length + 4, 'ethernet', true))).toBe('eth-unknown-type')
    expect([into.layer, into.payloadStart, into.payloadEnd]).toEqual(['ethernet', 14, frame.length])
  })

  test('EtherType and version must agree', () => {
    expect(decode(sampleFrame({ ...udp, etherType: 0x86dd }), 'ethernet')).toBe('ipv6-version')
    const udp6 = SAMPLES.find((sample) => sample.name === 'IPv6 UDP')!
    expect(decode(sampleFrame({ ...udp6, etherType: 0x800 }), 'ethernet')).toBe('ipv4-version')
  })

  test('a protocol of the other family is unknown', () => {
    const packet = (protocol: number): DropName => {
      const bytes = bytesOf(udp.packet)
      bytes.u8[9] = protocol
      setIpv4Checksum(bytes, 0, 20)
      return decode(bytes.u8.slice(0, udp.packet.length), 'ip')
    }
    expect(packet(58)).toBe('ip-unknown-protocol')
    expect(packet(132)).toBe('ip-unknown-protocol')
    const udp6 = SAMPLES.find((sample) => sample.name === 'IPv6 UDP')!.packet
    for (const protocol of [1, 2, 132]) {
      expect(changed(udp6, (u8) => u8.fill(protocol, 6, 7))).toBe('ip-unknown-protocol')
    }
    expect(changed(udp6, (u8) => u8.fill(59, 6, 7))).toBe('ipv6-no-next-header')
  })

  test('what lies behind the innermost header', () => {
    const into = new DecodedFrame()
    decode(sampleFrame(udp), 'ethernet', false, into)
    expect([into.payloadStart, into.payloadEnd]).toEqual([14 + 28, 14 + 28 + 19])
    decode(sampleFrame(SAMPLES.find((sample) => sample.name === 'IPv4 TCP data')!), 'ethernet', false, into)
    expect([into.payloadStart, into.payloadEnd]).toEqual([14 + 20 + 32, 14 + 20 + 32 + 19])
  })
})
