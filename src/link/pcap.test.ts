import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { makeCapture, mutateCapture } from '../../test/support/capture-maker.ts'
import { SeededRandom } from '../core/random.ts'
import { ip } from '../wire/address.ts'
import { type CapturedPacket, type CaptureFile, CaptureReader, readCapture } from './pcap.ts'
import { LinkType, PcapngWriter } from './pcapng.ts'

const hex = (text: string): number[] => (text.match(/[0-9a-f]{2}/g) ?? []).map((byte) => Number.parseInt(byte, 16))
const read = (text: string) => readCapture(Uint8Array.from(hex(text)))

const PCAP_BIG = 'a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001'
const PCAP_LITTLE = 'd4c3b2a1 0200 0400 00000000 00000000 00000400 01000000'
const SECTION = '0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000'
const BIG_SECTION = '0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c'
const INTERFACE = '01000000 14000000 0100 0000 00000000 14000000'

describe('pcap', () => {
  test.each([
    ['big-endian', `${PCAP_BIG} 00000001 0000000f 00000003 00000040 0a0b0c`, 15_000n],
    ['little-endian', `${PCAP_LITTLE} 01000000 0f000000 03000000 40000000 0a0b0c`, 15_000n],
    ['big-endian, ns', `${PCAP_BIG.replace('a1b2c3d4', 'a1b23c4d')} 00000001 0000000f 00000003 00000040 0a0b0c`, 15n],
    [
      'little-endian, ns',
      `${PCAP_LITTLE.replace('d4c3b2a1', '4d3cb2a1')} 01000000 0f000000 03000000 40000000 0a0b0c`,
      15n,
    ],
  ])('%s', (_, file, ns) => {
    const capture = read(file)
    expect(capture).toMatchObject({ format: 'pcap', error: null, names: [], application: null })
    expect(capture.interfaces).toEqual([{ linkType: 1, snaplen: 0x4_0000, name: null, description: null }])
    expect(capture.packets).toEqual([
      {
        interface: 0,
        timeNs: 1_000_000_000n + ns,
        data: Uint8Array.from([10, 11, 12]),
        originalLength: 64,
        direction: null,
        comment: null,
      },
    ])
  })

  test.each([
    ['', 'not a capture file: it has fewer than 4 bytes'],
    [
      '47494638 39610000',
      "not a capture file: it begins with the bytes 47494638, which are neither pcap's nor pcapng's",
    ],
    ['1f8b0808 00000000', 'not a capture file of pcap or pcapng: it is compressed: gunzip it first'],
    [
      '736e6f6f 70000000',
      "not a capture file of pcap or pcapng: it is one of snoop: 'editcap -F pcapng' makes one of it that can be read",
    ],
    ['a1b2c3d4 0002', 'the file ends inside its header'],
    ['a1b2c3d4 0003 0000 00000000 00000000 00000000 00000001', 'pcap version 3 is not known, only 2'],
    [`${PCAP_BIG} 00000001`, 'the file ends inside packet 1, at byte 24'],
    [
      `${PCAP_BIG} 00000001 00000001 00000001 00000001 ff 00000001 00000001 00000002 00000001 ff`,
      'the file ends inside packet 2, at byte 41',
    ],
    [
      `${PCAP_BIG} 00000001 00000001 ffffffff 00000001 ff`,
      'packet 1, at byte 24, is said to have 4294967295 bytes: the file is damaged there',
    ],
  ])('%j is told in one line', (file, error) => {
    expect(read(file).error).toBe(error)
  })

  test('of version 2.3 and older, which had the two lengths the other way round', () => {
    const file = (minor: number, first: string, second: string) =>
      read(`a1b2c3d4 0002 000${minor} 00000000 00000000 00040000 00000001 00000001 0000000f ${first} ${second} 0a0b`)
    for (const capture of [
      file(2, '00000040', '00000002'),
      file(3, '00000040', '00000002'),
      file(3, '00000002', '00000040'),
      file(4, '00000002', '00000040'),
    ]) {
      expect(capture).toMatchObject({ error: null, packets: [{ originalLength: 64, data: Uint8Array.from([10, 11]) }] })
    }
  })

  test("Kuznetzov's variant, with more in front of each packet", () => {
    const packet = '01000000 0f000000 01000000 40000000 02000000 0008 00 00 aa'
    const capture = read(`${PCAP_LITTLE.replace('d4c3b2a1', '34cdb2a1')} ${packet} ${packet}`)
    expect(capture).toMatchObject({ error: null, interfaces: [{ linkType: 1 }] })
    expect(capture.packets.map(({ timeNs, data }) => [timeNs, [...data]])).toEqual(
      new Array(2).fill([1_000_015_000n, [0xaa]]),
    )
  })

  test('what came before the break is kept', () => {
    const packet = '00000001 00000001 00000001 00000001 ff'
    expect(read(`${PCAP_BIG} ${packet} ${packet} 0000`).packets.length).toBe(2)
  })
})

