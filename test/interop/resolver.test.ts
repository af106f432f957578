/** getaddrinfo(3) of glibc and ours, asked the same of the same name servers. Root, and python3, are needed. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Sys } from '../../src/host/calls.ts'
import * as netdb from '../../src/host/resolver.ts'
import { Pair } from '../../src/sim/testing.ts'
import * as C from '../../src/socket/constants.ts'
import { ip, parseIpPrefix } from '../../src/wire/address.ts'
import {
  DNS_UDP_LIMIT,
  DnsCode,
  type DnsMessage,
  type DnsRecord,
  DnsType,
  parseDns,
  writeDns,
} from '../../src/wire/dns.ts'
import { RESOLVER_CASES, type ResolverCase, type ServerSays } from './resolver-cases.ts'

interface Outcome {
  readonly name: string
  readonly result: readonly string[] | string
  readonly asked: readonly string[]
}

let theirs: Map<string, Outcome>

/** What comes of cases with glibc. */
const askGlibc = (cases: readonly ResolverCase[]): Outcome[] => {
  const command = ['-mn', 'python3', join(import.meta.dirname, 'resolver.py')]
  const options = { input: JSON.stringify(cases), encoding: 'utf8', maxBuffer: 2 ** 26 } as const
  const { stdout, stderr, status } = spawnSync('unshare', command, options)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout
    .trim()
    .split('\n')
    .map((line): Outcome => JSON.parse(line))
}

beforeAll(() => {
  theirs = new Map(askGlibc(RESOLVER_CASES).map((outcome) => [outcome.name, outcome]))
})

const TYPE_NAMES = new Map<number, string>(Object.entries(DnsType).map(([name, number]) => [number, name]))

/** A name server that says what the case has it say, as resolver.py's does. */
class Server {
  readonly zone: Readonly<Record<string, ServerSays>>
  readonly asked: string[] = []

  constructor(zone: Readonly<Record<string, ServerSays>>) {
    this.zone = zone
  }

  async serveUdp(sys: Sys, address: string): Promise<void> {
    const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
    sys.bind(fd, { address, port: 53 })
    const buffer = new Uint8Array(4096)
    for (;;) {
      const from = {}
      const count = await sys.recvfrom(fd, buffer, buffer.length, 0, from)
      const reply = this.answer(buffer.subarray(0, count), address, false)
      if (reply !== null) await sys.sendto(fd, reply, reply.length, 0, from)
    }
  }

  async serveTcp(sys: Sys, address: string): Promise<void> {
    const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
    sys.bind(fd, { address, port: 53 })
    sys.listen(fd, 20)
    for (;;) {
      const conn = await sys.accept(fd)
      sys.fork((child) => this.serveConnection(child, conn, address))
    }
  }

  private async serveConnection(sys: Sys, conn: number, address: string): Promise<void> {
    const head = new Uint8Array(2)
    while ((await sys.recv(conn, head, 2, C.MSG_WAITALL)) === 2) {
      const query = new Uint8Array(head[0]! * 256 + head[1]!)
      await sys.recv(conn, query, query.length, C.MSG_WAITALL)
      const reply = this.answer(query, address, true)
      if (reply !== null) await sys.send(conn, Uint8Array.of(reply.length >> 8, reply.length & 255, ...reply))
    }
  }

  private says(server: string, name: string, type: string): ServerSays | undefined {
    const key = `${name.toLowerCase()} ${type}`
    return this.zone[`${server} ${key}`] ?? this.zone[key]
  }

