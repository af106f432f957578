import type { Bytes } from '../core/memory.ts'
import { Drop } from './drop.ts'

/** TCP's header and options (RFC 9293 section 3.1; RFC 7323, 2018, 7413, 2385, 5482, 5925). */

/** The header's flags; `Ae` is the accurate-ECN bit, once NS. */
export const TcpFlag = {
  Fin: 0x001,
  Syn: 0x002,
  Rst: 0x004,
  Psh: 0x008,
  Ack: 0x010,
  Urg: 0x020,
  Ece: 0x040,
  Cwr: 0x080,
  Ae: 0x100,
} as const

/** Kinds of options (IANA "TCP Option Kind Numbers"). */
export const TcpOptionKind = {
  End: 0,
  Nop: 1,
  Mss: 2,
  WindowScale: 3,
  SackPermitted: 4,
  Sack: 5,
  Timestamps: 8,
  Md5: 19,
  UserTimeout: 28,
  Ao: 29,
  Mptcp: 30,
  FastOpen: 34,
  Experiment1: 253,
  Experiment2: 254,
} as const

export const TCP_MIN_HEADER = 20
export const TCP_MAX_HEADER = 60
export const TCP_MAX_OPTIONS = TCP_MAX_HEADER - TCP_MIN_HEADER
/** The largest shift of the window (RFC 7323 section 2.3). */
export const TCP_MAX_WINDOW_SCALE = 14
/** Identifies fast open inside an experimental option (RFC 6994; the magic number of the first fast-open drafts). */
export const FAST_OPEN_EXPERIMENT = 0xf989
/** NOP, NOP, timestamps, length 10: the whole of the options in most segments. */
const ALIGNED_TIMESTAMPS = 0x0101_080a
const MAX_SACK_BLOCKS = 4

/** Where fast open's cookie came from or goes to. */
export const FastOpenForm = {
  None: 0,
  /** Kind 34 (RFC 7413). */
  Standard: 1,
  /** Kind 254 with the experiment's identifier. */
  Experimental: 2,
} as const

/**
 * A TCP header as plain values. One object is filled for segment after segment. What an option did not say is at the
 * value that `clearOptions` gives it.
 */
export class TcpHeader {
  sourcePort = 0
  destinationPort = 0
  /** Sequence and acknowledgment numbers as signed integers (see core/seq.ts). */
  seq = 0
  ack = 0
  /** Bytes of header with options. */
  headerLength = TCP_MIN_HEADER
  /** `TcpFlag` bits. */
  flags = 0
  /** The window as it stands in the header, not scaled. */
  window = 0
  checksum = 0
  /** The urgent pointer. */
  urgent = 0

  /** Maximum segment size; 0 when absent. */
  mss = 0
  /** Window shift, cut to 14; -1 when absent. */
  windowScale = -1
  sackPermitted = false
  hasTimestamps = false
  /** TSval and TSecr as signed integers. */
  timestamp = 0
  timestampEcho = 0
  /** How many SACK blocks there are, and their edges: left of the first, right of the first, left of the second … */
  sackCount = 0
  readonly sack = new Int32Array(MAX_SACK_BLOCKS * 2)
  /** One of `FastOpenForm`; the cookie lies in the parsed bytes (no bytes: a request for one). */
  fastOpen: number = FastOpenForm.None
  fastOpenAt = 0
  fastOpenLength = 0
  /** Where the 16 bytes of an MD5 digest lie (RFC 2385); -1 when absent. */
  md5At = -1
  /** The user time-out option's value, seconds (RFC 5482); -1 when absent. */
  userTimeout = -1
  /** Where a TCP-AO option's value lies (RFC 5925); -1 when absent. */
  aoAt = -1
  /** Options that this stack does not know. */
  unknownOptions = 0

  clearOptions(): void {
    this.mss = 0
    this.windowScale = -1
    this.sackPermitted = false
    this.hasTimestamps = false
    this.timestamp = 0
    this.timestampEcho = 0
    this.sackCount = 0
    this.fastOpen = FastOpenForm.None
    this.fastOpenAt = 0
    this.fastOpenLength = 0
    this.md5At = -1
    this.userTimeout = -1
    this.aoAt = -1
    this.unknownOptions = 0
  }
}

/**
 * Parses the TCP header at `start` of a segment that ends at `end`. The checksum is not looked at.
 *
 * An option whose length is wrong ends the options, as on Linux: those before it count, it and those behind it do not.
 * @returns `Drop.none`, with every field of `into` set, or why the segment must be dropped
 */
