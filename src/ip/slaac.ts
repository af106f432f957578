import { SipHasher } from '../core/siphash.ts'
import { IpAddress, type MacAddress } from '../wire/address.ts'

/** Interface identifiers: the low 64 bits of addresses that a host makes itself (RFC 4291 section 2.5.1, RFC 7217). */

/** The address of `prefix` with the modified EUI-64 identifier of a MAC address (RFC 4291 appendix A). */
export const eui64Address = (prefix: IpAddress, mac: MacAddress): IpAddress => {
  const high = Math.floor(mac / 0x1_0000_0000)
  const low = mac >>> 0
  return new IpAddress(
    prefix.w0,
    prefix.w1,
    ((high << 16) | ((low >>> 24) << 8) | 0xff) ^ 0x0200_0000,
    0xfe00_0000 | (low & 0xff_ffff),
  )
}

/**
 * The address of `prefix` with an identifier that is stable on this network and tells nothing (RFC 7217 section 5).
 * @param key the host's secret: four words
 * @param interfaceIndex stands for the interface
 * @param counter how many addresses made before have turned out to be taken
 */
export const stableAddress = (
  prefix: IpAddress,
  key: readonly number[],
  interfaceIndex: number,
  counter: number,
): IpAddress => {
  for (let attempt = counter; ; attempt++) {
    const high = hashOf(prefix, key, interfaceIndex, attempt, 0)
    const low = hashOf(prefix, key, interfaceIndex, attempt, 1)
    if (!isReserved(high, low)) return new IpAddress(prefix.w0, prefix.w1, high, low)
  }
}

const hashOf = (prefix: IpAddress, key: readonly number[], index: number, counter: number, half: number): number =>
  new SipHasher(key[0]!, key[1]!, key[2]!, key[3]!)
    .start()
    .word(prefix.w0)
    .word(prefix.w1)
    .word(index)
    .word(counter)
    .word(half)
    .end()

/** Identifiers that have a meaning of their own: subnet-router and other anycast addresses (RFC 5453). */
const isReserved = (high: number, low: number): boolean =>
  (high === 0 && low === 0) || (high === (0xfdff_ffff | 0) && (low | 0x7f) === -1)
