import { SECOND } from '../core/clock.ts'
import type { Data, Sys } from '../host/calls.ts'
import type { Host, HostOptions } from '../host/host.ts'
import type { Process, Program } from '../host/process.ts'
import { type ConnectionSeries, SeriesRecorder } from '../inspect/series.ts'
import { type Snapshot, snapshot } from '../inspect/snapshot.ts'
import type { Channel } from '../link/channel.ts'
import { Ladder } from '../sim/ladder.ts'
import { Network, type NetworkLink, type NetworkLinkOptions } from '../sim/network.ts'
import { TcpSocket } from '../socket/tcp.ts'
import type { TcpConnection } from '../tcp/connection.ts'
import { BSD, LINUX, type TcpPersonality } from '../tcp/settings.ts'
import { connectionAt, directionView, socketsOf, stateName, writtenBytes } from './connections.ts'
import { Gate } from './gate.ts'
import type { DirectionView, LabFigure, LabReport, LabStep } from './report.ts'
import type { Scenario } from './scenario.ts'
import { runTool } from './tools.ts'

/** How a scenario is run. */
export interface LabOptions {
  readonly seed?: number
  /** `linux` or `bsd`. */
  readonly personality?: string
  /** Settings by their Linux names, for every host. */
  readonly settings?: Readonly<Record<string, string>>
  /** Called after each step, with what there is so far: to print it, to wait for a key. */
  readonly onStep?: (step: LabStep, report: LabReport) => Promise<void> | void
  /**
   * Given at the end what passed each end of each connection, and which is to be drawn; without it nothing is recorded.
   */
  readonly onSeries?: (series: readonly ConnectionSeries[], drawn: ConnectionSeries | null) => void
  /** Called when a link is there, before anything passes it: to capture. */
  readonly onLink?: (link: NetworkLink, a: Host, b: Host, network: Network) => void
}

/** Two hosts and their link. */
export interface Pair {
  readonly client: Host
  readonly server: Host
  readonly link: NetworkLink
}

/** What a direction of a connection is watched by. */
interface WatchedDirection {
  readonly from: Host
  readonly to: Host
  /** The port that the connection has at its server. */
  readonly port: number
}

const PERSONALITIES: Readonly<Record<string, TcpPersonality>> = { linux: LINUX, bsd: BSD }

/** How long a scenario waits for something before it gives up, milliseconds of virtual time. */
const PATIENCE = 10 * 3600 * 1000

/** What a tool prints on a host without power. */
const NO_POWER = '(no answer: the host has no power)\n'

/** What a scenario works with: it builds, runs, stops and looks, and everything that it sees is recorded. */
export class Lab {
  readonly network: Network
  readonly report: LabReport
  private readonly options: LabOptions
  private readonly hosts: Host[] = []
  private readonly links: NetworkLink[] = []
  private readonly ladder: Ladder
  private recorder: SeriesRecorder | null = null
  /** The sender's end of the connection that the row is about; null for the one that carries most. */
  drawn: ConnectionSeries | null = null
  private watched: WatchedDirection[] = []
  /** Hosts without power, and hosts that are not shown any more. */
  private readonly dark = new Set<Host>()
  private readonly left = new Set<Host>()
  /** What each connection's sends were given, by host and socket. */
  private readonly sends = new WeakMap<TcpConnection, number[]>()
  private views: [host: Host, command: string][] = []
  private notes: string[] = []
  private figures: LabFigure[] = []
  private checked: number[] = []
  private laddered = 0
  private readonly printed = new Map<Process, number>()
  private readonly processes: Process[] = []

  constructor(scenario: Scenario, options: LabOptions = {}) {
    this.options = options
    const personality = options.personality ?? 'linux'
    if (PERSONALITIES[personality] === undefined) {
      throw new TypeError(`there is no personality ${personality}: ${Object.keys(PERSONALITIES).join(', ')}`)
    }
    this.network = new Network({
      seed: options.seed ?? 1,
      onFailure: (process, error) => {
        this.check(`${process.name} on ${process.host.name} ends without an exception`, errorText(error), '')
      },
    })
    this.ladder = new Ladder(this.network.world)
    this.network.observe({ unheard: (frame) => this.ladder.lost(frame) })
    if (options.onSeries !== undefined) this.record()
    this.report = {
      version: 1,
      scenario: scenario.name,
      group: scenario.group,
      title: scenario.title,
      description: scenario.description,
      seed: this.network.seed,
      personality,
      settings: options.settings ?? {},
      hosts: [],
      steps: [],
      checks: [],
      passed: true,
    }
  }

