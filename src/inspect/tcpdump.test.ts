import { describe, expect, test } from 'vitest'
import { sampleFrame, samplePackets } from '../../test/support/sample-frames.ts'
import { LinkType } from '../link/pcapng.ts'
import { parseTcpdump, TcpdumpPrinter } from './tcpdump.ts'

/** What tcpdump prints, line by line, is compared with the real one in test/interop/tcpdump.test.ts. */

const frames = new Map(samplePackets().map((sample) => [sample.name, sampleFrame(sample)]))
const packet = (data: Uint8Array, originalLength = data.length) => ({
  linkType: LinkType.Ethernet,
  timeNs: 1_790_000_000_123_456_789n,
  data,
  originalLength,
})

/** Prints a sample as `tcpdump ARGS` does; empty when the expression is not true of it. */
const dump = (name: string, ...args: string[]): string => {
  const printer = new TcpdumpPrinter(parseTcpdump(args))
  const one = packet(frames.get(name)!)
  return printer.matches(one) ? printer.print(one) : ''
}

describe('lines', () => {
  test.each([
    ['ARP request', 'ARP, Request who-has 10.9.0.2 tell 10.9.0.1, length 46'],
    ['IPv4 UDP', 'IP 10.9.0.1.32790 > 10.9.0.2.9: UDP, length 19'],
    ['IPv4 ICMP echo', 'IP 10.9.0.1 > 10.9.0.2: ICMP echo request, id 12767, seq 1, length 27'],
    ['IPv4 IGMPv2 leave', 'IP 10.9.0.1 > 239.1.2.3: igmp leave 239.1.2.3'],
    ['IPv6 UDP', 'IP6 fd09::1.32790 > fd09::2.9: UDP, length 19'],
  ])('%s', (name, line) => {
    expect(dump(name, '-nt')).toBe(`${line}\n`)
  })

  test('the forms of the time', () => {
    const time = (option: string): string => dump('IPv4 UDP', '-n', option).split(/ \(?IP/)[0]!
    expect(time('-q')).toBe('14:13:20.123456')
    expect(time('-tt')).toBe('1790000000.123456')
    expect(time('-tttt')).toBe('2026-09-21 14:13:20.123456')
    expect(time('-ttttt')).toBe(' 00:00:00.000000')
    expect(time('--nano')).toBe('14:13:20.123456789')
  })

  test('names of ports unless -n is given', () => {
    expect(dump('IPv4 UDP', '-t')).toBe('IP 10.9.0.1.32790 > 10.9.0.2.discard: UDP, length 19\n')
  })
})

describe('expressions', () => {
  test('true of a packet or not', () => {
    const matches = (name: string, expression: string): boolean => dump(name, expression) !== ''
    expect(matches('IPv4 TCP SYN', 'tcp[tcpflags] & tcp-syn != 0')).toBe(true)
    expect(matches('IPv4 TCP data', 'tcp[tcpflags] & tcp-syn != 0')).toBe(false)
    expect(matches('IPv4 UDP', 'udp and host 10.9.0.2 and not port 53')).toBe(true)
    expect(matches('IPv6 UDP', 'ip6 and port (9 or 7)')).toBe(true)
    expect(matches('IPv6 UDP', 'net fd0a::/16')).toBe(false)
  })

  test.each([
    ['port moon', "tcpdump: unknown port 'moon'"],
    ['host moon', "tcpdump: unknown host 'moon'"],
    ['tcp and', "tcpdump: can't parse filter expression: syntax error"],
    ['net 10.9.0.1/24', 'tcpdump: non-network bits set'],
  ])('%s', (expression, message) => {
    expect(() => dump('IPv4 UDP', expression)).toThrow(message)
  })
})

test('whatever is cut short or wrong is printed, and nothing throws', () => {
  const printer = new TcpdumpPrinter(parseTcpdump(['-n', '-vvv', '-e', '-X']))
  let lines = 0
  let endless = 0
  for (const frame of frames.values()) {
    for (let length = 0; length <= frame.length; length++) {
      if (!printer.print(packet(frame.subarray(0, length), frame.length)).endsWith('\n')) endless++
      lines++
    }
    for (let bit = 0; bit < frame.length * 8; bit += 5) {
      const flipped = frame.slice()
      flipped[bit >>> 3]! ^= 1 << (bit & 7)
      if (!printer.print(packet(flipped)).endsWith('\n')) endless++
    }
  }
  expect(endless).toBe(0)
  expect(lines).toBeGreaterThan(3000)
})
