import type { Micros, WallClock } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Fifo } from '../core/fifo.ts'
import type { IcmpError } from '../ip/protocol.ts'
import type { TcpConnection } from '../tcp/connection.ts'
import { WriteFlag } from '../tcp/write.ts'
import { ErrorOrigin } from '../udp/error-queue.ts'
import { IpAddress } from '../wire/address.ts'
import { formatSockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage, ExtendedError, Timespec } from './control.ts'
import type { Received } from './socket.ts'

/**
 * The error queue of a TCP socket (MSG_ERRQUEUE): time stamps of what was sent (SO_TIMESTAMPING), notices that a buffer
 * is the program's again (MSG_ZEROCOPY), and ICMP errors (IP_RECVERR).
 */

/** Entries kept at the most: Linux's charge for more would not fit into SO_RCVBUF either. */
const MOST_NOTICES = 1024
/** Bits of SO_TIMESTAMPING that ask for stamps of what is sent, and those of them that are heeded. */
export const SOF_TX_RECORD =
  C.SOF_TIMESTAMPING_TX_HARDWARE |
  C.SOF_TIMESTAMPING_TX_SOFTWARE |
  C.SOF_TIMESTAMPING_TX_SCHED |
  C.SOF_TIMESTAMPING_TX_ACK |
  C.SOF_TIMESTAMPING_TX_COMPLETION

interface Notice {
  /** When, of a time stamp; -1 where there is none to tell. */
  readonly at: Micros
  readonly error: ExtendedError
  /** Is the packet that it is about more than the program's buffer takes? */
  readonly truncates: boolean
}

/** A send with MSG_ZEROCOPY whose bytes are not all acknowledged. */
interface Pinned {
  readonly id: number
  end: number
  /** Will the same call queue more, when there is room? */
  goesOn: boolean
}

const NOBODY = { family: C.AF_UNSPEC }

const describe = (error: Partial<ExtendedError>): ExtendedError => ({
  ee_errno: 0,
  ee_origin: 0,
  ee_type: 0,
  ee_code: 0,
  ee_info: 0,
  ee_data: 0,
  offender: NOBODY,
  ...error,
})

/** The notices of one socket, oldest first, and the sends that are still to be told of. */
export class TcpNotices {
  private readonly queue = new Fifo<Notice>()
  private readonly pinned = new Fifo<Pinned>()
  private nextId = 0
  /** The number that SOF_TIMESTAMPING_OPT_ID counts bytes from; null while it is not set. */
  private firstByte: number | null = null

  get length(): number {
    return this.queue.length
  }

  /** SO_TIMESTAMPING was set. @returns 0, or -EINVAL: bytes of a connection are counted, and there is none */
  setTimestamping(c: TcpConnection, flags: number, isConnected: boolean): number {
    if ((flags & C.SOF_TIMESTAMPING_OPT_ID) === 0) this.firstByte = null
    else if (this.firstByte === null) {
      if (!isConnected) return -Errno.EINVAL
      this.firstByte = (flags & C.SOF_TIMESTAMPING_OPT_ID_TCP) !== 0 ? c.snd.writeSeq : c.snd.una
    }
    return 0
  }

  /** A byte whose stamps were asked for has come to a stage. @param flags SO_TIMESTAMPING */
  stamp(stage: number, seq: number, at: Micros, flags: number): boolean {
    const hasId = (flags & C.SOF_TIMESTAMPING_OPT_ID) !== 0 && this.firstByte !== null
    const error = describe({
      ee_errno: Errno.ENOMSG,
      ee_origin: C.SO_EE_ORIGIN_TIMESTAMPING,
      ee_info: stage,
      ee_data: hasId ? (seq - this.firstByte!) >>> 0 : 0,
    })
    const truncates = (flags & C.SOF_TIMESTAMPING_OPT_TSONLY) === 0
    return this.push({ at: (flags & C.SOF_TIMESTAMPING_SOFTWARE) !== 0 ? at : -1, error, truncates })
  }

  /**
   * A send with MSG_ZEROCOPY has queued bytes up to `end`.
   * @param again does it go on where it had to wait
   * @param goesOn is there more of it to come
   */
  pin(end: number, again: boolean, goesOn: boolean): void {
    let last = this.pinned.length === 0 ? null : this.pinned.at(this.pinned.length - 1)
    if (!again || last === null) {
      last = { id: this.nextId++, end, goesOn }
      this.pinned.push(last)
    }
    last.end = end
    last.goesOn = goesOn
  }

  /** The send that goes on does so no more: it was interrupted. */
  endPin(): void {
    if (this.pinned.length > 0) this.pinned.at(this.pinned.length - 1).goesOn = false
  }

  get hasPinned(): boolean {
    return this.pinned.length > 0
  }

  /** Everything up to `una` is acknowledged: tells of the sends that are done. @returns whether there were any */
  release(una: number): boolean {
    let released = false
    for (let pin = this.pinned.peek(); pin !== undefined; pin = this.pinned.peek()) {
      if (pin.goesOn || ((una - pin.end) | 0) < 0) break
      this.pinned.shift()
      this.tellReleased(pin.id)
      released = true
    }
    return released
  }

  /** The connection is over: nothing is needed any more. */
  releaseAll(): boolean {
    const released = this.hasPinned
    for (let pin = this.pinned.shift(); pin !== undefined; pin = this.pinned.shift()) this.tellReleased(pin.id)
    return released
  }

