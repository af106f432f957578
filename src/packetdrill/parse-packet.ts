import type { Cursor } from './cursor.ts'
import {
  type IcmpSpec,
  type IpSpec,
  type PacketSpec,
  type TcpOptionName,
  type TcpOptionSpec,
  type TcpSpec,
  type UdpSpec,
  Unsupported,
} from './script.ts'

const NO_IP: IpSpec = { ecn: null, tos: null, ttl: null, flowLabel: null }

/** A packet, from its direction on. */
export const parsePacket = (cursor: Cursor): PacketSpec => {
  const outbound = cursor.expect('symbol').text === '>'
  for (const shell of ['ipv4', 'ipv6', 'gre', 'GREv0', 'mpls', 'psp']) {
    if (cursor.isWord(shell)) throw new Unsupported(`encapsulated packets (${shell})`)
  }
  const ip = parseIp(cursor)
  if (cursor.takeWord('icmp')) return { kind: 'packet', outbound, ip, body: parseIcmp(cursor) }
  if (cursor.takeWord('udp')) return { kind: 'packet', outbound, ip, body: parseUdp(cursor) }
  return { kind: 'packet', outbound, ip, body: parseTcp(cursor, outbound) }
}

/** `[ect0]`, `(ttl 5)`, `[tos 0x10]` … */
const parseIp = (cursor: Cursor): IpSpec => {
  const close = cursor.takeSymbol('[') ? ']' : cursor.takeSymbol('(') ? ')' : null
  if (close === null) return NO_IP
  let spec = NO_IP
  do {
    const { text } = cursor.expect('word')
    switch (text) {
      case 'noecn':
      case 'ect0':
      case 'ect1':
      case 'ce':
      case 'ect01':
        spec = { ...spec, ecn: text }
        break
      case 'tos':
        spec = { ...spec, tos: cursor.integer() }
        break
      case 'ttl':
        spec = { ...spec, ttl: cursor.integer() }
        break
      case 'flowlabel':
        spec = { ...spec, flowLabel: cursor.integer() }
        break
      default:
        throw cursor.error(`${text} is nothing to say of an IP header`)
    }
  } while (cursor.takeSymbol(','))
  cursor.expect('symbol', close)
  return spec
}

const parsePorts = (cursor: Cursor): readonly [number, number] | null => {
  if (!cursor.is('integer') || !cursor.isSymbol('>', 1)) return null
  const source = cursor.field(16, 'a port')
  cursor.expect('symbol', '>')
  return [source, cursor.field(16, 'a port')]
}

const parseTcp = (cursor: Cursor, outbound: boolean): TcpSpec => {
  const ports = parsePorts(cursor)
  let flags = ''
  if (cursor.takeSymbol('-')) flags = ''
  else {
    flags = cursor.take('word')?.text ?? ''
    if (cursor.takeSymbol('.')) flags += '.'
    if (flags === '') throw cursor.error(`flags expected, ${cursor.here()} came`)
    if (/[0-7]/.test(flags)) throw new Unsupported('accurate ECN: counts in the flags')
    if (!/^[SFRPUEWA.]+$/.test(flags)) throw cursor.error(`${flags} are no flags`)
  }
  const { seq, length } = parseRange(cursor)
  const ack = cursor.takeWord('ack') ? cursor.integer() : null
  const window = cursor.takeWord('win') ? cursor.field(16, 'a window') : null
  const urgent = cursor.takeWord('urg') ? cursor.field(16, 'an urgent pointer') : 0
  if (window === null && !outbound) throw cursor.error('a packet that arrives needs a window (win)')
  return { protocol: 'tcp', ports, flags, seq, length, ack, window, urgent, options: parseOptions(cursor) }
}

/** `1:1001(1000)`. */
const parseRange = (cursor: Cursor): { seq: number; length: number } => {
  const seq = cursor.integer()
  cursor.expect('symbol', ':')
  const end = cursor.integer()
  cursor.expect('symbol', '(')
  const length = cursor.integer()
  cursor.expect('symbol', ')')
  if (((seq + length) | 0) !== (end | 0)) throw cursor.error(`${seq}:${end} are not ${length} bytes`)
  return { seq, length }
}

/** The option list. A `<` that begins the next event's packet cannot follow, as a time stands before it. */
const parseOptions = (cursor: Cursor): readonly TcpOptionSpec[] | null => {
  if (!cursor.takeSymbol('<')) return []
  if (cursor.take('ellipsis') !== null) {
    cursor.expect('symbol', '>')
    return null
  }
  const options: TcpOptionSpec[] = []
  do options.push(parseOption(cursor))
  while (cursor.takeSymbol(','))
  cursor.expect('symbol', '>')
  return options
}

const parseOption = (cursor: Cursor): TcpOptionSpec => {
  const { text } = cursor.expect('word')
  const name = text as Exclude<TcpOptionName, 'unknown'>
  switch (name) {
    case 'nop':
    case 'eol':
    case 'sackOK':
      return { name, values: [], blob: null }
    case 'mss':
      return { name, values: [cursor.field(16, 'an MSS')], blob: null }
    case 'wscale':
      return { name, values: [cursor.field(8, 'a window scale')], blob: null }
    case 'sack': {
      const values: number[] = []
      while (cursor.is('integer')) {
        values.push(cursor.integer())
        cursor.expect('symbol', ':')
        values.push(cursor.integer())
      }
      return { name, values, blob: null }
    }
    case 'TS': {
      cursor.expect('word', 'val')
      const value = cursor.integer()
      cursor.expect('word', 'ecr')
      return { name, values: [value, cursor.integer()], blob: null }
    }
    case 'md5':
      return { name, values: [], blob: parseBlob(cursor) }
    case 'FO':
    case 'FOEXP':
      return { name, values: [], blob: cursor.is('word') || cursor.is('integer') ? parseBlob(cursor) : null }
    default:
      if (text === 'ECN') throw new Unsupported('the accurate ECN option')
      throw cursor.error(`${text} is no option`)
  }
}

const parseBlob = (cursor: Cursor): Uint8Array => {
  const { text } = cursor.next()
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) throw cursor.error(`${text} is no string of hexadecimal bytes`)
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
}

const parseUdp = (cursor: Cursor): UdpSpec => {
  const ports = parsePorts(cursor)
  cursor.expect('symbol', '(')
  const length = cursor.integer()
  cursor.expect('symbol', ')')
  return { protocol: 'udp', ports, length }
}

const parseIcmp = (cursor: Cursor): IcmpSpec => {
  const type = cursor.expect('word').text
  const isCode = cursor.is('word') && !cursor.isWord('mtu') && !cursor.isWord('id')
  const code = isCode ? cursor.next().text : null
  const mtu = cursor.takeWord('mtu') ? cursor.integer() : 0
  const id = cursor.takeWord('id') ? cursor.integer() : 0
  let quoted: IcmpSpec['quoted'] = { protocol: 'tcp', seq: 0, length: 0 }
  if (cursor.takeSymbol('[')) {
    const protocol = cursor.takeWord('udp') ? 'udp' : cursor.takeWord('raw') ? 'raw' : 'tcp'
    if (protocol === 'tcp') quoted = { protocol, ...parseRange(cursor) }
    else {
      cursor.expect('symbol', '(')
      quoted = { protocol, seq: 0, length: cursor.integer() }
      cursor.expect('symbol', ')')
    }
    cursor.expect('symbol', ']')
  }
  return { protocol: 'icmp', type, code, mtu, id, quoted }
}
