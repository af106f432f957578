import { Unsupported } from './script.ts'

/** The part of Python that scripts assert things with: assignments, assert, print, arithmetic and comparisons. */

type Value = number | string | readonly Value[]

/** What is written in a snippet, and how much of it has been read. */
interface Source {
  readonly tokens: readonly string[]
  at: number
  readonly names: Map<string, Value>
}

const TOKEN = /\s*(0x[0-9a-fA-F]+|\d+\.\d+|\d+|\w+|'[^']*'|"[^"]*"|\/\/|\*\*|<<|>>|<=|>=|==|!=|[-+*/%|&^~<>(),])/y
/** Binary operators, the loosest first. */
const LEVELS: readonly (readonly string[])[] = [['|'], ['^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '/', '//', '%']]
const COMPARISONS = ['==', '!=', '<', '<=', '>', '>=']

/**
 * Runs a snippet.
 * @param names variables, which it may add to and which the next snippet sees
 * @returns the first assertion that does not hold, in words; null when all do
 * @throws Unsupported for what is not known here, names too
 */
export const runCode = (text: string, names: Map<string, Value>): string | null => {
  const plain = text.replace(/\\\s*\n/g, ' ').replace(/#[^\n]*/g, '')
  for (const statement of plain.split(/[\n;]/)) {
    const failure = runStatement(statement.trim(), names)
    if (failure !== null) return failure
  }
  return null
}

const runStatement = (statement: string, names: Map<string, Value>): string | null => {
  if (statement === '') return null
  const assignment = /^(\w+)\s*([-+]?)=(?!=)\s*(.*)$/.exec(statement)
  if (assignment !== null) {
    const [, name, operator, value] = assignment as unknown as [string, string, string, string]
    names.set(name, evaluate(operator === '' ? value : `${name} ${operator} (${value})`, names))
    return null
  }
  if (/^print\s*\(/.test(statement)) return null
  const assertion = /^assert\b\s*(.*)$/.exec(statement)
  if (assertion === null) throw new Unsupported(`Python: ${statement}`)
  const source = open(assertion[1]!, names)
  const holds = isTrue(disjunction(source))
  const told = take(source, ',') ? `, which tells ${String(disjunction(source))}` : ''
  finish(source)
  return holds ? null : `${statement}${told}`
}

/** The value of an expression. */
export const evaluate = (text: string, names: Map<string, Value>): Value => {
  const source = open(text, names)
  const value = disjunction(source)
  finish(source)
  return value
}

const open = (text: string, names: Map<string, Value>): Source => {
  const tokens: string[] = []
  const end = text.trimEnd().length
  for (let at = 0; at < end; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (match === null) throw new Unsupported(`Python: ${text.slice(at)}`)
    tokens.push(match[1]!)
  }
  return { tokens, at: 0, names }
}

const take = (source: Source, token: string): boolean => {
  if (source.tokens[source.at] !== token) return false
  source.at++
  return true
}

const finish = (source: Source): void => {
  if (source.at < source.tokens.length) throw new Unsupported(`Python: ${source.tokens.slice(source.at).join(' ')}`)
}

const isTrue = (value: Value): boolean => (typeof value === 'number' ? value !== 0 : value.length > 0)

const disjunction = (source: Source): Value => {
  let value = conjunction(source)
  while (take(source, 'or')) {
    const right = conjunction(source)
    if (!isTrue(value)) value = right
  }
  return value
}

const conjunction = (source: Source): Value => {
  let value = negation(source)
  while (take(source, 'and')) {
    const right = negation(source)
    if (isTrue(value)) value = right
  }
  return value
}

const negation = (source: Source): Value =>
  take(source, 'not') ? Number(!isTrue(negation(source))) : comparison(source)

/** `a <= b <= c` holds when both do. */
const comparison = (source: Source): Value => {
  let left = binary(source, 0)
  let result: Value | null = null
  while (COMPARISONS.includes(source.tokens[source.at] ?? '')) {
    const operator = source.tokens[source.at++]!
    const right = binary(source, 0)
    const holds = compare(operator, left, right)
    result = result === 0 ? 0 : Number(holds)
    left = right
  }
  return result ?? left
}

const compare = (operator: string, a: Value, b: Value): boolean => {
  if (operator === '==') return a === b
  if (operator === '!=') return a !== b
  if (operator === '<') return a < b
  if (operator === '<=') return a <= b
  return operator === '>' ? a > b : a >= b
}

const binary = (source: Source, level: number): Value => {
  if (level === LEVELS.length) return unary(source)
  let left = binary(source, level + 1)
  while (LEVELS[level]!.includes(source.tokens[source.at] ?? '')) {
    const operator = source.tokens[source.at++]!
    left = apply(operator, left, binary(source, level + 1))
  }
  return left
}

const apply = (operator: string, a: Value, b: Value): Value => {
  if (typeof a === 'string' && operator === '%') {
    const values = typeof b === 'object' ? [...b] : [b]
    return a.replace(/%[dsu]/g, () => String(values.shift()))
  }
  if (typeof a !== 'number' || typeof b !== 'number') throw new Unsupported(`Python: ${operator} of what is no number`)
  switch (operator) {
    case '|':
      return Number(BigInt(a) | BigInt(b))
    case '^':
      return Number(BigInt(a) ^ BigInt(b))
    case '&':
      return Number(BigInt(a) & BigInt(b))
    case '<<':
      return a * 2 ** b
    case '>>':
      return Math.floor(a / 2 ** b)
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '//':
      return Math.floor(a / b)
    default:
      return a - b * Math.floor(a / b)
  }
}

const unary = (source: Source): Value => {
  if (take(source, '-')) return apply('-', 0, unary(source))
  const token = source.tokens[source.at++]
  if (token === undefined) throw new Unsupported('Python: an expression that ends early')
  if (token === '(') {
    const items = [disjunction(source)]
    while (take(source, ',')) items.push(disjunction(source))
    if (!take(source, ')')) throw new Unsupported('Python: a parenthesis that is not closed')
    return items.length === 1 ? items[0]! : items
  }
  if (/^\d/.test(token)) return Number(token)
  if (/^['"]/.test(token)) return token.slice(1, -1)
  const value = source.names.get(token)
  if (value === undefined) throw new Unsupported(`TCP_INFO has no ${token}`)
  return value
}