  // Building.

  /** A host. `settings` are this scenario's; those given by whoever runs it win. */
  host(name: string, options: HostOptions = {}): Host {
    const host = this.network.host(name, options)
    host.tcpSettings.personality = PERSONALITIES[this.report.personality]!
    for (const [key, value] of Object.entries(this.options.settings ?? {})) host.sysctl.set(key, value)
    this.hosts.push(host)
    return host
  }

  /** A host that forwards packets between its links. */
  router(name: string): Host {
    return this.host(name, { sysctl: { 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 } })
  }

  /** A host loses power: its memory is gone, and it says nothing. What is shown of it is that. */
  powerOff(host: Host): void {
    this.network.crash(host)
    this.dark.add(host)
  }

  /** It has power again, and remembers nothing. What was shown of it is shown of the new one. @returns the new one */
  powerOn(host: Host): Host {
    const started = this.network.restart(host)
    started.tcpSettings.personality = host.tcpSettings.personality
    for (const [key, value] of Object.entries(this.options.settings ?? {})) started.sysctl.set(key, value)
    this.hosts[this.hosts.indexOf(host)] = started
    this.dark.delete(host)
    this.views = this.views.map(([shown, command]) => [shown === host ? started : shown, command])
    this.watched = this.watched.map(({ from, to, port }) => ({
      from: from === host ? started : from,
      to: to === host ? started : to,
      port,
    }))
    this.introduce(started)
    return started
  }

  link(a: Host, b: Host, options: NetworkLinkOptions = {}): NetworkLink {
    const link = this.network.link(a, b, options)
    this.links.push(link)
    this.options.onLink?.(link, a, b, this.network)
    this.ladder.watch(a.name, b.name, link.cable)
    if (this.recorder !== null) this.recordLink(link)
    acquaint(link)
    return link
  }

  /** Records from now on what passes the links, there and to come, for figures of it. */
  record(): SeriesRecorder {
    if (this.recorder === null) {
      this.recorder = new SeriesRecorder(this.network.world)
      for (const link of this.links) this.recordLink(link)
    }
    return this.recorder
  }

  private recordLink(link: NetworkLink): void {
    for (const { port } of [link.a, link.b]) {
      this.recorder?.watch(() => this.hosts.find(({ ip }) => ip.interfaces.some((iface) => iface.port === port)), port)
    }
  }

  /** Makes a host's neighbours known to it, and it to them. */
  private introduce(host: Host): void {
    for (const link of this.links) if (host.ip === link.a.stack || host.ip === link.b.stack) acquaint(link)
  }

  /**
   * Two hosts, `client` (10.0.0.1) and `server` (10.0.0.2), on a
   * cable with 10 ms each way; their netstat is shown at every step.
   */
  pair(options: NetworkLinkOptions = {}): Pair {
    const client = this.host('client')
    const server = this.host('server')
    const link = this.link(client, server, { delay: 10, ...options })
    this.show(client, 'netstat -ant')
    this.show(server, 'netstat -ant')
    return { client, server, link }
  }

  /** Shows what a tool prints on a host at every step from now on. */
  show(host: Host, command: string): void {
    this.views.push([host, command])
  }

  hide(host: Host): void {
    this.views = this.views.filter(([shown]) => shown !== host)
  }

  /** Shows nothing of these hosts any more: neither tools nor queues nor who waits. */
  leave(...hosts: readonly Host[]): void {
    for (const host of hosts) {
      this.hide(host)
      this.left.add(host)
    }
    this.watched = this.watched.filter(({ from, to }) => !this.left.has(from) && !this.left.has(to))
  }

  /** Draws the queues of both directions of the connection to `port` of `server` at every step from now on. */
  watchQueues(client: Host, server: Host, port: number, directions: 'both' | 'to server' | 'to client' = 'both'): void {
    if (directions !== 'to client') this.watched.push({ from: client, to: server, port })
    if (directions !== 'to server') this.watched.push({ from: server, to: client, port })
  }

