import { IpAddress, type IpPrefix, ipv4 } from '../wire/address.ts'
import { AF_INET, AF_INET6, LITTLE_ENDIAN } from './syscalls.ts'

/**
 * Messages of rtnetlink (rtnetlink(7), RFC 3549), by which the kernel's interfaces and addresses are listed and set.
 * All fields are in the machine's own order; attributes begin on multiples of four.
 *
 *     | length: 32 | type: 16 | flags: 16 | sequence: 32 | port: 32 | family header | attributes |
 */

export const NETLINK_ROUTE = 0
/** Multicast group: interfaces come, change and go. */
export const RTMGRP_LINK = 1

/** Types of messages. */
export const NetlinkType = {
  Error: 2,
  Done: 3,
  NewLink: 16,
  DeleteLink: 17,
  GetLink: 18,
  NewAddress: 20,
  DeleteAddress: 21,
  GetAddress: 22,
} as const

/** Flags of a request. */
const NetlinkFlag = { Request: 0x1, Ack: 0x4, Dump: 0x300, Exclusive: 0x200, Create: 0x400 } as const

/** An answer is cut short: an extended error's texts follow. */
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1

const HEADER = 16
/** `struct ifinfomsg` and `struct ifaddrmsg`. */
const LINK_HEADER = 16
const ADDRESS_HEADER = 8

const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_LINKINFO = 18
const IFLA_INFO_KIND = 1
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_BROADCAST = 4
const IFA_FLAGS = 8

const IFF_UP = 1
/** No duplicate address detection; an address still being detected; one found to be another's. */
const IFA_F_NODAD = 0x02
const IFA_F_DADFAILED = 0x08
const IFA_F_TENTATIVE = 0x40

/** An interface of the kernel's. */
export interface LinkState {
  readonly index: number
  readonly name: string
  /** Is it set up? */
  readonly up: boolean
  /** Bytes. */
  readonly mtu: number
  /** Link-layer address, six bytes for Ethernet; empty where there is none. */
  readonly mac: Uint8Array
  /** The driver's name, `'tun'` for TUN and TAP; empty for hardware. */
  readonly kind: string
}

/** An address of the kernel's. */
export interface KernelAddress {
  /** Index of its interface. */
  readonly index: number
  readonly prefix: IpPrefix
  /** IPv6: can it not be used yet, or not at all, because of duplicate address detection? */
  readonly tentative: boolean
  readonly duplicate: boolean
}

/** Puts together one request. */
class Request {
  readonly bytes = new Uint8Array(256)
  readonly view = new DataView(this.bytes.buffer)
  end = HEADER

  constructor(type: number, flags: number, sequence: number) {
    this.view.setUint16(4, type, LITTLE_ENDIAN)
    this.view.setUint16(6, flags | NetlinkFlag.Request, LITTLE_ENDIAN)
    this.view.setUint32(8, sequence, LITTLE_ENDIAN)
  }

  /** Room for an attribute of `length` bytes. @returns where they go */
  attribute(type: number, length: number): number {
    const at = this.end
    this.view.setUint16(at, 4 + length, LITTLE_ENDIAN)
    this.view.setUint16(at + 2, type, LITTLE_ENDIAN)
    this.end = at + 4 + ((length + 3) & ~3)
    return at + 4
  }

  uint32(type: number, value: number): void {
    this.view.setUint32(this.attribute(type, 4), value, LITTLE_ENDIAN)
  }

  address(type: number, address: IpAddress): void {
    const words = address.isIpv4 ? [address.w3] : [address.w0, address.w1, address.w2, address.w3]
    const at = this.attribute(type, words.length * 4)
    for (const [i, word] of words.entries()) this.view.setInt32(at + i * 4, word)
  }

  done(): Uint8Array {
    this.view.setUint32(0, this.end, LITTLE_ENDIAN)
    return this.bytes.slice(0, this.end)
  }
}

