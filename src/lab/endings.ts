import type { Process } from '../host/process.ts'
import { signalName } from '../host/signals.ts'
import type { Lab } from './lab.ts'
import { table } from './table.ts'

/** What is left when everything has happened: who has printed what last, and when, and what has become of it. */

/** The last line that a program printed of its own; '' when there is none. */
export const lastLine = (process: Process): string => process.output.findLast(({ isError }) => !isError)?.text ?? ''

/** When a program printed its last line, seconds of virtual time with a millisecond's precision; -1 for never. */
export const lastLineAt = (process: Process): number => {
  const line = process.output.findLast(({ isError }) => !isError)
  return line === undefined ? -1 : Math.round(line.at / 1000) / 1000
}

/** What a program is doing: `waits in recv`, `has ended`, `ended by SIGKILL`. */
export const fate = (lab: Lab, process: Process): string => {
  if (lab.isDark(process.host)) return 'lost with its host'
  if (process.endedBy !== 0) return `ended by ${signalName(process.endedBy)}`
  if (!process.isAlive) return 'has ended'
  const call = lab.waitsIn(process)
  return call === '' ? 'runs' : `waits in ${call}`
}

/** Shows at the next step what each program printed last, when, and what has become of it. */
export const showEndings = (lab: Lab, processes: readonly Process[]): void => {
  const rows = processes.map((process) => [
    `${process.name} on ${process.host.name}`,
    lastLine(process) === '' ? '(nothing)' : lastLine(process),
    lastLineAt(process) < 0 ? '-' : `${lastLineAt(process).toFixed(3)} s`,
    fate(lab, process),
  ])
  lab.figure('The last line of each program', table([['program', 'last line', 'printed at', 'now'], ...rows]))
}
