import { type Micros, SECOND } from '../core/clock.ts'
import { SystemError } from '../core/errno.ts'
import type { Sockaddr } from '../socket/address.ts'
import { SOL_TCP, TCP_INFO } from '../socket/constants.ts'
import type { TcpInfo } from '../tcp/info.ts'
import { callKind } from './call-table.ts'
import { Call, judge, type Outcome, type Programs } from './calls.ts'
import type { Configuration } from './configuration.ts'
import { Mismatch } from './failure.ts'
import { Flow, UNOPENED } from './flow.ts'
import { formatSegment, formatTime } from './format.ts'
import type { LadderStep } from './ladder.ts'
import type { CapturedPacket, CapturedTcp } from './packet.ts'
import { buildPacket, compareOutbound, continues, formatCaptured } from './packet-events.ts'
import { runCode } from './python.ts'
import {
  type EventTime,
  type PacketSpec,
  type Script,
  ScriptError,
  type ScriptEvent,
  type SyscallSpec,
} from './script.ts'
import type { Stage } from './stage.ts'
import { TCP_NAMES } from './tcp-names.ts'

/** Plays a script: waits for each event's time, does it or looks whether it has happened, and says what is amiss. */

/** How long an outbound packet is waited for beyond its time, and a blocking call beyond the next one's. */
const PATIENCE: Micros = 2 * SECOND
const CALL_PATIENCE: Micros = SECOND
/** What every event takes: nothing is ever done in no time, and what comes one after the other has different times. */
const EVENT_TIME: Micros = 10
/** How long anything is waited for that may happen at any time. */
const LONG: Micros = 3600 * SECOND
/** The port of the first peer that connects; later ones have the next. */
const FIRST_PEER_PORT = 40_000

/** An event's time in script time, and that of the event before. */
interface Moment {
  readonly start: Micros
  readonly end: Micros
  /** What a relative time counts from. */
  readonly offset: Micros
}

/** A call that blocks, while later events go on. */
interface BlockedEvent {
  readonly event: ScriptEvent
  readonly call: Call
  readonly began: Micros
  /** When it is to return. */
  readonly end: Micros
  outcome: Outcome | SystemError | Error | null
  ended: Micros
}

/** A step of the run, whose text is made when somebody wants to see it. */
interface Step extends Omit<LadderStep, 'text'> {
  readonly text: () => string
}

export class Runner {
  private readonly script: Script
  private readonly configuration: Configuration
  private readonly stage: Stage
  private readonly programs: Programs
  private readonly flows: Flow[] = []
  /** The flow that the script's packets belong to. */
  private current: Flow | null = null
  private blocked: BlockedEvent | null = null
  private before: { event: ScriptEvent; moment: Moment } | null = null
  private nextPeerPort = FIRST_PEER_PORT
  /** The names that code knows, and what it has given values to. */
  private readonly names = new Map<string, number | string>(Object.entries(TCP_NAMES))
  private readonly steps: Step[] = []
  /** The line that is being played; null before the first. */
  line: number | null = null

  constructor(script: Script, configuration: Configuration, stage: Stage) {
    this.script = script
    this.configuration = configuration
    this.stage = stage
    this.programs = {
      sys: stage.sys,
      configuration,
      descriptors: new Map(),
      epoch: stage.world.clock.epoch + stage.start,
      flowOpened: (protocol, fd) => this.flowOpened(protocol, fd),
      flowAt: (fd) => this.flows.find((flow) => flow.fd === fd) ?? null,
      flowAccepted: (fd, peer) => this.flowAccepted(fd, peer),
    }
  }

  /** What has happened so far. */
  get ladder(): LadderStep[] {
    return this.steps.map((step) => ({ ...step, text: step.text() }))
  }

