import { describe, expect, test } from 'vitest'
import { dnsServer, type ZoneRecord } from '../services/dns.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import * as C from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import { DnsType } from '../wire/dns.ts'
import type { Sys } from './calls.ts'
import * as netdb from './resolver.ts'
import { parseHosts, parseResolvConf } from './resolver-config.ts'

const a = (name: string, address: string): ZoneRecord => ({
  name,
  type: address.includes(':') ? DnsType.AAAA : DnsType.A,
  data: ip(address),
})

const ZONE: readonly ZoneRecord[] = [
  a('www.example.net', '10.0.0.2'),
  a('www.example.net', '2001:db8::2'),
  a('v4.example.net', '10.0.0.2'),
  { name: 'alias.example.net', type: DnsType.CNAME, data: 'www.example.net' },
  { name: 'text.example.net', type: DnsType.TXT, data: ['no address'] },
  { name: '2.0.0.10.in-addr.arpa', type: DnsType.PTR, data: 'www.example.net' },
  ...Array.from({ length: 40 }, (_, i) => a('many.example.net', `10.9.9.${i}`)),
]

interface Setup {
  readonly resolvConf?: string
  readonly hosts?: string
}

/** Runs a program on a host that asks `10.0.0.2`, where a name server is. */
const asking = async <T>(program: (sys: Sys) => Promise<T>, setup: Setup = {}) => {
  const pair = new Pair({
    host: { resolvConf: 'nameserver 10.0.0.2\nsearch example.net', ...setup },
    link: { delay: 5 },
  })
  const queries: string[] = []
  const onQuery = (question: string, over: string, code: number) => queries.push(`${question} ${over} ${code}`)
  const server = pair.b.spawn('named', dnsServer(ZONE, { onQuery, domains: ['example.net', 'arpa'] }))
  const result = await pair.alone(program)
  const took = pair.network.now
  server.exit(0)
  await pair.network.run(120_000)
  expect(pair.close()).toEqual(NOTHING)
  return { result, queries, took }
}

const addresses = (found: netdb.AddressInfo[]): string[] => [...new Set(found.map(({ ai_addr }) => ai_addr.address))]