export const parseTcp = (into: TcpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < TCP_MIN_HEADER) return Drop['tcp-truncated']
  const { view } = bytes
  const word = view.getUint16(start + 12)
  const headerLength = (word >>> 12) << 2
  if (headerLength < TCP_MIN_HEADER) return Drop['tcp-header-length']
  if (headerLength > end - start) return Drop['tcp-truncated']
  into.sourcePort = view.getUint16(start)
  into.destinationPort = view.getUint16(start + 2)
  into.seq = view.getInt32(start + 4)
  into.ack = view.getInt32(start + 8)
  into.headerLength = headerLength
  into.flags = word & 0x1ff
  into.window = view.getUint16(start + 14)
  into.checksum = view.getUint16(start + 16)
  into.urgent = view.getUint16(start + 18)
  into.clearOptions()
  if (headerLength === TCP_MIN_HEADER) return Drop.none
  if (headerLength === 32 && view.getInt32(start + 20) === ALIGNED_TIMESTAMPS) {
    into.hasTimestamps = true
    into.timestamp = view.getInt32(start + 24)
    into.timestampEcho = view.getInt32(start + 28)
    return Drop.none
  }
  parseOptions(into, bytes, start + TCP_MIN_HEADER, start + headerLength)
  return Drop.none
}

const parseOptions = (into: TcpHeader, bytes: Bytes, start: number, end: number): void => {
  const { u8 } = bytes
  let at = start
  while (at < end) {
    const kind = u8[at]!
    if (kind === TcpOptionKind.End) return
    if (kind === TcpOptionKind.Nop) {
      at++
      continue
    }
    if (at + 2 > end) return
    const length = u8[at + 1]!
    if (length < 2 || at + length > end) return
    parseOption(into, bytes, kind, at, length)
    at += length
  }
}

/** One option whose `length` bytes, kind and length included, lie whole at `at`. */
const parseOption = (into: TcpHeader, bytes: Bytes, kind: number, at: number, length: number): void => {
  const { u8, view } = bytes
  switch (kind) {
    case TcpOptionKind.Mss:
      if (length === 4) into.mss = view.getUint16(at + 2)
      break
    case TcpOptionKind.WindowScale:
      if (length === 3) into.windowScale = Math.min(u8[at + 2]!, TCP_MAX_WINDOW_SCALE)
      break
    case TcpOptionKind.SackPermitted:
      if (length === 2) into.sackPermitted = true
      break
    case TcpOptionKind.Sack:
      if (length >= 10 && (length & 7) === 2) {
        into.sackCount = (length - 2) >>> 3
        for (let i = 0; i < into.sackCount * 2; i++) into.sack[i] = view.getInt32(at + 2 + i * 4)
      }
      break
    case TcpOptionKind.Timestamps:
      if (length === 10) {
        into.hasTimestamps = true
        into.timestamp = view.getInt32(at + 2)
        into.timestampEcho = view.getInt32(at + 6)
      }
      break
    case TcpOptionKind.Md5:
      if (length === 18) into.md5At = at + 2
      break
    case TcpOptionKind.UserTimeout:
      if (length === 4) {
        const value = view.getUint16(at + 2)
        into.userTimeout = (value & 0x8000) !== 0 ? (value & 0x7fff) * 60 : value
      }
      break
    case TcpOptionKind.Ao:
      if (length >= 4) into.aoAt = at + 2
      break
    case TcpOptionKind.FastOpen:
      into.fastOpen = FastOpenForm.Standard
      into.fastOpenAt = at + 2
      into.fastOpenLength = length - 2
      break
    case TcpOptionKind.Experiment2:
      if (length >= 4 && view.getUint16(at + 2) === FAST_OPEN_EXPERIMENT) {
        into.fastOpen = FastOpenForm.Experimental
        into.fastOpenAt = at + 4
        into.fastOpenLength = length - 4
      } else into.unknownOptions++
      break
    default:
      into.unknownOptions++
  }
}

/**
 * How many bytes the options of `header` take, padded to a whole word, in the order in which `emitTcp` writes them.
 * @param cookie fast open's cookie, where `header.fastOpen` asks for the option
 */
export const tcpOptionsLength = (header: TcpHeader, cookie: Uint8Array | null = null): number => {
  let length = 0
  if (header.md5At >= 0) length += 20
  if (header.mss > 0) length += 4
  // Timestamps and SACK-permitted share the padding.
  if (header.hasTimestamps) length += 12
  else if (header.sackPermitted) length += 4
  if (header.windowScale >= 0) length += 4
  if (header.userTimeout >= 0) length += 4
  if (header.sackCount > 0) length += 4 + header.sackCount * 8
  if (header.fastOpen !== FastOpenForm.None) {
    length += (header.fastOpen === FastOpenForm.Standard ? 2 : 4) + (cookie === null ? 0 : cookie.length)
  }
  return (length + 3) & ~3
}

