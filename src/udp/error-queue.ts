import type { IcmpError } from '../ip/protocol.ts'
import { IpAddress } from '../wire/address.ts'

/** Where an error in the queue came from: Linux's SO_EE_ORIGIN_*. */
export const ErrorOrigin = { None: 0, Local: 1, Icmp: 2, Icmp6: 3 } as const

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

  /** The error number of the oldest error, if it came by ICMP; else 0. */
  get nextIcmpErrno(): number {
    const next = this.errors[0]
    return next === undefined || next.origin === ErrorOrigin.Local ? 0 : next.errno
  }

  clear(): void {
    this.errors.length = 0
  }
}

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
