import { IpProtocol } from '../../wire/ip.ts'
import { hexByte } from '../format.ts'
import { type Dissection, named } from './dissection.ts'
import { destinationText, type IpContext, PROTOCOL_NAMES, sourceText, WITH_PORTS } from './ip.ts'

const HEADER = 40

/** A packet of IPv6 at `at`, in `length` bytes. */
export const putIpv6 = (d: Dissection, at: number, length: number): void => {
  d.protocol = 'ip6'
  d.need(at, HEADER)
  const version = d.u8(at) >> 4
  if (version !== 6) {
    d.put(version === 4 ? 'IP, wrong link-layer encapsulation' : `IP${version}`)
    d.invalid()
    return
  }
  if (!d.options.link) d.put('IP6 ')
  if (length < HEADER) {
    d.put(`truncated-ip6 ${length}`)
    return
  }
  const payload = d.u16(at + 4)
  // A jumbogram, or what segmentation offload leaves, has no length there.
  const total = payload === 0 && d.u8(at + 6) !== IpProtocol.HopByHop ? length : HEADER + payload
  if (total > length) d.put(`truncated-ip6 - ${total - length} bytes missing!`)
  if (d.options.verbose > 0) putHeader(d, at)
  d.within(at + total, () => putHeaders(d, at, total))
}

/** `(hlim 64, next-header TCP (6) payload length: 40) `. */
const putHeader = (d: Dissection, at: number): void => {
  const flow = d.u32(at)
  const next = d.u8(at + 6)
  d.put('(')
  if ((flow & 0x0ff0_0000) !== 0) d.put(`class 0x${hexByte((flow >>> 20) & 0xff)}, `)
  if ((flow & 0xf_ffff) !== 0) d.put(`flowlabel 0x${(flow & 0xf_ffff).toString(16).padStart(5, '0')}, `)
  d.put(`hlim ${d.u8(at + 7)}, next-header ${named(PROTOCOL_NAMES, next, 'unknown')} (${next}) `)
  d.put(`payload length: ${d.u16(at + 4)}) `)
}

/** The extension headers, one after another, and what they end at. */
const putHeaders = (d: Dissection, header: number, total: number): void => {
  let next = d.u8(header + 6)
  let at = header + HEADER
  let isFragment = false
  const ip = (): IpContext => ({ version: 6, at: header, protocol: d.u8(header + 6), isFragment })
  if (at < header + total && !WITH_PORTS.has(next)) d.put(`${sourceText(d, ip())} > ${destinationText(d, ip())}: `)
  while (at < header + total) {
    switch (next) {
      case IpProtocol.HopByHop:
      case IpProtocol.DestinationOptions: {
        d.protocol = next === IpProtocol.HopByHop ? 'hbhopt' : 'dstopt'
        const length = (d.u8(at + 1) + 1) * 8
        d.need(at, length)
        d.put(next === IpProtocol.HopByHop ? 'HBH ' : 'DSTOPT ')
        if (d.options.verbose > 0) putOptions(d, at + 2, at + length)
        next = d.u8(at)
        at += length
        break
      }
      case IpProtocol.Routing: {
        const length = (d.u8(at + 1) + 1) * 8
        if (!putRouting(d, at)) return
        next = d.u8(at)
        at += length
        break
      }
      case IpProtocol.Fragment: {
        isFragment = true
        d.protocol = 'frag6'
        d.need(at, 8)
        const field = d.u16(at + 2)
        d.put('frag (')
        if (d.options.verbose > 0) d.put(`0x${d.hexBytes(at + 4, 4)}:`)
        d.put(`${field & 0xfff8}|${header + total - (at + 8)})`)
        // Of all but the first fragment nothing more can be told.
        if ((field & 0xfff8) !== 0) return
        d.put(' ')
        next = d.u8(at)
        at += 8
        break
      }
      default:
        d.dissectors.upper(d, ip(), next, at, header + total - at)
        return
    }
  }
}

const Option = { Pad1: 0, PadN: 1, RouterAlert: 5, Jumbo: 0xc2, HomeAddress: 0xc9 } as const

const putOptions = (d: Dissection, start: number, end: number): void => {
  for (let at = start; at < end; ) {
    const kind = d.u8(at)
    if (kind === Option.Pad1) {
      d.put('(pad1)')
      at++
      continue
    }
    const length = d.u8(at + 1)
    switch (kind) {
      case Option.PadN:
        d.put('(padn)')
        break
      case Option.RouterAlert:
        d.put(`(rtalert: 0x${d.hexBytes(at + 2, 2)}) `)
        break
      case Option.Jumbo:
        d.put(`(jumbo: ${d.u32(at + 2)}) `)
        break
      case Option.HomeAddress:
        d.put(`(homeaddr: ${d.ipv6(at + 2)})`)
        break
      default:
        d.put(`(opt_type 0x${d.hexBytes(at, 1)}: len=${length})`)
    }
    at += 2 + length
  }
  d.put(' ')
}

const SOURCE_ROUTE = 0
const MOBILE_ROUTE = 2

/** @returns false when no more can be told of the packet */
const putRouting = (d: Dissection, at: number): boolean => {
  const units = d.u8(at + 1)
  const type = d.u8(at + 2)
  d.put(`RT6 (len=${units}, type=${type}, segleft=${d.u8(at + 3)}`)
  if (type !== SOURCE_ROUTE && type !== MOBILE_ROUTE) {
    d.put(' (unknown type)')
    d.invalid()
    return false
  }
  if (d.u32(at + 4) !== 0 || d.options.verbose > 1) d.put(`, rsv=0x${d.u32(at + 4).toString(16)}`)
  if (units % 2 === 1) {
    d.invalid()
    return false
  }
  for (let i = 0; i < units / 2; i++) d.put(`, [${i}]${d.ipv6(at + 8 + i * 16)}`)
  d.put(') ')
  return true
}
