import { type Dissection, flagNames, named } from './dissection.ts'
import { putHex } from './dump.ts'

/** The options of neighbour discovery (RFC 4861, 4191, 8106), a line each. */

const Option = {
  SourceLink: 1,
  TargetLink: 2,
  Prefix: 3,
  Redirected: 4,
  Mtu: 5,
  Route: 24,
  DnsServers: 25,
  SearchList: 31,
} as const

const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'source link-address'],
  [2, 'destination link-address'],
  [3, 'prefix info'],
  [4, 'redirected header'],
  [5, 'mtu'],
  [7, 'advertisement interval'],
  [8, 'homeagent information'],
  [24, 'route info'],
  [25, 'rdnss'],
  [31, 'dnssl'],
])

const PREFIX_FLAGS = [
  [0x80, 'onlink'],
  [0x40, 'auto'],
  [0x20, 'router'],
] as const
/** A router's preference, by its two bits (RFC 4191 section 2.1). */
export const PREFERENCES = ['medium', 'high', 'reserved', 'low']

/** Tells the options from `start` to `end`. */
export const putNdpOptions = (d: Dissection, start: number, end: number): void => {
  for (let at = start; at < end; ) {
    const type = d.u8(at)
    const units = d.u8(at + 1)
    d.need(at, units * 8)
    d.put(`\n\t  ${named(NAMES, type, 'unknown')} option (${type}), length ${units * 8} (${units}): `)
    if (units === 0) {
      d.invalid()
      return
    }
    const length = units * 8
    if (at + length > end) {
      d.invalid()
      return
    }
    putOption(d, type, at, length, start)
    if (d.options.verbose > 1) putHex(d, at + 2, length - 2, '\n\t    ')
    at += length
  }
}

const seconds = (value: number): string => (value === 0xffff_ffff ? 'infinity' : `${value}s`)

const putOption = (d: Dissection, type: number, at: number, length: number, first: number): void => {
  switch (type) {
    case Option.SourceLink:
    case Option.TargetLink:
      d.put(d.hexBytes(at + 2, length - 2, ':'))
      break
    case Option.Prefix:
      d.put(`${d.ipv6(at + 16)}/${d.u8(at + 2)}, Flags [${flagNames(PREFIX_FLAGS, d.u8(at + 3))}]`)
      d.put(`, valid time ${seconds(d.u32(at + 4))}, pref. time ${seconds(d.u32(at + 8))}`)
      break
    case Option.Redirected:
      // As tcpdump has it, from the first option on.
      putHex(d, first, length, '\n\t    ')
      break
    case Option.Mtu:
      d.put(` ${d.u32(at + 4)}`)
      break
    case Option.DnsServers:
      d.put(` lifetime ${d.u32(at + 4)}s,`)
      for (let i = 8; i < length; i += 16) d.put(` addr: ${d.ipv6(at + i)}`)
      break
    case Option.Route: {
      const prefix = new Uint8Array(16)
      for (let i = 8; i < length; i++) prefix[i - 8] = d.u8(at + i)
      d.put(` ${d.ipv6Of(prefix)}/${d.u8(at + 2)}, pref=${PREFERENCES[(d.u8(at + 3) >> 3) & 3]}`)
      d.put(`, lifetime=${seconds(d.u32(at + 4))}`)
      break
    }
    default:
      if (d.options.verbose <= 1) putHex(d, at + 2, length - 2, '\n\t  ')
  }
}
