import { type Dissection, named } from './dissection.ts'

/** The options of an IPv4 header, as `-v` tells them. */

const Kind = {
  End: 0,
  Nop: 1,
  RecordRoute: 7,
  Timestamp: 68,
  Security: 130,
  LooseRoute: 131,
  StrictRoute: 137,
  RouterAlert: 148,
} as const

const NAMES: ReadonlyMap<number, string> = new Map([
  [Kind.End, 'EOL'],
  [Kind.Nop, 'NOP'],
  [Kind.Timestamp, 'timestamp'],
  [Kind.Security, 'security'],
  [Kind.RecordRoute, 'RR'],
  [Kind.StrictRoute, 'SSRR'],
  [Kind.LooseRoute, 'LSRR'],
  [Kind.RouterAlert, 'RA'],
  [136, 'RFC1393'],
])

/** Tells the options from `start` to `end`. @returns false when one ends too soon */
export const putIpv4Options = (d: Dissection, start: number, end: number): boolean => {
  let separator = ''
  for (let at = start; at < end; ) {
    d.put(separator)
    separator = ','
    d.need(at, 1)
    const kind = d.u8(at)
    d.put(named(NAMES, kind, 'unknown %'))
    if (kind === Kind.Nop || kind === Kind.End) {
      at++
      if (kind === Kind.End) break
      continue
    }
    if (at + 1 >= end || !d.has(at, 2)) {
      return false
    }
    const length = d.u8(at + 1)
    if (length < 2) {
      d.put(` [option length ${length} < 2]`)
      return true
    }
    if (at + length > end || !d.has(at, length)) return false
    putOption(d, kind, at, length)
    at += length
  }
  return true
}

const putOption = (d: Dissection, kind: number, at: number, length: number): void => {
  switch (kind) {
    case Kind.Timestamp:
      putTimestamps(d, at, length)
      break
    case Kind.RecordRoute:
    case Kind.StrictRoute:
    case Kind.LooseRoute:
      putRoute(d, at, length)
      break
    case Kind.RouterAlert:
      if (length !== 4) d.put(` [router alert length ${length} != 4]`)
      else if (d.u16(at + 2) !== 0) d.put(` value ${d.u16(at + 2)}`)
      break
  }
}

/** ` 10.0.0.1, 0.0.0.0`: the comma stands where the next router writes. */
const putRoute = (d: Dissection, at: number, length: number): void => {
  if (length < 3) {
    d.put(` [bad length ${length}]`)
    return
  }
  if ((length + 1) % 4 !== 0) d.put(` [bad length ${length}]`)
  const pointer = d.u8(at + 2) - 1
  if (pointer < 3 || (pointer + 1) % 4 !== 0) d.put(` [bad ptr ${d.u8(at + 2)}]`)
  for (let i = 3; i + 4 <= length; i += 4) {
    if (i === pointer) d.put(',')
    d.put(` ${d.ipv4(at + i)}`)
  }
  if (pointer === length) d.put(',')
}

const putTimestamps = (d: Dissection, at: number, length: number): void => {
  if (length < 4) {
    d.put(`[bad length ${length}]`)
    return
  }
  const pointer = d.u8(at + 2) - 1
  const mode = d.u8(at + 3) & 0xf
  const overflow = d.u8(at + 3) >> 4
  d.put(' TS{')
  const step = mode === 0 ? 4 : 8
  d.put(
    mode === 0
      ? 'TSONLY'
      : mode === 1
        ? 'TS+ADDR'
        : mode === 2
          ? 'PRESPEC2.0'
          : mode === 3
            ? 'PRESPEC'
            : `[bad ts type ${mode}]`,
  )
  if (mode <= 3) {
    let mark = ' '
    for (let i = 4; i + step <= length; i += step) {
      if (i === pointer) mark = ' ^ '
      d.put(`${mark}${d.u32(at + i + step - 4)}@${step === 8 ? d.ipv4(at + i) : ''}`)
      mark = ' '
    }
    if (pointer === length) d.put(' ^ ')
    if (overflow > 0) d.put(` [${overflow} hops not recorded]} `)
    else d.put('}')
  }
}
