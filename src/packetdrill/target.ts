import type { Clock, Micros } from '../core/clock.ts'
import { Errno, type ErrnoCode, SystemError } from '../core/errno.ts'
import type { Frame } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { EtherType } from '../wire/ethernet.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import { CALL_NAMES, type PacketdrillCalls } from './calls.ts'
import type { Configuration } from './configuration.ts'
import { ScriptLink } from './link.ts'
import { Unsupported } from './script.ts'
import type { Stage } from './stage.ts'

/** Somebody else's stack on the stage: packets go in and out as bytes, time is what it says. */

/** How the stack under test is to be set up for a script: what `ip address` and `ip route` would be told. */
export interface PacketdrillSetup {
  /** The address of the stack, with its prefix length, and the peer's, which is on the same link. */
  readonly local: string
  readonly prefixLength: number
  readonly remote: string
  readonly mtu: number
  readonly ipVersion: Configuration['ipVersion']
}

/** A stack that is not ours: what a script needs of it. */
export interface PacketdrillTarget {
  /**
   * The link is up: a script begins.
   * @param send to be called with every IP packet that the stack sends: no link header, checksums filled in
   */
  attach(setup: PacketdrillSetup, send: (packet: Uint8Array) => void): void
  /** An IP packet arrives at the stack; the bytes are its own from now on. */
  receive(packet: Uint8Array): void
  /** Its clock, microseconds; never goes back. */
  now(): Micros
  /**
   * Lets the stack live until its clock shows `time`: a simulation sets it forward from one timer to the next, a stack
   * in real time is waited for. With a time that is over, everything is done that is to be done now.
   * @param done to be asked whenever something has happened: true ends the wait
   */
  run(time: Micros, done: () => boolean): Promise<void>
  /**
   * The calls of a program on the stack. What fails throws, or is rejected with, an error whose `code` is the error's
   * name: 'ECONNREFUSED'. A script that needs a call that is not here is unsupported.
   */
  readonly calls: Partial<PacketdrillCalls>
  /** Runs the commands of a script that stand in backquotes. @returns exit status; null for what it does not know */
  command?(text: string): number | null
  /** The script is over. */
  close?(): void
}

export class TargetStage implements Stage {
  readonly world: World
  readonly link: ScriptLink
  readonly sys: PacketdrillCalls
  readonly start: Micros
  private readonly target: PacketdrillTarget

  constructor(target: PacketdrillTarget, configuration: Configuration) {
    this.target = target
    const clock: Clock = { now: () => target.now(), epoch: 0 }
    this.world = new World(clock, new SeededRandom(1))
    this.link = new ScriptLink(this.world.memory, this.world.frames, clock, configuration.mtu)
    this.link.user = { receive: (frame) => this.hand(frame), carrierChanged: () => {} }
    this.sys = callsOf(target.calls)
    const { local, prefixLength, remote, mtu, ipVersion } = configuration
    const setup = { local: `${local}`, prefixLength, remote: `${remote}`, mtu, ipVersion }
    target.attach(setup, (packet) => this.take(packet))
    this.start = target.now()
  }

  /** To the stack. */
  private hand(frame: Frame): void {
    const packet = this.world.memory.u8.slice(frame.start, frame.end)
    this.world.frames.release(frame)
    this.target.receive(packet)
  }

  /** From the stack. */
  private take(packet: Uint8Array): void {
    const frame = packet.length > MAX_PACKET ? null : this.world.frames.allocate(packet.length)
    if (frame === null) return
    this.world.memory.u8.set(packet, frame.start)
    frame.network = frame.start
    frame.end = frame.start + packet.length
    frame.etherType = packet[0]! >>> 4 === 6 ? EtherType.Ipv6 : EtherType.Ipv4
    this.link.send(frame)
  }

  get now(): Micros {
    return this.target.now() - this.start
  }

  async runUntil(time: Micros): Promise<void> {
    await this.target.run(time + this.start, () => false)
  }

  async runUntilTrue(condition: () => boolean, limit: Micros): Promise<boolean> {
    if (!condition()) await this.target.run(limit + this.start, condition)
    return condition()
  }

  async settle(): Promise<void> {
    await this.runUntil(this.now)
  }

  command(text: string): number {
    const status = this.target.command?.(text) ?? null
    if (status === null) throw new Unsupported(`the command ${text.trim().split('\n')[0]}`)
    return status
  }

  close(): void {
    this.target.close?.()
  }
}

/** All calls: those that the stack has, with their errors as ours are, and for the others one that says so. */
const callsOf = (given: Partial<PacketdrillCalls>): PacketdrillCalls => {
  const calls: Record<string, unknown> = {}
  for (const name of CALL_NAMES) {
    const method = given[name] as ((...args: unknown[]) => unknown) | undefined
    calls[name] = (...args: unknown[]): unknown => {
      if (method === undefined) throw new Unsupported(`the stack under test has no ${name}`)
      try {
        const result = method.apply(given, args)
        return result instanceof Promise ? result.catch((error: unknown) => fail(error, name)) : result
      } catch (error) {
        return fail(error, name)
      }
    }
  }
  return calls as unknown as PacketdrillCalls
}

const fail = (error: unknown, name: string): never => {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code === 'string' && code in Errno) throw new SystemError(code as ErrnoCode, name)
  throw error
}
