import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import * as C from '../socket/constants.ts'
import { OpenFile } from '../socket/open-file.ts'

/** A file of the host's (`Host.files`), opened to be read. */
export class RegularFile extends OpenFile {
  readonly content: Uint8Array
  /** Where the next read begins. */
  position = 0

  constructor(content: Uint8Array) {
    super()
    this.content = content
  }

  override get access(): number {
    return C.O_RDONLY
  }

  poll(): number {
    return Readiness.In | Readiness.Out
  }

  override get canPoll(): boolean {
    return false
  }

  override read(target: Uint8Array, at: number, length: number): number {
    const part = this.content.subarray(this.position, this.position + length)
    target.set(part, at)
    this.position += part.length
    return part.length
  }

  override write(): number {
    return -Errno.EBADF
  }

  protected release(): void {}
}
