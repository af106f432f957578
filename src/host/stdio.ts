import { Readiness } from '../core/readiness.ts'
import { OpenFile } from '../socket/open-file.ts'
import type { Process } from './process.ts'

/** /dev/null: the standard input of programs. At its end for who reads; what is written to it is gone. */
export class NullDevice extends OpenFile {
  poll(): number {
    return Readiness.In | Readiness.Out
  }

  override get canPoll(): boolean {
    return false
  }

  protected override get signalsChanges(): boolean {
    return false
  }

  override read(): number {
    return 0
  }

  override write(_source: Uint8Array, _at: number, length: number): number {
    return length
  }

  protected release(): void {}
}

/** Standard output or error: what is written becomes lines of the process's output. */
export class ProgramOutput extends OpenFile {
  private readonly process: Process
  private readonly isError: boolean
  private readonly decoder = new TextDecoder()
  private rest = ''

  constructor(process: Process, isError: boolean) {
    super()
    this.process = process
    this.isError = isError
  }

  poll(): number {
    return Readiness.Out
  }

  override write(source: Uint8Array, at: number, length: number): number {
    const lines = (this.rest + this.decoder.decode(source.subarray(at, at + length), { stream: true })).split('\n')
    this.rest = lines.pop() ?? ''
    for (const line of lines) this.process.print(line, this.isError)
    return length
  }

  protected release(): void {
    if (this.rest !== '') this.process.print(this.rest, this.isError)
  }
}
