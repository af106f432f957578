/** What an acknowledgment turned out to say, as bits: gathered by ack.ts and sack.ts, read by recovery.ts. */
export const AckFlag = {
  /** The segment carried data. */
  Data: 0x0001,
  /** It changed the send window. */
  WindowUpdate: 0x0002,
  /** It acknowledged data, or our SYN. */
  DataAcked: 0x0004,
  SynAcked: 0x0008,
  /** What it acknowledged had been sent more than once. */
  RetransmittedAcked: 0x0010,
  /** SACK told of something new. */
  DataSacked: 0x0020,
  /** ECE was set on a connection that does ECN. */
  Ece: 0x0040,
  /** A retransmission is lost. */
  LostRetransmission: 0x0080,
  /** It acknowledged, by ACK or SACK, data that was sent once, before the time-out. */
  OriginalAcked: 0x0100,
  /** SND.UNA moved. */
  Advanced: 0x0200,
  /** It reported a duplicate (RFC 2883), and that may be our tail loss probe. */
  Dsack: 0x0400,
  DsackOfProbe: 0x0800,
  /** What was SACKed once is missing at the front. */
  Reneging: 0x1000,
  /** The timer of retransmission or probe has to be set anew. */
  SetTimer: 0x2000,
  /** The segment's time stamp may become TS.Recent. */
  UpdateTimestamp: 0x1_0000,

  /** Any of these and it is no duplicate ACK (RFC 5681 section 2). */
  NotDuplicate: 0x0001 | 0x0002 | 0x0004 | 0x0008,
  Acked: 0x0004 | 0x0008,
  /** Something is amiss. */
  Alert: 0x0020 | 0x0040 | 0x0400,
  Progress: 0x0004 | 0x0008 | 0x0020,
} as const
