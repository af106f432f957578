import { describe, expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { LinkType, type PcapngOptions, PcapngWriter } from './pcapng.ts'

/** What `write` makes a writer give its sink, in one piece. */
const written = (options: PcapngOptions, write: (writer: PcapngWriter) => void): Uint8Array => {
  const chunks: Uint8Array[] = []
  const writer = new PcapngWriter((chunk) => chunks.push(chunk), options)
  write(writer)
  writer.flush()
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
}

const hex = (text: string): number[] => (text.match(/[0-9a-f]{2}/g) ?? []).map((byte) => Number.parseInt(byte, 16))

/** The section header of a writer without options of its own. */
const BARE_SECTION = hex('0a0d0d0a 20000000 4d3c2b1a 0100 0000 ffffffffffffffff 00000000 20000000')

/** The blocks behind the bare section header. */
const behind = (write: (writer: PcapngWriter) => void, options: Partial<PcapngOptions> = {}): number[] => {
  const bytes = [...written({ epoch: 0, ...options }, write)]
  expect(bytes.slice(0, 32)).toEqual(BARE_SECTION)
  return bytes.slice(32)
}

const INTERFACE = { name: 'e', linkType: LinkType.Ethernet }
const INTERFACE_BYTES = 40

describe('PcapngWriter, byte for byte', () => {
  test('section header', () => {
    const bytes = written({ epoch: 0, hardware: 'h', os: 'Linux', application: 'net' }, () => {})
    expect([...bytes]).toEqual(
      hex(`
        0a0d0d0a 3c000000 4d3c2b1a 0100 0000 ffffffff ffffffff
        0200 0100 68000000  0300 0500 4c696e75 78000000  0400 0300 6e657400
        00000000 3c000000`),
    )
  })

  test('interface description', () => {
    const description = { name: 'eth0', description: 'host a', linkType: LinkType.Raw, snaplen: 0x1234 }
    const bytes = behind((w) => {
      expect(w.addInterface({ ...description, mac: 0x0200_0000_00ab, speed: 10e9 })).toBe(0)
      expect(w.addInterface(INTERFACE)).toBe(1)
    })
    expect(bytes).toEqual(
      hex(`
        01000000 4c000000 6500 0000 34120000
        0200 0400 65746830  0300 0600 686f7374 20610000  0600 0600 02000000 00ab0000
        0800 0800 00e40b54 02000000  0900 0100 09000000
        00000000 4c000000
        01000000 28000000 0100 0000 00000000
        0200 0100 65000000  0900 0100 09000000
        00000000 28000000`),
    )
  })

  test('enhanced packet: captured, original, direction, comment', () => {
    const source = Uint8Array.from([9, 9, 1, 2, 3, 4, 5, 9])
    const bytes = behind((w) => {
      w.addInterface(INTERFACE)
      w.packet(0, 1.5, source, 2, 5, 60, true, 'né')
      w.packet(0, 2, source, 2, 4, 4, false, null)
    })
    expect(bytes.slice(INTERFACE_BYTES)).toEqual(
      hex(`
        06000000 3c000000 00000000 00000000 dc050000 05000000 3c000000
        01020304 05000000  0200 0400 02000000  0100 0300 6ec3a900
        00000000 3c000000
        06000000 30000000 00000000 00000000 d0070000 04000000 04000000
        01020304  0200 0400 01000000
        00000000 30000000`),
    )
  })

  test('the bytes of a packet can be changed where `packet` says they are', () => {
    const bytes = behind((w) => {
      w.addInterface(INTERFACE)
      const at = w.packet(0, 0, Uint8Array.from([1, 2, 3, 4]), 0, 4, 4, false, null)
      w.bytes.u8[at + 1] = 0xee
    })
    expect(bytes.slice(INTERFACE_BYTES + 28, INTERFACE_BYTES + 32)).toEqual([1, 0xee, 3, 4])
  })

  test('name resolution', () => {
    const bytes = behind((w) =>
      w.names([
        [ip('10.0.0.1'), 'a'],
        [ip('2001:db8::2'), 'bob'],
      ]),
    )
    expect(bytes).toEqual(
      hex(`
        04000000 34000000
        0100 0600 0a000001 61000000
        0200 1400 20010db8 00000000 00000000 00000002 626f6200
        00000000 34000000`),
    )
  })

  test('interface statistics', () => {
    const counts = { start: 1, end: 2.25, received: 0x1_0000_0007, dropped: 3, delivered: 4 }
    const bytes = behind((w) => {
      w.addInterface(INTERFACE)
      w.statistics(0, counts)
    })
    expect(bytes.slice(INTERFACE_BYTES)).toEqual(
      hex(`
        05000000 58000000 00000000 00000000 ca080000
        0200 0800 00000000 e8030000  0300 0800 00000000 ca080000
        0400 0800 07000000 01000000  0500 0800 03000000 00000000  0800 0800 04000000 00000000
        00000000 58000000`),
    )
  })
})

describe('times', () => {
  /** The time of a packet, in the file's unit. */
  const stamp = (epoch: number, time: number, resolution: 'ns' | 'us'): bigint => {
    const bytes = behind(
      (w) => {
        w.addInterface(INTERFACE)
        w.packet(0, time, new Uint8Array(0), 0, 0, 0, false, null)
      },
      { epoch, resolution },
    )
    expect(bytes[28]).toBe(resolution === 'ns' ? 9 : 6)
    const view = new DataView(Uint8Array.from(bytes).buffer)
    return (
      (BigInt(view.getUint32(INTERFACE_BYTES + 12, true)) << 32n) + BigInt(view.getUint32(INTERFACE_BYTES + 16, true))
    )
  }
  const EPOCH = 1_767_225_600_000_000

  test.each<[number, number, bigint, bigint]>([
    [0, 0, 0n, 0n],
    [EPOCH, 0, 1_767_225_600_000_000_000n, 1_767_225_600_000_000n],
    [EPOCH, 1.001, 1_767_225_600_000_001_001n, 1_767_225_600_000_001n],
    [EPOCH, 1230.4, 1_767_225_600_001_230_400n, 1_767_225_600_001_230n],
    [EPOCH + 0.25, 0.75, 1_767_225_600_000_001_000n, 1_767_225_600_000_001n],
    [EPOCH, 999_999.9999, 1_767_225_601_000_000_000n, 1_767_225_601_000_000n],
    [4_294_967_295, 1, 4_294_967_296_000n, 4_294_967_296n],
    [4_294_967_294, 1, 4_294_967_295_000n, 4_294_967_295n],
  ])('epoch %f + %f µs, to the nanosecond', (epoch, time, ns, us) => {
    expect(stamp(epoch, time, 'ns')).toBe(ns)
    expect(stamp(epoch, time, 'us')).toBe(us)
  })
})

describe('chunks', () => {
  test('are the sink’s to keep, end between blocks and add up', () => {
    const chunks: Uint8Array[] = []
    const copies: number[][] = []
    const writer = new PcapngWriter(
      (chunk) => {
        chunks.push(chunk)
        copies.push([...chunk])
      },
      { epoch: 0 },
    )
    writer.addInterface(INTERFACE)
    const data = new Uint8Array(1500).fill(0x5a)
    for (let i = 0; i < 200; i++) writer.packet(0, i, data, 0, 1500, 1500, false, null)
    writer.flush()
    writer.flush()
    expect(chunks.map((chunk) => [...chunk])).toEqual(copies)
    expect(chunks.length).toBe(5)
    expect(chunks.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(32 + INTERFACE_BYTES + 200 * 1544)
    for (const chunk of chunks) {
      const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      let at = 0
      while (at < chunk.length) at += view.getUint32(at + 4, true)
      expect(at).toBe(chunk.length)
    }
  })

  test('a packet larger than a chunk goes in one', () => {
    const data = new Uint8Array(100_000).fill(7)
    const bytes = behind((w) => {
      w.addInterface(INTERFACE)
      w.packet(0, 0, data, 0, data.length, data.length, false, 'x')
    })
    expect(bytes.length).toBe(INTERFACE_BYTES + 100_000 + 52)
  })

  test('a text beyond what an option holds is cut between characters', () => {
    const bytes = behind((w) => {
      w.addInterface(INTERFACE)
      w.packet(0, 0, new Uint8Array(0), 0, 0, 0, false, 'é'.repeat(40_000))
    })
    const view = new DataView(Uint8Array.from(bytes).buffer)
    expect(view.getUint16(INTERFACE_BYTES + 28 + 10, true)).toBe(65_534)
    expect(bytes.length).toBe(INTERFACE_BYTES + 28 + 8 + 4 + 65_536 + 8)
  })
})
