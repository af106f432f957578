import { packFlags } from '../core/flags.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IpAddress } from '../wire/address.ts'

/** What kind of structure a segment finds under its four-tuple. */
export const TupleKind = { Connection: 0, Request: 1, TimeWait: 2 } as const

/** Where in `TupleEntry.bits` what derived classes have begins, and where it ends. */
export const DERIVED_BITS = 1
export const KIND_SHIFT = 30

/** Whatever keeps a local port from being bound by others: it is released with the last structure that uses it. */
export interface PortHold {
  release(): void
  /** The hold of a connection that came through a listener which has this one: its local address is its own. */
  forChild(local: IpAddress): PortHold
  /** The hold of what is left in TIME_WAIT of a connection that has this one. */
  forTimeWait(local: IpAddress): PortHold
}

/**
 * A structure that a pair of endpoints leads to: a connection, a half-open one kept with its listener, or what is left
 * of one in TIME_WAIT.
 */
export abstract class TupleEntry {
  /** Boolean properties, of the classes derived from this one too; the upper two bits are `kind`. */
  bits: number
  local: IpAddress
  remote: IpAddress
  localPort: number
  remotePort: number
  /** Set by the table. */
  hash = 0
  declare inTable: boolean
  /** The interface that the endpoints' link-local addresses belong to, or that the socket is bound to; null for any. */
  scope: NetworkInterface | null = null
  /** Set by whoever bound the local port. */
  hold: PortHold | null = null

  constructor(kind: number, local: IpAddress, localPort: number, remote: IpAddress, remotePort: number) {
    this.bits = kind << KIND_SHIFT
    this.local = local
    this.localPort = localPort
    this.remote = remote
    this.remotePort = remotePort
  }

  static {
    packFlags(TupleEntry.prototype, ['inTable'], 0, DERIVED_BITS)
  }

  /** One of `TupleKind`. */
  get kind(): number {
    return this.bits >>> KIND_SHIFT
  }

  /** Gives up the local port, once. */
  releasePort(): void {
    this.hold?.release()
    this.hold = null
  }
}

/** The table of all pairs of endpoints in use, and the listeners: src/socket has it. */
export interface TcpTable {
  /** Enters a structure under its pair of endpoints. @returns false when the pair is taken */
  insert(entry: TupleEntry): boolean
  remove(entry: TupleEntry): void
  /** Puts `by` in the place of `entry`, which has the same pair of endpoints. */
  replace(entry: TupleEntry, by: TupleEntry): void
}