  spawn(host: Host, name: string, program: Program): Process {
    const process = host.spawn(name, program)
    this.processes.push(process)
    return process
  }

  /** send(2), noted, so that its bytes can be told from those of other sends. */
  async send(sys: Sys, fd: number, data: Data | number, flags = 0): Promise<number> {
    const bytes = typeof data === 'number' ? new Uint8Array(data) : data
    const file = sys.process.files.get(fd)
    if (!(file instanceof TcpSocket)) return sys.send(fd, bytes, bytes.length, flags)
    const sizes = this.sends.get(file.c) ?? []
    this.sends.set(file.c, sizes)
    const index = sizes.push(bytes.length) - 1
    let taken = 0
    try {
      taken = await sys.send(fd, bytes, bytes.length, flags)
      return taken
    } finally {
      sizes[index] = taken
    }
  }

  // Running.

  /** Runs until `condition` holds, and stops there: a step. */
  async until(title: string, condition: () => boolean, limit = PATIENCE): Promise<void> {
    const held = await this.network.runUntil(condition, limit)
    await this.step(title)
    if (!held) this.check(`${title}: it came to that`, false, true)
  }

  /** Runs for so many milliseconds: a step. */
  async pass(milliseconds: number, title: string): Promise<void> {
    await this.network.run(milliseconds)
    await this.step(title)
  }

  /** Runs on without a stop until `condition` holds. */
  async quietly(condition: () => boolean, limit = PATIENCE): Promise<boolean> {
    return this.network.runUntil(condition, limit)
  }

  /** The hosts of which a tool is shown, and that have power. */
  private get shown(): Host[] {
    return [...new Set(this.views.map(([host]) => host))].filter((host) => !this.dark.has(host))
  }

  /** Stops here and looks. */
  async step(title: string): Promise<void> {
    const { entries } = this.ladder
    const step: LabStep = {
      number: this.report.steps.length + 1,
      at: this.network.world.loop.now,
      title,
      segments: entries.slice(this.laddered),
      output: this.newOutput(),
      views: this.views.map(([host, command]) => ({
        host: host.name,
        command,
        text: this.dark.has(host) ? NO_POWER : runTool(host, command),
      })),
      sockets: this.shown.flatMap(socketsOf),
      queues: this.watched.flatMap((direction) => this.directionView(direction) ?? []),
      waiting: this.waitingCalls(),
      notes: this.notes.splice(0),
      figures: this.figures.splice(0),
      checks: this.checked.splice(0),
    }
    this.laddered = entries.length
    this.report.steps.push(step)
    await this.options.onStep?.(step, this.report)
  }

  /** Something that programs can wait for, and that the scenario lets happen. */
  gate(): Gate {
    return new Gate()
  }

  /**
   * Makes queues hold as many bytes of data as SO_SNDBUF and SO_RCVBUF say, without overhead, and probes carry a byte.
   */
  countDataOnly(...hosts: Host[]): void {
    for (const host of hosts) {
      host.tcpSettings.personality = {
        ...host.tcpSettings.personality,
        bufferAccounting: 'data',
        zeroWindowProbe: 'byte',
      }
    }
  }

  /** Says something at the next step. */
  note(text: string): void {
    this.notes.push(text)
  }

  /** Shows a figure, ready drawn, at the next step. */
  figure(title: string, text: string): void {
    this.figures.push({ title, text })
  }

  /** Something that must hold. It belongs to the last step. */
  check(what: string, actual: unknown, expected: unknown): void {
    const ok = JSON.stringify(actual) === JSON.stringify(expected)
    const number = this.report.checks.length + 1
    this.report.checks.push({ number, what, expected, actual, ok })
    if (!ok) this.report.passed = false
    this.report.steps.at(-1)?.checks.push(number)
  }

  /** Loses what passes a channel from now on and matches, the first `count` packets of it. */
  lose(channel: Channel, matching = /./, count = Number.POSITIVE_INFINITY): void {
    let left = count
    channel.filter = (frame) => {
      if (left === 0 || !matching.test(this.ladder.describe(frame, channel.features.medium) ?? '')) return 'pass'
      left--
      return 'drop'
    }
  }

  // Looking.

