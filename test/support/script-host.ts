import type { Sys } from '../../src/host/calls.ts'
import type { Host } from '../../src/host/host.ts'
import type { PollFd } from '../../src/host/polling.ts'
import type { Process } from '../../src/host/process.ts'
import { SIG_IGN, SIGALRM, SIGPIPE } from '../../src/host/signals.ts'
import { netstat } from '../../src/inspect/netstat.ts'
import { snapshot } from '../../src/inspect/snapshot.ts'
import { ss } from '../../src/inspect/ss.ts'
import { Cable } from '../../src/link/cable.ts'
import { Network } from '../../src/sim/network.ts'
import type { Sockaddr } from '../../src/socket/address.ts'
import * as C from '../../src/socket/constants.ts'
import type { EpollEvent } from '../../src/socket/epoll.ts'
import type { OptionValue } from '../../src/socket/socket-options.ts'
import { ip, parseMac } from '../../src/wire/address.ts'
import { ADDRESSES, type Argument, HOSTS, SETTINGS, type Step } from './script.ts'

/** Milliseconds after which a call counts as one that blocks. */
const PATIENCE = 200
/** Milliseconds in which what a call causes arrives. */
const SETTLING = 1
/** Milliseconds after which addresses can be used. */
const STARTING = 10

/**
 * Runs a script on hosts of ours.
 * @param settings what is set on them beside `SETTINGS`
 * @param pair is it about the two machines `HOSTS`, and not about one with `ADDRESSES`?
 * @returns what came of each step, as test/interop/errno.py writes it
 */
export const runOnHost = async (
  steps: readonly Step[],
  settings: Readonly<Record<string, string>> = {},
  pair = false,
): Promise<string[]> => {
  const runner = new ScriptHost(settings, pair)
  try {
    await runner.network.run(STARTING)
    const outcomes: string[] = []
    for (const step of steps) outcomes.push(await runner.step(step))
    return outcomes
  } finally {
    runner.network.close()
  }
}

const MACS = { a: parseMac('02:00:00:00:00:0a')!, b: parseMac('02:00:00:00:00:0b')! } as const
const bare = (prefix: string): string => prefix.split('/')[0]!

type Outcome = number | string | object

/** A host with one process that makes the calls; or two, of which one has the word. */
class ScriptHost {
  readonly network = new Network({ seed: 3 })
  private host!: Host
  private process!: Process
  private sys!: Sys
  private readonly machines = new Map<string, Process>()
  private readonly cable: Cable
  /** Descriptors by their names, with whose they are. */
  private readonly named = new Map<string, { fd: number; process: Process }>()

  constructor(settings: Readonly<Record<string, string>>, pair: boolean) {
    const { network } = this
    const sysctl = { ...Object.fromEntries(SETTINGS), ...settings, 'net.ipv6.conf.all.dad_transmits': 0 }
    this.cable = new Cable(network.world, 'cable')
    if (pair) {
      for (const [name, port] of [
        ['a', this.cable.a],
        ['b', this.cable.b],
      ] as const) {
        const host = network.host(name, { sysctl })
        const iface = host.addInterface('eth0', port, [...HOSTS[name]], { mac: MACS[name] })
        // As on the kernel: nobody has to be asked for an address.
        const other = name === 'a' ? 'b' : 'a'
        host.ip.arp.setPermanent(iface, ip(bare(HOSTS[other][0])), MACS[other])
        host.ip.nd.setPermanent(iface, ip(bare(HOSTS[other][1])), MACS[other])
        this.boot(name, host)
      }
      this.hostCall('a')
      return
    }
    const host = network.host('host', { sysctl })
    host.addInterface('d0', this.cable.a, [...ADDRESSES])
    network
      .host('peer', { sysctl: { ...sysctl, 'net.ipv6.conf.all.disable_ipv6': 1 } })
      .addInterface('d1', this.cable.b)
    this.boot('host', host)
    this.hostCall('host')
  }

  private boot(name: string, host: Host): void {
    // The program waits for ever: its calls are made from outside.
    const process = host.spawn('script', () => new Promise(() => {}))
    process.sys.signal(SIGPIPE, SIG_IGN)
    process.sys.sigaction(SIGALRM, { sa_handler: () => {}, sa_flags: 0 })
    this.machines.set(name, process)
  }

