import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { VirtualClock } from '../../src/core/clock.ts'
import { parseHosts, parseResolvConf } from '../../src/host/resolver-config.ts'
import { UsageError } from '../../src/inspect/options.ts'
import { type Snapshot, snapshot } from '../../src/inspect/snapshot.ts'
import { ss } from '../../src/inspect/ss.ts'
import { parseTcpdump, TcpdumpPrinter } from '../../src/inspect/tcpdump.ts'
import { compileFilter } from '../../src/inspect/tcpdump-filter.ts'
import { readCapture } from '../../src/link/pcap.ts'
import { PcapngWriter } from '../../src/link/pcapng.ts'
import { runPacketdrill } from '../../src/packetdrill/index.ts'
import { parseScript } from '../../src/packetdrill/parser.ts'
import { runCode } from '../../src/packetdrill/python.ts'
import { ScriptError, Unsupported } from '../../src/packetdrill/script.ts'
import { parseShell } from '../../src/packetdrill/shell-words.ts'
import { Network } from '../../src/sim/network.ts'
import { buildNetwork, type NetworkFile } from '../../src/sim/network-file.ts'
import { ip, parseIpAddress, parseIpPrefix } from '../../src/wire/address.ts'
import { type DnsMessage, DnsType, dnsQuery, parseDns, writeDns } from '../../src/wire/dns.ts'
import { emitIpv4OptionList, parseIpv4OptionList } from '../../src/wire/ipv4-options.ts'
import { emitTcpOptionList, parseTcpOptionList } from '../../src/wire/tcp-options.ts'
import { sampleFrame, samplePackets } from '../support/sample-frames.ts'
import { toHex } from './frame-maker.ts'

/** What reads files and texts, with samples of each to begin with; and which errors each may throw: one clear line. */

type ErrorClass = abstract new (...args: never[]) => Error

interface Parser {
  readonly isBinary: boolean
  /** How often it is drawn, beside the others. */
  readonly share: number
  /** @returns what came of it, in few words */
  readonly read: (input: string | Uint8Array) => string | Promise<string>
}

