import * as Signals from '../../src/host/signals.ts'
import type { Sockaddr } from '../../src/socket/address.ts'
import * as C from '../../src/socket/constants.ts'

/**
 * Scripts of system calls that are run on this stack and on a kernel, to compare what comes of them. A line is a call;
 * what it gives can be named:
 *
 *     a = socket AF_INET SOCK_STREAM
 *     bind a 10.1.0.1:80
 *     getsockname a
 *
 * Arguments are numbers, names of constants joined by `|`, descriptors by the names that lines before have given them,
 * addresses (`[::1]:80`, `AF_UNSPEC@0.0.0.0:0`, `@name` and `./path` of the Unix
 * domain), and values of options (`linger:1,5`, `mreq:224.1.1.1,10.1.0.1`). `#` begins
 * a comment. The machine has the addresses `ADDRESSES` on its second interface, d0.
 */

export const ADDRESSES = ['10.1.0.1/24', '10.2.0.1/24', 'fd00:1::1/64', 'fd00:2::1/64', 'fe80::1/64'] as const

/** The machines of scripts that are about two, on a cable, and their addresses. */
export const HOSTS = { a: ['10.9.0.1/24', 'fd09::1/64'], b: ['10.9.0.2/24', 'fd09::2/64'] } as const

/** What differs between kernels and distributions, and is set on both sides. */
export const SETTINGS = [
  ['net.ipv4.tcp_congestion_control', 'reno'],
  ['net.ipv4.tcp_rmem', '4096 131072 6291456'],
  ['net.ipv4.tcp_wmem', '4096 16384 4194304'],
  ['net.ipv4.ping_group_range', '0 2147483647'],
] as const

/** An argument as JSON, for a program that makes the same calls on a kernel. */
export type Argument = number | string | { fd: string } | Sockaddr | { kind: string; [field: string]: unknown }

/** One call of a script. */
export interface Step {
  /** Names for the descriptors that it makes. */
  readonly out: readonly string[]
  readonly call: string
  readonly args: readonly Argument[]
  /** The line as it was written. */
  readonly text: string
}

/** Reads a script. @throws Error for a line that makes no sense */
export const parseScript = (script: string): Step[] =>
  script
    .split(/\n|;/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '')
    .map(parseStep)

const parseStep = (text: string): Step => {
  const match = /^(?:([a-z0-9 ]+)=\s+)?([a-z][a-z0-9_]*)\s*(.*)$/.exec(text)
  if (match === null) throw new Error(`no call: ${text}`)
  const [, names = '', call = '', rest = ''] = match
  return {
    out: names.split(' ').filter((name) => name !== ''),
    call,
    // The name of a machine is no descriptor.
    args: (call === 'host' ? `"${rest}"` : rest)
      .split(' ')
      .filter((word) => word !== '')
      .map(parseArgument),
    text,
  }
}

const constants: Readonly<Record<string, unknown>> = { ...C, ...Signals }

const parseArgument = (word: string): Argument => {
  if (/^-?(\d+|0x[0-9a-f]+)$/.test(word)) return Number(word)
  if (/^".*"$/.test(word)) return word.slice(1, -1)
  if (/^net\.|^\d+,\d+$|^-[a-z]/.test(word)) return word
  if (/^[A-Z][A-Z0-9_|]*$/.test(word)) return word.split('|').reduce((sum, name) => (sum | constant(name)) >>> 0, 0)
  // Of the Unix domain: a name in the abstract space, none, or a path.
  if (/^@\w*$/.test(word))
    return word === '@' ? { family: C.AF_UNIX } : { family: C.AF_UNIX, path: `\0${word.slice(1)}` }
  if (/^\.\/\w+$/.test(word)) return { family: C.AF_UNIX, path: word }
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
  if (typeof value !== 'number') throw new Error(`no constant ${name}`)
  return value
}

const parseOption = (kind: string, [a = '', b = '', c = '']: string[]): { kind: string; [field: string]: unknown } => {
  switch (kind) {
    case 'linger':
      return { kind, l_onoff: Number(a), l_linger: Number(b) }
    case 'time':
      return { kind, tv_sec: Number(a), tv_usec: Number(b) }
    case 'mreq':
      return { kind, imr_multiaddr: a, imr_address: b }
    case 'mreqn':
      return { kind, imr_multiaddr: a, imr_address: b, imr_ifindex: Number(c) }
    case 'mreq6':
      return { kind, ipv6mr_multiaddr: a, ipv6mr_interface: Number(b) }
    case 'source':
      return { kind, imr_multiaddr: a, imr_interface: b, imr_sourceaddr: c }
    default:
      return { kind, address: a }
  }
}
