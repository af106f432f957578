import { SECOND } from '../core/clock.ts'
import type { Loop } from '../core/loop.ts'
import type { Memory } from '../core/memory.ts'
import type { Random } from '../core/random.ts'
import { SipHasher } from '../core/siphash.ts'
import { AddressMap } from '../ip/address-map.ts'
import type { IpAddress } from '../wire/address.ts'
import { FastOpenForm, type TcpHeader } from '../wire/tcp.ts'
import type { TcpSettings } from './settings.ts'

/** What one host knows and decides about fast open (RFC 7413), as both client and server. */

/** Bits of net.ipv4.tcp_fastopen. */
export const FastOpenMode = {
  /** Data may be sent in a SYN. */
  Client: 0x1,
  /** Data may be taken from a SYN. */
  Server: 0x2,
  /** The client sends data although it has no cookie. */
  ClientWithoutCookie: 0x4,
  /** The server takes data without a cookie. */
  ServerWithoutCookie: 0x200,
  /** Every listener does fast open, with its backlog for the queue, unless TCP_FASTOPEN says otherwise. */
  EveryListener: 0x400,
} as const

/** 128 bits, as four words: those of tcp_fastopen_key in order. */
export type FastOpenKey = Int32Array

/** The keys of a host or listener: that for new cookies, and perhaps one whose cookies are still taken. */
export interface FastOpenKeys {
  readonly primary: FastOpenKey
  readonly backup: FastOpenKey | null
}

const FAST_OPEN_KEY_LENGTH = 16
/** Bytes of a cookie of ours, and of the shortest and longest that any server may give (RFC 7413 section 4.1.1). */
const COOKIE_LENGTH = 8
const SHORTEST_COOKIE = 4
const LONGEST_COOKIE = 16
const NO_COOKIE = new Uint8Array(0)
/** Destinations remembered at the most: the oldest is forgotten for a new one. */
const MOST_PEERS = 1024
/** The pause after black holes in a row doubles up to 2^6 times the setting. */
const MOST_DOUBLINGS = 6

/** What the option of a segment says (RFC 7413 section 4.1.1). */
export interface FastOpenOffer {
  /** The cookie; empty for a request for one. */
  readonly cookie: Uint8Array
  readonly experimental: boolean
}

/** Reads the option of a segment whose bytes lie in `memory`; null when there is none that is well formed. */
export const readFastOpen = (header: TcpHeader, memory: Memory): FastOpenOffer | null => {
  const { fastOpen, fastOpenAt, fastOpenLength } = header
  if (fastOpen === FastOpenForm.None || (fastOpenLength & 1) !== 0) return null
  const isCookie = fastOpenLength >= SHORTEST_COOKIE && fastOpenLength <= LONGEST_COOKIE
  if (fastOpenLength !== 0 && !isCookie) return null
  const cookie = fastOpenLength === 0 ? NO_COOKIE : memory.u8.slice(fastOpenAt, fastOpenAt + fastOpenLength)
  return { cookie, experimental: fastOpen === FastOpenForm.Experimental }
}

/** The cookie that a server gives: SipHash-2-4 of the client's and its own address, as Linux computes it. */
export const fastOpenCookie = (key: FastOpenKey, client: IpAddress, server: IpAddress): Uint8Array => {
  const hasher = new SipHasher(key[0]!, key[1]!, key[2]!, key[3]!).start()
  for (const { isIpv4, w0, w1, w2, w3 } of [client, server]) {
    if (!isIpv4) hasher.word(swap(w0)).word(swap(w1)).word(swap(w2))
    hasher.word(swap(w3))
  }
  const cookie = new Uint8Array(COOKIE_LENGTH)
  const view = new DataView(cookie.buffer)
  view.setInt32(0, hasher.end(), true)
  view.setInt32(4, hasher.high, true)
  return cookie
}

/** The word whose bytes are those of `word` in reverse order. */
const swap = (word: number): number => (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)