describe('getaddrinfo', () => {
  test('the hosts table first, without a question', async () => {
    const { result, queries } = await asking(
      async (sys) => [
        addresses(await netdb.getaddrinfo(sys, 'localhost', null)),
        addresses(await netdb.getaddrinfo(sys, 'DB', null)),
        addresses(await netdb.getaddrinfo(sys, 'localhost', null, { ai_family: C.AF_INET })),
      ],
      { hosts: '10.0.0.9 db.example.net db # the database' },
    )
    expect(result).toEqual([['::1', '127.0.0.1'], ['10.0.0.9'], ['127.0.0.1']])
    expect(queries).toEqual([])
  })

  test('DNS: both families at once, IPv6 before IPv4, a result for each kind of socket', async () => {
    const { result, queries, took } = await asking((sys) =>
      netdb.getaddrinfo(sys, 'alias.example.net', 'domain', { ai_flags: netdb.AI_CANONNAME }),
    )
    expect(result.map(({ ai_addr, ai_socktype }) => `${ai_addr.address} ${ai_addr.port} ${ai_socktype}`)).toEqual([
      '2001:db8::2 53 1',
      '2001:db8::2 53 2',
      '10.0.0.2 53 1',
      '10.0.0.2 53 2',
    ])
    expect(result.map(({ ai_canonname }) => ai_canonname)).toEqual(['www.example.net', null, null, null])
    expect(queries).toEqual(['alias.example.net A udp 0', 'alias.example.net AAAA udp 0'])
    expect(took).toBe(20)
  })

  test('the search list: for a short name first, for a name with a dot last', async () => {
    const { result, queries } = await asking(async (sys) => [
      addresses(await netdb.getaddrinfo(sys, 'v4', null, { ai_family: C.AF_INET })),
      await codeOf(() => netdb.getaddrinfo(sys, 'no.name', null, { ai_family: C.AF_INET })),
      await codeOf(() => netdb.getaddrinfo(sys, 'v4.', null, { ai_family: C.AF_INET })),
    ])
    expect(result).toEqual([['10.0.0.2'], 'EAI_AGAIN', 'EAI_AGAIN'])
    expect(queries).toEqual([
      'v4.example.net A udp 0',
      // Outside its domains the server refuses, and is asked once more.
      'no.name A udp 5',
      'no.name A udp 5',
      'no.name.example.net A udp 3',
      'v4 A udp 5',
      'v4 A udp 5',
    ])
  })

  test('what does not fit into 512 bytes is asked for again over TCP', async () => {
    const { result, queries } = await asking((sys) =>
      netdb.getaddrinfo(sys, 'many.example.net', null, { ai_family: C.AF_INET, ai_socktype: C.SOCK_STREAM }),
    )
    expect(result.length).toBe(40)
    expect(queries).toEqual(['many.example.net A udp 0', 'many.example.net A tcp 0'])
  })

  test('no such name, a name without an address', async () => {
    const { result } = await asking(async (sys) => [
      await codeOf(() => netdb.getaddrinfo(sys, 'nothing.example.net', null)),
      await codeOf(() => netdb.getaddrinfo(sys, 'text.example.net', null)),
      await codeOf(() => netdb.getaddrinfo(sys, 'v4.example.net', null, { ai_family: C.AF_INET6 })),
    ])
    expect(result).toEqual(['EAI_NONAME', 'EAI_NODATA', 'EAI_NODATA'])
  })

  test('a server that is silent: 5 s, twice; one where nobody listens is passed over at once', async () => {
    const silent = await asking((sys) => codeOf(() => netdb.getaddrinfo(sys, 'v4.example.net', null)), {
      resolvConf: 'nameserver 10.0.0.77',
    })
    // That 10.0.0.77 does not answer ARP either is no error that a UDP socket reports.
    expect([silent.result, silent.took]).toEqual(['EAI_AGAIN', 10_000])
    const second = await asking(async (sys) => addresses(await netdb.getaddrinfo(sys, 'v4.example.net', null)), {
      resolvConf: 'nameserver 10.0.0.2#5353\nnameserver 10.0.0.2',
    })
    expect([second.result, second.took]).toEqual([['10.0.0.2'], 30])
  })

  test('answers that are lost: the time-outs of two servers, as glibc has them', async () => {
    const pair = new Pair({ host: { resolvConf: 'nameserver 10.0.0.2\nnameserver 10.0.0.2' } })
    const asked: number[] = []
    pair.b.spawn('deaf', async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      sys.bind(fd, { address: '0.0.0.0', port: 53 })
      for (;;) {
        await sys.recv(fd, new Uint8Array(512))
        asked.push(Math.round(sys.now / 1e6))
      }
    })
    const code = await pair.alone((sys) =>
      codeOf(() => netdb.getaddrinfo(sys, 'x.example.net', null, { ai_family: C.AF_INET })),
    )
    expect([code, asked, pair.network.now]).toEqual(['EAI_AGAIN', [0, 5, 10, 15], 20_000])
  })

  test('hints: flags, families, kinds, services, literals', async () => {
    const { result } = await asking(async (sys) => {
      const one = async (node: string | null, service: string | null, hints: netdb.AddressHints = {}) => {
        const found = await codeOf(() => netdb.getaddrinfo(sys, node, service, hints))
        return typeof found === 'string' ? found : found.map(({ ai_addr: { address, port } }) => `${address} ${port}`)
      }
      const stream = { ai_socktype: C.SOCK_STREAM }
      return [
        await one(null, 'http', { ...stream, ai_flags: netdb.AI_PASSIVE }),
        await one(null, '80', stream),
        await one('10.1.2.3', 'https', stream),
        await one('10.1.2.3', '1', { ...stream, ai_family: C.AF_INET6 }),
        await one('10.1.2.3', '1', { ...stream, ai_family: C.AF_INET6, ai_flags: netdb.AI_V4MAPPED }),
        await one('v4.example.net', '1', { ...stream, ai_family: C.AF_INET6, ai_flags: netdb.AI_V4MAPPED }),
        await one('fe80::1%eth0', '1', stream),
        await one('name', '1', { ai_flags: netdb.AI_NUMERICHOST }),
        await one('10.1.2.3', 'http', { ai_flags: netdb.AI_NUMERICSERV }),
        await one('10.1.2.3', 'nonsense'),
        await one('10.1.2.3', 'http', { ai_socktype: C.SOCK_DGRAM }),
        await one('10.1.2.3', '1', { ai_family: 77 }),
        await one('10.1.2.3', '1', { ai_socktype: 77 }),
        await one('10.1.2.3', '1', { ai_flags: 0x1_0000 }),
        await one(null, null),
        await one(null, '1', { ai_flags: netdb.AI_CANONNAME }),
      ]
    })
    expect(result).toEqual([
      ['0.0.0.0 80', ':: 80'],
      ['::1 80', '127.0.0.1 80'],
      ['10.1.2.3 443'],
      'EAI_ADDRFAMILY',
      ['::ffff:10.1.2.3 1'],
      ['::ffff:10.0.0.2 1'],
      ['fe80::1 1'],
      'EAI_NONAME',
      'EAI_NONAME',
      'EAI_SERVICE',
      'EAI_SERVICE',
      'EAI_FAMILY',
      'EAI_SOCKTYPE',
      'EAI_BADFLAGS',
      'EAI_NONAME',
      'EAI_BADFLAGS',
    ])
  })
})

