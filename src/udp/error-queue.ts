import type { IcmpError } from '../ip/protocol.ts'
import { IpAddress } from '../wire/address.ts'
import type { SourceAddress } from './datagram.ts'

/** Where an error in the queue came from: Linux's SO_EE_ORIGIN_*. */
export const ErrorOrigin = { None: 0, Local: 1, Icmp: 2, Icmp6: 3, Timestamping: 4 } as const

/** One error that IP_RECVERR collects: Linux's `sock_extended_err`, and the datagram it is about. */
export interface QueuedError {
  /** Positive. */
  readonly errno: number
  /** One of `ErrorOrigin`. */
  readonly origin: number
  readonly type: number
  readonly code: number
  /** The MTU, for EMSGSIZE. */
  readonly info: number
  /** Who has reported it; null for one that was found here. */
  readonly offender: IpAddress | null
  /** Where the datagram was going. */
  readonly destination: IpAddress
  readonly port: number
  /** As much of the datagram's data as is known. */
  readonly data: Uint8Array
  /** What it is when it is no error, but tells when a packet left (SO_TIMESTAMPING). */
  readonly stamp?: SentStamp
}

/** When a packet left, which `QueuedError.info` says how far. */
export interface SentStamp {
  /** World time, microseconds; -1 where it is not told. */
  readonly at: number
  /** Number of the packet, where they are numbered (SOF_TIMESTAMPING_OPT_ID); else 0. */
  readonly id: number
  /** What its IP header says; null where it is not told. */
  readonly header: SourceAddress | null
}

/** Errors kept for MSG_ERRQUEUE at the most; the charge of more would not fit into a default SO_RCVBUF either. */
const MOST_ERRORS = 256

/** The errors that wait to be read with MSG_ERRQUEUE, oldest first. */
export class ErrorQueue {
  private readonly errors: QueuedError[] = []

  get length(): number {
    return this.errors.length
  }

  push(error: QueuedError): void {
    if (this.errors.length < MOST_ERRORS) this.errors.push(error)
  }

  /** The oldest error, which leaves the queue; null when there is none. */
  shift(): QueuedError | null {
    return this.errors.shift() ?? null
  }

  /**
   * The error that is reported in passing once `taken` has left the queue, if `pending` was: the next one of ICMP's.
   */
  pendingAfter(taken: QueuedError, pending: number): number {
    const next = this.nextIcmpErrno
    return next !== 0 ? next : isIcmp(taken) ? 0 : pending
  }

  /** The error number of the oldest error, if it came by ICMP; else 0. */
  private get nextIcmpErrno(): number {
    const next = this.errors[0]
    return next !== undefined && isIcmp(next) ? next.errno : 0
  }

  clear(): void {
    this.errors.length = 0
  }
}

/** Did it come by ICMP? Then it is reported in passing as well. */
const isIcmp = ({ origin }: QueuedError): boolean => origin === ErrorOrigin.Icmp || origin === ErrorOrigin.Icmp6

/** What an ICMP error says, to be kept. `u8` is the world's memory. */
export const queuedIcmpError = (error: IcmpError, u8: Uint8Array, errno: number): QueuedError => {
  const at = error.transportStart
  return {
    errno,
    origin: error.version === 4 ? ErrorOrigin.Icmp : ErrorOrigin.Icmp6,
    type: error.type,
    code: error.code,
    info: error.mtu,
    offender: new IpAddress(error.reporter0, error.reporter1, error.reporter2, error.reporter3),
    destination: error.quoted.destination,
    port: (u8[at + 2]! << 8) | u8[at + 3]!,
    data: u8.slice(Math.min(at + 8, error.transportEnd), error.transportEnd),
  }
}
