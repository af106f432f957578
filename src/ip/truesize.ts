import type { Frame } from '../core/frame.ts'

/** Bytes of Linux's `sk_buff`, and of the `skb_shared_info` behind the data. */
export const SKB = 256
export const SHARED_INFO = 320
/** Room that a sender leaves before the IP header. */
const HEADROOM = 31
/** Beyond this the data lies in pages, one after another. */
const LINEAR_LIMIT = 16_384
export const PAGE = 4096

/** The least SO_SNDBUF and SO_RCVBUF, doubled as they are kept. */
export const MIN_SEND_BUFFER = 4608
export const MIN_RECEIVE_BUFFER = 2304

/**
 * The memory that Linux charges to a socket or queue for an IP packet of `bytes` bytes: what SO_RCVBUF,
 * unres_qlen_bytes and their like are counted in. A one-byte datagram costs 768, one of an Ethernet MTU 2304.
 */
export const truesize = (bytes: number): number => {
  const data = (bytes + HEADROOM + 63) & ~63
  if (data + SHARED_INFO > LINEAR_LIMIT) return SKB + 512 + ((bytes + PAGE - 1) & -PAGE)
  const block = data + SHARED_INFO
  return SKB + (1 << (32 - Math.clz32(block - 1)))
}

/** What a frame costs, from its IP header on. */
export const frameTruesize = (frame: Frame): number => truesize(frame.end - frame.network)
