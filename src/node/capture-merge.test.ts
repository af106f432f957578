import { expect, it } from 'vitest'
import { readCapture } from '../link/pcap.ts'
import { LinkType, PcapngWriter } from '../link/pcapng.ts'
import { CaptureMerger } from './capture-merge.ts'

/** A day in 2026, microseconds since 1970. */
const EPOCH = 1_790_000_000_000_000

/** A capture of one interface: each packet is one byte, at its time. */
const capture = (packets: readonly [time: number, byte: number][], isOver = false): Uint8Array => {
  const chunks: Uint8Array[] = []
  const writer = new PcapngWriter((chunk) => chunks.push(chunk), { epoch: EPOCH, application: 'test' })
  writer.addInterface({ name: 'ng0', linkType: LinkType.Raw })
  for (const [time, byte] of packets) writer.packet(0, time, new Uint8Array([byte]), 0, 1, 1, true, null)
  if (isOver) writer.statistics(0, { start: 0, end: 9, received: 1, dropped: 0, delivered: 1 })
  writer.flush()
  return new Uint8Array(Buffer.concat(chunks))
}

const HEADER = capture([]).length

it('puts packets in order of time, as soon as nothing can come before them', () => {
  const blocks: Uint8Array[] = []
  const merger = new CaptureMerger(2, (block) => blocks.push(block))
  const bytes = (): number[] => readCapture(new Uint8Array(Buffer.concat(blocks))).packets.map(({ data }) => data[0]!)
  merger.add(
    1,
    capture([
      [5, 1],
      [20, 2],
    ]),
    EPOCH + 21,
  )
  expect(blocks).toEqual([])
  merger.add(
    0,
    capture([
      [10, 3],
      [19, 4],
    ]),
    EPOCH + 20,
  )
  // A packet of 20 may still come from the first.
  expect(bytes()).toEqual([1, 3, 4])
  merger.add(0, capture([]).subarray(HEADER), EPOCH + 30)
  expect(bytes()).toEqual([1, 3, 4, 2])
  merger.add(1, capture([[21, 5]]).subarray(HEADER), EPOCH + 25)
  expect(bytes()).toEqual([1, 3, 4, 2, 5])
  merger.add(1, capture([[40, 6]], true).subarray(HEADER), Number.POSITIVE_INFINITY)
  merger.add(
    0,
    capture(
      [
        [39, 7],
        [41, 8],
      ],
      true,
    ).subarray(HEADER),
    Number.POSITIVE_INFINITY,
  )
  expect(bytes()).toEqual([1, 3, 4, 2, 5, 7, 6, 8])
  const { interfaces, packets } = readCapture(new Uint8Array(Buffer.concat(blocks)))
  expect(interfaces.map(({ name }) => name)).toEqual(['ng0'])
  expect(packets[0]!.timeNs).toBe(BigInt(EPOCH + 5) * 1000n)
})
