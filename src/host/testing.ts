import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'

/**
 * Scripts of system calls, which tests run on this stack and on a kernel to compare what comes of them. A line is a
 * call, with what it is to give:
 *
 *     a = socket AF_INET SOCK_STREAM
 *     bind a 10.1.0.1:80
 *     bind a 10.1.0.1:81 -> EINVAL
 *
 * Without an arrow it is to succeed. Arguments are numbers, names of constants joined by `|`, descriptors by the names
 * that lines before have given them, addresses, and values of options (`linger:1,5`, `mreq:224.1.1.1,10.1.0.1`).
 *
 * The host has the addresses 10.1.0.1/24, 10.2.0.1/24, fd00:1::1/64, fd00:2::1/64 and fe80::1/64 on its second interface, d0.
 */

/** An argument as JSON, for a program that makes the same calls on a kernel. */
export type Argument = number | string | { fd: string } | Sockaddr | { kind: string; [field: string]: unknown }

/** One call of a script. */
export interface Step {
  /** Names for the descriptors that it makes. */
  readonly out: readonly string[]
  readonly call: string
  readonly args: readonly Argument[]
  /** What it is to give: `ok` for anything but an error. */
  readonly expected: string
  /** The line as it was written. */
  readonly text: string
}

/** A script with its name. */
export interface Case {
  readonly name: string
  readonly script: string
}

const constants = C as unknown as Readonly<Record<string, number>>

/** Reads a script. @throws Error for a line that makes no sense */
export const parseScript = (script: string): Step[] =>
  script
    .split('\n')
    .map((line) => line.replace(/\s#.*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseStep)

const parseStep = (text: string): Step => {
  const [before, expected = 'ok'] = text.split('->').map((part) => part.trim()) as [string, string?]
  const match = /^(?:([a-z0-9 ]+)=\s+)?([a-z][a-z0-9_]*)\s*(.*)$/.exec(before)
  if (match === null) throw new Error(`no call: ${text}`)
  const [, names = '', call, rest] = match
  return {
    out: names.trim() === '' ? [] : names.trim().split(/\s+/),
    call: call!,
    args: rest === '' ? [] : rest!.split(/\s+/).map(parseArgument),
    expected,
    text,
  }
}

const parseArgument = (word: string): Argument => {
  if (/^-?(\d+|0x[0-9a-f]+)$/.test(word)) return Number(word)
  if (/^".*"$/.test(word)) return word.slice(1, -1)
  if (/^net\.|^\d+,\d+$/.test(word)) return word
  if (/^[A-Z][A-Z0-9_|]*$/.test(word)) return word.split('|').reduce((sum, name) => (sum | constant(name)) >>> 0, 0)
  const address = /^(?:(\w+)@)?(?:\[([^\]]*)\]|(\d+\.\d+\.\d+\.\d+)):(\d+)$/.exec(word)
  if (address !== null) {
    const [, family, six, four, port] = address
    const value: Sockaddr = { address: six ?? four!, port: Number(port) }
    if (family !== undefined) value.family = /^\d+$/.test(family) ? Number(family) : constant(family)
    return value
  }
  const option = /^(linger|time|mreq|mreqn|mreq6|source|in):(.*)$/.exec(word)
  if (option !== null) return parseOption(option[1]!, option[2]!.split(','))
  return { fd: word }
}

const constant = (name: string): number => {
  const value = constants[name]
  if (value === undefined) throw new Error(`no constant ${name}`)
  return value
}

const parseOption = (kind: string, [a = '', b = '', c = '']: string[]): { kind: string; [field: string]: unknown } => {
  switch (kind) {
    case 'linger':
      return { kind, l_onoff: Number(a), l_linger: Number(b) }
    case 'time':
      return { kind, tv_sec: Number(a), tv_usec: Number(b) }
    case 'mreq':
      return { kind, group: a, interface: b }
    case 'mreqn':
      return { kind, group: a, address: b, index: Number(c) }
    case 'mreq6':
      return { kind, group: a, index: Number(b) }
    case 'source':
      return { kind, group: a, interface: b, source: c }
    default:
      return { kind: 'in_addr', address: a }
  }
}

/** Does an outcome meet what was expected? */
export const meets = (step: Step, outcome: string): boolean =>
  step.expected === 'ok' ? !/^E[A-Z0-9]+$/.test(outcome) : outcome === step.expected