/** A refusal is one line that says something, of a class that is meant for it. */
const refused = (error: unknown, allowed: readonly ErrorClass[]): string => {
  if (!allowed.some((type) => error instanceof type)) throw error
  const { message } = error as Error
  if (message === '') throw new Error('a refusal says nothing')
  if (allowed.includes(UsageError) === false && message.includes('\n') && !message.includes('\\n'))
    throw new Error(`a refusal has several lines: ${JSON.stringify(message)}`)
  return message
    .replace(/["'`].*["'`]/g, '')
    .replace(/[\d.-]+/g, '')
    .slice(0, 30)
}

const text = (
  share: number,
  allowed: readonly ErrorClass[],
  read: (input: string) => string | Promise<string>,
): Parser => ({
  isBinary: false,
  share,
  read: async (input) => {
    try {
      return await read(input as string)
    } catch (error) {
      return refused(error, allowed)
    }
  },
})

const binary = (share: number, read: (input: Uint8Array) => string): Parser => ({
  isBinary: true,
  share,
  read: (input) => read(input as Uint8Array),
})

const FRAMES = samplePackets().map((sample) => sampleFrame(sample))

/** A host with a few sockets, for `ss` to look at. */
const lookedAt = (): Snapshot => {
  const network = new Network({ seed: 1, without: ['wasm', 'ticks'] })
  const host = network.host('a')
  host.spawn('idle', (sys) => {
    sys.listen(sys.socket(2, 1), 5)
    sys.bind(sys.socket(2, 2), { address: '0.0.0.0', port: 53 })
    return new Promise(() => {})
  })
  network.world.loop.turn()
  return snapshot(host)
}

const SNAPSHOT = lookedAt()

const same = (what: string, a: Uint8Array, b: Uint8Array): void => {
  if (toHex(a) !== toHex(b)) throw new Error(`${what} are not written as they were read`)
}

const isJson = (input: string): boolean => {
  try {
    JSON.parse(input)
    return true
  } catch {
    return false
  }
}

export const PARSERS = {
  pcap: binary(5, (bytes) => {
    const { packets, interfaces, error, format } = readCapture(bytes)
    for (const { data } of packets) if (data.length > bytes.length) throw new Error('a packet is longer than its file')
    return `${format} ${Math.min(3, packets.length)} ${Math.min(2, interfaces.length)} ${error?.replace(/\d+/g, '').slice(0, 30)}`
  }),
  dns: binary(5, (bytes) => {
    const message = parseDns(bytes)
    if (message === null) return 'none'
    const again = parseDns(writeDns(message))
    const { questions, answers } = message
    if (again === null || again.questions.length !== questions.length || again.answers.length !== answers.length)
      throw new Error('a message that was read is not read again as it was written')
    return `${message.code} ${questions.length} ${answers.length} ${answers[0]?.type}`
  }),
  'tcp-options': binary(2, (bytes) => {
    const list = parseTcpOptionList(bytes)
    same('TCP options', emitTcpOptionList(list), bytes)
    return [...new Set(list.map(({ name }) => name))].join(' ').slice(0, 30)
  }),
  'ipv4-options': binary(2, (bytes) => {
    const list = parseIpv4OptionList(bytes)
    same('IPv4 options', emitIpv4OptionList(list), bytes)
    return String(list.length)
  }),
  tcpdump: text(4, [UsageError], (expression) => {
    const filter = compileFilter(expression)
    let hits = 0
    for (const frame of FRAMES) {
      if (filter(frame, frame.length, 1)) hits++
      filter(frame.subarray(0, 40), frame.length, 1)
      filter(frame.subarray(14), frame.length - 14, 101)
    }
    return `taken by ${hits}`
  }),
  'tcpdump-arguments': text(1, [UsageError], (words) => {
    const printer = new TcpdumpPrinter(parseTcpdump(words.split(' ')))
    let length = 0
    for (const data of FRAMES.slice(0, 12))
      length += printer.print({ data, originalLength: data.length, linkType: 1, timeNs: 1n }).length
    return `printed ${length > 0}`
  }),
  ss: text(3, [UsageError], (words) => `${ss(SNAPSHOT, words.split(' ')).split('\n').length} lines`),
  packetdrill: text(
    4,
    [ScriptError, Unsupported],
    (script) => `${Math.min(6, parseScript(script).events.length)} events`,
  ),
  'packetdrill-run': text(1, [], async (script) => {
    const { outcome, reason } = await runPacketdrill(script)
    return `${outcome} ${reason.replace(/[\d.-]+/g, '').slice(0, 30)}`
  }),
  python: text(2, [Unsupported], (code) => String(runCode(code, new Map<string, number>([['tcpi_rtt', 3]])) === null)),
  shell: text(2, [Unsupported], (command) => `${parseShell(command).length} pipelines`),
  network: text(2, [TypeError], (json) => {
    if (!isJson(json)) return 'no JSON'
    const { network } = buildNetwork(JSON.parse(json) as NetworkFile, {
      clock: new VirtualClock(),
      without: ['wasm', 'ticks'],
    })
    const { size } = network.hosts
    network.close()
    return `${size} hosts`
  }),
  resolver: text(2, [], (config) => `${parseHosts(config).length} ${parseResolvConf(config).servers.length}`),
  address: text(2, [], (address) => {
    const found = parseIpAddress(address)
    parseIpPrefix(address)
    if (found !== undefined && parseIpAddress(`${found}`)?.equals(found) !== true)
      throw new Error(`${found} is not read as it was written`)
    return String(found?.family)
  }),
} as const satisfies Record<string, Parser>

export type ParserName = keyof typeof PARSERS

/** A capture of a few packets, with names, comments and counts. */
const capture = (): string => {
  const chunks: Uint8Array[] = []
  const writer = new PcapngWriter((bytes) => chunks.push(bytes.slice()), { epoch: 0, os: 'x', application: 'y' })
  const iface = writer.addInterface({ name: 'eth0', linkType: 1 })
  for (const frame of FRAMES.slice(0, 3))
    writer.packet(iface, 1_000_000, frame, 0, frame.length, frame.length, true, 'seen')
  writer.names([[ip('10.9.0.1'), 'a']])
  writer.statistics(iface, { start: 0, end: 9, received: 3, dropped: 1, delivered: 2 })
  writer.flush()
  return chunks.map(toHex).join('')
}

/** The old format, of either byte order. */
const oldCapture = (little: boolean): string => {
  const frame = FRAMES[0]!
  const bytes = new Uint8Array(24 + 16 + frame.length)
  const view = new DataView(bytes.buffer)
  for (const [at, value] of [
    [0, 0xa1b2_c3d4],
    [16, 65_535],
    [20, 1],
    [24, 5],
    [28, 6],
    [32, frame.length],
    [36, frame.length],
  ] as const)
    view.setUint32(at, value, little)
  view.setUint16(4, 2, little)
  view.setUint16(6, 4, little)
  bytes.set(frame, 40)
  return toHex(bytes)
}

const dnsAnswer = (): DnsMessage => ({
  ...dnsQuery(7, 'www.example.org', DnsType.A),
  isResponse: true,
  answers: [
    { name: 'www.example.org', type: DnsType.CNAME, ttl: 60, data: 'example.org' },
    { name: 'example.org', type: DnsType.A, ttl: 60, data: ip('192.0.2.1') },
    { name: 'example.org', type: DnsType.AAAA, ttl: 60, data: ip('2001:db8::1') },
    { name: 'example.org', type: DnsType.TXT, ttl: 60, data: ['a', 'b c'] },
  ],
})

const CONFORMANCE = fileURLToPath(new URL('../conformance/', import.meta.url))

/** Every eighth script of the conformance suite. */
const scripts = (): string[] =>
  readdirSync(CONFORMANCE, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pkt'))
    .sort()
    .filter((_, i) => i % 8 === 0)
    .map((name) => readFileSync(join(CONFORMANCE, name), 'utf8'))

const SCRIPTS = scripts()

export const SEEDS: Readonly<Record<ParserName, readonly string[]>> = {
  pcap: [capture(), oldCapture(true), oldCapture(false)],
  dns: [
    toHex(writeDns(dnsQuery(7, 'www.example.org', DnsType.A))),
    toHex(writeDns(dnsAnswer())),
    // Names that point to names.
    '000781800001000100000000037777770765786d616d706c65036f72670000010001c00c00050001000000050006036e6577c010',
  ],
  'tcp-options': [
    '020405b40402080a000000010000000001030307',
    '1312000102030405060708090a0b0c0d0e0f0101',
    '0101050a0000000100000002',
    '220a0102030405060708',
    'fe04f98900',
  ],
  'ipv4-options': ['94040000', '070b04000000000000000001', '440c0501000000000000000001', '830b040a0900020a0900010000'],
  tcpdump: [
    'tcp port 80 and not host 10.0.0.1',
    'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0',
    'ip6 and (udp or icmp6) and greater 64',
    'ether src 02:00:00:00:00:0a or vlan 100 && arp',
    'src net 10.9.0.0/16 and dst portrange 1-1024',
    'ip[2:2] - ((ip[0]&0xf)<<2) > 0x20 or len <= 100',
  ],
  'tcpdump-arguments': ['-nevvX -c 3 tcp', '-tttt -s 96 udp port 53', '-i eth0 -w out.pcap --print', '-# -q -S icmp'],
  ss: [
    '-tan state established',
    '-u -a sport = :53 or dport > :1024',
    '-tiepm ( dst 10.0.0.0/8 and not sport = :http )',
    '-s',
    '-x -l',
    '-4 -tn exclude listening src 0.0.0.0:80',
  ],
  packetdrill: SCRIPTS,
  'packetdrill-run': SCRIPTS,
  python: [
    'assert tcpi_rtt == 3, tcpi_rtt',
    'a = 1 + 2 * (3 << 1) // 2\nassert a > 0 and not a == 2 or a % 3',
    'assert (1, 2) == (1, 2); print(1)',
  ],
  shell: [
    'sysctl -q net.ipv4.tcp_sack=0',
    '../common/defaults.sh && ip route show | grep "x y" > /dev/null 2>&1',
    "sysctl -w net.ipv4.tcp_rmem='1 2 3'; tc qdisc add dev tun0 root pfifo || true",
  ],
  network: [
    '{"seed":1,"hosts":{"a":{},"b":{"router":true,"sysctl":{"net.ipv4.tcp_sack":0}}},"links":[{"between":["a","b"],"delay":5,"loss":0.1,"rate":1000000}],"names":{"c":["10.0.0.9"]}}',
    '{"hosts":{"a":{"run":"x"}},"links":[]}',
  ],
  resolver: [
    'nameserver 10.0.0.1#5353\nsearch a.b c\noptions ndots:2 timeout:1 attempts:3',
    '10.0.0.1 a b # c\n::1 localhost\n',
  ],
  address: ['10.0.0.1', '2001:db8::1/64', '::ffff:10.0.0.1', 'fe80::1%eth0', '1::', '::', '255.255.255.255/32'],
}
