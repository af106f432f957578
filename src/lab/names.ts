import type { Sys } from '../host/calls.ts'
import * as netdb from '../host/resolver.ts'
import { dnsServer, type ZoneRecord } from '../services/dns.ts'
import { AF_INET, AF_INET6, SOCK_STREAM } from '../socket/constants.ts'
import * as inet from '../socket/inet-text.ts'
import { ip } from '../wire/address.ts'
import { DnsType } from '../wire/dns.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section B: addresses as text and bytes, and names. */

const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`
const bytes = (array: Uint8Array | null): string => (array === null ? 'null' : [...array].join(' '))

/** A call as it is written, what it gives, and what it must give. */
type Conversion = readonly [call: string, gives: unknown, expected: unknown]

const CONVERSIONS: readonly Conversion[] = [
  ['htons(80)', hex(inet.htons(80), 4), '0x5000'],
  ['ntohs(htons(0x1234))', hex(inet.ntohs(inet.htons(0x1234)), 4), '0x1234'],
  ['htonl(0x0a000001)', hex(inet.htonl(0x0a00_0001), 8), '0x0100000a'],
  ['ntohl(htonl(0xfffefdfc))', hex(inet.ntohl(inet.htonl(0xfffe_fdfc)), 8), '0xfffefdfc'],
  ['inet_pton(AF_INET, "10.1.2.3")', bytes(inet.inet_pton(AF_INET, '10.1.2.3')), '10 1 2 3'],
  ['inet_pton(AF_INET, "10.1")', bytes(inet.inet_pton(AF_INET, '10.1')), 'null'],
  ['inet_pton(AF_INET6, "::1")', bytes(inet.inet_pton(AF_INET6, '::1')), '0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1'],
  [
    'inet_ntop(AF_INET6, 2001:0db8:0:0:0:0:0:1)',
    inet.inet_ntop(AF_INET6, inet.inet_pton(AF_INET6, '2001:0db8:0:0:0:0:0:1')!),
    '2001:db8::1',
  ],
  ['inet_ntop(AF_INET, 192 0 2 1)', inet.inet_ntop(AF_INET, Uint8Array.of(192, 0, 2, 1)), '192.0.2.1'],
  ['inet_aton("10.1")', hex(inet.inet_aton('10.1')!, 8), '0x0a000001'],
  ['inet_aton("0x7f.1")', hex(inet.inet_aton('0x7f.1')!, 8), '0x7f000001'],
  ['inet_aton("256.1.1.1")', inet.inet_aton('256.1.1.1'), null],
  ['inet_ntoa(INADDR_LOOPBACK)', inet.inet_ntoa(inet.INADDR_LOOPBACK), '127.0.0.1'],
  ['inet_addr("127.0.0.1")', hex(inet.inet_addr('127.0.0.1'), 8), '0x0100007f'],
  ['inet_addr("nonsense") == INADDR_NONE', inet.inet_addr('nonsense') === inet.INADDR_NONE, true],
  ['inet_addr("255.255.255.255") == INADDR_NONE', inet.inet_addr('255.255.255.255') === inet.INADDR_NONE, true],
  ['INADDR_ANY', hex(inet.INADDR_ANY, 8), '0x00000000'],
  ['INADDR_BROADCAST', hex(inet.INADDR_BROADCAST, 8), '0xffffffff'],
]

const byteOrder: Scenario = {
  name: 'byte-order',
  group: 'B',
  title: 'The order of bytes, and addresses as text',
  description:
    'The network sends the most significant byte first; this host, like x86-64, keeps it last. htons and its kin turn numbers round. inet_pton reads an address strictly; inet_aton also takes fewer parts, octal and hexadecimal ones. inet_addr cannot tell 255.255.255.255 from an error. Then the three socket addresses: IPv4, IPv6 with its scope, Unix.',
  async run(lab) {
    lab.figure('Conversions', table(CONVERSIONS.map(([call, gives]) => [call, gives])))
    await lab.step('Numbers and texts')
    for (const [call, gives, expected] of CONVERSIONS) lab.check(call, gives, expected)

    const host = lab.host('host', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
    const other = lab.host('other')
    lab.link(host, other, { addresses: [['10.0.0.1/24', 'fe80::1/64'], '10.0.0.2/24'] })
    const names: unknown[] = []
    const program = lab.spawn(host, 'binder', (sys) => {
      const v4 = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(v4, { address: '10.0.0.1', port: 80 })
      const v6 = sys.socket(AF_INET6, SOCK_STREAM)
      sys.bind(v6, { address: 'fe80::1%eth0', port: 80 })
      const unix = sys.socket(1, SOCK_STREAM)
      sys.bind(unix, { path: '/tmp/name' })
      for (const fd of [v4, v6, unix]) {
        names.push(sys.getsockname(fd))
        sys.print(JSON.stringify(names.at(-1)))
      }
    })
    await lab.until('Three socket addresses', () => !program.isAlive)
    const blank = { address: '', port: 0, flowinfo: 0, scopeId: 0 }
    lab.check('IPv4', names[0], { family: 2, address: '10.0.0.1', port: 80, flowinfo: 0, scopeId: 0 })
    lab.check('IPv6, with the number of its interface', names[1], {
      family: 10,
      address: 'fe80::1',
      port: 80,
      flowinfo: 0,
      scopeId: 2,
    })
    lab.check('Unix', names[2], { family: 1, ...blank, path: '/tmp/name' })
  },
}

const a = (name: string, address: string): ZoneRecord => ({ name, type: DnsType.A, data: ip(address) })

const ZONE: readonly ZoneRecord[] = [
  a('www.example.net', '10.0.0.2'),
  { name: 'web.example.net', type: DnsType.CNAME, data: 'www.example.net' },
  { name: '2.0.0.10.in-addr.arpa', type: DnsType.PTR, data: 'www.example.net' },
  ...Array.from({ length: 40 }, (_, i) => a('cluster.example.net', `10.9.0.${i}`)),
]

/** What a look-up gives, as text: the addresses, or the error. */
const lookUp = async (sys: Sys, name: string): Promise<string> => {
  try {
    const found = await netdb.getaddrinfo(sys, name, 'http', { ai_family: AF_INET, ai_socktype: SOCK_STREAM })
    const addresses = found.map(({ ai_addr }) => `${ai_addr.address}:${ai_addr.port}`)
    return addresses.length > 2 ? `${addresses.length} addresses` : addresses.join(' ')
  } catch (error) {
    if (error instanceof netdb.AddressInfoError) return error.code
    throw error
  }
}

const names: Scenario = {
  name: 'names',
  group: 'B',
  title: 'Names: a hosts table first, then DNS over UDP, and over TCP what does not fit',
  description:
    'The client has a hosts table with one line and two name servers, of which the first is never there. getaddrinfo looks into the table, then asks: after 5 seconds without an answer it asks the second server. A name without a dot is tried in the domain example.net. Forty addresses do not fit into 512 bytes: the answer is truncated, and the question is asked again over TCP.',
  async run(lab) {
    const client = lab.host('client', {
      hosts: '10.0.0.2 printer.example.net printer',
      resolvConf: 'nameserver 10.0.0.2#5353\nnameserver 10.0.0.2\nsearch example.net',
    })
    const server = lab.host('server')
    const link = lab.link(client, server, { delay: 10 })
    const queries: string[] = []
    const onQuery = (question: string, over: string, code: number) => {
      queries.push(`${question} ${over} ${code}`)
      lab.note(`named: ${question} over ${over}, answered with code ${code}`)
    }
    const named = lab.spawn(server, 'named', dnsServer(ZONE, { onQuery }))
    const deaf = lab.spawn(server, 'deaf', async (sys) => {
      const fd = sys.socket(AF_INET, 2)
      sys.bind(fd, { address: '0.0.0.0', port: 5353 })
      await sys.sleep(36_000)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const ask = async (title: string, name: string): Promise<[string, number, string[]]> => {
      let result = ''
      const from = queries.length
      const start = lab.network.now
      lab.spawn(client, 'resolver', async (sys) => {
        result = await lookUp(sys, name)
        sys.print(`${name}: ${result}`)
      })
      await lab.until(title, () => result !== '')
      return [result, Math.round(lab.network.now - start), queries.slice(from)]
    }
    lab.check('answer, milliseconds, questions', await ask('In the hosts table', 'printer'), ['10.0.0.2:80', 0, []])
    lab.check('answer, milliseconds, questions', await ask('By DNS: the first server is silent', 'www.example.net'), [
      '10.0.0.2:80',
      5020,
      ['www.example.net A udp 0'],
    ])
    deaf.exit(0)
    await lab.step('The first server’s port is closed now: ICMP says so, and the second one is asked at once')
    lab.check('a short name, and an alias', await ask('In the domain that is searched', 'web'), [
      '10.0.0.2:80',
      40,
      ['web.example.net A udp 0'],
    ])
    lab.check('no such name: tried as it is, then in the domain', await ask('A name that nobody has', 'no.such'), [
      'EAI_NONAME',
      80,
      ['no.such A udp 3', 'no.such.example.net A udp 3'],
    ])
    lab.check('truncated over UDP', await ask('Forty addresses', 'cluster.example.net'), [
      '40 addresses',
      80,
      ['cluster.example.net A udp 0', 'cluster.example.net A tcp 0'],
    ])
    link.cable.setDown(true)
    const [result, took] = await ask('The cable is cut', 'www.example.net')
    lab.check('answer', result, 'EAI_AGAIN')
    lab.check('milliseconds: two names, each asked of two servers, twice, for 5 s', took, 40_000)
    link.cable.setUp()

    const back: unknown[] = []
    const program = lab.spawn(client, 'numbers', async (sys) => {
      back.push(await netdb.getnameinfo(sys, { address: '10.0.0.2', port: 22 }))
      back.push((await netdb.gethostbyname(sys, 'printer')).h_aliases)
      back.push((await netdb.gethostbyaddr(sys, '127.0.0.1')).h_name)
      back.push(netdb.getservbyname('domain', 'udp')?.s_port, netdb.getservbyport(37)?.s_name)
      back.push(netdb.getprotobyname('udp')?.p_proto, sys.gethostname())
      for (const found of back) sys.print(JSON.stringify(found))
    })
    await lab.until('From numbers to names, and the tables', () => !program.isAlive)
    lab.check('getnameinfo, aliases, gethostbyaddr, getservbyname, getservbyport, getprotobyname, gethostname', back, [
      { host: 'printer.example.net', service: 'ssh' },
      ['printer'],
      'localhost',
      53,
      'time',
      17,
      'client',
    ])
    named.exit(0)
  },
}

export const nameScenarios: readonly Scenario[] = [byteOrder, names]
