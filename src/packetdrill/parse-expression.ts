import type { Cursor } from './cursor.ts'
import type { Expression, Field } from './script.ts'

/** The arguments of system calls. */

/** `a`, `a | b`. */
export const parseExpression = (cursor: Cursor): Expression => {
  const first = parseTerm(cursor)
  if (!cursor.isSymbol('|')) return first
  const terms = [first]
  while (cursor.takeSymbol('|')) terms.push(parseTerm(cursor))
  return { kind: 'or', terms }
}

/** Expressions with commas between them, up to the symbol `close`, which is taken. */
export const parseList = (cursor: Cursor, close: string): Expression[] => {
  const items: Expression[] = []
  if (cursor.takeSymbol(close)) return items
  do items.push(parseExpression(cursor))
  while (cursor.takeSymbol(','))
  cursor.expect('symbol', close)
  return items
}

const parseTerm = (cursor: Cursor): Expression => {
  if (cursor.take('ellipsis') !== null) return { kind: 'ellipsis' }
  if (cursor.is('integer') || cursor.is('hex')) return { kind: 'integer', value: cursor.integer() }
  const text = cursor.take('string')
  if (text !== null) {
    cursor.take('ellipsis')
    return { kind: 'string', value: unescapeBytes(text.text) }
  }
  if (cursor.takeSymbol('[')) return { kind: 'array', items: parseList(cursor, ']') }
  if (cursor.takeSymbol('{')) return { kind: 'structure', fields: parseFields(cursor) }
  const { text: name } = cursor.expect('word')
  if (!cursor.takeSymbol('(')) return { kind: 'word', name }
  const argument = parseExpression(cursor)
  cursor.expect('symbol', ')')
  return { kind: 'call', name, argument }
}

const parseFields = (cursor: Cursor): Field[] => {
  const fields: Field[] = []
  if (cursor.takeSymbol('}')) return fields
  do fields.push(parseField(cursor))
  while (cursor.takeSymbol(','))
  cursor.expect('symbol', '}')
  return fields
}

const parseField = (cursor: Cursor): Field => {
  const value = parseExpression(cursor)
  if (!cursor.takeSymbol('=')) return { name: null, size: null, value }
  if (value.kind === 'call') return { name: value.name, size: value.argument, value: parseExpression(cursor) }
  if (value.kind !== 'word') throw cursor.error('a name expected before =')
  return { name: value.name, size: null, value: parseExpression(cursor) }
}

/** The escapes of C strings. Characters stand for bytes. */
const unescapeBytes = (text: string): string =>
  text.replace(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])/g, (_, code: string) => {
    if (code[0] === 'x' && code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff)
    return { n: '\n', t: '\t', r: '\r' }[code] ?? code
  })