  private answer(bytes: Uint8Array, server: string, tcp: boolean): Uint8Array | null {
    const query = parseDns(bytes)!
    const { name, type } = query.questions[0]!
    const label = TYPE_NAMES.get(type)!
    this.asked.push(`${name} ${label}${tcp ? ' tcp' : ''}${server === '10.0.0.2' ? '' : ` ${server}`}`)
    let said = this.says(server, name, label)
    if (said === 'silent') return null
    if (said === 'cut' && !tcp) {
      const whole = writeDns({ ...respond(query, DnsCode.NoError, []), isTruncated: true, hasRecursion: true })
      const broken = Uint8Array.from([...whole, 0xc0, 0x0c, 0, 1, 0, 1, 0, 0])
      broken[7] = 3
      return broken
    }
    if (said === 'cut') said = type === DnsType.A ? ['10.0.0.5'] : []
    if (said === 'lame')
      return writeDns({ ...respond(query, DnsCode.NoError, []), isAuthoritative: false, hasRecursion: false })
    if (typeof said === 'string') return writeDns(respond(query, CODES[said], []))
    const answers: DnsRecord[] = []
    let owner = name
    let isLarge = false
    for (let left = 8; left > 0 && said !== undefined; left--) {
      isLarge ||= said[0] === 'over UDP'
      const alias: string | undefined = said[0]?.startsWith('alias:') === true ? said[0].slice(6) : undefined
      if (alias !== undefined) {
        answers.push({ name: owner, type: DnsType.CNAME, ttl: 60, data: alias })
        owner = alias
        const next = this.says(server, owner, label)
        said = typeof next === 'object' ? next : []
        continue
      }
      for (const text of said) if (text !== 'over UDP') answers.push({ name: owner, type, ttl: 60, data: ip(text) })
      break
    }
    const isThere =
      said !== undefined || Object.keys(this.zone).some((key) => key.split(' ').at(-2) === name.toLowerCase())
    const response = respond(query, isThere ? DnsCode.NoError : DnsCode.NxDomain, answers)
    return writeDns(response, tcp || isLarge ? undefined : DNS_UDP_LIMIT)
  }
}

const CODES = { SERVFAIL: DnsCode.ServFail, REFUSED: DnsCode.Refused, NOTIMP: DnsCode.NotImp, FORMERR: DnsCode.FormErr }

const respond = (query: DnsMessage, code: number, answers: readonly DnsRecord[]): DnsMessage => ({
  ...query,
  isResponse: true,
  isAuthoritative: true,
  hasRecursion: true,
  code,
  answers,
})

const ours = async ({
  name,
  resolvConf = '',
  hosts = '127.0.0.1 localhost\n',
  zone = {},
  ask,
}: ResolverCase): Promise<Outcome> => {
  const pair = new Pair({ host: { resolvConf: `nameserver 10.0.0.2\n${resolvConf}`, hosts }, link: { delay: 1 } })
  pair.b.ip.interfaces.find(({ isLoopback }) => !isLoopback)!.addAddress(parseIpPrefix('10.0.0.3/24')!)
  const server = new Server(zone)
  for (const address of ['10.0.0.2', '10.0.0.3']) {
    pair.b.spawn('udp', (sys) => server.serveUdp(sys, address))
    pair.b.spawn('tcp', (sys) => server.serveTcp(sys, address))
  }
  const [node, service = null, ai_family = 0, ai_socktype = 0, ai_protocol = 0, ai_flags = 0] = ask
  const result = await pair.alone(async (sys) => {
    try {
      const found = await netdb.getaddrinfo(sys, node, service, { ai_family, ai_socktype, ai_protocol, ai_flags })
      return found.map(
        (one) =>
          `${one.ai_socktype} ${one.ai_protocol} ${one.ai_addr.port}${one.ai_addr.scopeId === 0 ? '' : ` %${one.ai_addr.scopeId}`} ${one.ai_addr.address}${one.ai_canonname ? ` ${one.ai_canonname}` : ''}`,
      )
    } catch (error) {
      if (error instanceof netdb.AddressInfoError) return error.code
      throw error
    }
  })
  pair.network.close()
  return { name, result, asked: server.asked }
}

test.each(RESOLVER_CASES)('$name', async (one) => {
  const own = await ours(one)
  const compare = ({ result, asked }: Outcome): void => {
    expect(own.result).toEqual(result)
    // What does not fit a buffer of glibc's it asks for once more.
    const times = Array.isArray(result) && result.length > 40 ? 2 : 1
    expect(new Array<readonly string[]>(times).fill(own.asked).flat()).toEqual(asked)
  }
  let outcome = theirs.get(one.name)!
  // Where its servers get no processor in time, glibc asks again: so is it.
  for (let attempt = 1; attempt < 4; attempt++) {
    try {
      return compare(outcome)
    } catch {
      outcome = askGlibc([one])[0]!
    }
  }
  compare(outcome)
})