describe('from numbers to names', () => {
  test('getnameinfo, gethostbyname, gethostbyaddr', async () => {
    const { result } = await asking(async (sys) => [
      await netdb.getnameinfo(sys, { address: '10.0.0.2', port: 80 }),
      await netdb.getnameinfo(sys, { address: '10.0.0.2', port: 80 }, netdb.NI_NOFQDN | netdb.NI_NUMERICSERV),
      await netdb.getnameinfo(sys, { address: '10.0.0.2', port: 513 }, netdb.NI_NUMERICHOST | netdb.NI_DGRAM),
      await netdb.getnameinfo(sys, { address: '10.0.0.3', port: 4 }),
      await codeOf(() => netdb.getnameinfo(sys, { address: '10.0.0.3' }, netdb.NI_NAMEREQD)),
      await netdb.gethostbyname(sys, 'alias'),
      await codeOf(() => netdb.gethostbyname(sys, 'nothing.example.net')),
      await codeOf(() => netdb.gethostbyname(sys, 'text.example.net')),
      (await netdb.gethostbyaddr(sys, '10.0.0.2')).h_name,
      (await netdb.gethostbyaddr(sys, '127.0.0.1')).h_name,
      await codeOf(() => netdb.gethostbyaddr(sys, '10.0.0.3')),
    ])
    expect(result).toEqual([
      { host: 'www.example.net', service: 'http' },
      { host: 'www', service: '80' },
      { host: '10.0.0.2', service: 'who' },
      { host: '10.0.0.3', service: '4' },
      'EAI_NONAME',
      { h_name: 'www.example.net', h_aliases: ['alias'], h_addrtype: C.AF_INET, h_addr_list: ['10.0.0.2'] },
      'HOST_NOT_FOUND',
      'NO_DATA',
      'www.example.net',
      'localhost',
      'HOST_NOT_FOUND',
    ])
  })

  test('services and protocols', () => {
    expect(netdb.getservbyname('domain', 'udp')).toEqual({ s_name: 'domain', s_port: 53, s_proto: 'udp' })
    expect(netdb.getservbyname('who')).toEqual({ s_name: 'who', s_port: 513, s_proto: 'udp' })
    expect(netdb.getservbyport(80)).toEqual({ s_name: 'http', s_port: 80, s_proto: 'tcp' })
    expect([netdb.getservbyname('nonsense'), netdb.getservbyport(4), netdb.getprotobyname('x')]).toEqual([
      null,
      null,
      null,
    ])
    expect([netdb.getprotobyname('UDP')?.p_proto, netdb.getprotobynumber(58)?.p_name]).toEqual([17, 'ipv6-icmp'])
  })
})