  /** @throws Mismatch, ScriptError, Unsupported */
  async run(): Promise<void> {
    const { script } = this
    if (script.init !== null) this.command(script.init, script.initLine)
    await this.stage.runUntil(0)
    // What an interface says when it comes up is none of the script's.
    this.stage.link.sent.length = 0
    this.stage.link.onSent = (packet) => this.noteSent(packet)
    for (const event of script.events) {
      this.line = event.line
      const moment = this.momentOf(event)
      await this.event(event, moment)
      await this.stage.runUntil(this.stage.now + EVENT_TIME)
      this.before = { event, moment }
      this.checkBlocked()
    }
    await this.awaitBlocked('the script ends')
    if (script.cleanup !== null) this.command(script.cleanup, script.initLine)
  }

  private async event(event: ScriptEvent, moment: Moment): Promise<void> {
    const { action } = event
    if (action.kind === 'packet' && action.outbound) {
      await this.expectPacket(event, action, moment)
      return
    }
    if (action.kind === 'syscall') await this.awaitBlocked('another call begins')
    await this.stage.runUntil(moment.start)
    this.checkTime(event, moment, this.stage.now, 'the event')
    switch (action.kind) {
      case 'packet':
        this.injectPacket(event, action)
        break
      case 'syscall':
        await this.call(event, action, moment)
        return
      case 'command':
        this.command(action.text, event.line)
        break
      case 'code':
        this.code(event, action.text)
        break
    }
    await this.stage.settle()
  }

  // Time.

  private momentOf({ time, action }: ScriptEvent): Moment {
    const isInbound = action.kind === 'packet' && !action.outbound
    const { before } = this
    const wasInbound = before !== null && before.event.action.kind === 'packet' && !before.event.action.outbound
    if (time.kind === 'absolute' || time.kind === 'absolute-range') {
      return { start: time.start, end: time.end, offset: 0 }
    }
    const offset = isInbound && wasInbound ? before.moment.start : this.stage.now
    return { start: offset + time.start, end: offset + time.end, offset }
  }

  /** Has something happened when it was to? */
  private checkTime(event: ScriptEvent, moment: Moment, actual: Micros, what: string): void {
    if (event.time.kind === 'any') return
    const before = this.before?.moment.start ?? moment.start
    this.checkSpan(event.line, event.time, moment, before, actual, what)
  }

  private checkSpan(line: number, time: EventTime, moment: Moment, before: Micros, actual: Micros, what: string): void {
    const { toleranceMicros, tolerancePercent } = this.configuration
    const tolerance = Math.max(toleranceMicros, ((moment.start - before) * tolerancePercent) / 100)
    const isRange = time.kind === 'absolute-range' || time.kind === 'relative-range'
    const latest = isRange ? moment.end : moment.start
    if (actual >= moment.start - tolerance && actual <= latest + tolerance) return
    const when = isRange ? `${formatTime(moment.start)}~${formatTime(latest)}` : formatTime(moment.start)
    throw new Mismatch(line, `${what} is at ${formatTime(actual)} s, not at ${when} s (± ${formatTime(tolerance)} s)`)
  }

  // Packets.

  /** The flow that a packet of the script belongs to: a listener's next connection, or the flow under test. */
  private flowOf(event: ScriptEvent, packet: PacketSpec): Flow {
    const { current } = this
    const { body, outbound } = packet
    if (body.protocol === 'tcp') {
      if (!outbound && (current === null || current.state === 'listening')) return this.newPassiveFlow(body.seq)
      const isSyn = body.flags.includes('S') && !body.flags.includes('.')
      if (outbound && isSyn && current?.state === 'connecting') {
        current.state = 'syn sent'
        if (current.fd >= 0) current.localPort = this.stage.sys.getsockname(current.fd).port
        current.noteScriptIsn(body.seq)
      }
    }
    if (current === null) throw new ScriptError(event.line, 'the packet belongs to no socket')
    return current
  }

  private newPassiveFlow(seq: number): Flow {
    const { local, remote, bindPort } = this.configuration
    const flow = new Flow('tcp', local, remote)
    flow.state = 'syn received'
    flow.localPort = bindPort
    flow.remotePort = this.nextPeerPort++
    flow.noteRemoteIsn(seq)
    this.flows.push(flow)
    this.current = flow
    return flow
  }

