import { ScriptError } from './script.ts'

export type TokenKind =
  | 'option'
  | 'float'
  | 'integer'
  | 'hex'
  | 'word'
  | 'string'
  | 'command'
  | 'code'
  | 'ipv4'
  | 'ipv6'
  | 'ellipsis'
  | 'symbol'
  | 'end'

export interface Token {
  readonly kind: TokenKind
  /** The text, without delimiters. */
  readonly text: string
  readonly line: number
  /** Where it begins and ends in the script, delimiters included. */
  readonly at: number
  readonly to: number
}

const SEGMENT = '[0-9a-fA-F]{1,4}'
/** Forms of IPv6 addresses that no range of sequence numbers (`1:1001`) looks like: eight groups, or `::` somewhere. */
const IPV6 = [
  `(?:${SEGMENT}:){7}${SEGMENT}`,
  `(?:${SEGMENT}(?::${SEGMENT})*)?::(?:(?:${SEGMENT}:)*(?:\\d+\\.\\d+\\.\\d+\\.\\d+|${SEGMENT}))?`,
].join('|')

/** Rules of which the one that takes the most characters wins, the earlier of equals. */
const RULES: readonly (readonly [TokenKind | 'space', RegExp])[] = [
  ['space', /[ \t\r\n]+/y],
  ['space', /\/\/[^\n]*/y],
  ['space', /\/\*[\s\S]*?\*\//y],
  ['ellipsis', /\.\.\./y],
  ['option', /--[a-zA-Z0-9_]+/y],
  ['float', /-?[0-9]*\.[0-9]+/y],
  ['integer', /-?[0-9]+/y],
  ['hex', /0x[0-9a-fA-F]+/y],
  ['word', /[a-zA-Z0-9_]+/y],
  ['string', /"(?:\\[\s\S]|[^"\\])*"/y],
  ['command', /`(?:\\[\s\S]|[^`\\])*`/y],
  ['code', /%\{[\s\S]*?\}%/y],
  ['ipv4', /[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/y],
  ['ipv6', new RegExp(IPV6, 'y')],
  ['symbol', /[^ \t\r\n]/y],
]

/** Cuts a script into tokens, the last one of kind 'end'. Comments are `//` and those of C. */
export const tokenize = (text: string): Token[] => {
  const tokens: Token[] = []
  let at = 0
  let line = 1
  while (at < text.length) {
    let kind: TokenKind | 'space' = 'symbol'
    let length = 0
    for (const [candidate, rule] of RULES) {
      rule.lastIndex = at
      const match = rule.exec(text)
      if (match !== null && match[0].length > length) {
        kind = candidate
        length = match[0].length
      }
    }
    const whole = text.slice(at, at + length)
    if (kind !== 'space') tokens.push({ kind, text: strip(kind, whole, line), line, at, to: at + length })
    for (const character of whole) if (character === '\n') line++
    at += length
  }
  tokens.push({ kind: 'end', text: 'the end of the script', line, at, to: at })
  return tokens
}

const strip = (kind: TokenKind, text: string, line: number): string => {
  if (kind === 'option' || kind === 'hex') return text.slice(2)
  if (kind === 'string' || kind === 'command') return text.slice(1, -1)
  if (kind === 'code') return text.slice(2, -2)
  if (kind === 'symbol' && (text === '`' || text === '"')) throw new ScriptError(line, `${text} is not closed`)
  return text
}
