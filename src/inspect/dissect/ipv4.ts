import { checksum, type Dissection, flagNames, named, rightChecksum } from './dissection.ts'
import { destinationText, type IpContext, PROTOCOL_NAMES, sourceText, WITH_PORTS } from './ip.ts'
import { putIpv4Options } from './ipv4-options.ts'

const HEADER = 20

const FLAGS = [
  [0x2000, '+'],
  [0x4000, 'DF'],
  [0x8000, 'rsvd'],
] as const
const ECN = ['', ',ECT(1)', ',ECT(0)', ',CE']

/** A packet of IPv4 at `at`, in `length` bytes. */
export const putIpv4 = (d: Dissection, at: number, length: number): void => {
  d.protocol = 'ip'
  const version = d.u8(at) >> 4
  if (version !== 4) {
    d.put(version === 6 ? 'IP6, wrong link-layer encapsulation' : `IP${version}`)
    d.invalid()
    return
  }
  if (!d.options.link) d.put('IP ')
  d.need(at, HEADER)
  if (length < HEADER) {
    d.put(`truncated-ip ${length}`)
    return
  }
  const headerLength = (d.u8(at) & 0xf) * 4
  if (headerLength < HEADER) {
    d.put(`bad-hlen ${headerLength}`)
    return
  }
  const total = d.u16(at + 2)
  if (total > length) d.put(`truncated-ip - ${total - length} bytes missing! `)
  if (total < headerLength) {
    d.put(`bad-len ${total}`)
    return
  }
  d.within(at + total, () => {
    if (d.options.verbose === 0 || putHeader(d, at, headerLength)) putPayload(d, at, headerLength, total)
  })
}

/** `(tos 0x0, ttl 64, …)`. @returns false when the options end too soon */
const putHeader = (d: Dissection, at: number, headerLength: number): boolean => {
  const tos = d.u8(at + 1)
  const ttl = d.u8(at + 8)
  const offset = d.u16(at + 6)
  const protocol = d.u8(at + 9)
  d.put(`(tos 0x${tos.toString(16)}${ECN[tos & 3]}${ttl > 0 ? `, ttl ${ttl}` : ''}, id ${d.u16(at + 4)}`)
  d.put(`, offset ${(offset & 0x1fff) * 8}, flags [${flagNames(FLAGS, offset)}]`)
  d.put(`, proto ${named(PROTOCOL_NAMES, protocol, 'unknown')} (${protocol})`)
  d.put(`, length ${d.u16(at + 2)}`)
  let isWhole = true
  if (headerLength > HEADER) {
    d.put(', options (')
    isWhole = putIpv4Options(d, at + HEADER, at + headerLength)
    if (!isWhole) d.put(' [truncated-option]')
    d.put(')')
  }
  if (d.options.checksums && d.has(at, headerLength)) {
    const sum = checksum(d.bytes, at, at + headerLength)
    if (sum !== 0) {
      const field = d.u16(at + 10)
      d.put(`, bad cksum ${field.toString(16)} (->${rightChecksum(field, sum).toString(16)})!`)
    }
  }
  d.put(')\n    ')
  if (isWhole) return true
  d.put(`${d.ipv4(at + 12)} > ${d.ipv4(at + 16)}: `)
  d.cutShort()
  return false
}

const putPayload = (d: Dissection, at: number, headerLength: number, total: number): void => {
  const offset = d.u16(at + 6)
  const protocol = d.u8(at + 9)
  const ip: IpContext = { version: 4, at, protocol, isFragment: (offset & 0x2000) !== 0 }
  if ((offset & 0x1fff) !== 0) {
    d.put(`${sourceText(d, ip)} > ${destinationText(d, ip)}: ${d.protocolName(protocol)}`)
    return
  }
  if (!WITH_PORTS.has(protocol)) d.put(`${sourceText(d, ip)} > ${destinationText(d, ip)}: `)
  if (!d.has(at, headerLength)) {
    d.put(` [remaining caplen(${d.end - at}) < header length(${headerLength})]`)
    d.cutShort()
    return
  }
  d.dissectors.upper(d, ip, protocol, at + headerLength, total - headerLength)
}
