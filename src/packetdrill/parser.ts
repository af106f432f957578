import type { Micros } from '../core/clock.ts'
import { Cursor, type Definitions } from './cursor.ts'
import { tokenize } from './lexer.ts'
import { parseExpression, parseList } from './parse-expression.ts'
import { parsePacket } from './parse-packet.ts'
import {
  type Action,
  type EventTime,
  type Script,
  type ScriptEvent,
  type ScriptFlag,
  type SyscallSpec,
  Unsupported,
} from './script.ts'

/**
 * Reads a script (packetdrill's syntax.md): flags, a command before the first event, events, a command after the last.
 * @param definitions what stands for names, as -D gives it
 * @throws ScriptError with the line where it makes no sense; Unsupported
 */
export const parseScript = (text: string, definitions: Definitions = {}): Script => {
  const cursor = new Cursor(text, tokenize(text), definitions)
  const flags: ScriptFlag[] = []
  while (cursor.is('option')) flags.push(parseFlag(cursor))
  const initLine = cursor.line
  const init = cursor.take('command')?.text ?? null
  const events: ScriptEvent[] = []
  while (!cursor.is('end') && !cursor.is('command')) events.push(parseEvent(cursor))
  if (events.length === 0) throw cursor.error(`an event expected, ${cursor.here()} came`)
  const cleanup = cursor.take('command')?.text ?? null
  if (!cursor.is('end')) throw cursor.error(`the end of the script expected, ${cursor.here()} came`)
  return { flags, init, initLine, cleanup, events }
}

const parseFlag = (cursor: Cursor): ScriptFlag => {
  const { text: name } = cursor.expect('option')
  if (!cursor.takeSymbol('=')) return { name, value: null }
  let value = valueText(cursor)
  if (cursor.takeSymbol('=')) value += `=${valueText(cursor)}`
  return { name, value }
}

/** A flag's value: one token, or several without space between them (`ipv4-mapped-ipv6`, `12.5`, `192.0.2.1/24`). */
const valueText = (cursor: Cursor): string => {
  const first = cursor.next()
  let text = cursor.source.slice(first.at, first.to)
  while (cursor.peek().at === cursor.lastEnd && !cursor.isSymbol('=') && !cursor.is('end')) {
    const token = cursor.next()
    text += cursor.source.slice(token.at, token.to)
  }
  return first.kind === 'string' ? first.text : text
}

const parseEvent = (cursor: Cursor): ScriptEvent => {
  const { line } = cursor
  const time = parseTime(cursor)
  const action = parseAction(cursor, time)
  return { line, time, action }
}

/** No script lasts longer, seconds: what a host does by itself in that time takes a while. */
const LONGEST = 1e7

const parseTime = (cursor: Cursor): EventTime => {
  if (cursor.takeSymbol('*')) return { kind: 'any', start: 0, end: 0 }
  const isRelative = cursor.takeSymbol('+')
  const start = parseSeconds(cursor)
  if (!cursor.takeSymbol('~')) return { kind: isRelative ? 'relative' : 'absolute', start, end: start }
  if (isRelative) cursor.expect('symbol', '+')
  return { kind: isRelative ? 'relative-range' : 'absolute-range', start, end: parseSeconds(cursor) }
}

/** Seconds, as whole microseconds. */
const parseSeconds = (cursor: Cursor): Micros => {
  const token = cursor.take('float') ?? cursor.take('integer')
  if (token === null) throw cursor.error(`a time expected, ${cursor.here()} came`)
  const value = Number(token.text)
  if (value < 0) throw cursor.error('a time is not negative')
  if (value > LONGEST) throw cursor.error(`a time is no longer than ${LONGEST} s`)
  return Math.round(value * 1e6)
}

const parseAction = (cursor: Cursor, time: EventTime): Action => {
  if (cursor.isSymbol('<') || cursor.isSymbol('>')) return parsePacket(cursor)
  const code = cursor.take('code')
  if (code !== null) return { kind: 'code', text: code.text }
  const command = cursor.take('command')
  if (command !== null) return { kind: 'command', text: command.text }
  return parseSyscall(cursor, time)
}

const parseSyscall = (cursor: Cursor, time: EventTime): SyscallSpec => {
  const end = cursor.take('ellipsis') === null ? null : parseSeconds(cursor)
  if (end !== null && time.kind !== 'absolute' && time.kind !== 'relative') {
    throw new Unsupported('a blocking call at a time that is a range')
  }
  const first = cursor.peek()
  const name = cursor.expect('word').text
  cursor.expect('symbol', '(')
  const args = parseList(cursor, ')')
  cursor.expect('symbol', '=')
  const result = parseExpression(cursor)
  const errno = isNext(cursor) ? null : (cursor.take('word')?.text ?? null)
  const text = cursor.source.slice(first.at, cursor.lastEnd).replace(/\s+/g, ' ')
  if (cursor.takeSymbol('(')) {
    while (!cursor.takeSymbol(')')) {
      if (cursor.is('end')) throw cursor.error(') expected, the end of the script came')
      cursor.next()
    }
  }
  return { kind: 'syscall', name, args, result, errno, end, text }
}

/** Does no error's name follow? */
const isNext = (cursor: Cursor): boolean => !cursor.is('word')
