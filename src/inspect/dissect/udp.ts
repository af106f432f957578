import { IpProtocol } from '../../wire/ip.ts'
import { hex16 } from '../format.ts'
import { putUdpPayload } from './application.ts'
import { type Dissection, rightChecksum } from './dissection.ts'
import { destinationText, type IpContext, putEndpoints, sourceText, transportChecksum } from './ip.ts'

const HEADER = 8

/** A datagram at `at`, of `given` bytes as IP has it: `10.0.0.1.1024 > 10.0.0.2.9: UDP, length 19`. */
export const putUdp = (d: Dissection, ip: IpContext, at: number, given: number): void => {
  d.protocol = 'udp'
  if (!d.has(at + 2, 2)) {
    if (ip.protocol === IpProtocol.Udp) d.put(`${sourceText(d, ip)} > ${destinationText(d, ip)}: `)
    d.cutShort()
    return
  }
  const source = d.u16(at)
  const destination = d.u16(at + 2)
  putEndpoints(d, ip, IpProtocol.Udp, 'udp', source, destination)
  if (given < HEADER) {
    d.put(`truncated-udp ${given}`)
    return
  }
  if (!d.has(at + 4, 2)) {
    d.cutShort()
    return
  }
  const declared = d.u16(at + 4)
  if (declared < HEADER) {
    d.put(`truncated-udplength ${declared}`)
    return
  }
  const start = at + HEADER
  if (start > d.end) {
    d.cutShort()
    return
  }
  const whole = declared - HEADER
  const length = Math.min(whole, given - HEADER)
  putChecksum(d, ip, at, length)
  if (!d.options.quiet && putUdpPayload(d, start, length, source, destination)) return
  d.put(whole > length && !ip.isFragment ? `UDP, bad length ${whole} > ${length}` : `UDP, length ${whole}`)
}

/** Over IPv4, where it may be left out, it takes `-vv` to see the checksum. */
const putChecksum = (d: Dissection, ip: IpContext, at: number, length: number): void => {
  const { verbose, checksums } = d.options
  if (verbose < (ip.version === 6 ? 1 : 2) || !checksums || ip.isFragment) return
  const field = d.u16(at + 6)
  if (field === 0 && ip.version === 4) d.put('[no cksum] ')
  else if (d.has(at + HEADER, length)) {
    const sum = transportChecksum(d, ip, IpProtocol.Udp, at, at + HEADER + length)
    d.put(sum === 0 ? '[udp sum ok] ' : `[bad udp cksum ${hex16(field)} -> ${hex16(rightChecksum(field, sum))}!] `)
  }
}