test('hosts(5) and resolv.conf(5)', () => {
  expect(
    parseHosts('# all\n10.0.0.1 a b # c\nnonsense x\n::1\n').map(({ address, names }) => [`${address}`, names]),
  ).toEqual([['10.0.0.1', ['a', 'b']]])
  const text =
    'nameserver 10.0.0.1\n;nameserver 10.0.0.9\nnameserver ::1#5353\nsearch a.b c\noptions ndots:2 timeout:99 rotate\n'
  expect(parseResolvConf(text)).toEqual({
    servers: [
      { address: '10.0.0.1', port: 53 },
      { address: '::1', port: 5353 },
    ],
    search: ['a.b', 'c'],
    ndots: 2,
    timeout: 30,
    attempts: 2,
    rotates: true,
    usesTcp: false,
    asksSingly: false,
    asksTopLevel: true,
  })
  // What a line does not begin with is no keyword; a port is one, or there is no server.
  expect(
    parseResolvConf(' search x\nnameserver 10.0.0.1#0\nnameserver 10.0.0.1#x\nnameserver ::1#65536\ndomain .a. b'),
  ).toMatchObject({
    servers: [],
    search: ['a'],
  })
  expect(parseResolvConf('options use-vc single-request no-tld-query attempts:9')).toMatchObject({
    usesTcp: true,
    asksSingly: true,
    asksTopLevel: false,
    attempts: 5,
  })
})

test('a hosts table that has localhost is the whole truth about it', async () => {
  const { result } = await asking(
    async (sys) => [
      addresses(await netdb.getaddrinfo(sys, 'localhost', null)),
      addresses(await netdb.getaddrinfo(sys, 'six', null, { ai_family: C.AF_INET })),
    ],
    { hosts: '127.0.0.5 localhost\n::1 six' },
  )
  expect(result).toEqual([['127.0.0.5'], ['127.0.0.1']])
})

test('rotate: not always the same server first', async () => {
  const firsts = new Set<string>()
  for (let seed = 1; seed <= 8; seed++) {
    const resolvConf = 'nameserver 10.0.0.2\nnameserver 10.0.0.9\noptions rotate timeout:1 attempts:1'
    const pair = new Pair({ seed, host: { resolvConf } })
    pair.b.spawn('named', dnsServer(ZONE, {}))
    await pair.alone((sys) => netdb.getaddrinfo(sys, 'v4.example.net', null, { ai_family: C.AF_INET }))
    firsts.add(pair.network.now < 1000 ? 'there' : 'not there')
    pair.network.close()
  }
  expect([...firsts].sort()).toEqual(['not there', 'there'])
})

test('a name that controls a terminal, or has a dot within a label, is no name', async () => {
  const pointer = (data: string): ZoneRecord[] => [{ name: '9.0.0.10.in-addr.arpa', type: DnsType.PTR, data }]
  for (const data of ['a\u001b[31m.example.net', 'www\\.example.net', '-x.example.net']) {
    const pair = new Pair({ host: { resolvConf: 'nameserver 10.0.0.2' } })
    pair.b.spawn('named', dnsServer(pointer(data), {}))
    const { host } = await pair.alone((sys) => netdb.getnameinfo(sys, { address: '10.0.0.9', port: 1 }))
    expect(host).toBe('10.0.0.9')
    pair.network.close()
  }
})
