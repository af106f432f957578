import type { Micros } from '../core/clock.ts'
import type { World } from '../core/world.ts'
import type { PacketdrillCalls } from './calls.ts'
import type { ScriptLink } from './link.ts'

/** What a script is played on: a stack under test, the link that ends in the script, and time. */
export interface Stage {
  /** Where packets are built and read; of a host under test, the one that it lives in. */
  readonly world: World
  readonly link: ScriptLink
  /** The calls of the program that the script plays. */
  readonly sys: PacketdrillCalls
  /** World time at which the script's time is 0. */
  readonly start: Micros
  /** Script time. */
  readonly now: Micros
  /** Lets everything happen up to a script time. */
  runUntil(time: Micros): Promise<void>
  /** Lets everything happen until `condition` holds, or up to a script time. @returns whether it held */
  runUntilTrue(condition: () => boolean, limit: Micros): Promise<boolean>
  /** Lets programs go on, and everything happen that is to happen now. */
  settle(): Promise<void>
  /**
   * Runs commands of the script.
   * @returns the last one's exit status
   * @throws Unsupported for those that are not known
   */
  command(text: string): number
  /** Takes down what the script has set up. */
  close(): void
}
