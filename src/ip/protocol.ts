import type { Frame } from '../core/frame.ts'
import { IpHeader } from '../wire/ip.ts'
import type { NetworkInterface } from './interface.ts'

/** A protocol above IP, as the IP layer sees it. */
export interface TransportProtocol {
  /**
   * A whole packet for this host. The payload is at `header.payloadStart` to `header.payloadEnd` of the world's memory
   * (also `frame.transport` and `frame.end`); `header` is reused for
   * the next packet, `frame` is the protocol's from now on.
   */
  receive(header: IpHeader, frame: Frame, from: NetworkInterface): void
  /** An ICMP error about a packet that this host sent. `error` is reused; the frame stays the IP layer's. */
  icmpError(error: IcmpError): void
}

/** What an ICMP or ICMPv6 error says, in the terms of both. One object is filled for error after error. */
export class IcmpError {
  /** 4 or 6. */
  version = 4
  type = 0
  code = 0
  /** The error as sockets see it (`Errno`): ECONNREFUSED, EHOSTUNREACH, EMSGSIZE … */
  errno = 0
  /** Does it end a connection, or only tell of trouble (RFC 1122 section 4.2.3.9, RFC 5461)? */
  hard = false
  /** The next hop's MTU from fragmentation-needed or packet-too-big, bytes; 0 for other errors. */
  mtu = 0
  /** Header of the packet that was quoted: its source is this host. */
  readonly quoted = new IpHeader()
  /**
   * Where the quoted transport header lies in the world's memory, and where the quotation ends: at least 8 bytes on.
   */
  transportStart = 0
  transportEnd = 0
  /** Who reported: the source of the ICMP message, as four words (see `IpAddress`). */
  reporter0 = 0
  reporter1 = 0
  reporter2 = 0
  reporter3 = 0
}
