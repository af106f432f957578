import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastPath } from '../../core/fast-paths.ts'
import { Failure } from '../failure.ts'
import type { BenchCase } from './cases.ts'

/** One side of a case, ours or the kernel's, in a process of its own that lives from run to run. */
class Side {
  private readonly process: ChildProcess
  private readonly what: string

  constructor(name: string, side: 'ours' | 'kernel', without: readonly FastPath[]) {
    this.what = `${name}, ${side}`
    const program = fileURLToPath(new URL(`./side-process${extname(import.meta.url)}`, import.meta.url))
    this.process = fork(program, [name, side, ...without])
  }

  /** Runs it once. @returns its figure; a rejection when the process ends in place of telling one */
  run(): Promise<number> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null): void =>
        reject(new Failure(`${this.what}: the process that measures has ended${code === null ? '' : ` with ${code}`}`))
      this.process.once('exit', ended)
      this.process.once('message', (figure) => {
        this.process.off('exit', ended)
        resolve(Number(figure))
      })
      this.process.send('run')
    })
  }

  close(): void {
    this.process.kill()
  }
}

/**
 * Gives each side of a case that stands beside the kernel a process of its own, so that what the one leaves to the garbage
 * collector, or has V8 learn, is not the other's; turn by turn all the same. A case that stands alone stays here.
 */
export const apart = (testCase: BenchCase, without: readonly FastPath[]): { testCase: BenchCase; close(): void } => {
  if (testCase.kernel === null) return { testCase, close() {} }
  const ours = new Side(testCase.name, 'ours', without)
  const kernel = new Side(testCase.name, 'kernel', without)
  return {
    testCase: { ...testCase, ours: () => ours.run(), kernel: () => kernel.run() },
    close() {
      ours.close()
      kernel.close()
    },
  }
}
