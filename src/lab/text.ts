import { drawQueues } from '../inspect/queues.ts'
import { ladderLine, ladderWidth, milliseconds } from '../sim/ladder.ts'
import type { DirectionView, LabCheck, LabReport, LabStep } from './report.ts'
import type { Scenario } from './scenario.ts'

/** How a run is written out. */
export interface LabTextOptions {
  /** ASCII only: no arrows, no shades. */
  readonly ascii?: boolean
  /** Columns; 100 unless given. */
  readonly width?: number
}

/** Segments shown of a step; when there are more, the first and the last of them. */
const MOST_SEGMENTS = 24

/** A run as text, for people: step by step, as it goes. */
export class LabText {
  private readonly ascii: boolean
  private readonly width: number

  constructor(options: LabTextOptions = {}) {
    this.ascii = options.ascii ?? false
    this.width = options.width ?? 100
  }

  header(scenario: Scenario, seed: number): string {
    const title = `${scenario.name}: ${scenario.title}`
    const line = (this.ascii ? '=' : '═').repeat(Math.min(this.width, title.length))
    return `${title}\n${line}\n${wrap(scenario.description, this.width)}\nSeed ${seed}. Times are virtual.\n`
  }

  step(step: LabStep, report: LabReport): string {
    const parts = [`\n[${step.number}] ${seconds(step.at)}  ${step.title}\n`]
    parts.push(this.events(step))
    for (const note of step.notes) parts.push(`  ${wrap(note, this.width - 2).replaceAll('\n', '\n  ')}\n`)
    for (const { title, text } of step.figures) parts.push(`\n  ${title}\n${indent(text)}\n`)
    for (const { host, command, text } of step.views) {
      parts.push(`\n  ${host}$ ${command}\n${indent(text)}`)
    }
    if (step.queues.length > 0) parts.push(this.queues(step.queues))
    for (const { host, program, call } of step.waiting) parts.push(`  ${program} on ${host} waits in ${call}\n`)
    return parts.join('') + this.checks(step.checks.map((number) => report.checks[number - 1]!))
  }

  summary(report: LabReport): string {
    const failed = report.checks.filter(({ ok }) => !ok)
    const counted = `${report.checks.length - failed.length} of ${report.checks.length} checks`
    const lines = report.checks.map((check) => this.check(check))
    return `\n${lines.join('')}\n${report.passed ? 'PASS' : 'FAIL'}  ${report.scenario}: ${counted}\n`
  }

  /** What was sent and what the programs said, in the order of time; of many segments the first and the last. */
  private events({ segments, output }: LabStep): string {
    const style = { ascii: this.ascii, width: ladderWidth(segments) }
    const half = MOST_SEGMENTS / 2
    const left = segments.length - MOST_SEGMENTS
    const lines = segments.flatMap((entry, i) => {
      if (left <= 0 || i < half || i >= segments.length - half)
        return { at: entry.at, line: `  ${ladderLine(entry, style)}\n` }
      return i === half ? { at: entry.at, line: `  ${' '.repeat(12)}… and ${left} more …\n` } : []
    })
    for (const { at, host, program, text } of output) {
      lines.push({ at, line: `  ${milliseconds(at)}  ${host}: ${program}: ${text}\n` })
    }
    // Sorting is stable: what a program says stands behind the segments of the same moment.
    return lines
      .sort((a, b) => a.at - b.at)
      .map(({ line }) => line)
      .join('')
  }

  private queues(directions: readonly DirectionView[]): string {
    return `\n${directions
      .map(({ from, to, sends, sendQ, recvQ, delivered, window, cwnd }) => {
        const head = `  ${from} ${this.ascii ? '->' : '→'} ${to}: advertised window ${window}, congestion window ${cwnd}\n`
        return (
          head +
          indent(
            drawQueues({ sends: [...sends], sendQ, recvQ, delivered }, { width: this.width - 4, ascii: this.ascii }),
          )
        )
      })
      .join('')}`
  }

  /** Failed checks are shown where they failed; all of them at the end. */
  private checks(checks: readonly LabCheck[]): string {
    return checks
      .filter(({ ok }) => !ok)
      .map((check) => this.check(check))
      .join('')
  }

  private check({ what, expected, actual, ok }: LabCheck): string {
    if (ok) return `  ok    ${what}: ${plain(actual)}\n`
    return `  FAIL  ${what}: ${plain(actual)}, expected ${plain(expected)}\n`
  }
}

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

const indent = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
    .join('\n')

const seconds = (at: number): string => `${(at / 1e6).toFixed(3)} s`

/** Breaks a text into lines of at most `width`. */
const wrap = (text: string, width: number): string => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}
