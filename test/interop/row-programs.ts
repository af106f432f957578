/** The rows of programs.py, on two hosts of ours: each finds the same facts, by the same names. */
import type { Msghdr, Sys } from '../../src/host/calls.ts'
import type { Program } from '../../src/host/process.ts'
import * as netdb from '../../src/host/resolver.ts'
import { SIGHUP } from '../../src/host/signals.ts'
import { type Snapshot, snapshot } from '../../src/inspect/snapshot.ts'
import { ss } from '../../src/inspect/ss.ts'
import { bare } from '../../src/inspect/testing.ts'
import { forgeSegment } from '../../src/lab/forge.ts'
import { outcome } from '../../src/lab/programs.ts'
import { Cable } from '../../src/link/cable.ts'
import { dnsServer, type ZoneRecord } from '../../src/services/dns.ts'
import { Network } from '../../src/sim/network.ts'
import * as C from '../../src/socket/constants.ts'
import type { EpollEvent } from '../../src/socket/epoll.ts'
import * as inet from '../../src/socket/inet-text.ts'
import type { TcpInfo } from '../../src/tcp/info.ts'
import { ip, parseMac } from '../../src/wire/address.ts'
import { DnsType } from '../../src/wire/dns.ts'
import { TcpFlag } from '../../src/wire/tcp.ts'
import { HOSTS, SETTINGS } from '../support/script.ts'

export type Facts = Record<string, unknown>
type Row = (machines: Machines, facts: Facts) => Promise<void>

const MACS = { a: parseMac('02:00:00:00:00:0a')!, b: parseMac('02:00:00:00:00:0b')! } as const

/** Milliseconds after which it is looked whether a call has returned. */
const STEP = 5

/** A call under way. */
class Call<T> {
  value: T | string | undefined
  private readonly network: Network

  constructor(network: Network, call: () => Promise<T> | T) {
    this.network = network
    void outcome(call).then((value) => {
      this.value = value
    })
  }

  async waits(): Promise<boolean> {
    await this.network.run(150)
    return this.value === undefined
  }

  /** @returns what it gave, or the name of an error; `waits` after five seconds */
  async result(): Promise<T | string> {
    for (let waited = 0; waited < 5000; waited += STEP) {
      // What it has been told already comes in microtasks.
      await new Promise<void>((resolve) => setImmediate(resolve))
      if (this.value !== undefined) return this.value
      await this.network.run(STEP)
    }
    return 'waits'
  }
}

/** The two machines: a program on each makes its calls when it is told to. */
class Machines {
  readonly network = new Network({ seed: 11 })
  readonly a: Sys
  readonly b: Sys
  readonly cable = new Cable(this.network.world, 'cable', { impairment: { delay: 0.05 } })

  constructor(options: { hosts?: string; resolvConf?: string } = {}) {
    const sysctl = { ...Object.fromEntries(SETTINGS), 'net.ipv6.conf.all.dad_transmits': 0 }
    const boot = (name: 'a' | 'b'): Sys => {
      const host = this.network.host(name, { sysctl, ...options })
      const iface = host.addInterface('eth0', this.cable[name], [...HOSTS[name]], { mac: MACS[name] })
      // As on the kernel: no packet waits for an address to be resolved.
      const other = name === 'a' ? 'b' : 'a'
      host.ip.arp.setPermanent(iface, ip(bare(HOSTS[other][0])), MACS[other])
      host.ip.nd.setPermanent(iface, ip(bare(HOSTS[other][1])), MACS[other])
      return host.spawn('row', () => new Promise(() => {})).sys
    }
    this.a = boot('a')
    this.b = boot('b')
  }

  start<T>(call: () => Promise<T> | T): Call<T> {
    return new Call(this.network, call)
  }

