import { concatBytes, joinOption, splitOptions, word16, word32 } from './options.ts'
import { FAST_OPEN_EXPERIMENT, TcpOptionKind } from './tcp.ts'

/**
 * TCP options as a list of plain objects, for tools that read and write text: packetdrill, tcpdump. The stack itself
 * uses `TcpHeader`, which makes no objects.
 *
 * A list says exactly what the bytes say: `emitTcpOptionList(parseTcpOptionList(bytes))` gives the same bytes, whatever
 * they are. Sequence numbers and times are unsigned.
 */
export type TcpOption =
  /** End of options; `padding` is whatever follows it. */
  | { readonly name: 'eol'; readonly padding: Uint8Array }
  | { readonly name: 'nop' }
  | { readonly name: 'mss'; readonly value: number }
  /** The shift as it was sent, also above 14. */
  | { readonly name: 'wscale'; readonly shift: number }
  | { readonly name: 'sackOk' }
  | { readonly name: 'sack'; readonly blocks: readonly (readonly [left: number, right: number])[] }
  | { readonly name: 'timestamp'; readonly value: number; readonly echo: number }
  | { readonly name: 'md5'; readonly digest: Uint8Array }
  /** RFC 5482: `value` counts minutes or seconds, 0 to 32,767. */
  | { readonly name: 'userTimeout'; readonly minutes: boolean; readonly value: number }
  /** RFC 5925. */
  | { readonly name: 'ao'; readonly keyId: number; readonly nextKeyId: number; readonly mac: Uint8Array }
  /** RFC 7413 (kind 34), or the experiment before it (kind 254). No cookie: a request for one. */
  | { readonly name: 'fastOpen'; readonly experimental: boolean; readonly cookie: Uint8Array }
  /** RFC 8684: `data` with the subtype in its first four bits. */
  | { readonly name: 'mptcp'; readonly data: Uint8Array }
  /** A kind that is not known, or one that is with a length that is not its own. */
  | { readonly name: 'unknown'; readonly kind: number; readonly data: Uint8Array }
  /** Everything from the first option on whose length is under 2 or goes beyond the end. */
  | { readonly name: 'malformed'; readonly data: Uint8Array }

/** The options in `bytes`: a TCP header's bytes from 20 to its length. */
export const parseTcpOptionList = (bytes: Uint8Array): TcpOption[] => {
  const { options, rest } = splitOptions(bytes)
  const list = options.map(({ kind, data }) => parseOption(kind, data))
  if (rest.length > 0) list.push({ name: 'malformed', data: rest })
  return list
}

const parseOption = (kind: number, data: Uint8Array | null): TcpOption => {
  if (data === null) return { name: 'nop' }
  const view = new DataView(data.buffer)
  const length = data.length
  switch (kind) {
    case TcpOptionKind.End:
      return { name: 'eol', padding: data }
    case TcpOptionKind.Mss:
      if (length === 2) return { name: 'mss', value: view.getUint16(0) }
      break
    case TcpOptionKind.WindowScale:
      if (length === 1) return { name: 'wscale', shift: data[0]! }
      break
    case TcpOptionKind.SackPermitted:
      if (length === 0) return { name: 'sackOk' }
      break
    case TcpOptionKind.Sack:
      if (length > 0 && length % 8 === 0) return { name: 'sack', blocks: parseBlocks(view) }
      break
    case TcpOptionKind.Timestamps:
      if (length === 8) return { name: 'timestamp', value: view.getUint32(0), echo: view.getUint32(4) }
      break
    case TcpOptionKind.Md5:
      if (length === 16) return { name: 'md5', digest: data }
      break
    case TcpOptionKind.UserTimeout:
      if (length === 2) {
        const value = view.getUint16(0)
        return { name: 'userTimeout', minutes: value >= 0x8000, value: value & 0x7fff }
      }
      break
    case TcpOptionKind.Ao:
      if (length >= 2) return { name: 'ao', keyId: data[0]!, nextKeyId: data[1]!, mac: data.slice(2) }
      break
    case TcpOptionKind.FastOpen:
      return { name: 'fastOpen', experimental: false, cookie: data }
    case TcpOptionKind.Experiment2:
      if (length >= 2 && view.getUint16(0) === FAST_OPEN_EXPERIMENT) {
        return { name: 'fastOpen', experimental: true, cookie: data.slice(2) }
      }
      break
    case TcpOptionKind.Mptcp:
      return { name: 'mptcp', data }
  }
  return { name: 'unknown', kind, data }
}

const parseBlocks = (view: DataView): [number, number][] =>
  Array.from({ length: view.byteLength / 8 }, (_, i) => [view.getUint32(i * 8), view.getUint32(i * 8 + 4)])

/** The bytes of a list of options, with no padding but what the list says (see `padOptions`). */
export const emitTcpOptionList = (list: readonly TcpOption[]): Uint8Array => concatBytes(list.map(emitOption))

const emitOption = (option: TcpOption): Uint8Array => {
  switch (option.name) {
    case 'eol':
      return concatBytes([Uint8Array.of(TcpOptionKind.End), option.padding])
    case 'nop':
      return Uint8Array.of(TcpOptionKind.Nop)
    case 'mss':
      return joinOption(TcpOptionKind.Mss, word16(option.value))
    case 'wscale':
      return joinOption(TcpOptionKind.WindowScale, [option.shift])
    case 'sackOk':
      return joinOption(TcpOptionKind.SackPermitted, [])
    case 'sack':
      return joinOption(
        TcpOptionKind.Sack,
        option.blocks.flatMap(([left, right]) => [...word32(left), ...word32(right)]),
      )
    case 'timestamp':
      return joinOption(TcpOptionKind.Timestamps, [...word32(option.value), ...word32(option.echo)])
    case 'md5':
      return joinOption(TcpOptionKind.Md5, option.digest)
    case 'userTimeout':
      return joinOption(TcpOptionKind.UserTimeout, word16((option.minutes ? 0x8000 : 0) | option.value))
    case 'ao':
      return joinOption(TcpOptionKind.Ao, [option.keyId, option.nextKeyId, ...option.mac])
    case 'fastOpen':
      return option.experimental
        ? joinOption(TcpOptionKind.Experiment2, [...word16(FAST_OPEN_EXPERIMENT), ...option.cookie])
        : joinOption(TcpOptionKind.FastOpen, option.cookie)
    case 'mptcp':
      return joinOption(TcpOptionKind.Mptcp, option.data)
    case 'unknown':
      return joinOption(option.kind, option.data)
    case 'malformed':
      return option.data
  }
}