/** Asks for every interface. */
export const requestLinks = (sequence: number): Uint8Array => {
  const request = new Request(NetlinkType.GetLink, NetlinkFlag.Dump, sequence)
  request.end += LINK_HEADER
  return request.done()
}

/** Asks for one interface, by its index, or by its name where that is a string. */
export const requestLink = (sequence: number, link: number | string): Uint8Array => {
  const request = new Request(NetlinkType.GetLink, 0, sequence)
  if (typeof link === 'number') request.view.setInt32(HEADER + 4, link, LITTLE_ENDIAN)
  request.end += LINK_HEADER
  if (typeof link === 'string') {
    const name = new TextEncoder().encode(link)
    request.bytes.set(name, request.attribute(IFLA_IFNAME, name.length + 1))
  }
  return request.done()
}

/** Sets an interface up or down, or its MTU, or both. */
export const changeLink = (
  sequence: number,
  index: number,
  change: { readonly up?: boolean; readonly mtu?: number },
): Uint8Array => {
  const request = new Request(NetlinkType.NewLink, NetlinkFlag.Ack, sequence)
  request.view.setInt32(HEADER + 4, index, LITTLE_ENDIAN)
  if (change.up !== undefined) {
    request.view.setUint32(HEADER + 8, change.up ? IFF_UP : 0, LITTLE_ENDIAN)
    request.view.setUint32(HEADER + 12, IFF_UP, LITTLE_ENDIAN)
  }
  request.end += LINK_HEADER
  if (change.mtu !== undefined) request.uint32(IFLA_MTU, change.mtu)
  return request.done()
}

/** Asks for every address of an interface. */
export const requestAddresses = (sequence: number): Uint8Array => {
  const request = new Request(NetlinkType.GetAddress, NetlinkFlag.Dump, sequence)
  request.end += ADDRESS_HEADER
  return request.done()
}

/**
 * Adds an address, or takes it away. An IPv6 address is there at once unless `detect` asks for duplicate address
 * detection; an IPv4 address gets the broadcast address of its network where there is one.
 */
export const changeAddress = (
  sequence: number,
  index: number,
  prefix: IpPrefix,
  add: boolean,
  detect = false,
): Uint8Array => {
  const { address, length } = prefix
  const request = add
    ? new Request(NetlinkType.NewAddress, NetlinkFlag.Ack | NetlinkFlag.Create | NetlinkFlag.Exclusive, sequence)
    : new Request(NetlinkType.DeleteAddress, NetlinkFlag.Ack, sequence)
  request.bytes[HEADER] = address.isIpv4 ? AF_INET : AF_INET6
  request.bytes[HEADER + 1] = length
  request.view.setUint32(HEADER + 4, index, LITTLE_ENDIAN)
  request.end += ADDRESS_HEADER
  request.address(IFA_LOCAL, address)
  request.address(IFA_ADDRESS, address)
  if (add && address.isIpv4 && length <= 30) {
    request.address(IFA_BROADCAST, ipv4(address.w3 | (length === 0 ? -1 : ~(-1 << (32 - length)))))
  }
  if (add && !address.isIpv4 && !detect) request.uint32(IFA_FLAGS, IFA_F_NODAD)
  return request.done()
}

/** One message of an answer, or an announcement. */
export interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  /** What lies behind the message's header. */
  readonly body: DataView
}

/** The messages in `bytes`. What is cut short or makes no sense ends them. */
export const parseMessages = (bytes: Uint8Array): NetlinkMessage[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const messages: NetlinkMessage[] = []
  let at = 0
  while (at + HEADER <= bytes.length) {
    const length = view.getUint32(at, LITTLE_ENDIAN)
    if (length < HEADER || at + length > bytes.length) break
    messages.push({
      type: view.getUint16(at + 4, LITTLE_ENDIAN),
      flags: view.getUint16(at + 6, LITTLE_ENDIAN),
      sequence: view.getUint32(at + 8, LITTLE_ENDIAN),
      body: new DataView(bytes.buffer, bytes.byteOffset + at + HEADER, length - HEADER),
    })
    at += (length + 3) & ~3
  }
  return messages
}

