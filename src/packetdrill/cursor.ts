import { tableOf } from '../core/table.ts'
import type { Token, TokenKind } from './lexer.ts'
import { ScriptError } from './script.ts'

/** Names given on the command line with -D, and what stands for them. */
export type Definitions = Readonly<Record<string, string>>

/** What messages call a kind of token. */
const CALLED: Readonly<Record<TokenKind, string>> = {
  option: 'a flag',
  float: 'a number',
  integer: 'a whole number',
  hex: 'a hexadecimal number',
  word: 'a name',
  string: 'a text in quotes',
  command: 'a command in backquotes',
  code: 'code',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  ellipsis: '...',
  symbol: 'a sign',
  end: 'the end of the script',
}

/** A place in a script's tokens. */
export class Cursor {
  readonly tokens: readonly Token[]
  readonly source: string
  private readonly definitions: Definitions
  private index = 0

  constructor(source: string, tokens: readonly Token[], definitions: Definitions) {
    this.source = source
    this.tokens = tokens
    this.definitions = tableOf(definitions)
  }

  /** The token here, or `ahead` places on, with definitions put in. */
  peek(ahead = 0): Token {
    const token = this.tokens[Math.min(this.index + ahead, this.tokens.length - 1)]!
    if (token.kind !== 'word') return token
    const value = this.definitions[token.text]
    if (value === undefined) return token
    if (/^".*"$/s.test(value)) return { ...token, kind: 'string', text: value.slice(1, -1) }
    if (/^`.*`$/s.test(value)) return { ...token, kind: 'command', text: value.slice(1, -1) }
    return { ...token, kind: /^-?\d+$/.test(value) ? 'integer' : 'word', text: value }
  }

  get line(): number {
    return this.peek().line
  }

  /** Where the last token that was taken ends. */
  get lastEnd(): number {
    return this.index === 0 ? 0 : this.tokens[this.index - 1]!.to
  }

  next(): Token {
    const token = this.peek()
    if (this.index < this.tokens.length - 1) this.index++
    return token
  }

  is(kind: TokenKind, text?: string, ahead = 0): boolean {
    const token = this.peek(ahead)
    return token.kind === kind && (text === undefined || token.text === text)
  }

  isSymbol(text: string, ahead = 0): boolean {
    return this.is('symbol', text, ahead)
  }

  isWord(text: string, ahead = 0): boolean {
    return this.is('word', text, ahead)
  }

  /** Takes the token here if it is this one. */
  take(kind: TokenKind, text?: string): Token | null {
    return this.is(kind, text) ? this.next() : null
  }

  takeSymbol(text: string): boolean {
    return this.take('symbol', text) !== null
  }

  takeWord(text: string): boolean {
    return this.take('word', text) !== null
  }

  expect(kind: TokenKind, text?: string): Token {
    const token = this.take(kind, text)
    if (token === null) throw this.error(`${text ?? CALLED[kind]} expected, ${this.here()} came`)
    return token
  }

  /** A whole number, decimal or hexadecimal. */
  integer(): number {
    const hex = this.take('hex')
    if (hex !== null) return Number.parseInt(hex.text, 16)
    return Number(this.expect('integer').text)
  }

  /** A whole number that fits into so many bits. @param what it is, for the message */
  field(bits: number, what: string): number {
    const { line } = this
    const value = this.integer()
    if (value >= 0 && value < 2 ** bits) return value
    throw new ScriptError(line, `${value} is no number for ${what}: 0 to ${2 ** bits - 1}`)
  }

  /** What stands here, for a message. */
  here(): string {
    const { kind, text } = this.peek()
    return kind === 'end' ? 'the end of the script' : text
  }

  error(message: string): ScriptError {
    return new ScriptError(this.line, message)
  }
}
