import { ArpOperation } from '../../wire/arp.ts'
import { EtherType } from '../../wire/ethernet.ts'
import { hex16 } from '../format.ts'
import { type Dissection, named } from './dissection.ts'
import { putUnknown } from './dump.ts'
import { ETHERTYPE_NAMES } from './ethertype.ts'

const HEADER = 8

const OPERATIONS: ReadonlyMap<number, string> = new Map([
  [ArpOperation.Request, 'Request'],
  [ArpOperation.Reply, 'Reply'],
  [3, 'Reverse Request'],
  [4, 'Reverse Reply'],
  [8, 'Inverse Request'],
  [9, 'Inverse Reply'],
  [10, 'NACK Reply'],
])

const HARDWARE: ReadonlyMap<number, string> = new Map([
  [1, 'Ethernet'],
  [6, 'TokenRing'],
  [7, 'ArcNet'],
  [15, 'FrameRelay'],
  [19, 'ATM'],
  [23, 'Strip'],
  [24, 'IEEE 1394'],
  [32, 'InfiniBand'],
])

/** Trailer encapsulation (RFC 893) has addresses of IPv4 too. */
const TRAILERS = 0x1000

/** An ARP packet at `at`, of `length` bytes with padding: `ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28`. */
export const putArp = (d: Dissection, at: number, length: number): void => {
  const { options } = d
  d.protocol = 'arp'
  d.need(at, HEADER)
  const protocol = d.u16(at + 2)
  const hardwareLength = d.u8(at + 4)
  const protocolLength = d.u8(at + 5)
  const operation = d.u16(at + 6)
  const sender = at + HEADER
  const senderIp = sender + hardwareLength
  const target = senderIp + protocolLength
  const targetIp = target + hardwareLength
  d.need(targetIp, protocolLength)
  if (!options.link) d.put('ARP, ')
  const isIpv4 = protocol === EtherType.Ipv4 || protocol === TRAILERS
  const isOdd = !isIpv4 || protocolLength !== 4 || hardwareLength === 0
  if (isOdd || options.verbose > 0) {
    d.put(`${named(HARDWARE, d.u16(at), 'Unknown Hardware (%)')} (len ${hardwareLength}), `)
    const unknown = `Unknown Protocol (${hex16(protocol)})`
    d.put(`${ETHERTYPE_NAMES.get(protocol) ?? unknown} (len ${protocolLength})`)
    if (options.verbose === 0) {
      d.put(`, length ${length}`)
      return
    }
    d.put(', ')
  }
  const ip = (address: number): string =>
    !isIpv4 ? '<wrong proto type>' : protocolLength !== 4 ? '<wrong len>' : d.ipv4(address)
  const mac = (address: number): string => hardwareAddress(d, address, hardwareLength)
  d.put(`${named(OPERATIONS, operation, 'Unknown (%)')} `)
  switch (operation) {
    case ArpOperation.Request: {
      d.put(`who-has ${ip(targetIp)}`)
      const isKnown = d.bytes.subarray(target, targetIp).some((byte) => byte !== 0)
      d.put(`${isKnown ? ` (${mac(target)})` : ''} tell ${ip(senderIp)}`)
      break
    }
    case ArpOperation.Reply:
      d.put(`${ip(senderIp)} is-at ${mac(sender)}`)
      break
    case 3:
    case 8:
      d.put(`who-is ${mac(target)} tell ${mac(sender)}`)
      break
    case 4:
      d.put(`${mac(target)} at ${ip(targetIp)}`)
      break
    case 9:
      d.put(`${mac(sender)} at ${ip(senderIp)}`)
      break
    default:
      putUnknown(d, at, d.end - at)
      return
  }
  d.put(`, length ${length}`)
}

const hardwareAddress = (d: Dissection, at: number, length: number): string => {
  if (length === 0) return '<empty>'
  return length === 6 ? d.mac(at) : d.hexBytes(at, length, ':')
}
