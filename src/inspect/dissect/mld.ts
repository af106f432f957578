import type { Dissection } from './dissection.ts'

/** Multicast listener discovery (RFC 2710, 3810), within ICMPv6. */

const RECORDS: ReadonlyMap<number, string> = new Map([
  [1, 'is_in'],
  [2, 'is_ex'],
  [3, 'to_in'],
  [4, 'to_ex'],
  [5, 'allow'],
  [6, 'block'],
])

const V1_LENGTH = 24
const V2_LENGTH = 28

export const putMldQuery = (d: Dissection, at: number, length: number): void => {
  if (length === V1_LENGTH) {
    if (d.has(at, V1_LENGTH)) d.put(`max resp delay: ${d.u16(at + 4)} addr: ${d.ipv6(at + 8)}`)
    return
  }
  if (length < V2_LENGTH) {
    d.put(` unknown-version (len ${length}) `)
    return
  }
  d.put(' v2')
  const code = d.u16(at + 4)
  const response = code < 0x8000 ? code : ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3)
  if (d.options.verbose > 0) {
    d.put(` [max resp delay=${response}]`)
  }
  d.put(` [gaddr ${d.ipv6(at + 8)}`)
  if (d.options.verbose > 0) {
    if ((d.u8(at + 24) & 8) !== 0) d.put(' sflag')
    if ((d.u8(at + 24) & 7) !== 0) d.put(` robustness=${d.u8(at + 24) & 7}`)
    const interval = d.u8(at + 25)
    d.put(` qqi=${interval < 128 ? interval : ((interval & 0xf) | 0x10) << (((interval >> 4) & 7) + 3)}`)
  }
  const sources = d.u16(at + 26)
  if (sources > 0) {
    if (d.options.verbose > 1) {
      d.put(' {')
      for (let i = 0; i < sources; i++) d.put(` ${d.ipv6(at + 28 + i * 16)}`)
      d.put(' }')
    } else d.put(`, ${sources} source(s)`)
  }
  d.put(']')
}

export const putMldReport = (d: Dissection, at: number, length: number): void => {
  if (length < 28) {
    d.put(` [invalid len ${length}]`)
    return
  }
  const records = d.u16(at + 6)
  d.put(`, ${records} group record(s)`)
  if (d.options.verbose === 0) return
  for (let i = 0, record = at + 8; i < records && record + 20 <= at + length; i++) {
    d.put(` [gaddr ${d.ipv6(record + 4)}`)
    const type = d.u8(record)
    d.put(` ${RECORDS.get(type) ?? `v2-report-#${type}`}`)
    const sources = d.u16(record + 2)
    if (record + 20 + sources * 16 > at + length) {
      d.put(` [invalid number of sources ${sources}]`)
      return
    }
    if (d.options.verbose > 1) {
      d.put(' {')
      for (let j = 0; j < sources; j++) d.put(` ${d.ipv6(record + 20 + j * 16)}`)
      d.put(' }')
    } else d.put(`, ${sources} source(s)`)
    d.put(']')
    record += 20 + sources * 16
  }
}
