/** A packet for `pcapFile`: the bytes kept, and how many there were unless that is all. */
export interface FilePacket {
  readonly data: Uint8Array
  readonly length?: number
}

const HEADER = 24
const RECORD = 16
/** 2026-09-21 14:13:20 UTC, and the time between packets: microseconds. */
const START = 1_790_000_000_000_000
const STEP = 1_234_567

/** A capture file of tcpdump's own format, of one link type, with a packet every 1.234567 s. */
export const pcapFile = (linkType: number, packets: readonly FilePacket[]): Uint8Array => {
  const size = packets.reduce((sum, { data }) => sum + RECORD + data.length, HEADER)
  const file = new Uint8Array(size)
  const view = new DataView(file.buffer)
  view.setUint32(0, 0xa1b2_c3d4, true)
  view.setUint16(4, 2, true)
  view.setUint16(6, 4, true)
  view.setUint32(16, 262_144, true)
  view.setUint32(20, linkType, true)
  let at = HEADER
  for (const [i, { data, length }] of packets.entries()) {
    const time = START + i * STEP
    view.setUint32(at, Math.floor(time / 1e6), true)
    view.setUint32(at + 4, time % 1e6, true)
    view.setUint32(at + 8, data.length, true)
    view.setUint32(at + 12, length ?? data.length, true)
    file.set(data, at + RECORD)
    at += RECORD + data.length
  }
  return file
}
