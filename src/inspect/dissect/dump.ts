import { hex16, hexByte } from '../format.ts'
import { type Dissection, Truncated } from './dissection.ts'

/** The bytes of a packet as they are. */

const ROW = 16

const isGraphic = (byte: number): boolean => byte > 0x20 && byte < 0x7f

/** Two bytes in hexadecimal, a space in front of each pair: ` 4500 0030`. */
const hexPairs = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte, i) => (i % 2 === 0 ? ' ' : '') + hexByte(byte)).join('')

const rows = (bytes: Uint8Array): { offset: string; row: Uint8Array }[] =>
  Array.from({ length: Math.ceil(bytes.length / ROW) }, (_, i) => ({
    offset: hex16(i * ROW),
    row: bytes.subarray(i * ROW, (i + 1) * ROW),
  }))

/** Hexadecimal and ASCII (`-X`), each row behind `indent`. */
export const hexAndAscii = (bytes: Uint8Array, indent: string): string =>
  rows(bytes)
    .map(({ offset, row }) => {
      const characters = Array.from(row, (byte) => (isGraphic(byte) ? String.fromCharCode(byte) : '.')).join('')
      return `${indent}${offset}: ${hexPairs(row).padEnd((ROW / 2) * 5)}  ${characters}`
    })
    .join('')

/** Hexadecimal alone (`-x`). */
export const hex = (bytes: Uint8Array, indent: string): string =>
  rows(bytes)
    .map(({ offset, row }) => `${indent}${offset}: ${hexPairs(row)}`)
    .join('')

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

/** Text alone, lines as they are (`-A`); dots for what is no text. */
export const ascii = (bytes: Uint8Array): string => {
  let text = '\n'
  for (const [i, byte] of bytes.entries()) {
    if (byte === CR) {
      // A CR that ends a line is not shown.
      const remain = bytes.length - i - 1
      if (remain > 1 && bytes[i + 1] !== LF) text += '.'
    } else text += isGraphic(byte) || byte === TAB || byte === LF || byte === SPACE ? String.fromCharCode(byte) : '.'
  }
  return text
}

/** Dumps the `length` bytes at `at`, as far as they are there, in hexadecimal. */
export const putHex = (d: Dissection, at: number, length: number, indent = '\n\t'): void => {
  d.put(hex(d.bytes.subarray(at, Math.min(at + length, d.end)), indent))
}

/** Dumps the `length` bytes at `at` where no dissector knows them. @throws Truncated behind those that are there */
export const putUnknown = (d: Dissection, at: number, length: number, indent = '\n\t'): void => {
  const end = Math.min(at + length, d.end)
  d.put(hexAndAscii(d.bytes.subarray(at, end), indent))
  if (end < at + length) throw new Truncated()
}

/** Dumps the packet from `at` on, where no dissector knows it and nothing else dumps it. */
export const putRest = (d: Dissection, at: number): void => {
  if (d.options.dumpsUnknown) putUnknown(d, at, d.end - at)
}