  async listen(port = 80, backlog = 5, receive = 0, option: number = C.SO_REUSEADDR): Promise<number> {
    const fd = this.b.socket(C.AF_INET, C.SOCK_STREAM)
    this.b.setsockopt(fd, C.SOL_SOCKET, option, 1)
    if (receive > 0) this.b.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF, receive)
    this.b.bind(fd, { address: '0.0.0.0', port })
    this.b.listen(fd, backlog)
    return fd
  }

  async connect(port = 80, send = 0, receive = 0): Promise<number> {
    const fd = this.a.socket(C.AF_INET, C.SOCK_STREAM)
    if (send > 0) this.a.setsockopt(fd, C.SOL_SOCKET, C.SO_SNDBUF, send)
    if (receive > 0) this.a.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF, receive)
    const result = await this.start(() => this.a.connect(fd, { address: '10.9.0.2', port })).result()
    if (typeof result === 'string') throw new Error(result)
    return fd
  }

  async accept(listener: number): Promise<number> {
    return (await this.start(() => this.b.accept(listener)).result()) as number
  }

  /** A connection whose four buffers are small: its ends on a and b. */
  async smallPair(): Promise<[number, number]> {
    const listener = await this.listen(80, 5, 4096)
    const x = await this.connect(80, 4096, 4096)
    const y = await this.accept(listener)
    this.b.setsockopt(y, C.SOL_SOCKET, C.SO_SNDBUF, 4096)
    return [x, y]
  }

  snapshot(): Snapshot {
    return snapshot(this.b.process.host)
  }

  /** A sum over MIB counters of b. */
  counter(name: string): number {
    return this.snapshot().counters.TcpExt[name] ?? 0
  }
}

