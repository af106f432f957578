import { TcpFlag } from '../wire/tcp.ts'

/**
 * What a connection has been given to send and the peer has not acknowledged, as a row of records: runs of sequence
 * space that were, or will be, handed to IP together. The bytes themselves are in the connection's send ring; a record
 * only names them.
 *
 *        SND.UNA                         SND.NXT                        writeSeq
 *           | record | record | record ...  | record | record ...           |
 *           |<------- sent ---------------->|<------- to be sent ---------->|
 *             0        1        2    sentCount - 1                  length - 1
 *
 * The row lies in a circular array, in order of sequence numbers, so that the record of any number is found by halving.
 */

/** What has happened to a record, as bits. */
export const Sacked = {
  /** The peer has told by SACK that it holds these bytes. */
  Acked: 1,
  /** Sent again, and that copy is not known to be lost. */
  Retransmitted: 2,
  /** Taken to be lost. */
  Lost: 4,
  /** Sent again at least once: no round-trip time may be taken from it (Karn's rule). */
  EverRetransmitted: 8,
} as const

/** Why the next record does not continue this one, as bits. */
export const RecordMark = {
  /** MSG_EOR: bytes written later may not join it. */
  EndOfRecord: 1,
  /**
   * Somebody asked for time stamps of it: of when it leaves, when it is handed to the link, when it is acknowledged.
   */
  StampSent: 2,
  StampScheduled: 4,
  StampAcknowledged: 8,
  Stamps: 14,
} as const

const CONTROLS = TcpFlag.Syn | TcpFlag.Fin

/** A run of bytes that was, or will be, handed to IP at once. */
export class SendRecord {
  /** First sequence number, and the one after the last: a SYN or FIN counts one. */
  seq = 0
  end = 0
  /** `TcpFlag` bits beside ACK: PSH, FIN, SYN, and ECE and CWR of a SYN. */
  flags = 0
  /** `Sacked` bits. */
  sacked = 0
  /** `RecordMark` bits. */
  marks = 0
  /** Segments that it takes on the wire, and the MSS that this was counted with; 0 before it is first sent. */
  segments = 0
  segmentSize = 0
  /** The byte that time stamps were asked of, where `marks` says so. */
  stampSeq = 0
  /** When it was last sent: microseconds modulo 2^32. */
  sentAt = 0
  /** State of the delivery-rate estimator when it was last sent (see rate.ts). */
  delivered = 0
  deliveredAt = 0
  firstSentAt = 0
  deliveredCe = 0
  applicationLimited = false
  /** Do the fields above hold? Not when they have been used. */
  rated = false
  /** Packets in flight when it was last sent, itself included. */
  inFlightAtSend = 0
  lostAtSend = 0
  /** Links of the list of sent records in order of sending time (see loss.ts). */
  earlier: SendRecord | null = null
  later: SendRecord | null = null
  /** Next in the pool. */
  nextFree: SendRecord | null = null

  /** Bytes of sequence space. */
  get length(): number {
    return (this.end - this.seq) | 0
  }

  /** Bytes of data: without SYN and FIN. */
  get dataLength(): number {
    return ((this.end - this.seq) | 0) - ((this.flags & CONTROLS) === 0 ? 0 : 1)
  }
}

/** Records to take and give back: one pool a host. */
export class SendRecordPool {
  private free: SendRecord | null = null
  private out = 0
  private readonly reuses: boolean

  /** @param reuses false to make a new one each time */
  constructor(reuses = true) {
    this.reuses = reuses
  }

  /** Records taken and not given back. */
  get inUse(): number {
    return this.out
  }

  take(seq: number, end: number, flags: number): SendRecord {
    let record = this.free
    if (record === null) record = new SendRecord()
    else this.free = record.nextFree
    this.out++
    record.nextFree = null
    record.seq = seq
    record.end = end
    record.flags = flags
    record.sacked = 0
    record.marks = 0
    record.segments = 0
    record.segmentSize = 0
    record.inFlightAtSend = 0
    record.applicationLimited = false
    record.rated = false
    return record
  }

