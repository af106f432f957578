import type { Dissection } from './dissection.ts'

/** Protocols of lines of text, as FTP, SMTP and HTTP. */

/** Characters of a word; what is longer is none. */
const MAX_WORD = 128

const CR = 0x0d
const LF = 0x0a
const TAB = 0x09
const SPACE = 0x20

const isPrintable = (byte: number): boolean => byte >= SPACE && byte < 0x7f
const isBlank = (byte: number): boolean => byte === SPACE || byte === TAB
const isLineEnd = (byte: number): boolean => byte === CR || byte === LF

/**
 * The `length` bytes at `at`: `: HTTP: GET / HTTP/1.1`, and all lines with `-v`.
 * @param requests the words that a request begins with, for a protocol whose data is not to be shown: what is neither
 *   request nor response is then named and no more. Null: it is lines of text throughout
 */
export const putTextProtocol = (
  d: Dissection,
  at: number,
  length: number,
  name: string,
  requests: ReadonlySet<string> | null,
): void => {
  d.protocol = name
  d.put(`: ${name.toUpperCase()}`)
  const end = at + length
  if (requests !== null && !beginsMessage(d, at, end, requests)) return
  if (d.options.verbose === 0) {
    putLine(d, ': ', at, end)
    return
  }
  d.put(`, length: ${length}`)
  for (let line = at; line > 0 && line < end; ) line = putLine(d, '\n\t', line, end)
}

/** Does it begin with a request's word, or with a word and a response's three digits? */
const beginsMessage = (d: Dissection, at: number, end: number, requests: ReadonlySet<string>): boolean => {
  const first = readWord(d, at, end)
  if (first === null) return false
  if (requests.has(first.text.toUpperCase())) return true
  const second = readWord(d, first.next, end)
  return second !== null && /^[0-9]{3}$/.test(second.text)
}

/** The word at `at`, and where the next begins. */
const readWord = (d: Dissection, at: number, end: number): { text: string; next: number } | null => {
  let text = ''
  let next = at
  for (; next < end; next++) {
    if (!d.has(next, 1)) return null
    const byte = d.u8(next)
    if (isBlank(byte) || isLineEnd(byte)) break
    if (!isPrintable(byte) || text.length === MAX_WORD) return null
    text += String.fromCharCode(byte)
  }
  while (next < end && d.has(next, 1) && d.u8(next) === SPACE) next++
  return text === '' ? null : { text, next }
}

/** Tells the line at `at`. @returns where the next begins; 0 when the text ends here, or this is no text */
const putLine = (d: Dissection, prefix: string, at: number, end: number): number => {
  for (let i = at; i < end; i++) {
    const byte = d.u8(i)
    if (isLineEnd(byte)) {
      const isPair = byte === CR
      if (isPair && (i + 1 >= end || d.u8(i + 1) !== LF)) return 0
      d.put(prefix + ascii(d, at, i))
      return i + (isPair ? 2 : 1)
    }
    if (!isPrintable(byte) && byte !== TAB) return 0
  }
  d.put(prefix + ascii(d, at, end))
  d.cutShort()
  return 0
}

const ascii = (d: Dissection, start: number, end: number): string =>
  String.fromCharCode(...d.bytes.subarray(start, end))
