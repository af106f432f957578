/**
 * Our tcpdump beside the real one, line by line: packets of every kind that the codecs know, tagged, cut and bare; the
 * captures of all rows of the lab; and filter expressions. Needs tcpdump.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseTcpdump, TcpdumpPrinter } from '../../src/inspect/tcpdump.ts'
import { runScenario } from '../../src/lab/lab.ts'
import { SCENARIOS } from '../../src/lab/registry.ts'
import { Capture } from '../../src/link/capture.ts'
import { readCapture } from '../../src/link/pcap.ts'
import { pcapFile } from '../support/pcap-file.ts'
import { sampleFrame, samplePackets } from '../support/sample-frames.ts'

let folder: string
/** Capture files by name. */
const files = new Map<string, Uint8Array>()

const keep = (name: string, file: Uint8Array): void => {
  files.set(name, file)
  writeFileSync(join(folder, name), file)
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-tcpdump-'))
  const samples = samplePackets()
  keep(
    'samples',
    pcapFile(
      1,
      samples.flatMap((sample) => [0, 1, 2].map((tags) => ({ data: sampleFrame(sample, tags) }))),
    ),
  )
  const bare = samples.filter(({ etherType }) => etherType !== 0x806)
  keep(
    'bare',
    pcapFile(
      101,
      bare.map(({ packet }) => ({ data: packet })),
    ),
  )
  for (const [name, linkType, header] of LINKS) {
    const type = (etherType: number): number[] => [etherType >>> 8, etherType & 0xff]
    keep(
      name,
      pcapFile(
        linkType,
        // A packet that is shorter than it says: no dissector of tcpdump agrees with another on padding.
        samples.map(({ packet, etherType }) => ({ data: Uint8Array.from([...header(type(etherType)), ...packet]) })),
      ),
    )
  }
  for (const snaplen of [14, 40, 54, 68, 96]) {
    const frames = samples.map((sample) => sampleFrame(sample))
    keep(
      `cut at ${snaplen}`,
      pcapFile(
        1,
        frames.map((data) => ({ data: data.subarray(0, snaplen), length: data.length })),
      ),
    )
  }
})

afterAll(() => rmSync(folder, { recursive: true }))

const family = (type: readonly number[], ofIpv6: number): number =>
  type[0] === 0x86 ? ofIpv6 : type[1] === 0x00 && type[0] === 8 ? 2 : 5
const COOKED_ADDRESS = [2, 0, 0, 0, 0, 9, 0, 0]
const SAMPLE_MACS = [2, 0, 0, 0, 0, 10, 2, 0, 0, 0, 0, 11]

/** Links other than Ethernet, and the header that each puts in front of a packet of a type. */
const LINKS: readonly (readonly [name: string, linkType: number, header: (type: number[]) => number[]])[] = [
  ['BSD loopback', 0, (type) => [family(type, 30), 0, 0, 0]],
  ['BSD loopback, big-endian', 0, (type) => [0, 0, 0, family(type, 24)]],
  ['OpenBSD loopback', 108, (type) => [0, 0, 0, family(type, 28)]],
  ['raw as BSD numbers it', 12, () => []],
  ['IPv4', 228, () => []],
  ['IPv6', 229, () => []],
  ['cooked', 113, (type) => [0, 4, 0, 1, 0, 6, ...COOKED_ADDRESS, ...type]],
  ['cooked, without address', 113, (type) => [0, 0, 3, 4, 0, 0, ...COOKED_ADDRESS, ...type]],
  ['cooked, tagged', 113, (type) => [0, 2, 0, 1, 0, 6, ...COOKED_ADDRESS, 0x81, 0, 0x20, 5, ...type]],
  ['cooked, of no known type', 113, (type) => [0, 7, 0, 1, 0, 6, ...COOKED_ADDRESS, 0x12, type[0]!]],
  ['cooked, LLC', 113, () => [0, 1, 0, 1, 0, 6, ...COOKED_ADDRESS, 0, 4]],
  ['Ethernet, LLC', 1, () => [...SAMPLE_MACS, 0, 40]],
  ['Ethernet, LLC unnumbered', 1, () => [...SAMPLE_MACS, 0, 50, 0x4e, 0x4e, 3]],
  ['Ethernet, LLC supervisory', 1, () => [...SAMPLE_MACS, 0, 50, 0x4e, 0x43, 1, 1]],
  ['Ethernet, SNAP', 1, (type) => [...SAMPLE_MACS, 5, 220, 0xaa, 0xaa, 3, 0, 0, 0, ...type]],
  ['Ethernet, SNAP of no known type', 1, () => [...SAMPLE_MACS, 5, 220, 0xaa, 0xaa, 3, 0, 0, 0, 0x12, 0x34]],
  ['Ethernet, SNAP of another organization', 1, () => [...SAMPLE_MACS, 5, 220, 0xaa, 0xaa, 3, 0, 1, 2, 0x12, 0x34]],
  ['Ethernet, of no known type', 1, () => [...SAMPLE_MACS, 0x12, 0x34]],
  ['cooked 2', 276, (type) => [...type, 0, 0, 0x7f, 0, 0, 0, 0, 1, 0, 6, ...COOKED_ADDRESS]],
  ['cooked 2, without address', 276, (type) => [...type, 0, 0, 0x7f, 0, 0, 0, 3, 4, 4, 0, ...COOKED_ADDRESS]],
  ['cooked 2, of no known type', 276, () => [0x12, 3, 0, 0, 0x7f, 0, 0, 0, 0, 1, 3, 6, ...COOKED_ADDRESS]],
]

