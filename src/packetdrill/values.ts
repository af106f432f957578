import { Errno } from '../core/errno.ts'
import * as C from '../socket/constants.ts'
import { type Expression, type Field, fieldOf, Unsupported } from './script.ts'

/** The values of arguments. */

/** What has other names in scripts than in the headers, and what no header of ours has. */
const OTHER_NAMES: Readonly<Record<string, number>> = { NULL: 0, TCP_CM_INQ: C.TCP_INQ }

const CONSTANTS: Readonly<Record<string, unknown>> = C

/** The number that a name stands for: a constant of the headers, or an error's. @throws Unsupported */
export const constant = (name: string): number => {
  const value = CONSTANTS[name] ?? OTHER_NAMES[name] ?? (Errno as Readonly<Record<string, number>>)[name]
  if (typeof value !== 'number') throw new Unsupported(`the constant ${name}`)
  return value
}

/** The value of a number, a name, a sum of flags, or a single one in brackets (`[1]`). */
export const numberOf = (expression: Expression): number => {
  switch (expression.kind) {
    case 'integer':
      return expression.value
    case 'word':
      return constant(expression.name)
    case 'or':
      // Unsigned: the highest bit is a flag like the others.
      return expression.terms.reduce((sum, term) => (sum | numberOf(term)) >>> 0, 0)
    case 'array':
      if (expression.items.length === 1) return numberOf(expression.items[0]!)
      break
    case 'call':
      if (expression.name === 'htons' || expression.name === 'htonl') return numberOf(expression.argument)
      break
    default:
  }
  throw new Unsupported(`an argument of this kind where a number belongs: ${describe(expression)}`)
}

/** The number that a member has; `otherwise` when the structure has none of this name. */
export const numberField = (structure: Expression, name: string, otherwise: number): number => {
  const value = fieldOf(structure, name)
  return value === undefined ? otherwise : numberOf(value)
}

/** A member that a structure must have. @throws Unsupported when it has none of this name */
export const memberOf = (structure: Expression, name: string): Expression => {
  const value = fieldOf(structure, name)
  if (value === undefined) throw new Unsupported(`${describe(structure)} without ${name}`)
  return value
}

/** The buffers of an array of `{..., 1000}`, each of so many zeros. */
export const vectorOf = (array: Expression | undefined): Uint8Array[] =>
  itemsOf(array).map((item) => {
    const [, length] = fieldsOf(item)
    if (length === undefined) throw new Unsupported('a buffer without a length')
    return bufferOf(numberOf(length.value))
  })

/** The members of a structure. @throws Unsupported for anything else */
export const fieldsOf = (expression: Expression): readonly Field[] => {
  if (expression.kind !== 'structure') throw new Unsupported(`${describe(expression)} where a structure belongs`)
  return expression.fields
}

/** The items of an array; those of nothing are none. @throws Unsupported for anything else */
export const itemsOf = (expression: Expression | undefined): readonly Expression[] => {
  if (expression === undefined) return []
  if (expression.kind !== 'array') throw new Unsupported(`${describe(expression)} where an array belongs`)
  return expression.items
}

/** The most that a call of a script may send or receive at once, bytes. */
const LARGEST_BUFFER = 1 << 26

/** A buffer of so many zeros; none for a negative length. @throws Unsupported for one that is too large */
export const bufferOf = (length: number): Uint8Array => {
  if (length > LARGEST_BUFFER) throw new Unsupported(`a buffer of ${length} bytes`)
  return new Uint8Array(Math.max(0, length))
}

/** Is it `...`, which stands for what the runner fills in? */
export const isEllipsis = (expression: Expression | undefined): boolean => expression?.kind === 'ellipsis'

/** Is it NULL? */
export const isNull = (expression: Expression | undefined): boolean =>
  expression?.kind === 'word' && expression.name === 'NULL'

const describe = (expression: Expression): string => {
  switch (expression.kind) {
    case 'ellipsis':
      return '...'
    case 'word':
      return expression.name
    case 'string':
      return JSON.stringify(expression.value)
    default:
      return `a ${expression.kind}`
  }
}