/** Keys as TCP_FASTOPEN_KEY has them: 16 bytes, or 32 with a backup; null for other lengths. */
export const keysOfBytes = (bytes: Uint8Array): FastOpenKeys | null => {
  if (bytes.length !== FAST_OPEN_KEY_LENGTH && bytes.length !== 2 * FAST_OPEN_KEY_LENGTH) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const keyAt = (at: number): FastOpenKey => Int32Array.from({ length: 4 }, (_, i) => view.getInt32(at + i * 4, true))
  return { primary: keyAt(0), backup: bytes.length === FAST_OPEN_KEY_LENGTH ? null : keyAt(FAST_OPEN_KEY_LENGTH) }
}

/** Keys as getsockopt(2) gives them. */
export const bytesOfKeys = ({ primary, backup }: FastOpenKeys): Uint8Array => {
  const words = backup === null ? [...primary] : [...primary, ...backup]
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [i, word] of words.entries()) view.setInt32(i * 4, word, true)
  return bytes
}

/**
 * Keys as net.ipv4.tcp_fastopen_key has them: four words of
 * hexadecimal digits, twice with a backup; null for other text.
 */
export const keysOfText = (text: string): FastOpenKeys | null => {
  const keys = text.split(',').map((key) => {
    const words = key.trim().split('-')
    const isKey = words.length === 4 && words.every((word) => /^[0-9a-f]{1,8}$/i.test(word))
    return isKey ? Int32Array.from(words, (word) => Number.parseInt(word, 16)) : null
  })
  const [primary = null, backup = null] = keys
  if (primary === null || keys.length > 2 || keys.includes(null)) return null
  return { primary, backup }
}