  /** The calls that follow are made on this machine. */
  protected hostCall(name: string): number {
    this.process = this.machines.get(name)!
    this.host = this.process.host
    this.sys = this.process.sys
    return 0
  }

  protected async netstatCall(options = '-ant'): Promise<string> {
    // By then what waits for a delayed ACK has one.
    await this.network.run(60)
    return tidy(netstat(snapshot(this.host), [options]))
      .filter((row) => /^(tcp|udp|raw|unix)/.test(row))
      .join(' | ')
  }

  protected ssCall(options: string): string {
    return tidy(ss(snapshot(this.host), ['-H', options])).join(' | ')
  }

  /** From now on nothing that this machine sends arrives. */
  protected cutCall(): number {
    this.lose(1)
    return 0
  }

  protected joinCall(): number {
    this.lose(0)
    return 0
  }

  private lose(loss: number): void {
    const { aToB, bToA } = this.cable
    const way = this.host.name === 'a' ? aToB : bToA
    way.impair({ loss })
  }

  async step({ call, args, out }: Step): Promise<string> {
    const values: unknown[] = args.map((argument) => this.value(argument))
    const method = (this as unknown as Record<string, (...args: unknown[]) => Outcome | Promise<Outcome>>)[
      `${call}Call`
    ]
    if (method === undefined) throw new Error(`no call ${call}`)
    const outcome = await this.finish(() => method.apply(this, values))
    if (outcome instanceof Error) {
      for (const name of out) this.named.set(name, { fd: -1, process: this.process })
      return outcome.message
    }
    if (out.length === 0) return String(outcome)
    const made = Array.isArray(outcome) ? outcome : [outcome]
    for (const [i, name] of out.entries()) this.named.set(name, { fd: Number(made[i]), process: this.process })
    return 'ok'
  }

  private value(argument: Argument): unknown {
    if (typeof argument !== 'object' || !('fd' in argument)) return argument
    const { fd: name } = argument as { fd: string }
    const known = this.named.get(name)
    if (known?.process !== this.process) throw new Error(`no descriptor ${name} on ${this.host.name}`)
    return known.fd
  }

