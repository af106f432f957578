import type { Random } from '../../src/core/random.ts'

/**
 * Capture files of every make that a program may write, for tests that compare readers: sections, blocks and options.
 */

/** One file, and whether it is a pcap file. */
export interface MadeCapture {
  readonly file: Uint8Array
  readonly format: 'pcap' | 'pcapng'
}

/** Writes numbers in one of the byte orders. */
class Writer {
  readonly bytes: number[] = []
  readonly little: boolean

  constructor(little: boolean) {
    this.little = little
  }

  number(value: number | bigint, size: number): this {
    const all = Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn))
    this.bytes.push(...(this.little ? all : all.reverse()))
    return this
  }

  raw(bytes: ArrayLike<number>): this {
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i]!)
    while (this.bytes.length % 4 !== 0) this.bytes.push(0)
    return this
  }

  option(code: number, value: ArrayLike<number>): this {
    return this.number(code, 2).number(value.length, 2).raw(value)
  }

  block(type: number, body: Writer): this {
    const length = body.bytes.length + 12
    return this.number(type, 4).number(length, 4).raw(body.bytes).number(length, 4)
  }
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** A whole number from `low` to `high`. */
const between = (random: Random, low: number, high: number): number => low + random.below(high - low + 1)

const chance = (random: Random): boolean => (random.next32() & 1) === 1

const frame = (random: Random, length: number): Uint8Array => {
  const data = new Uint8Array(length)
  for (let i = 0; i < length; i++) data[i] = random.next32() & 0xff
  return data
}

/** A capture of up to 12 packets in one of the forms of pcap. */
const makePcap = (random: Random): Uint8Array => {
  const nanoseconds = chance(random)
  const out = new Writer(chance(random))
  out
    .number(nanoseconds ? 0xa1b2_3c4d : 0xa1b2_c3d4, 4)
    .number(2, 2)
    .number(4, 2)
  out.number(0, 8).number(262_144, 4).number(1, 4)
  const bytes = [...out.bytes]
  for (let i = between(random, 0, 12); i > 0; i--) {
    const data = frame(random, between(random, 0, 90))
    const record = new Writer(out.little)
    record.number(random.next32() & 0x7fff_ffff, 4).number(between(random, 0, nanoseconds ? 999_999_999 : 999_999), 4)
    record.number(data.length, 4).number(data.length + between(random, 0, 100), 4)
    bytes.push(...record.bytes, ...data)
  }
  return Uint8Array.from(bytes)
}

/** What one interface of a section counts time in, and keeps of a packet. */
interface MadeInterface {
  readonly snaplen: number
}

const makeInterface = (random: Random, out: Writer): MadeInterface => {
  const snaplen = chance(random) ? 0 : between(random, 40, 300)
  const body = new Writer(out.little).number(1, 2).number(0, 2).number(snaplen, 4)
  if (chance(random)) body.option(2, text('eth0'))
  if (chance(random)) body.option(9, [[0, 3, 6, 9, 0x80, 0x8a, 0x94][between(random, 0, 6)]!])
  if (chance(random)) body.option(14, new Writer(out.little).number(between(random, 0, 100_000), 8).bytes)
  if (chance(random)) body.option(1, text('a remark'))
  // Options may end without the mark of the end.
  if (chance(random)) body.number(0, 4)
  out.block(1, body)
  return { snaplen }
}

/** Blocks that hold no packet: names, statistics, secrets, and what nobody knows. */
const makeOther = (random: Random, out: Writer, interfaces: number): void => {
  const body = new Writer(out.little)
  switch (between(random, 0, 4)) {
    case 0:
      body.number(1, 2).number(8, 2).raw([10, 0, 0, 1, 97, 46, 98, 0]).number(0, 4)
      out.block(4, body)
      break
    case 1:
      body
        .number(between(random, 0, interfaces - 1), 4)
        .number(0, 8)
        .option(4, new Array(8).fill(1))
      out.block(5, body)
      break
    case 2: {
      const secrets = text('CLIENT_RANDOM 00 11\n')
      body.number(0x544c_534b, 4).number(secrets.length, 4).raw(secrets)
      out.block(10, body)
      break
    }
    case 3:
      out.block(0x8000_0001, body)
      break
    default:
      out.block(0x1234, body.raw(frame(random, between(random, 0, 40))))
  }
}

const makePacket = (random: Random, out: Writer, interfaces: readonly MadeInterface[]): void => {
  const body = new Writer(out.little)
  const on = between(random, 0, interfaces.length - 1)
  const data = frame(random, between(random, 0, 90))
  const length = data.length + between(random, 0, 100)
  if (between(random, 0, 4) === 0) {
    const { snaplen } = interfaces[0]!
    const original = snaplen === 0 ? data.length : length
    const kept = snaplen === 0 ? original : Math.min(original, snaplen)
    out.block(3, body.number(original, 4).raw(frame(random, kept)))
    return
  }
  body.number(on, 4)
  // Small enough for every resolution to stay within the years that a clock shows.
  body
    .number(between(random, 0, 3), 4)
    .number(random.next32(), 4)
    .number(data.length, 4)
    .number(length, 4)
    .raw(data)
  if (chance(random)) body.option(2, new Writer(out.little).number(between(random, 0, 2), 4).bytes)
  if (chance(random)) body.option(1, text('look here'))
  if (chance(random)) body.number(0, 4)
  out.block(6, body)
}

const makeSection = (random: Random): number[] => {
  const out = new Writer(chance(random))
  const header = new Writer(out.little).number(0x1a2b_3c4d, 4).number(1, 2).number(0, 2).number(-1n, 8)
  if (chance(random)) header.option(4, text('a program'))
  out.block(0x0a0d_0d0a, header)
  const interfaces = [makeInterface(random, out)]
  for (let i = between(random, 0, 12); i > 0; i--) {
    const what = between(random, 0, 9)
    if (what === 0) interfaces.push(makeInterface(random, out))
    else if (what === 1) makeOther(random, out, interfaces.length)
    else makePacket(random, out, interfaces)
  }
  return out.bytes
}

/** One file, of either format. */
export const makeCapture = (random: Random): MadeCapture => {
  if (between(random, 0, 3) === 0) return { format: 'pcap', file: makePcap(random) }
  const sections = Array.from({ length: between(random, 1, 3) }, () => makeSection(random))
  return { format: 'pcapng', file: Uint8Array.from(sections.flat()) }
}

/** The file with a few bytes changed, or cut short. */
export const mutateCapture = (random: Random, file: Uint8Array): Uint8Array => {
  const changed = file.slice(0, between(random, 0, 3) === 0 ? between(random, 0, file.length) : file.length)
  for (let i = between(random, 1, 3); i > 0 && changed.length > 0; i--) {
    const at = between(random, 0, changed.length - 1)
    changed[at] = chance(random) ? random.next32() & 0xff : changed[at]! ^ (1 << between(random, 0, 7))
  }
  return changed
}
