import type { Profiler } from 'node:inspector'
import { Session } from 'node:inspector'
import { relative } from 'node:path'

const SOURCES = new URL('../../src/', import.meta.url).pathname

/**
 * Counts operations in place of seconds, so that what a busy machine does counts nothing: how often each block of our
 * code, as V8's precise coverage knows blocks, is run.
 */
export class OperationCounter {
  private readonly session = new Session()

  constructor() {
    this.session.connect()
    this.post('Profiler.enable')
    this.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Blocks of code that `body` runs. */
  count(body: () => void): number {
    this.take()
    body()
    let operations = 0
    for (const { functions } of this.take()) {
      for (const { ranges } of functions) for (const { count } of ranges) operations += count
    }
    return operations
  }

  close(): void {
    this.post('Profiler.stopPreciseCoverage')
    this.session.disconnect()
  }

  private take(): Profiler.ScriptCoverage[] {
    const { result } = this.post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType
    return result.filter(({ url }) => !relative(SOURCES, url.replace(/^file:\/\//, '')).startsWith('..'))
  }

  /** Sends a command to the inspector of this thread, which answers at once. */
  private post(method: string, parameters: object = {}): unknown {
    let answer: unknown
    this.session.post(method, parameters, (error: Error | null, result?: unknown) => {
      if (error !== null) throw error
      answer = result
    })
    return answer
  }
}