/** The attributes from `at` on, by type; of two alike the last. */
const parseAttributes = (view: DataView, from: number): Map<number, DataView> => {
  const attributes = new Map<number, DataView>()
  let at = from
  while (at + 4 <= view.byteLength) {
    const length = view.getUint16(at, LITTLE_ENDIAN)
    if (length < 4 || at + length > view.byteLength) break
    // The two top bits say that it is nested, or in network order.
    const type = view.getUint16(at + 2, LITTLE_ENDIAN) & 0x3fff
    attributes.set(type, new DataView(view.buffer, view.byteOffset + at + 4, length - 4))
    at += (length + 3) & ~3
  }
  return attributes
}

const text = (view: DataView | undefined): string => {
  if (view === undefined) return ''
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/** What an error message says: the error number (positive), 0 for an acknowledgment, and the kernel's own words. */
export const parseError = (message: NetlinkMessage): { errno: number; text: string } => {
  const { body, flags } = message
  if (body.byteLength < 4) return { errno: 0, text: '' }
  const errno = Math.abs(body.getInt32(0, LITTLE_ENDIAN))
  if ((flags & NLM_F_ACK_TLVS) === 0 || body.byteLength < 4 + HEADER) return { errno, text: '' }
  // The request is repeated between number and texts, its header alone when capped.
  const request = (flags & NLM_F_CAPPED) !== 0 ? HEADER : body.getUint32(4, LITTLE_ENDIAN)
  return { errno, text: text(parseAttributes(body, 4 + ((request + 3) & ~3)).get(NLMSGERR_ATTR_MSG)) }
}

/** What a message about an interface says; undefined when it makes no sense. */
export const parseLink = (message: NetlinkMessage): LinkState | undefined => {
  const { body } = message
  if (body.byteLength < LINK_HEADER) return undefined
  const attributes = parseAttributes(body, LINK_HEADER)
  const mtu = attributes.get(IFLA_MTU)
  const mac = attributes.get(IFLA_ADDRESS)
  const info = attributes.get(IFLA_LINKINFO)
  return {
    index: body.getInt32(4, LITTLE_ENDIAN),
    name: text(attributes.get(IFLA_IFNAME)),
    up: (body.getUint32(8, LITTLE_ENDIAN) & IFF_UP) !== 0,
    mtu: mtu !== undefined && mtu.byteLength >= 4 ? mtu.getUint32(0, LITTLE_ENDIAN) : 0,
    mac: mac === undefined ? new Uint8Array(0) : new Uint8Array(mac.buffer, mac.byteOffset, mac.byteLength).slice(),
    kind: info === undefined ? '' : text(parseAttributes(info, 0).get(IFLA_INFO_KIND)),
  }
}

/** What a message about an address says; undefined for families other than IP, and when it makes no sense. */
export const parseAddress = (message: NetlinkMessage): KernelAddress | undefined => {
  const { body } = message
  if (body.byteLength < ADDRESS_HEADER) return undefined
  const family = body.getUint8(0)
  const attributes = parseAttributes(body, ADDRESS_HEADER)
  // On a point-to-point link the second is the peer's.
  const address = readAddress(family, attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS))
  if (address === undefined) return undefined
  const wide = attributes.get(IFA_FLAGS)
  const flags = wide !== undefined && wide.byteLength >= 4 ? wide.getUint32(0, LITTLE_ENDIAN) : body.getUint8(2)
  return {
    index: body.getUint32(4, LITTLE_ENDIAN),
    prefix: { address, length: body.getUint8(1) },
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
  }
}

const readAddress = (family: number, view: DataView | undefined): IpAddress | undefined => {
  if (view === undefined) return undefined
  if (family === AF_INET && view.byteLength === 4) return ipv4(view.getInt32(0))
  if (family === AF_INET6 && view.byteLength === 16) {
    return new IpAddress(view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12))
  }
  return undefined
}