describe('pcapng', () => {
  test('reads what the writer writes', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            on: fc.integer({ min: 0, max: 1 }),
            time: fc.integer({ min: 0, max: 2 ** 40 }),
            nanoseconds: fc.integer({ min: 0, max: 999 }),
            data: fc.uint8Array({ maxLength: 200 }),
            beyond: fc.integer({ min: 0, max: 2000 }),
            outgoing: fc.boolean(),
            comment: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 })),
          }),
          { maxLength: 20 },
        ),
        fc.string({ unit: 'grapheme' }),
        (packets, name) => {
          const chunks: number[] = []
          const writer = new PcapngWriter((chunk) => chunks.push(...chunk), { epoch: 1_767_225_600_000_000, os: name })
          writer.addInterface({ name, linkType: LinkType.Ethernet, description: name })
          writer.addInterface({ name: 'tun', linkType: LinkType.Raw, snaplen: 99 })
          for (const p of packets) {
            const original = p.data.length + p.beyond
            writer.packet(
              p.on,
              p.time + p.nanoseconds / 1000,
              p.data,
              0,
              p.data.length,
              original,
              p.outgoing,
              p.comment,
            )
          }
          writer.statistics(0, { start: 0, end: 1, received: 2, dropped: 3, delivered: 4 })
          writer.flush()
          const file = readCapture(Uint8Array.from(chunks))
          expect(file).toMatchObject({ format: 'pcapng', error: null, os: name, application: null })
          expect(file.interfaces).toEqual([
            { linkType: 1, snaplen: 0, name, description: name },
            { linkType: 101, snaplen: 99, name: 'tun', description: null },
          ])
          expect(file.packets).toEqual(
            packets.map((p) => ({
              interface: p.on,
              timeNs: 1_767_225_600_000_000_000n + BigInt(p.time) * 1000n + BigInt(p.nanoseconds),
              data: p.data,
              originalLength: p.data.length + p.beyond,
              direction: p.outgoing ? 'out' : 'in',
              comment: p.comment,
            })),
          )
        },
      ),
      { numRuns: 100 },
    )
  })

  test('big-endian, microseconds unless told otherwise, all kinds of packet', () => {
    const file = read(`${BIG_SECTION}
      00000001 00000020 0065 0000 00000002  0002 0002 6c6f 0000  0000 0000 00000020
      00000006 00000034 00000000 00000000 0000000f 00000003 00000009 aabbcc00  0002 0004 00000002 0000 0000 00000000 00000034
      00000003 00000014 00000005 abcd 0000 00000014
      00000002 00000024 0000 0007 00000000 00000010 00000001 00000001 ee000000 00000024
      0000bad0 00000010 12345678 00000010`)
    expect(file.error).toBe(null)
    expect(file.interfaces).toEqual([{ linkType: 101, snaplen: 2, name: 'lo', description: null }])
    expect(
      file.packets.map(({ timeNs, data, originalLength, direction }) => [timeNs, [...data], originalLength, direction]),
    ).toEqual([
      [15_000n, [0xaa, 0xbb, 0xcc], 9, 'out'],
      [0n, [0xab, 0xcd], 5, null],
      [16_000n, [0xee], 1, null],
    ])
  })

  test.each([
    ['00', 1n, 1_000_000_000n],
    ['03', 1n, 1_000_000n],
    ['06', 7n, 7000n],
    ['09', 7n, 7n],
    ['0c', 7999n, 7n],
    ['81', 3n, 1_500_000_000n],
    ['94', 1n << 20n, 1_000_000_000n],
    ['ff', 5n, 0n],
  ])('a resolution of 0x%s', (resolution, units, ns) => {
    const word = Number(units).toString(16).padStart(8, '0')
    const file = read(`${BIG_SECTION}
      00000001 0000001c 0001 0000 00000000 0009 0001 ${resolution}000000 0000001c
      00000006 00000020 00000000 00000000 ${word} 00000000 00000000 00000020`)
    expect(file.error).toBe(null)
    expect(file.packets[0]!.timeNs).toBe(ns)
  })

  test('a time offset in seconds, which may be negative', () => {
    const file = read(`${BIG_SECTION}
      00000001 00000020 0001 0000 00000000 000e 0008 fffffffffffffffe 00000020
      00000006 00000020 00000000 00000000 002dc6c0 00000000 00000000 00000020`)
    expect(file.packets[0]!.timeNs).toBe(1_000_000_000n)
  })

  test('sections follow one another in either byte order, with interfaces of their own', () => {
    const file = read(`${SECTION} ${INTERFACE} ${BIG_SECTION}
      00000001 00000014 0065 0000 00000000 00000014
      00000006 00000020 00000000 00000000 00000001 00000000 00000000 00000020`)
    expect(file.error).toBe(null)
    expect(file.interfaces.map(({ linkType }) => linkType)).toEqual([1, 101])
    expect(file.packets[0]!.interface).toBe(1)
  })

  test('the header of a file is that of its first section', () => {
    const section = (name: string) => `0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff 0400 0100 ${name}000000
      0000 0000 28000000`
    expect(read(`${section('61')} ${section('62')}`)).toMatchObject({ application: 'a', error: null })
  })

  test('names: several of one address, and records of other kinds', () => {
    const file = read(`${SECTION} 04000000 3c000000
      0100 0800 0a000001 61006200  0700 0300 11223300  0200 1300 20010db8000000000000000000000001 636400 00
      0000 0000 3c000000`)
    expect(file.error).toBe(null)
    expect(file.names).toEqual([
      { address: ip('10.0.0.1'), names: ['a', 'b'] },
      { address: ip('2001:db8::1'), names: ['cd'] },
    ])
  })

  test.each([
    ['0a0d0d0a 1c000000', 'the file ends inside the block at byte 0'],
    ['0a0d0d0a 1c000000 00000000 0100 0000 ffffffffffffffff 1c000000', 'the section at byte 0 has no byte-order mark'],
    [
      '0a0d0d0a 1c000000 4d3c2b1a 0200 0000 ffffffffffffffff 1c000000',
      'the section at byte 0 has version 2, only 1 is known',
    ],
    ['0a0d0d0a 10000000 4d3c2b1a 10000000', 'the block at byte 0 is too short'],
    [`${SECTION} 06000000 08000000 08000000`, 'the block at byte 28 has the length 8'],
    [`${SECTION} 06000000 0d000000 00000000 0d000000`, 'the block at byte 28 has the length 13'],
    [
      `${SECTION} 06000000 fcffffff 00000000`,
      'the block at byte 28 is said to have 4294967292 bytes: the file is damaged there',
    ],
    [`${SECTION} 06000000 fcff0000 00000000`, 'the file ends inside the block at byte 28'],
    [`${SECTION} 01000000 14000000 0100 0000 00000000 18000000`, 'the block at byte 28 has the lengths 20 and 24'],
    [`${SECTION} 01000000 10000000 0100 0000 10000000`, 'the block at byte 28 is too short'],
    [
      `${SECTION} 01000000 18000000 0100 0000 00000000 0200 0500 18000000`,
      'the option at byte 44 is longer than its block',
    ],
    [
      `${SECTION} ${INTERFACE} 06000000 20000000 01000000 00000000 00000000 00000000 00000000 20000000`,
      'the packet at byte 48 is from interface 1, which is not described',
    ],
    [
      `${SECTION} ${INTERFACE} 06000000 20000000 00000000 00000000 00000000 ffffffff 00000000 20000000`,
      'the packet at byte 48 is longer than its block',
    ],
    [`${SECTION} 03000000 10000000 00000000 10000000`, 'the packet at byte 28 comes before any interface'],
    [`${SECTION} ${INTERFACE} 03000000 10000000 05000000 10000000`, 'the packet at byte 48 is longer than its block'],
    [`${SECTION} 04000000 14000000 0100 0500 0a000001 14000000`, 'the name at byte 36 is longer than its block'],
  ])('%j is told in one line', (file, error) => {
    expect(read(file).error).toBe(error)
  })

  test('no file, however broken, does more than that', () => {
    const chunks: number[] = []
    const writer = new PcapngWriter((chunk) => chunks.push(...chunk), { epoch: 0, application: 'x' })
    writer.addInterface({ name: 'e', linkType: LinkType.Ethernet })
    writer.packet(0, 1, new Uint8Array(10), 0, 10, 10, true, 'c')
    writer.names([[ip('10.0.0.1'), 'a']])
    writer.flush()
    const whole = Uint8Array.from(chunks)
    for (let length = 0; length < whole.length; length++) {
      const { error } = readCapture(whole.subarray(0, length))
      expect(error === null || /^[^\n]+$/.test(error)).toBe(true)
    }
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = whole.slice()
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      readCapture(bytes)
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(SECTION, BIG_SECTION, PCAP_BIG, PCAP_LITTLE),
        (junk, head) => {
          const { error } = readCapture(Uint8Array.from([...hex(head), ...junk]))
          expect(error === null || /^[^\n]+$/.test(error)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})

/** What comes of a file that is read in pieces. */
const readInPieces = (file: Uint8Array, random: SeededRandom): CaptureFile => {
  const packets: CapturedPacket[] = []
  const reader = new CaptureReader((packet) => packets.push({ ...packet, data: packet.data.slice() }))
  for (let at = 0; at < file.length; ) {
    const next = at + 1 + random.below(random.below(4) === 0 ? 200 : 20)
    // Whoever reads has one buffer, perhaps.
    reader.push(file.slice(at, next))
    at = next
  }
  reader.end()
  const { format, hardware, os, application, interfaces, names, error } = reader
  return { format, hardware, os, application, interfaces, packets, names, error }
}

describe('files of every make', () => {
  test('are read in any pieces as they are read whole, sound or damaged', () => {
    let damaged = 0
    for (let seed = 1; seed <= 1000; seed++) {
      const random = new SeededRandom(seed)
      const made = makeCapture(random)
      expect(readCapture(made.file)).toMatchObject({ format: made.format, error: null })
      const file = seed % 4 === 0 ? made.file : mutateCapture(random, made.file)
      const whole = readCapture(file)
      if (whole.error !== null) {
        expect(whole.error).toMatch(/^[^\n]+$/)
        damaged++
      }
      const { error, ...pieces } = readInPieces(file, random)
      expect(pieces).toEqual({ ...whole, error: undefined })
      expect(error).toBe(whole.error)
    }
    expect(damaged).toBeGreaterThan(200)
  })

  test('are copied to the nanosecond', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { interfaces, packets } = readCapture(makeCapture(new SeededRandom(seed)).file)
      const chunks: Uint8Array[] = []
      const writer = new PcapngWriter((chunk) => chunks.push(chunk), { epoch: 0 })
      for (const { linkType, snaplen } of interfaces) writer.addInterface({ name: '', linkType, snaplen })
      for (const packet of packets) writer.copy(packet.interface, packet)
      writer.flush()
      const copy = readCapture(Buffer.concat(chunks))
      expect(copy.error).toBe(null)
      expect(copy.packets.map(({ data, ...rest }) => [[...data], rest])).toEqual(
        packets.map(({ data, ...rest }) => [[...data], rest]),
      )
    }
  })
})
