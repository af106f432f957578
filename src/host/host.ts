import type { WallClock } from '../core/clock.ts'
import { type Loop, Task } from '../core/loop.ts'
import type { Random } from '../core/random.ts'
import type { World } from '../core/world.ts'
import type { InterfaceOptions, NetworkInterface } from '../ip/interface.ts'
import type { IpSettings } from '../ip/settings.ts'
import { IpStack } from '../ip/stack.ts'
import type { LinkPort } from '../link/port.ts'
import { SocketLayer } from '../socket/layer.ts'
import { makeSocket } from '../socket/make.ts'
import type { OpenFile } from '../socket/open-file.ts'
import type { Socket } from '../socket/socket.ts'
import { TcpSettings } from '../tcp/settings.ts'
import { parseIpPrefix } from '../wire/address.ts'
import { FileTable } from './files.ts'
import { type OutputLine, Process, type Program } from './process.ts'
import { defaultResolverConfig, parseHosts, parseResolvConf, type ResolverConfig } from './resolver-config.ts'
import { SIGURG } from './signals.ts'
import { NullDevice, ProgramOutput } from './stdio.ts'
import { Sysctl } from './sysctl.ts'

/** What a host is made with. */
export interface HostOptions {
  /** Settings by their Linux names, as `sysctl -w` takes them. */
  readonly sysctl?: Readonly<Record<string, string | number>>
  /** The hosts table, as /etc/hosts has it, beside localhost's entries; and /etc/resolv.conf. */
  readonly hosts?: string
  readonly resolvConf?: string
  /** The source of the host's chance; a fork of the world's, by the host's name, unless given. */
  readonly random?: Random
}

/** Descriptors that a process may have, unless it raises the limit (RLIMIT_NOFILE). */
const FILE_LIMIT = 1024
const FIRST_PID = 100

/** One machine: interfaces, IP, TCP and UDP, sockets, processes and settings. */
export class Host {
  readonly name: string
  readonly world: World
  readonly ip: IpStack
  readonly sockets: SocketLayer
  readonly tcpSettings = new TcpSettings()
  readonly sysctl: Sysctl
  /** How its programs find names. */
  readonly resolver: ResolverConfig
  /** The chance of what runs in its programs: resolvers. */
  readonly random: Random
  /** Files that programs may open(2), by path. */
  readonly files = new Map<string, Uint8Array>()
  /** Processes that have not been waited for, by id. */
  readonly processes = new Map<number, Process>()
  /** Told of every line that a program prints. */
  onPrint: ((process: Process, line: OutputLine) => void) | null = null
  /** Told when a program ends with an exception that it did not catch. */
  onFailure: ((process: Process, error: unknown) => void) | null = null
  /** Told when a program is about to run on: whoever drives the world must let it (see sim/driver.ts). */
  onResume: (() => void) | null = null
  /** Told when a call of a program has begun to wait, or a program has come to its end. */
  onRest: (() => void) | null = null
  private nextPid = FIRST_PID
  private readonly lastReferences: LastReferences

  constructor(world: World, name: string, options: HostOptions = {}) {
    this.world = world
    this.name = name
    const random = options.random ?? world.random.fork(`host ${name}`)
    this.random = random.fork('programs')
    const { hosts } = defaultResolverConfig()
    const own = parseHosts(options.hosts ?? '')
    const hasLocal = own.some(({ names }) => names.includes('localhost'))
    this.resolver = {
      hosts: hasLocal ? own : [...hosts, ...own],
      ...parseResolvConf(options.resolvConf ?? ''),
    }
    this.ip = new IpStack(world, { random, name })
    this.sockets = new SocketLayer(this.ip, this.tcpSettings, random)
    this.sockets.onUrgent = (socket) => {
      if (socket.owner !== 0) this.processes.get(socket.owner)?.signal(SIGURG)
    }
    this.lastReferences = new LastReferences(world.loop)
    this.sysctl = new Sysctl(this)
    for (const [key, value] of Object.entries(options.sysctl ?? {})) this.sysctl.set(key, String(value))
  }

  /** The time of day as this host tells it: `step` and `setDrift` make it wrong. */
  get wallClock(): WallClock {
    return this.ip.wallClock
  }

  get ipSettings(): IpSettings {
    return this.ip.settings
  }

