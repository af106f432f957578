import type { Dissection } from './dissection.ts'

/** Names of DNS (RFC 1035 sections 3.1 and 4.1.4). */

const KIND = 0xc0
const POINTER = 0xc0
const RESERVED = 0x80
const EXTENDED = 0x40

/** Characters of a name that are told. */
const MAX_NAME = 255

/** Where what follows the name at `at` begins; null when the name is malformed or cut short. */
export const skipName = (d: Dissection, start: number): number | null => {
  let at = start
  for (;;) {
    if (!d.has(at, 1)) return null
    const length = d.u8(at++)
    if (length === 0) return at
    if ((length & KIND) === POINTER) return at + 1
    if ((length & KIND) !== 0) return null
    at += length
  }
}

/**
 * Tells the name at `start`, with a dot behind each label, following pointers into the message at `message`.
 * @returns where what follows begins; null when it is malformed or cut short
 */
export const putName = (d: Dissection, start: number, message: number): number | null => {
  let at = start
  let next: number | null = null
  // Pointers must point further and further back: so they end.
  let before = start - message
  let characters = 0
  for (let labels = 0; ; labels++) {
    if (!d.has(at, 1)) return null
    const length = d.u8(at)
    if ((length & KIND) === RESERVED) return malformed(d, '<BAD LABEL TYPE>')
    if ((length & KIND) === EXTENDED) return malformed(d, `<ELT ${length & 0x3f}>`)
    if ((length & KIND) === POINTER) {
      next ??= at + 2
      if (!d.has(at + 1, 1)) return null
      const offset = d.u16(at) & 0x3fff
      if (offset >= before) return malformed(d, '<BAD PTR>')
      before = offset
      at = message + offset
      labels--
      continue
    }
    at++
    if (length === 0) {
      if (labels === 0 && next === null) d.put('.')
      if (characters > MAX_NAME) d.put('<DOMAIN NAME TOO LONG>')
      return next ?? at
    }
    const told = Math.max(0, Math.min(length, MAX_NAME - characters))
    d.put(d.characters(at, Math.min(told, d.end - at)))
    if (!d.has(at, told)) return null
    at += length
    characters += length
    if (characters <= MAX_NAME) d.put('.')
    characters++
  }
}

const malformed = (d: Dissection, text: string): null => {
  d.put(text)
  return null
}