  /** A range of sends in a row is told of in one notice. The bytes were copied, which a program may want to know. */
  private tellReleased(id: number): void {
    const last = this.queue.length === 0 ? null : this.queue.at(this.queue.length - 1).error
    if (last !== null && last.ee_origin === C.SO_EE_ORIGIN_ZEROCOPY && last.ee_data === id - 1) {
      last.ee_data = id
      return
    }
    const ee_code = C.SO_EE_CODE_ZEROCOPY_COPIED
    const error = describe({ ee_origin: C.SO_EE_ORIGIN_ZEROCOPY, ee_code, ee_info: id, ee_data: id })
    this.push({ at: -1, error, truncates: false })
  }

  /** IP_RECVERR. */
  icmpError({ errno, version, type, code, mtu, reporter0, reporter1, reporter2, reporter3 }: IcmpError): void {
    const reporter = new IpAddress(reporter0, reporter1, reporter2, reporter3)
    const error = describe({
      ee_errno: errno,
      ee_origin: version === 4 ? ErrorOrigin.Icmp : ErrorOrigin.Icmp6,
      ee_type: type,
      ee_code: code,
      ee_info: mtu,
      offender: formatSockaddr(reporter, 0, version === 4 ? 4 : 6),
    })
    this.push({ at: -1, error, truncates: false })
  }

  private push(notice: Notice): boolean {
    if (this.queue.length >= MOST_NOTICES) return false
    this.queue.push(notice)
    return true
  }

  /**
   * Takes the oldest notice (MSG_ERRQUEUE).
   * @param clock the host's, for people's time
   * @returns 0, as no data comes with it, or -EAGAIN
   */
  take(family: 4 | 6, clock: WallClock, received: Received | null): number {
    const notice = this.queue.shift()
    if (notice === undefined) return -Errno.EAGAIN
    if (received === null) return 0
    received.flags |= C.MSG_ERRQUEUE | (notice.truncates ? C.MSG_TRUNC : 0)
    if (received.control === null) return 0
    if (notice.at >= 0) received.control.push(timestampingMessage(clock.at(notice.at)))
    received.control.push({
      cmsg_level: family === 4 ? C.SOL_IP : C.SOL_IPV6,
      cmsg_type: family === 4 ? C.IP_RECVERR : C.IPV6_RECVERR,
      data: notice.error,
    })
    return 0
  }
}

/** Microseconds since 1970 as `struct timespec`. */
const timespec = (time: Micros): Timespec => ({
  tv_sec: Math.floor(time / 1e6),
  tv_nsec: Math.floor((time % 1e6) * 1000),
})

/** SCM_TIMESTAMPING: a stamp of software; the other two, hardware's, are zero. */
export const timestampingMessage = (time: Micros): ControlMessage => {
  const none = { tv_sec: 0, tv_nsec: 0 }
  return { cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_TIMESTAMPING, data: { ts: [timespec(time), none, none] } }
}

/**
 * The control messages that tell when data arrived, as SO_TIMESTAMP, SO_TIMESTAMPNS and SO_TIMESTAMPING ask for them.
 */
export const arrivalMessages = (
  kept: { timestamp: boolean; timestampNs: boolean; timestamping: number },
  time: Micros,
): ControlMessage[] => {
  const messages: ControlMessage[] = []
  if (kept.timestampNs) {
    messages.push({ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_TIMESTAMPNS, data: timespec(time) })
  } else if (kept.timestamp) {
    const data = { tv_sec: Math.floor(time / 1e6), tv_usec: Math.floor(time % 1e6) }
    messages.push({ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_TIMESTAMP, data })
  }
  if (stampsArrivals(kept.timestamping)) messages.push(timestampingMessage(time))
  return messages
}

const SOF_RX = C.SOF_TIMESTAMPING_RX_SOFTWARE | C.SOF_TIMESTAMPING_SOFTWARE

/** Does SO_TIMESTAMPING's value ask for stamps of what arrives? */
export const stampsArrivals = (flags: number): boolean => (flags & SOF_RX) === SOF_RX

/**
 * Which time stamps of a send are asked for?
 * @param flags SO_TIMESTAMPING, which a control message of the send goes before
 * @returns bits of SO_TIMESTAMPING, or -EINVAL: other bits cannot be set by one
 */
export const stampsOfSend = (flags: number, control: readonly ControlMessage[] | null): number => {
  let asked = flags & SOF_TX_RECORD
  if (control === null) return asked
  for (const { cmsg_level, cmsg_type, data } of control) {
    if (cmsg_level !== C.SOL_SOCKET) continue
    if (cmsg_type === C.SCM_TS_OPT_ID) return -Errno.EINVAL
    if (cmsg_type !== C.SO_TIMESTAMPING || typeof data !== 'number') continue
    if ((data & ~SOF_TX_RECORD) !== 0) return -Errno.EINVAL
    asked = data
  }
  return asked
}

/** The flags with which bytes are written whose time stamps `stamps` asks for. @param waits until all bytes have room? */
export const stampFlags = (stamps: number, waits: boolean): number =>
  WriteFlag.Timestamp |
  (waits ? 0 : WriteFlag.TimestampPart) |
  ((stamps & C.SOF_TIMESTAMPING_TX_SOFTWARE) !== 0 ? WriteFlag.StampSent : 0) |
  ((stamps & C.SOF_TIMESTAMPING_TX_SCHED) !== 0 ? WriteFlag.StampScheduled : 0) |
  ((stamps & C.SOF_TIMESTAMPING_TX_ACK) !== 0 ? WriteFlag.StampAcknowledged : 0)
