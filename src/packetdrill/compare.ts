import { formatOptions, sortFlags } from './format.ts'
import type { CapturedPacket, CapturedTcp } from './packet.ts'
import type { IpSpec, TcpOptionSpec, TcpSpec } from './script.ts'

/** What of a live packet is not as the script says. */

/** What the comparison of two packets needs to know beside them. */
export interface Leeway {
  /** How far off timestamps may be, in their own ticks; Infinity when they are not compared. */
  readonly timestampTicks: number
}

/**
 * Compares a segment with what the script expects. The window counts only where the script has one; the acknowledgment
 * only with its flag; echoed timestamps never.
 * @param actual in the script's terms
 * @returns what differs, in words: nothing for a match
 */
export const compareTcp = (expected: TcpSpec, actual: CapturedTcp, { timestampTicks }: Leeway): string[] => {
  const faults: string[] = []
  const differ = (what: string, wanted: unknown, got: unknown): void => {
    if (wanted !== got) faults.push(`${what} ${wanted} expected, ${got} came`)
  }
  differ('flags', sortFlags(expected.flags) || '-', sortFlags(actual.flags) || '-')
  differ('sequence number', expected.seq >>> 0, actual.seq)
  differ('payload of', expected.length, actual.length)
  differ('acknowledgment', (expected.ack ?? 0) >>> 0, actual.flags.includes('.') ? actual.ack : 0)
  if (expected.window !== null) differ('window', expected.window, actual.window)
  differ('urgent pointer', expected.urgent, actual.urgent)
  if (expected.options !== null) faults.push(...compareOptions(expected.options, actual.options, timestampTicks))
  if (!actual.isZero) faults.push('payload is not what the program sent')
  if (actual.fault !== null) faults.push(actual.fault)
  return faults
}

const compareOptions = (
  expected: readonly TcpOptionSpec[],
  actual: readonly TcpOptionSpec[],
  timestampTicks: number,
): string[] => {
  const isEqual =
    expected.length === actual.length &&
    expected.every((option, index) => optionMatches(option, actual[index]!, timestampTicks))
  if (isEqual) return []
  return [`options <${formatOptions(expected)}> expected, <${formatOptions(actual)}> came`]
}

const optionMatches = (expected: TcpOptionSpec, actual: TcpOptionSpec, timestampTicks: number): boolean => {
  if (expected.name !== actual.name) return false
  if (expected.name === 'TS') {
    return Math.abs((expected.values[0]! - actual.values[0]!) | 0) <= timestampTicks
  }
  return formatOptions([expected]) === formatOptions([actual])
}

const ECN_NAMES = ['noecn', 'ect1', 'ect0', 'ce'] as const

/** Compares what the script says of the IP header. */
export const compareIp = (expected: IpSpec, actual: CapturedPacket): string[] => {
  const faults: string[] = []
  const ecn = ECN_NAMES[actual.tos & 3]!
  const ecnMatches = expected.ecn === 'ect01' ? ecn === 'ect0' || ecn === 'ect1' : expected.ecn === ecn
  if (expected.ecn !== null && !ecnMatches) faults.push(`ECN ${expected.ecn} expected, ${ecn} came`)
  if (expected.tos !== null && expected.tos !== actual.tos) {
    faults.push(`type of service 0x${expected.tos.toString(16)} expected, 0x${actual.tos.toString(16)} came`)
  }
  if (expected.ttl !== null && expected.ttl !== actual.ttl) {
    faults.push(`TTL ${expected.ttl} expected, ${actual.ttl} came`)
  }
  if (actual.ipOptions !== 0) faults.push('an IP header without options expected')
  return faults
}