  private injectPacket(event: ScriptEvent, packet: PacketSpec): void {
    const flow = this.flowOf(event, packet)
    const { body } = packet
    if (body.protocol === 'tcp') {
      if (flow.state === 'synack sent' && body.flags.includes('.')) flow.state = 'synack acked'
      else if (flow.state === 'syn sent' && body.flags.includes('S') && body.flags.includes('.')) {
        flow.state = 'syn acked'
        flow.noteRemoteIsn(body.seq)
      }
    }
    this.note('received', () => expectedText(body))
    this.stage.link.deliver(buildPacket(this.stage, this.configuration, flow, packet, event.line))
  }

  private async expectPacket(event: ScriptEvent, packet: PacketSpec, moment: Moment): Promise<void> {
    const flow = this.flowOf(event, packet)
    const { body } = packet
    const wanted = body.protocol === 'tcp' ? body.length : 0
    const isSynAck = body.protocol === 'tcp' && body.flags.includes('S') && body.flags.includes('.')
    if (body.protocol === 'tcp' && isSynAck && flow.state === 'syn received') flow.noteScriptIsn(body.seq)
    const packets: CapturedPacket[] = []
    let length = 0
    do {
      const captured = await this.nextPacket(event, packet, flow, moment)
      if (captured.body.protocol === 'tcp') {
        if (isSynAck && flow.state === 'syn received') {
          flow.state = 'synack sent'
          flow.noteLiveIsn(captured.body.seq)
        }
        const last = packets[packets.length - 1]
        if (last !== undefined && !continues(last.body as CapturedTcp, captured.body)) {
          const actual = formatCaptured(flow.toScript(captured.body), true)
          throw this.mismatch(event, `only ${length} bytes of payload before ${actual}`, expectedText(body), actual)
        }
        length += captured.body.length
      }
      packets.push(captured)
    } while (length < wanted && !this.configuration.strictSegments)
    const { line } = event
    const { expected, actual, faults } = compareOutbound(this.configuration, flow, packet, packets, moment.start, line)
    const at = packets[packets.length - 1]!.time - this.stage.start
    if (faults.length > 0) throw this.mismatch(event, faults.join('; '), expected, `${formatTime(at)} ${actual}`)
    this.checkTime(event, moment, at, 'the packet')
  }

  /** The next packet of the flow that the host sends, or has sent. */
  private async nextPacket(
    event: ScriptEvent,
    packet: PacketSpec,
    flow: Flow,
    moment: Moment,
  ): Promise<CapturedPacket> {
    const { link } = this.stage
    const since = this.before?.moment.start ?? 0
    const limit = this.stage.now + (event.time.kind === 'any' ? LONG : moment.end - since + PATIENCE)
    for (;;) {
      const captured = link.take((one) => flow.owns(one))
      if (captured !== null) return captured
      if (await this.stage.runUntilTrue(() => link.sent.length > 0, limit)) continue
      throw this.mismatch(
        event,
        `nothing was sent until ${formatTime(this.stage.now)} s`,
        expectedText(packet.body),
        null,
      )
    }
  }

  private mismatch(event: ScriptEvent, message: string, expected: string, actual: string | null): Mismatch {
    const last = this.steps.findLastIndex(({ kind }) => kind === 'sent')
    if (actual !== null && last >= 0) this.steps[last] = { ...this.steps[last]!, isWrong: true }
    return new Mismatch(event.line, message, expected, actual)
  }

  private noteSent(packet: CapturedPacket): void {
    const flow = this.current
    const { body } = packet
    this.note('sent', () =>
      body.protocol === 'tcp' && flow !== null
        ? formatCaptured(flow.toScript(body), true)
        : `${body.protocol} to ${packet.destination}`,
    )
  }

  // Flows.