  /**
   * The state of what a host has at a local port, as netstat names
   * it; '' when there is nothing. Listeners are not looked at.
   */
  state(host: Host, localPort: number): string {
    const entry = host.sockets.tcp.table.entries().find((candidate) => candidate.localPort === localPort)
    return entry === undefined ? '' : stateName(entry)
  }

  /** The states of everything that a host has in its table, in netstat's names. */
  states(host: Host): string[] {
    return host.sockets.tcp.table.entries().map(stateName)
  }

  /** A host's connection with a port at either end; null when there is none. */
  connection(host: Host, port: number): TcpConnection | null {
    return connectionAt(host, port)
  }

  /** The queues of the direction from one host to another. */
  queues(from: Host, to: Host, port: number): DirectionView {
    return this.directionView({ from, to, port }) ?? directionView(from, to, null, null, [])
  }

  /** Segments seen so far that match, with when they left in seconds. */
  segments(matching: RegExp): { at: number; from: string; text: string }[] {
    return this.ladder.entries
      .filter((entry) => matching.test(entry.text))
      .map(({ at, from, text }) => ({ at: at / SECOND, from, text }))
  }

  /** Is a host without power? */
  isDark(host: Host): boolean {
    return this.dark.has(host)
  }

  /** What a tool prints on a host now. */
  toolOn(host: Host, command: string): string {
    return runTool(host, command)
  }

  /** A host now, as data. */
  snapshotOf(host: Host): Snapshot {
    return snapshot(host)
  }

  /** Does a process wait in a call, and in which? '' when it runs or has ended. */
  waitsIn(process: Process): string {
    return process.blocked.first?.reason ?? ''
  }

  private directionView({ from, to, port }: WatchedDirection): DirectionView | null {
    const sender = this.connection(from, port)
    const receiver = this.connection(to, port)
    if (sender === null && receiver === null) return null
    return directionView(from, to, sender, receiver, sender === null ? [] : this.sendsOf(sender))
  }

  /** The sends of a connection; what a program has written without `send` counts as one from step to step. */
  private sendsOf(sender: TcpConnection): number[] {
    const sizes = this.sends.get(sender) ?? []
    this.sends.set(sender, sizes)
    const untold = writtenBytes(sender) - sizes.reduce((sum, bytes) => sum + bytes, 0)
    if (untold > 0) sizes.push(untold)
    return sizes
  }

  private waitingCalls(): LabStep['waiting'] {
    const waiting: LabStep['waiting'] = []
    for (const host of this.hosts) {
      if (this.left.has(host)) continue
      for (const process of host.processes.values()) {
        for (const call of process.blocked) waiting.push({ host: host.name, program: process.name, call: call.reason })
      }
    }
    return waiting
  }

  private newOutput(): LabStep['output'] {
    const lines: LabStep['output'] = []
    for (const process of this.allProcesses()) {
      const from = this.printed.get(process) ?? 0
      for (const { at, text } of process.output.slice(from)) {
        lines.push({ at, host: process.host.name, program: process.name, text })
      }
      this.printed.set(process, process.output.length)
    }
    return lines.sort((a, b) => a.at - b.at)
  }

  private allProcesses(): Process[] {
    const all = new Set(this.processes)
    for (const host of this.hosts) for (const process of host.processes.values()) all.add(process)
    return [...all]
  }
}

/** The neighbours know each other: what ARP does is another scenario's matter. */
const acquaint = (link: NetworkLink): void => {
  for (const [from, to] of [
    [link.a, link.b],
    [link.b, link.a],
  ] as const) {
    for (const { address } of to.addresses) if (address.isIpv4) from.stack.arp.setPermanent(from, address, to.mac)
  }
}

/** Runs a scenario from beginning to end. */
export const runScenario = async (scenario: Scenario, options: LabOptions = {}): Promise<LabReport> => {
  const lab = new Lab(scenario, options)
  await scenario.run(lab)
  for (const host of lab.network.hosts.values()) {
    const addresses = host.ip.interfaces.flatMap((iface) => iface.addresses.map(({ address }) => String(address)))
    lab.report.hosts.push({ name: host.name, addresses })
  }
  options.onSeries?.(lab.record().series, lab.drawn)
  lab.network.close()
  return lab.report
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error))
