import { writeFileSync } from 'node:fs'
import { busiest, type ConnectionSeries, seriesCsv } from '../inspect/series.ts'
import { timeSequenceSvg } from '../inspect/time-sequence.ts'
import type { Scenario } from '../lab/scenario.ts'
import { reasonOf } from '../node/capture-file.ts'
import { Failure } from './failure.ts'

/** The files that `--plot` and `--series` ask for. */
export class SeriesFiles {
  private readonly plot: string | undefined
  private readonly series: string | undefined

  /** @throws Failure for a name whose ending says nothing of the format */
  constructor({ plot, series }: { readonly plot?: string; readonly series?: string }) {
    if (plot !== undefined && !plot.endsWith('.svg')) throw new Failure(`--plot ${plot}: name it FILE.svg`)
    if (series !== undefined && !/\.(json|csv)$/.test(series)) {
      throw new Failure(`--series ${series}: name it FILE.json or FILE.csv`)
    }
    this.plot = plot
    this.series = series
  }

  get isWanted(): boolean {
    return this.plot !== undefined || this.series !== undefined
  }

  /** @throws Failure when there is no connection, or a file cannot be written */
  write(all: readonly ConnectionSeries[], drawn: ConnectionSeries | null, { name }: Scenario): void {
    const found = busiest(all, drawn)
    if (found === null) throw new Failure(`${name} has no TCP connection to draw`)
    const { sender, receiver } = found
    if (this.plot !== undefined) {
      const title = `${name}: ${sender.host} ${sender.local} > ${receiver?.host ?? ''} ${sender.remote}`
      save(this.plot, timeSequenceSvg(sender, receiver, title))
    }
    if (this.series === undefined) return
    const isCsv = this.series.endsWith('.csv')
    save(this.series, isCsv ? seriesCsv(sender) : `${JSON.stringify({ version: 1, connections: all })}\n`)
  }
}

const save = (path: string, text: string): void => {
  try {
    writeFileSync(path, text)
  } catch (error) {
    throw new Failure(`cannot write ${path}: ${reasonOf(error)}`)
  }
}
