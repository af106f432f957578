import type { Md5 } from '../core/md5.ts'
import type { IpAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { TCP_MAX_OPTIONS, TCP_MIN_HEADER, type TcpHeader, tcpOptionsLength } from '../wire/tcp.ts'
import type { TcpLayer } from './layer.ts'
import type { Segment } from './segment.ts'

/**
 * MD5 signatures (RFC 2385): every segment carries a digest of itself and of a key that both ends know. What does not,
 * or carries a wrong one, is dropped without a word.
 */

/**
 * A key, for the peers whose addresses begin with the first `length` bits of `address` (TCP_MD5SIG, TCP_MD5SIG_EXT).
 */
export interface Md5Key {
  readonly address: IpAddress
  readonly length: number
  readonly key: Uint8Array
}

/** Bytes that the option takes, with padding in front. */
export const MD5_OPTION_LENGTH = 20
export const MD5_LONGEST_KEY = 80
/** An IPv4 address is the last 32 of 128 bits. */
const MAPPED_BITS = 96

/** The key for a peer: that with the longest prefix; null for none. */
export const findMd5Key = (keys: readonly Md5Key[], peer: IpAddress): Uint8Array | null => {
  let best: Md5Key | null = null
  for (const entry of keys) {
    if (matches(entry, peer) && (best === null || entry.length > best.length)) best = entry
  }
  return best === null ? null : best.key
}

const matches = ({ address, length }: Md5Key, peer: IpAddress): boolean => {
  if (address.isIpv4 !== peer.isIpv4) return false
  const bits = address.isIpv4 ? length + MAPPED_BITS : length
  const words = [address.w0 ^ peer.w0, address.w1 ^ peer.w1, address.w2 ^ peer.w2, address.w3 ^ peer.w3]
  return words.every((difference, i) => {
    const left = bits - i * 32
    return left <= 0 || (left >= 32 ? difference : difference >>> (32 - left)) === 0
  })
}

/** `keys` with `entry` in place of what was there for the same addresses; without it when its key is empty. */
export const withMd5Key = (keys: readonly Md5Key[], entry: Md5Key): readonly Md5Key[] => {
  const others = keys.filter(({ address, length }) => length !== entry.length || !address.equals(entry.address))
  return entry.key.length === 0 ? others : [...others, entry]
}

/**
 * Writes the digest of a segment (section 2.0): pseudo-header, header
 * without options and with a checksum of zero, data, key.
 * @param start where the header begins in `u8`, and `end` where the segment ends
 */
export const md5Digest = (
  md5: Md5,
  u8: Uint8Array,
  start: number,
  end: number,
  source: IpAddress,
  destination: IpAddress,
  key: Uint8Array,
  into: Uint8Array,
  at: number,
): void => {
  const headerLength = (u8[start + 12]! >>> 4) << 2
  md5.start()
  for (const { isIpv4, w0, w1, w2, w3 } of [source, destination]) {
    if (!isIpv4) md5.word(w0).word(w1).word(w2)
    md5.word(w3)
  }
  if (source.isIpv4) md5.word((IpProtocol.Tcp << 16) | (end - start))
  else md5.word(end - start).word(IpProtocol.Tcp)
  md5
    .update(u8, start, start + 16)
    .byte(0)
    .byte(0)
  md5.update(u8, start + 18, start + TCP_MIN_HEADER).update(u8, start + headerLength, end)
  md5.update(key).end(into, at)
}

/** Has the peer a key? */
export const signs = (keys: readonly Md5Key[], peer: IpAddress): boolean =>
  keys.length > 0 && findMd5Key(keys, peer) !== null

/** Do the options in `out`, with a fast-open cookie, leave the room that a signature for `peer` needs? */
export const fitsSigned = (out: TcpHeader, cookie: Uint8Array, keys: readonly Md5Key[], peer: IpAddress): boolean =>
  tcpOptionsLength(out, cookie) + (signs(keys, peer) ? MD5_OPTION_LENGTH : 0) <= TCP_MAX_OPTIONS

/** Writes the digest of a segment that is being sent to where `layer.out` says that it goes. */
export const signSegment = (
  layer: TcpLayer,
  start: number,
  end: number,
  local: IpAddress,
  remote: IpAddress,
  key: Uint8Array,
): void => {
  const { memory } = layer.world
  md5Digest(layer.md5, memory.u8, start, end, local, remote, key, memory.u8, layer.out.md5At)
}

/**
 * Is an arriving segment signed as `keys` demand?
 * @returns `Drop.none`, or why it must be dropped
 */
export const checkMd5 = (layer: TcpLayer, keys: readonly Md5Key[], segment: Segment, header: IpHeader): number => {
  if (keys.length === 0 && segment.md5At < 0) return Drop.none
  const key = findMd5Key(keys, header.source)
  const { tcpExt } = layer.mib
  if (key === null) {
    if (segment.md5At < 0) return Drop.none
    tcpExt.TCPMD5Unexpected++
    return Drop['tcp-md5']
  }
  if (segment.md5At < 0) {
    tcpExt.TCPMD5NotFound++
    return Drop['tcp-md5']
  }
  const { memory } = layer.world
  const digest = new Uint8Array(16)
  const { payloadStart, payloadEnd, source, destination } = header
  md5Digest(layer.md5, memory.u8, payloadStart, payloadEnd, source, destination, key, digest, 0)
  if (digest.every((byte, i) => byte === memory.u8[segment.md5At + i])) return Drop.none
  tcpExt.TCPMD5Failure++
  return Drop['tcp-md5']
}