/** Reads so many bytes, or to the end. @returns how many */
const read = async (sys: Sys, fd: number, count: number): Promise<number> => {
  const buffer = new Uint8Array(65_536)
  let total = 0
  while (total < count) {
    const piece = await sys.recv(fd, buffer, Math.min(65_536, count - total))
    if (piece === 0) break
    total += piece
  }
  return total
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** @param texts addresses, right and wrong */
export const byteOrder = (facts: Facts, texts: readonly string[]): void => {
  const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  for (const [family, name] of [
    [C.AF_INET, 'inet_pton 4'],
    [C.AF_INET6, 'inet_pton 6'],
  ] as const) {
    for (const text of texts) {
      const packed = inet.inet_pton(family, text)
      facts[`${name} ${text}`] = packed === null ? null : `${hex(packed)} ${inet.inet_ntop(family, packed)}`
    }
  }
  for (const text of texts) {
    facts[`inet_aton ${text}`] = inet.inet_aton(text)
    facts[`inet_addr ${text}`] = inet.inet_addr(text)
  }
  for (const number of [0, 1, 80, 0x1234, 0xffff]) facts[`htons ${number}`] = inet.htons(number)
  for (const number of [0, 1, 0x0a00_0001, 0xfffe_fdfc]) facts[`htonl ${number}`] = inet.htonl(number)
}

const record = (name: string, type: number, data: ZoneRecord['data']): ZoneRecord => ({ name, type, data })
const ZONE: readonly ZoneRecord[] = [
  record('www.example.net', DnsType.A, ip('10.0.0.2')),
  record('www.example.net', DnsType.AAAA, ip('fd00::2')),
  record('web.example.net', DnsType.CNAME, 'www.example.net'),
  record('4only.example.net', DnsType.A, ip('10.0.0.4')),
  record('2.0.0.10.in-addr.arpa', DnsType.PTR, 'www.example.net'),
  ...Array.from({ length: 40 }, (_, i) => record('cluster.example.net', DnsType.A, ip(`10.9.0.${i}`))),
]

const names: Row = async (machines, facts) => {
  const { a, b, network } = machines
  const types: Record<string, number> = { A: 1, AAAA: 28 }
  let asked: string[] = []
  const onQuery = (question: string, over: string): void => {
    const [name, type] = question.split(' ')
    asked.push(`${name} ${types[type!]} ${over}`)
  }
  b.process.host.spawn('named', dnsServer(ZONE, { onQuery }))
  await network.run(1)
  const lookUp = async (name: string, family: number = C.AF_INET, flags = 0): Promise<string> => {
    const hints = { ai_family: family, ai_socktype: C.SOCK_STREAM, ai_flags: flags }
    try {
      const found = await netdb.getaddrinfo(a, name, 'http', hints)
      const texts = found.map(({ ai_addr }) => `${ai_addr.address}:${ai_addr.port}`)
      const canonical = found[0]!.ai_canonname
      return (texts.length > 3 ? `${texts.length} addresses` : texts.join(' ')) + (canonical ? ` ${canonical}` : '')
    } catch (error) {
      if (error instanceof netdb.AddressInfoError) return error.code
      throw error
    }
  }
  const fact = async (what: string, ...args: Parameters<typeof lookUp>): Promise<void> => {
    asked = []
    facts[what] = await machines.start(() => lookUp(...args)).result()
    facts[`${what}: asked`] = asked.sort()
  }
  await fact('in the table', 'printer')
  await fact('a number', '10.1', C.AF_INET)
  await fact('by DNS', 'www.example.net')
  await fact('both families', 'www.example.net', C.AF_UNSPEC)
  await fact('of the other family', '4only.example.net', C.AF_INET6)
  await fact('an alias', 'web.example.net', C.AF_INET, netdb.AI_CANONNAME)
  await fact('in the domain that is searched', 'web')
  await fact("nobody's", 'no.such')
  await fact('numbers only', 'www.example.net', C.AF_INET, netdb.AI_NUMERICHOST)
  await fact('truncated', 'cluster.example.net')
  const back = await machines.start(() => netdb.getnameinfo(a, { address: '10.0.0.2', port: 22 })).result()
  facts['getnameinfo'] = Object.values(back)
  facts['getservbyname'] = netdb.getservbyname('domain', 'udp')?.s_port
  facts['getservbyport'] = netdb.getservbyport(37)?.s_name
  facts['getprotobyname'] = netdb.getprotobyname('udp')?.p_proto
  machines.cable.aToB.impair({ loss: 1 })
  facts['the server is silent'] = await machines.start(() => lookUp('www.example.net')).result()
}

const COOKIES = ['SyncookiesSent', 'SyncookiesRecv', 'TCPReqQFullDoCookies']

const synFlood: Row = async (machines, facts) => {
  const { a, b, network } = machines
  for (const mode of [1, 0]) {
    const port = mode === 1 ? 80 : 81
    const listener = await machines.listen(port, 8)
    b.process.host.sysctl.set('net.ipv4.tcp_syncookies', String(mode))
    const before = COOKIES.map((name) => machines.counter(name))
    const raw = a.socket(C.AF_INET, C.SOCK_RAW, C.IPPROTO_RAW)
    for (let i = 0; i < 300; i++) {
      const syn = forgeSegment({
        from: `10.9.0.${100 + (i % 100)}`,
        to: '10.9.0.2',
        sourcePort: 10_000 + i,
        destinationPort: port,
        flags: TcpFlag.Syn,
        seq: i * 1000,
      })
      await a.sendto(raw, syn, syn.length, 0, { address: '10.9.0.2', port: 0 })
    }
    await network.run(50)
    const rows = ss(machines.snapshot(), ['-tanH', 'state', 'syn-recv', 'sport', '=', `${port}`])
    facts[`half-open, cookies ${mode}`] = rows.split('\n').length - 1
    const fd = a.socket(C.AF_INET, C.SOCK_STREAM)
    const connecting = machines.start(() => a.connect(fd, { address: '10.9.0.2', port }))
    facts[`a client waits, cookies ${mode}`] = await connecting.waits()
    if (mode === 1) {
      await a.send(fd, new Uint8Array(77))
      const conn = await machines.accept(listener)
      facts['the server reads'] = await machines.start(() => b.recv(conn, new Uint8Array(100))).result()
    }
    COOKIES.forEach((name, i) => {
      facts[`TcpExt${name}, cookies ${mode}`] = machines.counter(name) - before[i]!
    })
  }
}

const blockingSend: Row = async (machines, facts) => {
  const { a, b } = machines
  const [x, y] = await machines.smallPair()
  const sender = machines.start(() => a.send(x, new Uint8Array(200_000)))
  facts['waits before anything is read'] = await sender.waits()
  facts['is read'] = await machines.start(() => read(b, y, 20_000)).result()
  facts['waits when a tenth is read'] = await sender.waits()
  facts['the rest'] = await machines.start(() => read(b, y, 180_000)).result()
  facts['send()'] = await sender.result()
}

const deadlock: Row = async (machines, facts) => {
  const { a, b } = machines
  const [x, y] = await machines.smallPair()
  const sendA = machines.start(() => a.send(x, new Uint8Array(100_000)))
  const sendB = machines.start(() => b.send(y, new Uint8Array(100_000)))
  facts['wait'] = [await sendA.waits(), await sendB.waits()]
  facts["a's thread reads"] = await machines.start(() => read(a, x, 100_000)).result()
  facts["b's send()"] = await sendB.result()
  facts['a still waits'] = await sendA.waits()
  facts['b reads'] = await machines.start(() => read(b, y, 100_000)).result()
  facts["a's send()"] = await sendA.result()
}

const windows: Row = async (machines, facts) => {
  const { a, b } = machines
  for (const scaling of [1, 0]) {
    for (const sys of [a, b]) sys.process.host.sysctl.set('net.ipv4.tcp_window_scaling', String(scaling))
    const listener = await machines.listen(80 + scaling)
    const x = await machines.connect(80 + scaling)
    const y = await machines.accept(listener)
    const reader = machines.start(() => read(b, y, 3_000_000))
    await machines.start(() => a.send(x, new Uint8Array(3_000_000))).result()
    const what = scaling === 1 ? 'scaling' : 'no scaling'
    facts[`${what}: read`] = await reader.result()
    const info = a.getsockopt(x, C.SOL_TCP, C.TCP_INFO) as unknown as TcpInfo
    facts[`${what}: agreed to`] = (info.tcpi_options & 4) !== 0
    facts[`${what}: the window is over 65535`] = info.tcpi_snd_wnd > 65_535
    await a.close(x)
    await b.close(y)
  }
}

const countInto = async (sys: Sys, fd: number, got: number[], i: number): Promise<void> => {
  const buffer = new Uint8Array(65_536)
  for (let n = 1; n > 0; got[i]! += n) n = await sys.recv(fd, buffer)
}

const threeClients = async (machines: Machines): Promise<{ clients: number[]; servers: number[] }> => {
  const listener = await machines.listen()
  const clients: number[] = []
  const servers: number[] = []
  for (let i = 0; i < 3; i++) {
    clients.push(await machines.connect(80, 0, 4096))
    servers.push(await machines.accept(listener))
    machines.b.setsockopt(servers[i]!, C.SOL_SOCKET, C.SO_SNDBUF, 4096)
  }
  await machines.b.close(listener)
  return { clients, servers }
}

const slowReceiver: Row = async (machines, facts) => {
  const { a, b, network } = machines
  const first = await threeClients(machines)
  let got = [0, 0, 0]
  for (const i of [0, 2]) machines.start(() => countInto(a, first.clients[i]!, got, i))
  const server = machines.start(async () => {
    for (let round = 0; round < 60; round++) for (const fd of first.servers) await b.send(fd, new Uint8Array(10_000))
    return 'done'
  })
  facts['blocking: waits'] = await server.waits()
  facts['blocking: the fast ones starve'] = [got[0]! < 600_000, got[2]! < 600_000]
  machines.start(() => countInto(a, first.clients[1]!, got, 1))
  facts['blocking, when the slow one reads'] = await server.result()
  await network.run(1000)
  facts['blocking: bytes'] = got

  const { clients, servers } = await threeClients(machines)
  got = [0, 0, 0]
  for (const i of [0, 2]) machines.start(() => countInto(a, clients[i]!, got, i))
  for (const fd of servers) b.fcntl(fd, C.F_SETFL, C.O_NONBLOCK)
  const left = [600_000, 600_000, 600_000]
  const kept = [0, 0, 0]
  const dropped: number[] = []
  while (left.some((bytes) => bytes > 0) || kept[0]! + kept[2]! > 0) {
    for (const [i, fd] of servers.entries()) {
      if (dropped.includes(i)) {
        left[i] = kept[i] = 0
        continue
      }
      const piece = Math.min(10_000, left[i]!)
      left[i]! -= piece
      kept[i]! += piece
      let taken: number | string = 1
      while (kept[i]! > 0 && typeof taken === 'number') {
        taken = await outcome(() => b.send(fd, new Uint8Array(kept[i]!)))
        if (typeof taken === 'number') kept[i]! -= taken
      }
      if (kept[i]! > 300_000 && i === 1) {
        b.setsockopt(fd, C.SOL_SOCKET, C.SO_LINGER, { l_onoff: 1, l_linger: 0 })
        await b.close(fd)
        dropped.push(i)
      }
    }
    await network.run(1)
  }
  await network.run(200)
  facts['non-blocking: the fast ones'] = [got[0], got[2]]
  facts['non-blocking: dropped'] = dropped
  facts['the slow one, at last'] = await machines.start(() => read(a, clients[1]!, 1_000_000)).result()
}

const reuseport: Row = async (machines, facts) => {
  const { b } = machines
  const listeners: number[] = []
  for (let i = 0; i < 3; i++) listeners.push(await machines.listen(80, 1000, 0, C.SO_REUSEPORT))
  let clients = 0
  for (; clients < 300; clients++) await machines.connect()
  const shares: number[] = []
  for (const fd of listeners) {
    b.fcntl(fd, C.F_SETFL, C.O_NONBLOCK)
    let share = 0
    while (typeof (await outcome(() => b.accept(fd))) === 'number') share++
    shares.push(share)
  }
  facts['all'] = shares.reduce((sum, share) => sum + share)
  facts['even'] = Math.min(...shares) > 60 && Math.max(...shares) < 140
  facts['clients'] = clients
}

const epollFlags: Row = async (machines, facts) => {
  const { b, network } = machines
  for (const [flag, what] of [
    [0, 'level'],
    [C.EPOLLEXCLUSIVE, 'exclusive'],
  ] as const) {
    const port = flag === 0 ? 80 : 81
    const listener = await machines.listen(port)
    b.fcntl(listener, C.F_SETFL, C.O_NONBLOCK)
    const wait = async (): Promise<number> => {
      const epoll = b.epoll_create1()
      b.epoll_ctl(epoll, C.EPOLL_CTL_ADD, listener, { events: C.EPOLLIN | flag, data: 0 })
      const events: EpollEvent[] = []
      return await b.epoll_wait(epoll, events, 5, 400)
    }
    const waiters = [0, 1, 2].map(() => machines.start(wait))
    await network.run(100)
    await machines.connect(port)
    let woken = 0
    for (const waiter of waiters) woken += Number(await waiter.result())
    facts[what] = woken
  }
  const listener = await machines.listen(82)
  const epoll = b.epoll_create1()
  b.epoll_ctl(epoll, C.EPOLL_CTL_ADD, listener, { events: C.EPOLLIN | C.EPOLLEXCLUSIVE, data: 0 })
  const control = (fd: number, operation: number, events: number) =>
    outcome(() => b.epoll_ctl(fd, operation, listener, { events, data: 0 }))
  facts['modify'] = await control(epoll, C.EPOLL_CTL_MOD, C.EPOLLIN)
  const fresh = b.epoll_create1()
  const exclusive = C.EPOLLIN | C.EPOLLEXCLUSIVE
  facts['with EPOLLONESHOT'] = await control(fresh, C.EPOLL_CTL_ADD, exclusive | C.EPOLLONESHOT)
  facts['with EPOLLRDHUP'] = await control(fresh, C.EPOLL_CTL_ADD, exclusive | C.EPOLLRDHUP)
}

const sighup: Row = async (machines, facts) => {
  const { a, b, network } = machines
  const said: string[] = []
  let open: () => void = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const program: Program = async (sys) => {
    let ends = false
    sys.sigaction(SIGHUP, { sa_handler: () => (ends = true), sa_flags: 0 })
    const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 80 })
    sys.listen(listener, 5)
    while (!ends) {
      const fd = await outcome(() => sys.accept(listener))
      if (typeof fd === 'string') {
        said.push(`accept(): ${fd}`)
        continue
      }
      sys.fork(async (child) => {
        await child.close(listener)
        await gate
        await child.write(fd, 'a long answer')
        child.exit(0)
      })
      await sys.close(fd)
    }
    await sys.close(listener)
    said.push(`child: ${(await sys.waitpid()).status}`)
    return 0
  }
  const server = b.process.host.spawn('server', program)
  await network.run(100)
  const client = await machines.connect()
  await network.run(100)
  server.signal(SIGHUP)
  await network.run(100)
  const late = a.socket(C.AF_INET, C.SOCK_STREAM)
  facts['late'] = await machines.start(() => a.connect(late, { address: '10.9.0.2', port: 80 })).result()
  open()
  facts['the client gets'] = await machines.start(() => read(a, client, 1000)).result()
  await network.run(100)
  facts['status'] = server.status
  facts['said'] = said
}