  /**
   * Adds an interface with addresses.
   * @param addresses with prefix lengths: `10.0.0.1/24`
   * @throws TypeError for an address that is none
   */
  addInterface(
    name: string,
    port: LinkPort,
    addresses: readonly string[] = [],
    options: InterfaceOptions = {},
  ): NetworkInterface {
    const prefixes = addresses.map((text) => {
      const prefix = parseIpPrefix(text)
      if (prefix === undefined) throw new TypeError(`${text} is no address with a prefix length, like 10.0.0.1/24`)
      return prefix
    })
    const iface = this.ip.addInterface(name, port, options)
    for (const prefix of prefixes) iface.addAddress(prefix)
    return iface
  }

  /** Starts a program. Its descriptors 0 to 2 are there; what it prints is kept. */
  spawn(name: string, program: Program, options: { uid?: number } = {}): Process {
    const process = this.newProcess(name, null, new FileTable(FILE_LIMIT))
    process.uid = options.uid ?? 0
    process.files.put(0, new NullDevice(), false)
    process.files.put(1, new ProgramOutput(process, false), false)
    process.files.put(2, new ProgramOutput(process, true), false)
    process.start(program)
    return process
  }

  /** fork(2). */
  fork(parent: Process, program: Program): Process {
    const child = this.newProcess(parent.name, parent, parent.files.copy())
    child.uid = parent.uid
    for (const [signal, action] of parent.actions) child.actions.set(signal, action)
    child.start(program)
    return child
  }

  private newProcess(name: string, parent: Process | null, files: FileTable): Process {
    const process = new Process(this, this.nextPid++, name, parent, files)
    this.processes.set(process.pid, process)
    return process
  }

  /** A child that has ended has been waited for, or nobody will. */
  reap(process: Process): void {
    this.processes.delete(process.pid)
    process.parent?.children.delete(process)
  }

  processEnded(process: Process): void {
    // Nobody waits for a process without a parent.
    if (process.parent === null || !process.parent.isAlive) this.reap(process)
  }

  programFailed(process: Process, error: unknown): void {
    this.onFailure?.(process, error)
  }

  /** A program runs on, in a microtask that is on its way. */
  resumed(): void {
    this.onResume?.()
  }

  /** A program that has run on waits again, or has come to its end. */
  rested(): void {
    this.onRest?.()
  }

  /**
   * socket(2): makes a socket of a kind, or tells why there is none.
   * @returns a negative `Errno` for combinations that do not exist, as on Linux
   */
  makeSocket(domain: number, type: number, protocol: number, uid: number): Socket | number {
    return makeSocket(this.sockets, domain, type, protocol, uid)
  }

  /**
   * A call lets go of a file. When nobody else has it, it is closed when the loop comes round next: not under a call
   * that still works with it, and not in the midst of a packet's way.
   */
  letGo(file: OpenFile): void {
    if (file.references > 1) file.unref()
    else this.lastReferences.add(file)
  }

  /** Who has a file open: processes and their descriptors, in order. What lsof and `ss -p` show. */
  holders(file: OpenFile): { process: Process; fd: number }[] {
    const found: { process: Process; fd: number }[] = []
    for (const process of this.processes.values()) {
      if (!process.isAlive) continue
      for (const fd of process.files.numbers()) if (process.files.get(fd) === file) found.push({ process, fd })
    }
    return found
  }

  /** Takes everything down at once: processes end as by SIGKILL, interfaces go; nothing is sent any more. */
  close(): void {
    this.ip.loopback.setUp(false)
    for (const iface of [...this.ip.interfaces]) if (!iface.isLoopback) this.ip.removeInterface(iface)
    // Before the sockets: connections that are closed have no FIN to make and to keep.
    this.sockets.close()
    for (const process of this.processes.values()) process.exit(137)
    for (const socket of [...this.sockets.sockets]) if (this.sockets.sockets.has(socket)) socket.unref()
    this.ip.close()
  }
}

/** Files that only calls had open which have let go of them. */
class LastReferences extends Task {
  private readonly loop: Loop
  private files: OpenFile[] = []

  constructor(loop: Loop) {
    super()
    this.loop = loop
  }

  add(file: OpenFile): void {
    this.files.push(file)
    this.loop.post(this)
  }

  run(): void {
    for (const file of this.files.splice(0)) file.unref()
  }
}