  private flowOpened(protocol: Flow['protocol'], fd: number): void {
    const flow = new Flow(protocol, this.configuration.local, this.configuration.remote)
    flow.fd = fd
    this.flows.push(flow)
    this.current = flow
  }

  private flowAccepted(fd: number, peer: Sockaddr): string | null {
    const flow = this.flows.findLast((one) => one.fd === UNOPENED && one.remotePort === peer.port)
    if (flow === undefined) return `a connection from port ${peer.port}, which the script has not made`
    flow.fd = fd
    return null
  }

  // Calls.

  private async call(event: ScriptEvent, spec: SyscallSpec, moment: Moment): Promise<void> {
    const call = new Call(spec, event.line, this.programs)
    const kind = callKind(spec.name)
    const pending: BlockedEvent = {
      event,
      call,
      began: moment.start,
      end: spec.end === null ? 0 : spec.end + moment.offset,
      outcome: null,
      ended: 0,
    }
    const settle = (outcome: Outcome | Error): void => {
      pending.outcome = outcome
      pending.ended = this.stage.now
    }
    this.note('call', () => spec.text)
    void (async () => kind.run(call))().then(settle, settle)
    await this.stage.settle()
    this.blocked = pending
    if (spec.end !== null) return
    if (!(await this.stage.runUntilTrue(() => pending.outcome !== null, this.stage.now + LONG))) {
      throw new Mismatch(event.line, `${spec.name} does not return`, spec.text)
    }
    this.checkBlocked()
  }

  /** Is the call that was under way over, and was it as the script says? */
  private checkBlocked(): void {
    const { blocked } = this
    if (blocked === null || blocked.outcome === null) return
    this.blocked = null
    const { call, event, outcome } = blocked
    const { spec } = call
    if (outcome instanceof Error && !(outcome instanceof SystemError)) throw outcome
    const fault = judge(call, outcome, callKind(spec.name).opens === true)
    if (fault !== null) throw new Mismatch(event.line, `${spec.name}: ${fault}`, spec.text)
    if (spec.end === null) return
    const moment = { start: blocked.end, end: blocked.end, offset: 0 }
    this.checkSpan(
      event.line,
      { ...event.time, kind: 'absolute' },
      moment,
      blocked.began,
      blocked.ended,
      `${spec.name} returns: that`,
    )
  }

  /** What comes next waits for a call that blocks, but not for long. */
  private async awaitBlocked(what: string): Promise<void> {
    const { blocked } = this
    if (blocked === null) return
    if (await this.stage.runUntilTrue(() => blocked.outcome !== null, this.stage.now + CALL_PATIENCE)) {
      this.checkBlocked()
      return
    }
    const { spec } = blocked.call
    throw new Mismatch(blocked.event.line, `${spec.name} has not returned when ${what}`, spec.text)
  }

  // Commands and code.

  private command(text: string, line: number): void {
    this.note('command', () => text.trim().split('\n')[0]!)
    const status = this.stage.command(text)
    if (status !== 0) throw new Mismatch(line, `the command ends with status ${status}`, text.trim())
  }

  private code(event: ScriptEvent, text: string): void {
    const flow = this.current
    if (flow === null || flow.fd < 0) throw new ScriptError(event.line, 'code needs a socket to look at')
    const info = this.stage.sys.getsockopt(flow.fd, SOL_TCP, TCP_INFO) as TcpInfo
    for (const [name, value] of Object.entries(info)) this.names.set(name, value)
    const failed = runCode(text, this.names)
    if (failed !== null) throw new Mismatch(event.line, failed)
  }

  private note(kind: Step['kind'], text: () => string): void {
    this.steps.push({ time: this.stage.now, kind, text, isWrong: false })
  }
}

/** A packet of the script, as it stands there. */
const expectedText = (body: PacketSpec['body']): string =>
  body.protocol === 'tcp' ? formatSegment(body) : body.protocol === 'udp' ? `udp (${body.length})` : `icmp ${body.type}`
