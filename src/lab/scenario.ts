import type { Lab } from './lab.ts'

/** One row of the catalogue, as a program: what is set up, what is done, where to stop and look, and what must hold. */
export interface Scenario {
  /** The row's name: `three-queues`. */
  readonly name: string
  /** The catalogue's section: A to Q. */
  readonly group: string
  /** One line. */
  readonly title: string
  /** What to look for, in a few sentences. */
  readonly description: string
  run(lab: Lab): Promise<void>
}

/** The sections' titles. */
export const GROUPS: Readonly<Record<string, string>> = {
  A: 'What a socket is',
  B: 'Addresses and names',
  C: 'The life of a TCP connection',
  D: 'Queues and flow control',
  E: 'The TCP engine',
  F: 'The unplugged wire',
  G: 'Who gets the packet',
  H: 'UDP',
  I: 'Waiting',
  J: 'Servers',
  K: 'Small services',
  L: 'Below',
  M: 'Looking in',
  N: 'Settings',
}
