/**
 * What the option lists of IPv4 and TCP have in common: kind, length,
 * value; two kinds of one byte; 40 bytes at the most.
 */

/** One option, or what is left where there are no more, as it lies in the bytes. */
export interface RawOption {
  /** The option's kind (IPv4: type). */
  readonly kind: number
  /**
   * What follows kind and length; for kind 0 what follows it to the end: padding. `null` for kind 1, which has neither.
   */
  readonly data: Uint8Array | null
}

/**
 * Cuts options apart.
 * @returns the options, and the bytes from the first option on whose length is wrong
 */
export const splitOptions = (bytes: Uint8Array): { options: RawOption[]; rest: Uint8Array } => {
  const options: RawOption[] = []
  let at = 0
  while (at < bytes.length) {
    const kind = bytes[at]!
    if (kind === 0) {
      options.push({ kind, data: bytes.slice(at + 1) })
      at = bytes.length
    } else if (kind === 1) {
      options.push({ kind, data: null })
      at++
    } else {
      const length = bytes[at + 1] ?? 0
      if (length < 2 || at + length > bytes.length) break
      options.push({ kind, data: bytes.slice(at + 2, at + length) })
      at += length
    }
  }
  return { options, rest: bytes.slice(at) }
}

/** The bytes of an option: kind, length, `data`. */
export const joinOption = (kind: number, data: ArrayLike<number>): Uint8Array => {
  const bytes = new Uint8Array(2 + data.length)
  bytes[0] = kind
  bytes[1] = bytes.length
  bytes.set(data, 2)
  return bytes
}

/** Several arrays of bytes as one. */
export const concatBytes = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A 32-bit word in network order. */
export const word32 = (word: number): number[] => [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff]

/** A 16-bit word in network order. */
export const word16 = (word: number): number[] => [(word >>> 8) & 0xff, word & 0xff]

/** Options padded with zeros (end of options) to whole words of 32 bits, as a header needs them. */
export const padOptions = (options: Uint8Array): Uint8Array => {
  const padded = new Uint8Array((options.length + 3) & ~3)
  padded.set(options)
  return padded
}
