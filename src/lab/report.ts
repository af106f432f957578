import type { Micros } from '../core/clock.ts'
import type { EndpointSnapshot } from '../inspect/snapshot-types.ts'
import type { LadderEntry } from '../sim/ladder.ts'

/** What a scenario has shown and checked, as plain data: what `--json` prints, and what the text is made from. */
export interface LabReport {
  readonly version: 1
  readonly scenario: string
  readonly group: string
  readonly title: string
  readonly description: string
  readonly seed: number
  readonly personality: string
  /** Settings given with `--set`. */
  readonly settings: Readonly<Record<string, string>>
  readonly hosts: { name: string; addresses: string[] }[]
  readonly steps: LabStep[]
  readonly checks: LabCheck[]
  passed: boolean
}

/** One stop of a scenario. */
export interface LabStep {
  readonly number: number
  /** Virtual time, microseconds. */
  readonly at: Micros
  readonly title: string
  /** Segments that left since the step before. */
  readonly segments: LadderEntry[]
  /** Lines that programs printed since then. */
  readonly output: { at: Micros; host: string; program: string; text: string }[]
  /** What tools print now on the hosts. */
  readonly views: { host: string; command: string; text: string }[]
  /** The sockets of the hosts that are shown: what netstat prints of them, as numbers. */
  readonly sockets: LabSocket[]
  /** The three queues of each direction that is watched. */
  readonly queues: DirectionView[]
  /** Calls that wait, and for what. */
  readonly waiting: { host: string; program: string; call: string }[]
  readonly notes: string[]
  readonly figures: LabFigure[]
  /** Numbers of the checks made at this step. */
  readonly checks: number[]
}

/** A socket, or what is left of a connection, as netstat shows it. */
export interface LabSocket {
  readonly host: string
  readonly protocol: 'tcp' | 'udp'
  readonly family: 4 | 6
  /** As netstat writes it: `ESTABLISHED`. */
  readonly state: string
  /** Recv-Q and Send-Q, bytes; of a listener the accept queue's length, and 0. */
  readonly recvQ: number
  readonly sendQ: number
  readonly local: EndpointSnapshot
  readonly remote: EndpointSnapshot
}

/** One direction of a connection, in bytes of data. */
export interface DirectionView {
  readonly from: string
  readonly to: string
  /** What each send call was given, in order. */
  readonly sends: readonly number[]
  /** Handed over and not acknowledged; arrived and not read; read. */
  readonly sendQ: number
  readonly recvQ: number
  readonly delivered: number
  /** The advertised window as the sender knows it, and the congestion window, bytes. */
  readonly window: number
  readonly cwnd: number
}

/** Something drawn, as lines of text. */
export interface LabFigure {
  readonly title: string
  readonly text: string
}

export interface LabCheck {
  readonly number: number
  readonly what: string
  readonly expected: unknown
  readonly actual: unknown
  readonly ok: boolean
}