  /**
   * Makes a call, and interrupts it when it takes too long.
   * @returns what it gives, or an Error with the errno's name
   */
  private async finish(call: () => Outcome | Promise<Outcome>): Promise<Outcome> {
    let outcome: Outcome | null = null
    const settle = async (): Promise<void> => {
      try {
        outcome = await call()
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === undefined) throw error
        outcome = new Error(code)
      }
    }
    const settled = settle()
    await new Promise<void>((resolve) => setImmediate(resolve))
    for (let waited = 0; outcome === null && waited < PATIENCE; waited += 10) await this.network.run(10)
    const waited = outcome === null
    if (waited) {
      this.process.signal(SIGALRM)
      await this.network.run(SETTLING)
    }
    await settled
    await this.network.run(SETTLING)
    const over = outcome as Outcome | null
    return waited && over instanceof Error && over.message === 'EINTR' ? new Error('blocks') : over!
  }

  protected asCall(uid: number): number {
    this.process.uid = uid
    return 0
  }

  protected sysctlCall(name: string, value: number | string): number {
    this.host.sysctl.set(name, String(value))
    return 0
  }

  protected async waitCall(ms: number): Promise<number> {
    await this.network.run(ms)
    return 0
  }

  protected rlimitCall(count: number): number {
    this.sys.setrlimit(count)
    return 0
  }

  /** So many more descriptors can be had. */
  protected async leaveCall(count: number): Promise<number> {
    const fd = this.sys.dup(0)
    await this.sys.close(fd)
    return this.rlimitCall(fd + count)
  }

  protected nullCall(): number {
    return this.sys.dup(0)
  }

  protected socketCall(domain: number, type: number, protocol = 0): number {
    return this.sys.socket(domain, type, protocol)
  }

  protected socketpairCall(domain: number, type: number, protocol = 0): [number, number] {
    return this.sys.socketpair(domain, type, protocol)
  }

  protected bindCall(fd: number, address: Sockaddr): number {
    return this.sys.bind(fd, address)
  }

  protected connectCall(fd: number, address: Sockaddr): Promise<number> {
    return this.sys.connect(fd, address)
  }

  protected listenCall(fd: number, backlog: number): number {
    return this.sys.listen(fd, backlog)
  }

  protected acceptCall(fd: number, flags = 0): Promise<number> {
    return this.sys.accept4(fd, undefined, flags)
  }

  protected async acceptfromCall(fd: number): Promise<string> {
    const peer: Sockaddr = {}
    await this.sys.accept(fd, peer)
    return addressText(peer)
  }

  protected sendCall(fd: number, count: number, flags = 0): Promise<number> {
    return this.sys.send(fd, filled(count), count, flags)
  }

  /** Sends until nothing more fits. */
  protected async fillCall(fd: number): Promise<string> {
    for (let quiet = 0; quiet < 5; quiet++) {
      for (let taken = 1; taken > 0; )
        taken = await this.sys.send(fd, filled(10_000), 10_000, C.MSG_DONTWAIT).catch(() => 0)
      await this.network.run(100)
    }
    return 'full'
  }

  protected sendtoCall(fd: number, count: number, flags: number, to: Sockaddr): Promise<number> {
    return this.sys.sendto(fd, filled(count), count, flags, to)
  }

  /** `parts` buffers of `count` bytes each. */
  protected sendmsgCall(fd: number, parts: number, count: number, flags = 0, to?: Sockaddr): Promise<number> {
    const name = to === undefined ? {} : { msg_name: to }
    return this.sys.sendmsg(fd, { ...name, msg_iov: Array.from({ length: parts }, () => filled(count)) }, flags)
  }

  protected recvCall(fd: number, count: number, flags = 0): Promise<number> {
    return this.sys.recv(fd, new Uint8Array(count), count, flags)
  }

  protected async recvfromCall(fd: number, count: number, flags = 0): Promise<string> {
    const from: Sockaddr = {}
    const got = await this.sys.recvfrom(fd, new Uint8Array(count), count, flags, from)
    return `${got} from ${addressText(from)}`
  }

  protected async recvmsgCall(fd: number, parts: number, count: number, flags = 0): Promise<string> {
    const message = { msg_iov: Array.from({ length: parts }, () => new Uint8Array(count)), msg_name: {}, msg_flags: 0 }
    const got = await this.sys.recvmsg(fd, message, flags)
    return `${got} flags ${message.msg_flags} from ${addressText(message.msg_name)}`
  }

  protected readCall(fd: number, count: number): Promise<number> {
    return this.sys.read(fd, new Uint8Array(count))
  }

  protected writeCall(fd: number, count: number): Promise<number> {
    return this.sys.write(fd, filled(count))
  }

  protected shutdownCall(fd: number, how: number): number {
    return this.sys.shutdown(fd, how)
  }

  protected getsocknameCall(fd: number): string {
    return addressText(this.sys.getsockname(fd))
  }

  protected getpeernameCall(fd: number): string {
    return addressText(this.sys.getpeername(fd))
  }

  protected setsockoptCall(fd: number, level: number, name: number, value: OptionValue): number {
    const { kind, address } = value as { kind?: string; address?: string }
    return this.sys.setsockopt(fd, level, name, kind === 'in' ? address! : value)
  }

  protected getsockoptCall(fd: number, level: number, name: number): string {
    const value = this.sys.getsockopt(fd, level, name)
    if (typeof value !== 'object') return value === '' ? '""' : String(value)
    if ('l_onoff' in value) return `linger:${value.l_onoff},${value.l_linger}`
    if ('tv_sec' in value) return `time:${value.tv_sec},${value.tv_usec}`
    return 'a structure'
  }

  protected closeCall(fd: number): Promise<number> {
    return this.sys.close(fd)
  }

  protected dupCall(fd: number): number {
    return this.sys.dup(fd)
  }

  protected dup2Call(fd: number, to: number): number {
    return this.sys.dup2(fd, to)
  }

  protected dup3Call(fd: number, to: number, flags: number): number {
    return this.sys.dup3(fd, to, flags)
  }

  protected fcntlCall(fd: number, command: number, argument = 0): number {
    return this.sys.fcntl(fd, command, argument)
  }

  protected ioctlCall(fd: number, request: number, argument = 0): number {
    return this.sys.ioctl(fd, request, argument)
  }

  protected async pollCall(fd: number, events: number): Promise<string> {
    const entry: PollFd = { fd, events, revents: 0 }
    await this.sys.poll([entry], 0)
    return `mask:${entry.revents}`
  }

  protected async selectCall(fd: number): Promise<string> {
    const sets = [new Set([fd]), new Set([fd]), new Set([fd])] as const
    await this.sys.select(fd + 1, ...sets, { tv_sec: 0, tv_usec: 0 })
    return ['r', 'w', 'e'].filter((_, i) => sets[i]!.has(fd)).join('') || 'none'
  }

  protected epoll_create1Call(flags = 0): number {
    return this.sys.epoll_create1(flags)
  }

  protected epoll_ctlCall(epfd: number, operation: number, fd: number, events = 0): number {
    return this.sys.epoll_ctl(epfd, operation, fd, events < 0 ? null : { events, data: fd })
  }

  protected async epoll_waitCall(epfd: number, most: number): Promise<string> {
    const events: EpollEvent[] = []
    const count = await this.sys.epoll_wait(epfd, events, most, 0)
    const isIt =
      (fd: unknown) =>
      ([, known]: [string, { fd: number; process: Process }]) =>
        known.fd === fd && known.process === this.process
    const name = (fd: unknown): string => [...this.named].find(isIt(fd))?.[0] ?? String(fd)
    return `events:${events
      .slice(0, count)
      .map(({ data, events }) => `${name(data)}=${events}`)
      .join()}`
  }

  protected pipeCall(): [number, number] {
    return this.sys.pipe()
  }

  protected pipe2Call(flags: number): [number, number] {
    return this.sys.pipe2(flags)
  }

  protected killCall(pid: number, signal: number): number {
    return this.sys.kill(pid, signal)
  }

  protected killselfCall(signal: number): number {
    return this.sys.kill(this.sys.getpid(), signal)
  }

  protected sigactionCall(signal: number): number {
    this.sys.sigaction(signal, { sa_handler: SIG_IGN, sa_flags: 0 })
    return 0
  }

  protected async waitpidCall(pid: number): Promise<number> {
    return (await this.sys.waitpid(pid)).pid
  }
}

