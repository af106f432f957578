import type { Sockaddr } from './address.ts'
import { SOL_IPV6 } from './constants.ts'
import type { OpenFile } from './open-file.ts'
import type { Timeval } from './socket-options.ts'

/** Control messages: what sendmsg(2) and recvmsg(2) carry beside the data (cmsg(3)). */

/** `struct in_pktinfo`. */
export interface PacketInfo {
  /** Index of the interface; 0 for any. */
  ipi_ifindex: number
  /** The address that answers come from: where it was sent to, unless that was a group. */
  ipi_spec_dst: string
  /** Where it was sent to. */
  ipi_addr: string
}

/** `struct in6_pktinfo`. */
export interface PacketInfo6 {
  ipi6_addr: string
  ipi6_ifindex: number
}

/** `struct sock_extended_err`, with SO_EE_OFFENDER. */
export interface ExtendedError {
  ee_errno: number
  /** SO_EE_ORIGIN_* */
  ee_origin: number
  ee_type: number
  ee_code: number
  /** The MTU, for EMSGSIZE. */
  ee_info: number
  ee_data: number
  /** Who has reported it; AF_UNSPEC for this host. */
  offender: Sockaddr
}

/** `struct timespec`. */
export interface Timespec {
  tv_sec: number
  tv_nsec: number
}

/** `struct scm_timestamping`: a stamp of software, one no longer used, one of hardware. */
export interface Timestamping {
  ts: [Timespec, Timespec, Timespec]
}

/** `struct ucred`. */
export interface Credentials {
  pid: number
  uid: number
  gid: number
}

/** The open files that the descriptors of SCM_RIGHTS stand for, between host and socket. */
export class PassedFiles {
  readonly files: readonly OpenFile[]

  constructor(files: readonly OpenFile[]) {
    this.files = files
  }
}

/** What a control message carries: a number where C has an int, descriptors in an array, else the structure. */
export type ControlData =
  | number
  | readonly number[]
  | PacketInfo
  | PacketInfo6
  | ExtendedError
  | Timeval
  | Timespec
  | Timestamping
  | Sockaddr
  | Credentials
  | PassedFiles

/** One control message. */
export interface ControlMessage {
  cmsg_level: number
  cmsg_type: number
  data: ControlData
}

const HEADER = 16
const align = (bytes: number): number => (bytes + 7) & ~7

/** Bytes that a message takes in the program's buffer: CMSG_SPACE of its data. */
const controlSpace = ({ cmsg_level, data }: ControlMessage): number => HEADER + align(dataLength(cmsg_level, data))

const dataLength = (level: number, data: ControlData): number => {
  if (typeof data === 'number') return 4
  if (isDescriptors(data)) return data.length * 4
  if (isCredentials(data)) return 12
  if ('ipi_ifindex' in data) return 12
  if ('ipi6_ifindex' in data) return 20
  if ('ts' in data) return 48
  if ('address' in data) return level === SOL_IPV6 ? 28 : 16
  if ('ee_errno' in data) return 16 + (level === SOL_IPV6 ? 28 : 16)
  return 16
}

/**
 * The messages that fit into a buffer of `space` bytes, in order.
 * @returns whether all fit; if not, the flag MSG_CTRUNC is due
 */
export const fitControl = (messages: ControlMessage[], space: number): boolean => {
  let left = space
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]!
    // The last one needs no room for padding: CMSG_LEN of it is enough.
    const fits = HEADER + dataLength(message.cmsg_level, message.data) <= left
    left -= controlSpace(message)
    if (!fits) {
      messages.length = i
      return false
    }
  }
  return true
}

export const isDescriptors = (data: ControlData): data is readonly number[] => Array.isArray(data)

export const isCredentials = (data: ControlData): data is Credentials => typeof data === 'object' && 'gid' in data

export const isPassedFiles = (data: ControlData): data is PassedFiles => data instanceof PassedFiles

/** How many descriptors fit into a buffer of `space` bytes that holds `messages` already. */
export const descriptorRoom = (messages: readonly ControlMessage[], space: number): number => {
  const used = messages.reduce((sum, message) => sum + controlSpace(message), 0)
  return Math.max(0, Math.floor((space - used - HEADER) / 4))
}

/** A number out of a control message; NaN for something else. */
export const controlNumber = (message: ControlMessage): number =>
  typeof message.data === 'number' ? message.data : Number.NaN
