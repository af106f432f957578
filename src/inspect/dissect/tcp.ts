import { IpProtocol } from '../../wire/ip.ts'
import { TcpFlag } from '../../wire/tcp.ts'
import { hex16 } from '../format.ts'
import { putTcpPayload } from './application.ts'
import { type Dissection, flagNames, rightChecksum, Truncated } from './dissection.ts'
import { destinationText, type IpContext, putEndpoints, sourceText, transportChecksum } from './ip.ts'
import { putTcpOptions } from './tcp-options.ts'

const HEADER = 20

const FLAG_NAMES = [
  [TcpFlag.Fin, 'F'],
  [TcpFlag.Syn, 'S'],
  [TcpFlag.Rst, 'R'],
  [TcpFlag.Psh, 'P'],
  [TcpFlag.Ack, '.'],
  [TcpFlag.Urg, 'U'],
  [TcpFlag.Ece, 'E'],
  [TcpFlag.Cwr, 'W'],
] as const

/** Bytes of the text in a RST that are told (RFC 1122 section 4.2.2.12). */
const RESET_TEXT = 30

/** A segment at `at`, of `length` bytes as IP has it: `Flags [P.], seq 1:6, ack 1, win 502, length 5`. */
export const putTcp = (d: Dissection, ip: IpContext, at: number, length: number): void => {
  const { options } = d
  d.protocol = 'tcp'
  if (!d.has(at + 2, 2)) {
    d.put(`${sourceText(d, ip)} > ${destinationText(d, ip)}:`)
    d.cutShort()
    return
  }
  const source = d.u16(at)
  const destination = d.u16(at + 2)
  putEndpoints(d, ip, IpProtocol.Tcp, 'tcp', source, destination)
  d.need(at, HEADER)
  const headerLength = (d.u8(at + 12) >> 4) * 4
  if (headerLength < HEADER) {
    d.put(` tcp ${(length - headerLength) >>> 0} [bad hdr length ${headerLength} - too short, < ${HEADER}]`)
    return
  }
  const tooLong = headerLength > length ? ` [bad hdr length ${headerLength} - too long, > ${length}]` : ''
  if (options.quiet) {
    d.put(`tcp ${(length - headerLength) >>> 0}${tooLong}`)
    return
  }
  const flags = d.u8(at + 13)
  d.put(`Flags [${flagNames(FLAG_NAMES, flags, '')}]`)
  const origins = connectionOrigins(d, ip, at, flags)
  if (tooLong !== '') {
    d.put(tooLong)
    return
  }
  if (options.verbose > 0 && options.checksums && !ip.isFragment && d.has(at, length)) {
    const field = d.u16(at + 16)
    const sum = transportChecksum(d, ip, IpProtocol.Tcp, at, at + length)
    d.put(`, cksum ${hex16(field)} (${sum === 0 ? 'correct' : `incorrect -> ${hex16(rightChecksum(field, sum))}`})`)
  }
  const payload = length - headerLength
  const seq = (d.u32(at + 4) - origins.seq) >>> 0
  if (options.verbose > 1 || payload > 0 || (flags & (TcpFlag.Syn | TcpFlag.Fin | TcpFlag.Rst)) !== 0) {
    d.put(`, seq ${seq}`)
    if (payload > 0) d.put(`:${(seq + payload) >>> 0}`)
  }
  if ((flags & TcpFlag.Ack) !== 0) d.put(`, ack ${(d.u32(at + 8) - origins.ack) >>> 0}`)
  d.put(`, win ${d.u16(at + 14)}`)
  if ((flags & TcpFlag.Urg) !== 0) d.put(`, urg ${d.u16(at + 18)}`)
  if (headerLength > HEADER && !putTcpOptions(d, at + HEADER, at + headerLength, origins.sack)) return
  d.put(`, length ${payload}`)
  if (payload > 0) putData(d, at, headerLength, payload, flags, source, destination)
}

/** What is to be taken off the numbers of a segment; nothing without ACK, and with `-S`. */
const connectionOrigins = (
  d: Dissection,
  ip: IpContext,
  at: number,
  flags: number,
): { seq: number; ack: number; sack: number } => {
  if (d.options.absolute || (flags & TcpFlag.Ack) === 0) return { seq: 0, ack: 0, sack: 0 }
  const sourcePort = d.u16(at)
  const destinationPort = d.u16(at + 2)
  const addressLength = ip.version === 6 ? 16 : 4
  const address = ip.at + (ip.version === 6 ? 8 : 12)
  const source = d.hexBytes(address, addressLength)
  const destination = d.hexBytes(address + addressLength, addressLength)
  const forward = sourcePort < destinationPort || (sourcePort === destinationPort && source <= destination)
  return d.sequences.origins(
    `${source}.${sourcePort}`,
    `${destination}.${destinationPort}`,
    forward,
    (flags & TcpFlag.Syn) !== 0,
    d.u32(at + 4),
    d.u32(at + 8),
  )
}

const putData = (
  d: Dissection,
  at: number,
  headerLength: number,
  length: number,
  flags: number,
  source: number,
  destination: number,
): void => {
  if (!d.has(at, headerLength)) {
    d.put(` [remaining caplen(${d.end - at}) < header length(${headerLength})]`)
    throw new Truncated()
  }
  const start = at + headerLength
  if ((flags & TcpFlag.Rst) !== 0 && d.options.verbose > 0) {
    const told = Math.min(length, RESET_TEXT)
    const text = d.characters(start, Math.min(told, d.end - start))
    d.put(` [${d.has(start, length) ? '' : '!'}RST${length > told ? '+' : ''} ${text}]`)
    return
  }
  putTcpPayload(d, start, length, source, destination)
}
