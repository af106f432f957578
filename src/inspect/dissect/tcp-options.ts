import { FAST_OPEN_EXPERIMENT } from '../../wire/tcp.ts'
import { type Dissection, named } from './dissection.ts'

const KIND = {
  EndOfList: 0,
  Nop: 1,
  Mss: 2,
  WindowScale: 3,
  SackPermitted: 4,
  Sack: 5,
  Echo: 6,
  EchoReply: 7,
  Timestamps: 8,
  Cc: 11,
  CcNew: 12,
  CcEcho: 13,
  Md5: 19,
  Scps: 20,
  UserTimeout: 28,
  Authentication: 29,
  Multipath: 30,
  FastOpen: 34,
  Experiment: 254,
} as const

const NAMES: ReadonlyMap<number, string> = new Map([
  [KIND.EndOfList, 'eol'],
  [KIND.Nop, 'nop'],
  [KIND.Mss, 'mss'],
  [KIND.WindowScale, 'wscale'],
  [KIND.SackPermitted, 'sackOK'],
  [KIND.Sack, 'sack'],
  [KIND.Echo, 'echo'],
  [KIND.EchoReply, 'echoreply'],
  [KIND.Timestamps, 'TS'],
  [KIND.Cc, 'cc'],
  [KIND.CcNew, 'ccnew'],
  [KIND.CcEcho, ''],
  [KIND.Md5, 'md5'],
  [KIND.Scps, 'scps'],
  [KIND.UserTimeout, 'uto'],
  [KIND.Authentication, 'tcp-ao'],
  [KIND.Multipath, 'mptcp'],
  [KIND.FastOpen, 'tfo'],
  [KIND.Experiment, 'exp'],
])

/** The experiment identifier of TCP Fast Open (RFC 7413 section 4.1.1). */

const MD5_LENGTH = 16

/** An option cannot be as it is, or was cut short. Does not leave this module. */
class BadOption extends Error {
  readonly isCut: boolean

  constructor(isCut: boolean) {
    super()
    this.isCut = isCut
  }
}

/** One option's value: its bytes from `at`, of which `length` are its own and `room` lie in the header. */
interface OptionValue {
  readonly at: number
  readonly length: number
  readonly room: number
  readonly sackOrigin: number
}

/**
 * The options from `at` to `end`: `, options [mss 1460,sackOK,nop,wscale 7]`.
 * @param sackOrigin what to take off the edges of SACK blocks
 * @returns false when they end the segment's text, being malformed
 */
export const putTcpOptions = (d: Dissection, start: number, end: number, sackOrigin: number): boolean => {
  d.put(', options [')
  let separator = ''
  for (let at = start; at < end; ) {
    d.put(separator)
    const kind = d.u8(at++)
    const isSingle = kind === KIND.EndOfList || kind === KIND.Nop
    const length = isSingle ? 1 : d.u8(at++)
    try {
      if (!isSingle && (length < 2 || length > end - at + 2)) throw new BadOption(false)
      d.put(named(NAMES, kind, 'unknown-%'))
      const value = { at, length: length - (isSingle ? 1 : 2), room: end - at, sackOrigin }
      const told = putValue(d, kind, value)
      at += told
      if (told !== value.length) d.put(`[len ${length}]`)
    } catch (error) {
      if (!(error instanceof BadOption)) throw error
      if (error.isCut) d.cutShort()
      d.put(`${error.isCut ? '' : '[bad opt]'}${separator === '' ? '' : error.isCut ? '>' : ']'}`)
      return false
    }
    separator = ','
    if (kind === KIND.EndOfList) break
  }
  d.put(']')
  return true
}

/** @returns bytes of value that the option has by its kind */
const putValue = (d: Dissection, kind: number, value: OptionValue): number => {
  const { at, length } = value
  switch (kind) {
    case KIND.Mss:
      take(d, value, 2)
      d.put(` ${d.u16(at)}`)
      return 2
    case KIND.WindowScale:
      take(d, value, 1)
      d.put(` ${d.u8(at)}`)
      return 1
    case KIND.Sack:
      putSack(d, value)
      return length
    case KIND.Cc:
    case KIND.CcNew:
    case KIND.CcEcho:
    case KIND.Echo:
    case KIND.EchoReply:
      take(d, value, 4)
      d.put(` ${d.u32(at)}`)
      return 4
    case KIND.Timestamps:
      take(d, value, 8)
      d.put(` val ${d.u32(at)} ecr ${d.u32(at + 4)}`)
      return 8
    case KIND.Md5:
      take(d, value, MD5_LENGTH)
      d.put(` shared secret not supplied with -M, can't check - ${d.hexBytes(at, MD5_LENGTH)}`)
      return MD5_LENGTH
    case KIND.Scps:
      take(d, value, 2)
      d.put(` cap ${d.hexBytes(at, 1)} id ${d.u8(at + 1)}`)
      return 2
    case KIND.EndOfList:
    case KIND.Nop:
    case KIND.SackPermitted:
      return 0
    case KIND.UserTimeout:
      take(d, value, 2)
      putUserTimeout(d, d.u16(at))
      return 2
    case KIND.Authentication:
      putAuthentication(d, value)
      return length
    case KIND.FastOpen:
      take(d, value, length)
      d.put(' ')
      putFastOpen(d, at, length)
      return length
    case KIND.Experiment:
      take(d, value, length)
      if (length < 2) throw new BadOption(false)
      d.put('-')
      if (d.u16(at) !== FAST_OPEN_EXPERIMENT) d.put(d.hexBytes(at, 2))
      else {
        d.put('tfo')
        putFastOpen(d, at + 2, length - 2)
      }
      return length
    default:
      if (length > 0) d.put(` 0x${d.hexBytes(at, take(d, value, length))}`)
      return length
  }
}

/** @throws BadOption unless so many bytes are in the header, and in the packet */
const take = (d: Dissection, { at, room }: OptionValue, bytes: number): number => {
  if (bytes > room) throw new BadOption(false)
  if (!d.has(at, bytes)) throw new BadOption(true)
  return bytes
}

const putSack = (d: Dissection, value: OptionValue): void => {
  const { at, length, sackOrigin } = value
  if (length % 8 !== 0) {
    d.put(' invalid sack')
    return
  }
  d.put(` ${length / 8} `)
  for (let i = 0; i < length; i += 8) {
    take(d, { ...value, at: at + i, room: value.room - i }, 8)
    const edge = (offset: number): number => (d.u32(at + i + offset) - sackOrigin) >>> 0
    d.put(`{${edge(0)}:${edge(4)}}`)
  }
}

/** RFC 5482: the upper bit of granularity counts minutes; tcpdump reads the lowest. */
const putUserTimeout = (d: Dissection, value: number): void => {
  const seconds = (value & 1) !== 0 ? (value >>> 1) * 60 : value >>> 1
  d.put(` 0x${value.toString(16)} ${seconds}`)
}

const putAuthentication = (d: Dissection, value: OptionValue): void => {
  const { at, length } = value
  if (length < 2) {
    d.invalid()
    return
  }
  take(d, value, length)
  d.put(` keyid ${d.u8(at)} rnextkeyid ${d.u8(at + 1)}`)
  if (length > 2) d.put(` mac 0x${d.hexBytes(at + 2, length - 2)}`)
}

const putFastOpen = (d: Dissection, at: number, length: number): void => {
  if (length === 0) d.put(' cookiereq')
  else if (length % 2 !== 0 || length < 4 || length > 16) d.invalid()
  else d.put(` cookie ${d.hexBytes(at, length)}`)
}