const closeWhileBlocked: Row = async (machines, facts) => {
  const { a, b } = machines
  const listener = await machines.listen()
  const fd = await machines.connect()
  const y = await machines.accept(listener)
  const waiting = machines.start(() => a.recv(fd, new Uint8Array(100)))
  facts['waits'] = await waiting.waits()
  await a.close(fd)
  facts['the number is used again'] = a.socket(C.AF_INET, C.SOCK_DGRAM) === fd
  facts['still waits'] = await waiting.waits()
  const rows = ss(machines.snapshot(), ['-taH', 'state', 'connected', 'sport', '=', '80'])
  facts['the peer'] = rows.split(/\s+/).slice(0, 2).join(' ')
  await b.send(y, 'late data')
  facts['recv()'] = await waiting.result()
  facts['then the peer reads'] = await machines.start(() => read(b, y, 10)).result()
  const accepting = machines.start(() => b.accept(listener))
  facts['accept() waits'] = await accepting.waits()
  b.shutdown(listener, C.SHUT_RD)
  facts['accept()'] = await accepting.result()
}

const sendmsg: Row = async (machines, facts) => {
  const { a, b, network } = machines
  const listener = await machines.listen()
  const x = await machines.connect()
  const y = await machines.accept(listener)
  facts['sendmsg()'] = await a.sendmsg(x, { msg_iov: ['one ', 'two ', 'three'] })
  await network.run(50)
  const buffers = [new Uint8Array(4), new Uint8Array(6), new Uint8Array(100)] as const
  const count = await b.recvmsg(y, { msg_iov: [...buffers] })
  facts['recvmsg()'] = [count, decode(buffers[0]), decode(buffers[1]), decode(buffers[2].subarray(0, count - 10))]
  const [own, workers] = b.socketpair(C.AF_UNIX, C.SOCK_STREAM)
  b.fork(async (worker) => {
    for (const fd of [own, y, listener]) await worker.close(fd)
    const message: Msghdr = { msg_iov: [new Uint8Array(10)], msg_controllen: 24 }
    await worker.recvmsg(workers, message)
    const [passed] = message.msg_control![0]!.data as [number]
    await worker.send(passed, `from the worker, to port ${worker.getsockname(passed).port}`)
    worker.exit(0)
  })
  const control = [{ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_RIGHTS, data: [y] }]
  await b.sendmsg(own, { msg_iov: ['x'], msg_control: control })
  await b.close(y)
  await machines.start(() => b.waitpid()).result()
  const buffer = new Uint8Array(100)
  const length = (await machines.start(() => a.recv(x, buffer)).result()) as number
  facts['the client gets'] = decode(buffer.subarray(0, length))
  const rest = (await machines.start(() => a.recv(x, buffer)).result()) as number
  facts['and then'] = decode(buffer.subarray(0, rest))
}

const ROWS: Readonly<Record<string, Row>> = {
  names,
  'syn-flood': synFlood,
  'blocking-send': blockingSend,
  deadlock,
  windows,
  'slow-receiver': slowReceiver,
  reuseport,
  'epoll-flags': epollFlags,
  sighup,
  'close-while-blocked': closeWhileBlocked,
  sendmsg,
}

/** The rows that are programs on two machines. */
export const PROGRAM_ROWS = Object.keys(ROWS)

const OPTIONS = {
  hosts: '127.0.0.1 localhost\n10.0.0.2 printer.example.net printer',
  resolvConf: 'nameserver 10.9.0.2\nsearch example.net\noptions timeout:1 attempts:1',
}

/** Runs a row. @returns what was found */
export const runProgramRow = async (name: string): Promise<Facts> => {
  const machines = new Machines(name === 'names' ? OPTIONS : {})
  const facts: Facts = {}
  try {
    await machines.network.run(10)
    await ROWS[name]!(machines, facts)
    return facts
  } finally {
    machines.network.close()
  }
}
