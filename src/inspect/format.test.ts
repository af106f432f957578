import { expect, it } from 'vitest'
import { general, hexByte, left, lines, right } from './format.ts'

it('pads as printf does', () => {
  expect([left('ab', 4), right('ab', 4), left('abc', 2), right(12, 1)]).toEqual(['ab  ', '  ab', 'abc', '12'])
  expect(lines([])).toBe('')
  expect(lines(['a', ''])).toBe('a\n\n')
  expect([hexByte(0), hexByte(10), hexByte(255)]).toEqual(['00', '0a', 'ff'])
})

it.each([
  [0, '0'],
  [1, '1'],
  [-2.5, '-2.5'],
  [0.1 + 0.2, '0.3'],
  [204.1, '204.1'],
  [200.001, '200.001'],
  [1234567, '1.23457e+06'],
  [999999.4, '999999'],
  [999999.6, '1e+06'],
  [0.00012345678, '0.000123457'],
  [0.000012345678, '1.23457e-05'],
  [1e21, '1e+21'],
  [Number.POSITIVE_INFINITY, 'inf'],
  [Number.NaN, 'nan'],
])('%%g of %d is %s', (value, text) => {
  expect(general(value)).toBe(text)
})

it('takes fewer digits', () => {
  expect([general(1.2345, 3), general(123.45, 3), general(1234.5, 3)]).toEqual(['1.23', '123', '1.23e+03'])
})