/** Splits a command line as a shell does. */
const words = (line: string): string[] => (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ''))

const real = (name: string, options: string): string =>
  spawnSync('tcpdump', ['-n', '-r', join(folder, name), ...words(options)], {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC' },
    maxBuffer: 2 ** 28,
  }).stdout

const own = (name: string, options: string): string => {
  const capture = readCapture(files.get(name)!)
  const printer = new TcpdumpPrinter(parseTcpdump(['-n', ...words(options)]))
  let text = ''
  for (const packet of capture.packets) {
    const dumped = { ...packet, linkType: capture.interfaces[packet.interface]!.linkType }
    if (printer.matches(dumped)) text += printer.print(dumped)
    if (printer.isDone) break
  }
  return text
}

const OPTIONS = [
  '',
  ...[
    '-v',
    '-vv',
    '-vvv',
    '-e',
    '-q',
    '-S',
    '-K -v',
    '-x',
    '-xx',
    '-X',
    '-XX',
    '-A',
    '-AA',
    '-t',
    '-tt',
    '-ttt',
    '-tttt',
  ],
  ...['-ttttt', '-#', '-c 5', '-e -v -X', '-q -e', '-S -vv', '-e -tttt -A', '--number', '--nano'],
]

describe('options', () => {
  test.each(OPTIONS)('tcpdump -n %s', (options) => {
    for (const name of ['samples', 'bare']) expect(own(name, options)).toBe(real(name, options))
  })

  test.each([14, 40, 54, 68, 96])('packets of which %i bytes were kept', (snaplen) => {
    const name = `cut at ${snaplen}`
    for (const options of ['', '-v', '-e']) expect(own(name, options)).toBe(real(name, options))
  })
})

describe('links other than Ethernet', () => {
  test.each(LINKS)('%s', (name) => {
    for (const options of ['', '-v', '-e', '-q', '-q -e', '-x', '-XX', '-A'])
      expect(own(name, options)).toBe(real(name, options))
    // libpcap's filter takes families to be in the file's byte order; its printer looks at them, as both of ours do.
    const isOtherOrder = name === 'BSD loopback, big-endian'
    for (const expression of isOtherOrder
      ? []
      : ['tcp', 'udp port 9', 'ip6', 'host 10.9.0.1', 'arp', 'tcp[13]=2', 'ip multicast', 'less 90']) {
      expect(own(name, `'${expression}'`)).toBe(real(name, `'${expression}'`))
    }
  })

  test.each(LINKS)('%s, cut short', (name, linkType) => {
    const whole = readCapture(files.get(name)!)
    for (const snaplen of [1, 3, 4, 15, 17, 19, 21, 23]) {
      const packets = whole.packets.map(({ data }) => ({ data: data.subarray(0, snaplen), length: data.length }))
      keep('cut', pcapFile(linkType, packets))
      for (const options of ['', '-e']) expect(own('cut', options)).toBe(real('cut', options))
    }
  })
})

