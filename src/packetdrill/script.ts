import type { Micros } from '../core/clock.ts'

/** What a packetdrill script says, as plain data: what the parser gives and the runner takes. */

/** What a script needs and this implementation lacks; such a script counts as unsupported, never as passed. */
export class Unsupported extends Error {}

/** A script that makes no sense: why, in one line, of which what is quoted from the script shows the beginning. */
export class ScriptError extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message.replace(/\s*\n.*/s, ' …'))
    this.line = line
  }
}

/**
 * When an event happens, in microseconds: since the script began, since the event before (`+`), at any time (`*`), or
 * within a range of either.
 */
export interface EventTime {
  readonly kind: 'absolute' | 'relative' | 'any' | 'absolute-range' | 'relative-range'
  readonly start: Micros
  readonly end: Micros
}

export interface ScriptEvent {
  /** Line of the script, from 1. */
  readonly line: number
  readonly time: EventTime
  readonly action: Action
}

export type Action = PacketSpec | SyscallSpec | { readonly kind: 'command'; readonly text: string } | CodeSpec

/** Assertions on TCP_INFO, in a subset of Python. */
export interface CodeSpec {
  readonly kind: 'code'
  readonly text: string
}

/** `--name=value` at the head of a script. */
export interface ScriptFlag {
  readonly name: string
  readonly value: string | null
}

export interface Script {
  readonly flags: readonly ScriptFlag[]
  /** Shell commands before the first event, and after the last. */
  readonly init: string | null
  readonly initLine: number
  readonly cleanup: string | null
  readonly events: readonly ScriptEvent[]
}

/** What is said of the IP header. */
export interface IpSpec {
  /** The ECN field; 'ect01' is either of ECT(0) and ECT(1). */
  readonly ecn: 'noecn' | 'ect0' | 'ect1' | 'ce' | 'ect01' | null
  readonly tos: number | null
  readonly ttl: number | null
  readonly flowLabel: number | null
}

/** A packet: one that arrives (`<`), or one that has to leave (`>`). */
export interface PacketSpec {
  readonly kind: 'packet'
  readonly outbound: boolean
  readonly ip: IpSpec
  readonly body: TcpSpec | UdpSpec | IcmpSpec
}

export interface TcpSpec {
  readonly protocol: 'tcp'
  /** Source and destination ports, where the script names them. */
  readonly ports: readonly [number, number] | null
  /** Of `SFRPUEWA` and `.`. */
  readonly flags: string
  readonly seq: number
  /** Bytes of payload. */
  readonly length: number
  readonly ack: number | null
  /** The header's field; null when it does not matter. */
  readonly window: number | null
  readonly urgent: number
  /** Null when they do not matter: `<...>`. */
  readonly options: readonly TcpOptionSpec[] | null
}

/** 'unknown' stands for what only live segments have: the kind as its value, the rest as blob. */
export type TcpOptionName =
  | 'nop'
  | 'eol'
  | 'mss'
  | 'wscale'
  | 'sackOK'
  | 'sack'
  | 'TS'
  | 'md5'
  | 'FO'
  | 'FOEXP'
  | 'unknown'

export interface TcpOptionSpec {
  readonly name: TcpOptionName
  /** The MSS, the shift, value and echo, or the blocks' edges. */
  readonly values: readonly number[]
  /** A cookie or digest. */
  readonly blob: Uint8Array | null
}

export interface UdpSpec {
  readonly protocol: 'udp'
  readonly ports: readonly [number, number] | null
  /** Bytes of payload. */
  readonly length: number
}

export interface IcmpSpec {
  readonly protocol: 'icmp'
  readonly type: string
  readonly code: string | null
  readonly mtu: number
  readonly id: number
  /** What the message quotes. */
  readonly quoted: { readonly protocol: 'tcp' | 'udp' | 'raw'; readonly seq: number; readonly length: number }
}

/** A system call with what it is to give. */
export interface SyscallSpec {
  readonly kind: 'syscall'
  readonly name: string
  readonly args: readonly Expression[]
  readonly result: Expression
  /** The error's name, for results of -1. */
  readonly errno: string | null
  /** When a call that blocks returns; null for those that do not block. */
  readonly end: Micros | null
  /** The call as written, for reports. */
  readonly text: string
}

export type Expression =
  | { readonly kind: 'ellipsis' }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'word'; readonly name: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'or'; readonly terms: readonly Expression[] }
  | { readonly kind: 'array'; readonly items: readonly Expression[] }
  | { readonly kind: 'call'; readonly name: string; readonly argument: Expression }
  | { readonly kind: 'structure'; readonly fields: readonly Field[] }

/** A member of a structure: `name=value`, `name(size)=value`, or a value alone. */
export interface Field {
  readonly name: string | null
  readonly size: Expression | null
  readonly value: Expression
}

/** The member of this name; undefined when there is none. */
export const fieldOf = (structure: Expression, name: string): Expression | undefined =>
  structure.kind === 'structure' ? structure.fields.find((field) => field.name === name)?.value : undefined
