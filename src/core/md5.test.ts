import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { toHex } from '../../test/support/hex.ts'
import { Md5 } from './md5.ts'

const digest = (text: string): string => {
  const into = new Uint8Array(16)
  new Md5().start().update(new TextEncoder().encode(text)).end(into)
  return toHex(into)
}

it('the test suite of RFC 1321 (appendix A.5)', () => {
  expect(digest('')).toBe('d41d8cd98f00b204e9800998ecf8427e')
  expect(digest('a')).toBe('0cc175b9c0f1b6a831c399e269772661')
  expect(digest('abc')).toBe('900150983cd24fb0d6963f7d28e17f72')
  expect(digest('message digest')).toBe('f96b697d7cb7938d525a2f31aaf161d0')
  expect(digest('1234567890'.repeat(8))).toBe('57edf4a22be3c955ac49da2e2107b67a')
})

it('any bytes in any pieces, as node has it; the object is used again', () => {
  const md5 = new Md5()
  const into = new Uint8Array(20)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.integer(), (bytes, cut, word) => {
      md5.start().update(bytes, 0, Math.min(cut, bytes.length)).update(bytes, Math.min(cut, bytes.length)).word(word)
      md5.end(into, 4)
      const tail = new Uint8Array(4)
      new DataView(tail.buffer).setInt32(0, word)
      const expected = createHash('md5').update(bytes).update(tail).digest('hex')
      expect(toHex(into.subarray(4))).toBe(expected)
    }),
  )
})
