import type { Micros } from '../core/clock.ts'
import { SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import type { Sockaddr } from '../socket/address.ts'
import { AF_INET, AF_INET6, AF_UNSPEC } from '../socket/constants.ts'
import type { Configuration } from './configuration.ts'
import type { Flow } from './flow.ts'
import { type Expression, ScriptError, type SyscallSpec, Unsupported } from './script.ts'
import { constant, isEllipsis, numberOf } from './values.ts'

/** System calls: what each kind of call shares. */

/** What a call has given: its result, and what beside that is not as the script says. */
export interface Outcome {
  readonly result: number
  /** Wrong values in what the call fills in, in words; null when there are none. */
  readonly fault: string | null
}

/** The calls that scripts make, as our own hosts have them: names, arguments and errors are POSIX's. */
export type PacketdrillCalls = Pick<Sys, (typeof CALL_NAMES)[number]>

export const CALL_NAMES = [
  ...(['socket', 'bind', 'listen', 'accept4', 'connect', 'getsockname', 'shutdown', 'close'] as const),
  ...(['read', 'readv', 'recv', 'recvfrom', 'recvmsg', 'write', 'writev', 'send', 'sendto', 'sendmsg'] as const),
  ...(['fcntl', 'ioctl', 'setsockopt', 'getsockopt', 'poll'] as const),
  ...(['epoll_create1', 'epoll_ctl', 'epoll_wait', 'pipe', 'open', 'sendfile', 'splice'] as const),
] as const

/** What calls know of the run. */
export interface Programs {
  readonly sys: PacketdrillCalls
  readonly configuration: Configuration
  /** Live descriptors by the script's. */
  readonly descriptors: Map<number, number>
  /** The time of day when the script's time is 0, microseconds since 1970. */
  readonly epoch: Micros
  /** socket(2) has made a socket: later packets are of this flow. */
  flowOpened(protocol: Flow['protocol'], fd: number): void
  /** The flow of a socket; null when there is none. */
  flowAt(fd: number): Flow | null
  /** A connection was accepted. @returns what is wrong, in words; null when nothing is */
  flowAccepted(fd: number, peer: Sockaddr): string | null
}

/** A call as it is made. */
export class Call {
  readonly spec: SyscallSpec
  readonly line: number
  readonly programs: Programs

  constructor(spec: SyscallSpec, line: number, programs: Programs) {
    this.spec = spec
    this.line = line
    this.programs = programs
  }

  get sys(): PacketdrillCalls {
    return this.programs.sys
  }

  /** What the script says that the call returns. */
  get expected(): number {
    return numberOf(this.spec.result)
  }

  /** An argument. @throws ScriptError when there are fewer */
  arg(index: number): Expression {
    const argument = this.spec.args[index]
    if (argument === undefined) throw new ScriptError(this.line, `${this.spec.name} needs ${index + 1} arguments`)
    return argument
  }

  number(index: number): number {
    return numberOf(this.arg(index))
  }

  /** Is an argument left out? */
  isMissing(index: number): boolean {
    return this.spec.args[index] === undefined
  }

  /** The live descriptor that an argument names; what the script has not opened is passed on as it is. */
  fd(index: number): number {
    const script = this.number(index)
    return this.programs.descriptors.get(script) ?? script
  }

  /** An address argument: `...` is that of the run, a number the family alone, a structure itself. */
  address(index: number, side: 'local' | 'remote'): Sockaddr {
    const argument = this.arg(index)
    if (isEllipsis(argument)) return runAddress(this.programs.configuration, side)
    if (argument.kind === 'structure') return structureAddress(argument)
    const family = numberOf(argument)
    if (family !== AF_UNSPEC) throw new Unsupported(`an address of family ${family}`)
    return { family }
  }
}

/** The address of either side, as the sockets of the run have it. */
export const runAddress = (configuration: Configuration, side: 'local' | 'remote'): Sockaddr => {
  const { ipVersion, bindPort, connectPort } = configuration
  const address = configuration[side].toString()
  const isMapped = ipVersion === 'ipv4-mapped-ipv6'
  return {
    family: ipVersion === 'ipv4' ? AF_INET : AF_INET6,
    address: isMapped ? `::ffff:${address}` : address,
    port: side === 'local' ? bindPort : connectPort,
  }
}

const structureAddress = (structure: Extract<Expression, { kind: 'structure' }>): Sockaddr => {
  const address: Sockaddr = {}
  for (const { name, value } of structure.fields) {
    if (name === 'sa_family' || name === 'sin_family' || name === 'sin6_family') address.family = numberOf(value)
    else if (name === 'sin_port' || name === 'sin6_port') address.port = numberOf(value)
    else if ((name === 'sin_addr' || name === 'sin6_addr') && value.kind === 'call') {
      if (value.argument.kind === 'string') address.address = value.argument.value
    } else throw new Unsupported(`the member ${name} of an address`)
  }
  return address
}

/** The result alone. */
export const plain = (result: number): Outcome => ({ result, fault: null })

/** What a call came to, beside what was expected. @returns null when they agree, else the difference in words */
export const judge = (call: Call, outcome: Outcome | SystemError, isDescriptor: boolean): string | null => {
  const { expected, spec } = call
  const isError = outcome instanceof SystemError
  const result = isError ? -1 : outcome.result
  const came = isError ? `-1 ${outcome.code}` : String(result)
  const wanted = spec.errno === null ? String(expected) : `${expected} ${spec.errno}`
  const agrees = isDescriptor && expected >= 0 ? result >= 0 : result === (expected | 0) || result === expected
  if (!agrees) return `returns ${wanted} expected, ${came} came`
  if (spec.errno !== null) {
    const errno = isError ? outcome.errno : 0
    if (-errno !== constant(spec.errno)) return `returns ${wanted} expected, ${came} came`
  }
  return isError ? null : outcome.fault
}