/**
 * Writes the header at `start`, options included, and sets `header.headerLength`. The checksum field gets
 * `header.checksum` as it is. Options are written in Linux's order: MD5, MSS, SACK-permitted with timestamps, window
 * scale, user time-out, SACK, fast open; each begins on a whole word. An MD5 digest is left zero, at `header.md5At`.
 * @returns the header's length in bytes, at most 60: the caller sees to it that the options fit (`tcpOptionsLength`)
 */
export const emitTcp = (header: TcpHeader, bytes: Bytes, start: number, cookie: Uint8Array | null = null): number => {
  const { view } = bytes
  let at = start + TCP_MIN_HEADER
  if (
    header.md5At < 0 &&
    header.mss === 0 &&
    header.windowScale < 0 &&
    header.sackCount === 0 &&
    header.hasTimestamps &&
    !header.sackPermitted &&
    header.userTimeout < 0 &&
    header.fastOpen === FastOpenForm.None
  ) {
    view.setInt32(at, ALIGNED_TIMESTAMPS)
    view.setInt32(at + 4, header.timestamp)
    view.setInt32(at + 8, header.timestampEcho)
    at += 12
  } else at = emitOptions(header, bytes, at, cookie)
  const headerLength = at - start
  header.headerLength = headerLength
  view.setUint16(start, header.sourcePort)
  view.setUint16(start + 2, header.destinationPort)
  view.setInt32(start + 4, header.seq)
  view.setInt32(start + 8, header.ack)
  view.setUint16(start + 12, ((headerLength >>> 2) << 12) | header.flags)
  view.setUint16(start + 14, header.window)
  view.setUint16(start + 16, header.checksum)
  view.setUint16(start + 18, header.urgent)
  return headerLength
}

const emitOptions = (header: TcpHeader, bytes: Bytes, start: number, cookie: Uint8Array | null): number => {
  const { u8, view } = bytes
  let at = start
  if (header.md5At >= 0) {
    view.setInt32(at, 0x0101_1312)
    header.md5At = at + 4
    u8.fill(0, at + 4, at + 20)
    at += 20
  }
  if (header.mss > 0) {
    view.setInt32(at, (TcpOptionKind.Mss << 24) | (4 << 16) | header.mss)
    at += 4
  }
  if (header.hasTimestamps) {
    view.setInt32(at, header.sackPermitted ? 0x0402_080a : ALIGNED_TIMESTAMPS)
    view.setInt32(at + 4, header.timestamp)
    view.setInt32(at + 8, header.timestampEcho)
    at += 12
  } else if (header.sackPermitted) {
    view.setInt32(at, 0x0101_0402)
    at += 4
  }
  if (header.windowScale >= 0) {
    view.setInt32(at, 0x0103_0300 | header.windowScale)
    at += 4
  }
  if (header.userTimeout >= 0) {
    const minutes = header.userTimeout > 0x7fff
    const value = minutes ? 0x8000 | Math.min(0x7fff, Math.ceil(header.userTimeout / 60)) : header.userTimeout
    view.setInt32(at, (TcpOptionKind.UserTimeout << 24) | (4 << 16) | value)
    at += 4
  }
  if (header.sackCount > 0) {
    view.setInt32(at, 0x0101_0500 | (2 + header.sackCount * 8))
    at += 4
    for (let i = 0; i < header.sackCount * 2; i++, at += 4) view.setInt32(at, header.sack[i]!)
  }
  if (header.fastOpen !== FastOpenForm.None) at = emitFastOpen(header, bytes, at, cookie)
  return at
}

const emitFastOpen = (header: TcpHeader, bytes: Bytes, start: number, cookie: Uint8Array | null): number => {
  const { u8, view } = bytes
  const length = cookie === null ? 0 : cookie.length
  let at = start
  if (header.fastOpen === FastOpenForm.Standard) {
    u8[at] = TcpOptionKind.FastOpen
    u8[at + 1] = 2 + length
    at += 2
  } else {
    u8[at] = TcpOptionKind.Experiment2
    u8[at + 1] = 4 + length
    view.setUint16(at + 2, FAST_OPEN_EXPERIMENT)
    at += 4
  }
  header.fastOpenAt = at
  header.fastOpenLength = length
  if (cookie !== null) u8.set(cookie, at)
  at += length
  while (((at - start) & 3) !== 0) u8[at++] = TcpOptionKind.Nop
  return at
}
