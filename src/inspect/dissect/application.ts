import type { Dissection } from './dissection.ts'
import { putDns } from './dns.ts'
import { putTextProtocol } from './text-protocol.ts'

/**
 * What lies in TCP and UDP, known by its port: the text protocols and DNS. All else is told by its length alone, also
 * where tcpdump reads more (BOOTP, NTP, TFTP, SSH and so on).
 */

const Port = {
  Ftp: 21,
  Smtp: 25,
  Whois: 43,
  Dns: 53,
  Http: 80,
  Rtsp: 554,
  MulticastDns: 5353,
  HttpAlt: 8080,
  RtspAlt: 8554,
}

/** Requests of HTTP, with those of WebDAV. */
const HTTP_REQUESTS = new Set(
  (
    'GET PUT COPY HEAD LOCK MOVE POLL POST BCOPY BMOVE MKCOL TRACE LABEL MERGE DELETE SEARCH UNLOCK REPORT UPDATE ' +
    'NOTIFY BDELETE CONNECT OPTIONS CHECKIN PROPFIND CHECKOUT CCM_POST SUBSCRIBE PROPPATCH BPROPFIND BPROPPATCH ' +
    'UNCHECKOUT MKACTIVITY MKWORKSPACE UNSUBSCRIBE RPC_CONNECT VERSION-CONTROL BASELINE-CONTROL'
  ).split(' '),
)

const RTSP_REQUESTS = new Set(
  'DESCRIBE ANNOUNCE GET_PARAMETER OPTIONS PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER TEARDOWN'.split(' '),
)

/** The bytes of a segment, `length` of them at `at`. */
export const putTcpPayload = (d: Dissection, at: number, length: number, source: number, destination: number): void => {
  const is = (port: number): boolean => source === port || destination === port
  if (is(Port.Smtp)) putTextProtocol(d, at, length, 'smtp', null)
  else if (is(Port.Whois)) putTextProtocol(d, at, length, 'whois', null)
  else if (is(Port.Ftp)) putTextProtocol(d, at, length, 'ftp', null)
  else if (is(Port.Http) || is(Port.HttpAlt)) putTextProtocol(d, at, length, 'http', HTTP_REQUESTS)
  else if (is(Port.Rtsp) || is(Port.RtspAlt)) putTextProtocol(d, at, length, 'rtsp', RTSP_REQUESTS)
  else if (is(Port.Dns)) putDnsOverTcp(d, at, length)
}

/** The bytes of a datagram. @returns false when nothing was told of them */
export const putUdpPayload = (
  d: Dissection,
  at: number,
  length: number,
  source: number,
  destination: number,
): boolean => {
  const is = (port: number): boolean => source === port || destination === port
  if (is(Port.Dns)) putDns(d, at, length, false)
  else if (is(Port.MulticastDns)) putDns(d, at, length, true)
  else return false
  return true
}

/** A message behind its length (RFC 1035 section 4.2.2); only one that fills the segment is told. */
const putDnsOverTcp = (d: Dissection, at: number, length: number): void => {
  d.protocol = 'domain'
  if (length < 2) {
    d.put(` [DNS over TCP: length ${length} < 2]`)
    d.invalid()
    return
  }
  const declared = d.u16(at)
  if (declared !== length - 2) {
    d.put(` [prefix length(${declared}) != length(${length - 2})]`)
    d.invalid()
    return
  }
  d.put(' ')
  putDns(d, at + 2, declared, false)
}