  give(record: SendRecord): void {
    this.out--
    if (!this.reuses) return
    record.nextFree = this.free
    this.free = record
  }
}

/** The row of records, sent ones first. */
export class SendQueue {
  /** Records in the row. */
  length = 0
  /** How many of them, from the front, have been sent at least once. */
  sentCount = 0
  private items: (SendRecord | null)[] = EMPTY
  private head = 0

  /** Has anything been written that was not sent yet? */
  get hasUnsent(): boolean {
    return this.length > this.sentCount
  }

  /** The record at `index` from the front. The caller knows that there is one. */
  at(index: number): SendRecord {
    return this.items[(this.head + index) & (this.items.length - 1)]!
  }

  /** The first record, sent or not; null when there is none. */
  get first(): SendRecord | null {
    return this.length === 0 ? null : this.at(0)
  }

  /** The last record; null when there is none. */
  get last(): SendRecord | null {
    return this.length === 0 ? null : this.at(this.length - 1)
  }

  /** The next record to be sent for the first time; null when all are. */
  get firstUnsent(): SendRecord | null {
    return this.length > this.sentCount ? this.at(this.sentCount) : null
  }

  /** The first record that was sent and is not acknowledged; null when none is. */
  get firstSent(): SendRecord | null {
    return this.sentCount === 0 ? null : this.at(0)
  }

  /** The record sent last in order of sequence numbers; null when none is out. */
  get lastSent(): SendRecord | null {
    return this.sentCount === 0 ? null : this.at(this.sentCount - 1)
  }

  /** Adds a record at the end. */
  push(record: SendRecord): void {
    this.makeRoom()
    this.items[(this.head + this.length) & (this.items.length - 1)] = record
    this.length++
  }

  /** Takes the first record off. */
  shift(): SendRecord {
    const record = this.at(0)
    this.items[this.head] = null
    this.head = (this.head + 1) & (this.items.length - 1)
    this.length--
    if (this.sentCount > 0) this.sentCount--
    return record
  }

  /** Takes the last record off. */
  pop(): SendRecord {
    const record = this.at(this.length - 1)
    this.items[(this.head + this.length - 1) & (this.items.length - 1)] = null
    this.length--
    if (this.sentCount > this.length) this.sentCount = this.length
    return record
  }

  /** Puts `record` behind the one at `index`; it counts as sent when that one does. */
  insertAfter(index: number, record: SendRecord): void {
    this.makeRoom()
    const mask = this.items.length - 1
    for (let i = this.length; i > index + 1; i--) {
      this.items[(this.head + i) & mask] = this.items[(this.head + i - 1) & mask]!
    }
    this.items[(this.head + index + 1) & mask] = record
    this.length++
    if (index < this.sentCount) this.sentCount++
  }

  /** Takes the record at `index` out of the row. */
  removeAt(index: number): SendRecord {
    const record = this.at(index)
    const mask = this.items.length - 1
    for (let i = index; i < this.length - 1; i++) {
      this.items[(this.head + i) & mask] = this.items[(this.head + i + 1) & mask]!
    }
    this.items[(this.head + this.length - 1) & mask] = null
    this.length--
    if (index < this.sentCount) this.sentCount--
    return record
  }

  /**
   * Index of the first record that ends after `seq`: the one that
   * holds it, when one does; `length` when none ends after it.
   */
  indexOf(seq: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (((this.at(middle).end - seq) | 0) > 0) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Gives back the array when nothing is queued. */
  trim(): void {
    if (this.length === 0 && this.items.length > SMALLEST) {
      this.items = EMPTY
      this.head = 0
    }
  }

  private makeRoom(): void {
    const size = this.items.length
    if (this.length < size) return
    const larger: (SendRecord | null)[] = new Array(Math.max(SMALLEST, size * 2)).fill(null)
    for (let i = 0; i < this.length; i++) larger[i] = this.at(i)
    this.items = larger
    this.head = 0
  }
}

const SMALLEST = 8
const EMPTY: (SendRecord | null)[] = []
