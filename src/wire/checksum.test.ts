import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hex } from '../../test/support/hex.ts'
import { type Bytes, bytesOf } from '../core/memory.ts'
import { checksumOf, foldSum, sumBytes, sumWord, updateChecksum } from './checksum.ts'

/** RFC 1071 word by word: big-endian, the last odd byte padded with zero. */
const naive = (u8: Uint8Array): number => {
  let sum = 0
  for (let i = 0; i < u8.length; i += 2) {
    sum += (u8[i]! << 8) | (u8[i + 1] ?? 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  return sum
}

/** `data` at every place relative to a whole word, between bytes that must not count. */
const atOffset = (data: Uint8Array, offset: number): Bytes => {
  const bytes = bytesOf(new Uint8Array(data.length + 16).fill(0xa5))
  bytes.u8.set(data, offset)
  return bytes
}

const pseudoRandom = (length: number, seed: number): Uint8Array => {
  let state = seed
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    return state >>> 24
  })
}

test('the example of RFC 1071 section 3', () => {
  const data = hex('0001 f203 f4f5 f6f7')
  expect(sumBytes(bytesOf(data), 0, 8)).toBe(0xddf2)
  expect(checksumOf(0xddf2)).toBe(0x220d)
})

test('every length to 200 at every alignment, for random, zero and all-ones bytes', () => {
  for (let length = 0; length <= 200; length++) {
    for (const data of [
      pseudoRandom(length, length),
      new Uint8Array(length),
      new Uint8Array(length).fill(0xff),
      new Uint8Array(length).fill(0x80),
    ]) {
      const expected = naive(data)
      for (let offset = 0; offset < 8; offset++) {
        expect(sumBytes(atOffset(data, offset), offset, offset + length), `${length} at ${offset}`).toBe(expected)
      }
    }
  }
})

test.each([1460, 1461, 9000, 65_535, 65_536, 1_000_003])('%i bytes at every alignment', (length) => {
  for (const data of [pseudoRandom(length, 7), new Uint8Array(length).fill(0xff)]) {
    const expected = naive(data)
    for (let offset = 0; offset < 4; offset++) {
      expect(sumBytes(atOffset(data, offset), offset, offset + length)).toBe(expected)
    }
  }
})

test('the last bytes of a memory of 2 GiB', () => {
  const { buffer } = new WebAssembly.Memory({ initial: 32_768 })
  const bytes: Bytes = {
    u8: new Uint8Array(buffer),
    u32: new Uint32Array(buffer),
    view: new DataView(buffer),
    kernels: null,
  }
  const end = 2 ** 31
  for (let length = 0; length < 80; length++) {
    const data = pseudoRandom(length, length)
    bytes.u8.set(data, end - length)
    expect(sumBytes(bytes, end - length, end)).toBe(naive(data))
  }
})

test('a sum of parts is the sum of the whole, when the parts begin at even places', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(150), (data, half) => {
      const cut = Math.min(half * 2, data.length)
      const bytes = bytesOf(data)
      const sum = sumBytes(bytes, 0, cut) + sumBytes(bytes, cut, data.length)
      expect(foldSum(sum)).toBe(naive(data))
    }),
  )
})

test('words and many terms fold exactly', () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      const bytes = bytesOf(new Uint8Array(words.length * 4))
      for (const [i, w] of words.entries()) bytes.view.setInt32(i * 4, w)
      expect(foldSum(words.reduce((sum, w) => sum + sumWord(w), 0))).toBe(naive(bytes.u8))
    }),
  )
  expect(foldSum(65_536 * 0xffff)).toBe(0xffff)
  expect(foldSum(0)).toBe(0)
  expect(foldSum(0x1_fffe)).toBe(0xffff)
})

test('a header whose checksum field is filled sums to all ones', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), (data) => {
      const bytes = bytesOf(data)
      bytes.view.setUint16(2, 0)
      bytes.view.setUint16(2, checksumOf(sumBytes(bytes, 0, data.length)))
      const sum = sumBytes(bytes, 0, data.length)
      expect(sum === 0xffff || (sum === 0 && data.every((b, i) => b === 0 || i === 2 || i === 3))).toBe(true)
    }),
  )
})

test('updating for one changed field is computing anew (RFC 1624)', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(0xffff), (header, after) => {
      const bytes = bytesOf(header)
      bytes.u8[0] = 0x45
      bytes.view.setUint16(10, 0)
      const checksum = checksumOf(sumBytes(bytes, 0, 20))
      const before = bytes.view.getUint16(8)
      bytes.view.setUint16(8, after)
      expect(updateChecksum(checksum, before, after)).toBe(checksumOf(sumBytes(bytes, 0, 20)))
    }),
  )
  // The case that RFC 1624 section 4 works out.
  expect(updateChecksum(0xdd2f, 0x5555, 0x3285)).toBe(0x0000)
})