const textOfKey = (key: FastOpenKey): string =>
  Array.from(key, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('-')

/** What a client remembers of a server (RFC 7413 section 4.1.3). */
export interface FastOpenPeer {
  /** Its MSS option; 0 when not known. */
  mss: number
  cookie: Uint8Array
  experimental: boolean
  /** 1: ask in the experimental form next time; 2: that was tried, and is not tried again. */
  tryExperimental: number
}

/** Fast open's state of one host: keys, cookies of servers, and the pause after black holes. */
export class FastOpenHost {
  private readonly settings: TcpSettings
  private readonly loop: Loop
  private readonly random: Random
  private readonly peers: AddressMap<FastOpenPeer>
  /** The addresses in `peers`, the one that was entered first in front. */
  private readonly order: IpAddress[] = []
  /** Black holes in a row, and when the last was found. */
  private blackHoles = 0
  private blackHoleAt = 0
  private keysText = ''
  private keys: FastOpenKeys | null = null

  constructor(settings: TcpSettings, loop: Loop, random: Random) {
    this.settings = settings
    this.loop = loop
    this.random = random
    this.peers = new AddressMap(random.next32())
  }

  /** Is the host set to all of `mode`, `FastOpenMode` bits? */
  allows(mode: number): boolean {
    return (this.settings.tcp_fastopen & mode) === mode
  }

  /** The host's keys; they are drawn when they are first needed. */
  get hostKeys(): FastOpenKeys {
    const { settings, random } = this
    if (settings.tcp_fastopen_key === '') {
      settings.tcp_fastopen_key = textOfKey(Int32Array.from({ length: 4 }, () => random.next32()))
    }
    if (this.keys === null || settings.tcp_fastopen_key !== this.keysText) {
      this.keysText = settings.tcp_fastopen_key
      this.keys = keysOfText(this.keysText) ?? { primary: new Int32Array(4), backup: null }
    }
    return this.keys
  }

  /** What is remembered of a server; null for nothing. */
  recall({ w0, w1, w2, w3 }: IpAddress): FastOpenPeer | null {
    return this.peers.get(w0, w1, w2, w3, 0) ?? null
  }

  /**
   * Remembers what a server's SYN+ACK has told.
   * @param mss its MSS option; 0 for none
   * @param offer its cookie; null for none
   * @param tryExperimental see `FastOpenPeer`; 0 to leave it as it is
   */
  remember(server: IpAddress, mss: number, offer: FastOpenOffer | null, tryExperimental: number): void {
    const { w0, w1, w2, w3 } = server
    let peer = this.recall(server)
    if (peer === null) {
      if (this.order.length === MOST_PEERS) {
        const oldest = this.order.shift()!
        this.peers.delete(oldest.w0, oldest.w1, oldest.w2, oldest.w3, 0)
      }
      peer = { mss: 0, cookie: NO_COOKIE, experimental: false, tryExperimental: 0 }
      this.peers.set(w0, w1, w2, w3, 0, peer)
      this.order.push(server)
    }
    if (mss > 0) peer.mss = mss
    if (offer !== null && offer.cookie.length > 0) {
      peer.cookie = offer.cookie
      peer.experimental = offer.experimental
    } else if (tryExperimental > peer.tryExperimental && peer.cookie.length === 0) {
      peer.tryExperimental = tryExperimental
    }
  }

  /** Forgets all servers: what `ip tcp_metrics flush` does. */
  forget(): void {
    this.peers.clear()
    this.order.length = 0
  }

  /** Something on the way swallows fast-open segments: opens none for a while (tcp_fastopen_blackhole_timeout_sec). */
  noteBlackHole(): void {
    if (this.settings.tcp_fastopen_blackhole_timeout_sec === 0) return
    this.blackHoles++
    this.blackHoleAt = this.loop.now
  }

  /** A connection that was opened fast after a pause went well. */
  noteSuccess(): void {
    this.blackHoles = 0
  }

  /** Was there a black hole, of which nothing has shown yet that it is gone? */
  get isSuspicious(): boolean {
    return this.blackHoles > 0 && this.settings.tcp_fastopen_blackhole_timeout_sec > 0
  }

  /** Is a pause under way? */
  get isPaused(): boolean {
    if (!this.isSuspicious) return false
    const pause = this.settings.tcp_fastopen_blackhole_timeout_sec * SECOND
    return this.loop.now < this.blackHoleAt + pause * 2 ** Math.min(this.blackHoles - 1, MOST_DOUBLINGS)
  }
}

/** Why an active fast open came to nothing: what tcp_info shows. */
export const FastOpenFailure = { None: 0, CookieUnavailable: 1, DataNotAcknowledged: 2, SynRetransmitted: 3 } as const

/** An active fast open: what the SYN offers, and what has become of it. */
export class FastOpenAttempt {
  /** The option of the next SYN: a cookie, or an empty one to ask for one; null for none. */
  offer: FastOpenOffer | null = null
  /** The server's MSS as it is remembered; 0 when it is not. */
  mss = 0
  /** Was the option in a SYN, and was it in the experimental form? */
  offered = false
  experimental = false
  /** Was data in the SYN? */
  sentData = false
  /** Is it the first since a pause for black holes? */
  afterPause = false
  /** One of `FastOpenFailure`. */
  failure: number = FastOpenFailure.None

  /**
   * Looks up what the SYN can offer to `server`.
   * @param withoutCookie TCP_FASTOPEN_NO_COOKIE
   * @returns whether the SYN may carry data
   */
  prepare(host: FastOpenHost, server: IpAddress, withoutCookie: boolean): boolean {
    const peer = host.recall(server)
    this.mss = peer === null ? 0 : peer.mss
    this.offer = null
    if (host.isPaused) return false
    this.afterPause = host.isSuspicious
    if (withoutCookie || host.allows(FastOpenMode.ClientWithoutCookie)) return true
    const cookie = peer === null ? NO_COOKIE : peer.cookie
    const experimental = peer !== null && (cookie.length > 0 ? peer.experimental : peer.tryExperimental === 1)
    this.offer = { cookie, experimental }
    if (cookie.length > 0) return true
    this.failure = FastOpenFailure.CookieUnavailable
    return false
  }
}
