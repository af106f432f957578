import { bufferOutOfBounds, invalidArgType } from './errors.ts'
import type { Platform } from './platform.ts'

/** What can be sent: bytes, text, or a list of these. */
export type DgramData = string | ArrayBufferView | readonly (string | ArrayBufferView)[]

const KINDS = ['Buffer', 'TypedArray', 'DataView', 'string']

const bytesOf = (platform: Platform, data: unknown): Uint8Array | null => {
  if (typeof data === 'string') return platform.Buffer.from(data)
  if (!ArrayBuffer.isView(data)) return null
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength)
}

/** A part of what is to be sent. @throws for what is none, and for a part that it does not have */
export const sliceOf = (platform: Platform, data: DgramData, offset: unknown, length: unknown): Uint8Array => {
  const bytes = bytesOf(platform, data)
  if (bytes === null) throw invalidArgType('buffer', KINDS, data)
  const from = Number(offset) >>> 0
  const count = Number(length) >>> 0
  if (from > bytes.byteLength) throw bufferOutOfBounds('offset')
  if (from + count > bytes.byteLength) throw bufferOutOfBounds('length')
  return bytes.subarray(from, from + count)
}

/** The chunks of one datagram. */
export const listOf = (platform: Platform, data: DgramData): readonly Uint8Array[] => {
  if (!Array.isArray(data)) {
    const bytes = bytesOf(platform, data)
    if (bytes === null) throw invalidArgType('buffer', KINDS, data)
    return [bytes]
  }
  const list = data.map((chunk) => bytesOf(platform, chunk))
  if (list.includes(null)) throw invalidArgType('buffer list arguments', KINDS, data)
  return list.length === 0 ? [new Uint8Array(0)] : (list as Uint8Array[])
}
