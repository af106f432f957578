import type { Micros } from '../core/clock.ts'
import { formatTime } from './format.ts'

/** The exchange of a run as a ladder: the program on the left, the host's segments between, the peer on the right. */

/** A step of a run. */
export interface LadderStep {
  /** Script time. */
  readonly time: Micros
  readonly kind: 'sent' | 'received' | 'call' | 'command'
  readonly text: string
  /** Is it the step that is not as the script says? */
  readonly isWrong: boolean
}

const ARROWS = { sent: '--->', received: '<---', call: '    ', command: '    ' } as const

/** One line a step, the wrong ones marked with `!`. Segments stand to the right of the calls. */
export const formatLadder = (steps: readonly LadderStep[]): string =>
  steps
    .map(
      ({ time, kind, text, isWrong }) =>
        `${isWrong ? '!' : ' '} ${formatTime(time).padStart(11)}  ${ARROWS[kind]} ${text}`,
    )
    .join('\n')