const filled = (count: number): Uint8Array => new Uint8Array(count).fill(120)

/** What names Unix sockets in lines of netstat and ss. */
const UNIX_INODE = /^(unix \d+ \[[^\]]*\] \w+ (?:[A-Z]+ )?)\d+/
const UNIX_OWN = /^(u_\S+ \S+ \d+ \d+ \S+) \d+/
const UNIX_PEER = /^(u_.* )[1-9]\d*$/

/** The lines of a tool's text, in order, with single blanks and without ports that the system chose. */
const tidy = (text: string): string[] =>
  text
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/\s+/g, ' ')
        .replace(UNIX_INODE, '$1#')
        .replace(UNIX_OWN, '$1 #')
        .replace(UNIX_PEER, '$1#')
        .replace(/(@)[0-9a-f]{5}\b/g, '$1*')
        .replace(/:(3[2-9]|[45][0-9]|60)[0-9]{3}\b/g, ':*'),
    )
    .filter((line) => line !== '')
    .sort()

/** As `ADDRESS:PORT`; a port that the system chose is not told. */
const addressText = ({ family = 0, address, port = 0, path }: Sockaddr): string => {
  if (family === C.AF_UNIX) {
    if (path === undefined || path === '') return 'unnamed'
    return path.replace(/^\0[0-9a-f]{5}$/, '@*').replace(/^\0/, '@')
  }
  if (address === undefined) return family === 0 ? 'none' : `family ${family}`
  const shown = port >= 32_768 && port <= 60_999 ? '*' : port
  return `${family === C.AF_INET6 ? `[${address}]` : address}:${shown}`
}
