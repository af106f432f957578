/** Formatting of numbers and columns as C's printf does it, for the printers. */

/** `%-WIDTHs`: text at the left of a column; longer text is not cut. */
export const left = (text: string | number, width: number): string => String(text).padEnd(width)

/** `%WIDTHs` and `%WIDTHd`: at the right of a column. */
export const right = (text: string | number, width: number): string => String(text).padStart(width)

/** `%g`: six significant digits, trailing zeros cut off, with an exponent below 0.0001 and from 1,000,000 on. */
export const general = (value: number, digits = 6): string => {
  if (value === 0 || !Number.isFinite(value)) return Number.isFinite(value) ? '0' : value > 0 ? 'inf' : 'nan'
  const [mantissa, exponentText] = value.toExponential(digits - 1).split('e') as [string, string]
  const exponent = Number(exponentText)
  if (exponent < -4 || exponent >= digits) {
    const sign = exponent < 0 ? '-' : '+'
    return `${cutZeros(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`
  }
  return cutZeros(value.toFixed(digits - 1 - exponent))
}

const cutZeros = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text)

/** Lines with an end each; nothing for none. */
export const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('')

/** Two hexadecimal digits for each byte. */
export const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0')

/** `0x0800`: 16 bits. */
export const hex16 = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`