/** What expressions select; they are parsed as one argument. */
const FILTERS = [
  ...[
    'tcp',
    'udp',
    'icmp',
    'icmp6',
    'ip',
    'ip6',
    'arp',
    'igmp',
    'sctp',
    'vlan',
    'broadcast',
    'multicast',
    'ip broadcast',
  ],
  ...['ip multicast', 'ip6 multicast', 'ether multicast', 'vlan 1', 'vlan and tcp', 'vlan and vlan and udp'],
  ...['host 10.9.0.1', 'src host 10.9.0.2', 'ip host 10.9.0.2', 'arp host 10.9.0.2', 'src 10.9.0.1'],
  ...['ip6 host fd09::2', 'host fe80::ff:fe00:a', 'dst host ff02::1', 'host 10.9.0.1 or 10.9.0.9'],
  ...['net 10.9.0.0/24', 'net 10.9.0.0 mask 255.255.255.0', 'dst net 10.9', 'net 239', 'net fd00::/8', 'src net 10'],
  ...['port 9', 'port 9 or 7777', 'tcp port 7777', 'udp dst port 9', 'src port 37986', 'port http', 'port (9 or 7777)'],
  ...[
    'portrange 7000-8000',
    'src portrange 30000-40000 and not tcp',
    'src or dst port 9',
    'src and dst net 10.9.0.0/16',
  ],
  ...[
    'ether host 02:00:00:00:00:0a',
    'ether src 02:00:00:00:00:0b',
    'ether proto 0x806',
    'ether proto \\ip',
    'ip proto 6',
  ],
  ...['ip proto \\udp', 'proto 17', 'ip6 proto 17', 'less 60', 'greater 90', 'len>100', 'len <= 60', 'ip[8]<5'],
  ...[
    'tcp[tcpflags]&(tcp-syn|tcp-ack)!=0',
    'tcp[13]=2',
    'tcp[tcpflags] & tcp-syn != 0 and not tcp[tcpflags] & tcp-ack != 0',
  ],
  ...['ip[6:2]&0x1fff!=0', 'tcp[((tcp[12:1]&0xf0)>>2):4]=0x74686520', 'udp[4:2]>20', 'ether[0]&1=1', 'icmp6[0]=135'],
  ...['icmp[icmptype]=icmp-echo', 'ip[2:2] - ((ip[0]&0xf)<<2) > 30', 'ip[9] % 2 == 0', 'ip[0] & 0xf != 5'],
  ...['not arp', '!tcp&&!udp', 'ip and not tcp and not udp', 'tcp or udp and port 9', 'arp or icmp or igmp'],
  '(host 10.9.0.1 and (tcp or udp)) and not port 9',
  'tcp dst port 7777 and src 10.9.0.1',
]

test.each(FILTERS)('expression %s', (expression) => {
  for (const name of ['samples', 'bare']) expect(own(name, `'${expression}'`)).toBe(real(name, `'${expression}'`))
})

describe('the rows of the lab', () => {
  test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))('%s', async (name, scenario) => {
    const chunks: Uint8Array[] = []
    let capture: Capture | undefined
    await runScenario(scenario, {
      onLink: (link, client, server, network) => {
        capture ??= new Capture(network.world, (chunk) => chunks.push(chunk))
        capture.add(link.a.port, `${client.name}-${server.name}`)
      },
    })
    capture?.close()
    keep(name, Buffer.concat(chunks))
    for (const options of ['', '-vv -e']) expect(own(name, options)).toBe(real(name, options))
  })
})

test.each([
  '10.9.0.1',
  'tcp and and',
  'port moon',
  'host',
  'tcp[0:3] = 1',
  'net 10.9.0.1/24',
  'port 70000',
  '(tcp',
  'tcp)',
])('expression %s is none', (expression) => {
  const { status, stderr } = spawnSync('tcpdump', ['-n', '-r', join(folder, 'samples'), expression], {
    encoding: 'utf8',
  })
  expect(status).toBe(1)
  expect(stderr).toMatch(/^tcpdump: /m)
  expect(() => parseTcpdump(['-n', expression]) && new TcpdumpPrinter(parseTcpdump(['-n', expression]))).toThrow(
    /^tcpdump: /,
  )
})
