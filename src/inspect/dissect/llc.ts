import { type Dissection, named } from './dissection.ts'
import { putRest, putUnknown } from './dump.ts'
import { ETHERTYPE_NAMES } from './ethertype.ts'
import { putIpv4 } from './ipv4.ts'

/** The LLC header of an 802.3 frame (IEEE 802.2), and SNAP. Of spanning trees and the like only the header is told. */

const Sap = { Ip: 0x06, Snap: 0xaa } as const

const SAPS: ReadonlyMap<number, string> = new Map([
  [0x00, 'Null'],
  [0x02, '802.1B I'],
  [0x04, 'SNA'],
  [Sap.Ip, 'IP'],
  [0x0e, 'ProWay NM'],
  [0x42, 'STP'],
  [0x4e, 'RS511'],
  [0x7e, 'ISO8208'],
  [0x8e, 'ProWay'],
  [Sap.Snap, 'SNAP'],
  [0xe0, 'IPX'],
  [0xf0, 'NetBeui'],
  [0xfe, 'OSI'],
])

const UNNUMBERED = 3
const UI = 0x03

const COMMANDS: ReadonlyMap<number, string> = new Map([
  [UI, 'ui'],
  [0xe3, 'test'],
  [0xaf, 'xid'],
  [0x63, 'ua'],
  [0x43, 'disc'],
  [0x0f, 'dm'],
  [0x6f, 'sabme'],
  [0x87, 'frmr'],
])

const SUPERVISORY = ['Receiver Ready', 'Receiver not Ready', 'Reject', '?']

/**
 * The `length` bytes at `at` of a frame between `addresses`, when it says.
 * @returns bytes of LLC header, negative when nobody knows what is in it
 */
export const putLlc = (d: Dissection, at: number, length: number, addresses: string | null): number => {
  d.protocol = 'llc'
  const least = d.has(at, 3) && length >= 3 && (d.u8(at + 2) & UNNUMBERED) !== UNNUMBERED ? 4 : 3
  if (!d.has(at, least) || length < least) {
    d.cutShort()
    putUnknown(d, at, d.end - at)
    return d.end - at
  }
  const destination = d.u8(at)
  const source = d.u8(at + 1)
  const [dsap, ssap] = [destination & ~1, source & ~1]
  const isUnnumbered = least === 3
  const control = isUnnumbered ? d.u8(at + 2) : d.u8(at + 2) | (d.u8(at + 3) << 8)
  if (d.options.link) {
    const sap = (value: number): string => `${named(SAPS, value, 'Unknown')} (0x${hex(value, 2)})`
    d.put(`LLC, dsap ${sap(dsap)} ${(destination & 1) !== 0 ? 'Group' : 'Individual'}, `)
    d.put(`ssap ${sap(ssap)} ${(source & 1) !== 0 ? 'Response' : 'Command'}, ctrl 0x${hex(control, least * 2 - 4)}: `)
  }
  const start = at + least
  const inside = length - least
  if (dsap === ssap && control === UI) {
    if (dsap === Sap.Snap) {
      const snap = putSnap(d, at, start, inside, addresses)
      return Math.sign(snap) * least + snap
    }
    if (dsap === Sap.Ip) {
      putIpv4(d, start, inside)
      return least
    }
  }
  if (!d.options.link) {
    const [to, from] = [
      named(SAPS, dsap, `Unknown DSAP 0x${hex(dsap, 2)}`),
      named(SAPS, ssap, `Unknown SSAP 0x${hex(ssap, 2)}`),
    ]
    const [sender, receiver] = (addresses ?? '').slice(0, -2).split(' > ')
    if (receiver === undefined) d.put(dsap === ssap ? `${to} ` : `${from} > ${to} `)
    else d.put(dsap === ssap ? `${sender} > ${receiver} ${to} ` : `${sender} ${from} > ${receiver} ${to} `)
  }
  putControl(d, control, isUnnumbered, (source & 1) !== 0, inside + least)
  if (!isUnnumbered && (control & UNNUMBERED) === 1) return least
  putRest(d, at)
  return -least
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

const putControl = (
  d: Dissection,
  control: number,
  isUnnumbered: boolean,
  isResponse: boolean,
  length: number,
): void => {
  const poll = (control & (isUnnumbered ? 0x10 : 0x100)) !== 0
  const flags = poll ? (isResponse ? 'Final' : 'Poll') : isResponse ? 'Response' : 'Command'
  const receive = (control >> 9) & 0x7f
  if (isUnnumbered) d.put(`Unnumbered, ${COMMANDS.get(control & 0xef) ?? hex(control & 0xef, 2)}, `)
  else if ((control & 1) !== 0) d.put(`Supervisory, ${SUPERVISORY[(control >> 2) & 3]}, rcv seq ${receive}, `)
  else d.put(`Information, send seq ${(control >> 1) & 0x7f}, rcv seq ${receive}, `)
  d.put(`Flags [${flags}], length ${length}`)
}

const SNAP = 5

/**
 * A SNAP header (RFC 1042) behind the LLC header at `llc`: with the organization 0 an EtherType follows.
 * @returns its bytes, negative when nobody knows what is in it
 */
const putSnap = (d: Dissection, llc: number, at: number, length: number, addresses: string | null): number => {
  d.protocol = 'snap'
  if (!d.has(at, SNAP) || length < SNAP) {
    d.cutShort()
    return SNAP
  }
  const organization = d.u24(at)
  const type = d.u16(at + 3)
  const isEtherType = organization === 0
  const name = isEtherType ? named(ETHERTYPE_NAMES, type, 'Unknown') : 'Unknown'
  const typeText = `${isEtherType ? 'ethertype' : 'pid'} ${name} (0x${hex(type, 4)}), length ${length - SNAP}: `
  if (d.options.link) {
    d.put(`oui ${isEtherType ? 'Ethernet' : 'Unknown'} (0x${hex(organization, 6)}), `)
    d.put(typeText)
  }
  if (!isEtherType || !d.dissectors.etherPayload(d, type, at + SNAP, length - SNAP)) {
    if (!d.options.link) {
      const between = addresses === null ? '' : `${addresses.slice(0, -2)} `
      d.put(`${between}SNAP, ${isEtherType ? '' : `oui Unknown (0x${hex(organization, 6)}), `}${typeText}`)
    }
    putRest(d, llc)
    return -SNAP
  }
  return SNAP
}
