import { closeSync, fstatSync, openSync, unlinkSync, writeSync } from 'node:fs'
import type { World } from '../core/world.ts'
import { Capture, type CaptureOptions } from '../link/capture.ts'

/** A capture that goes to a file. When it cannot be written, the file is removed, and the error kept for whoever closes it. */
export class CaptureFile {
  readonly path: string
  readonly capture: Capture
  private fd: number | null
  private failure: Error | null = null

  /**
   * @param onError told once, in one line, when the file cannot be written any more, such as when the disk is full
   * @throws Error, in one line, when the file cannot be made
   */
  constructor(world: World, path: string, options: CaptureOptions = {}, onError?: (error: Error) => void) {
    this.path = path
    try {
      this.fd = openSync(path, 'w')
    } catch (error) {
      throw new Error(`cannot write the capture to ${path}: ${reasonOf(error)}`)
    }
    this.capture = new Capture(
      world,
      (chunk) => {
        try {
          for (let at = 0; at < chunk.length; ) at += writeSync(this.fd!, chunk, at)
        } catch (error) {
          this.fail(error)
          onError?.(this.failure!)
          throw error
        }
      },
      options,
    )
  }

  /** Hands everything that has been captured to the operating system. @throws Error, in one line, when it does not take it */
  flush(): void {
    if (this.fd !== null) this.capture.writer.flush()
    if (this.failure !== null) throw this.failure
  }

  /**
   * Ends the capture.
   * @throws Error, in one line, when it could not be written whole; then nothing of it is left
   */
  close(): void {
    if (this.fd !== null) {
      this.capture.close()
      // The last of it may have failed.
      if (this.fd !== null) closeSync(this.fd)
      this.fd = null
    }
    if (this.failure !== null) throw this.failure
  }

  /** Closes the file and removes it, unless it is a device or a pipe. */
  private fail(error: unknown): void {
    const isFile = fstatSync(this.fd!).isFile()
    closeSync(this.fd!)
    this.fd = null
    if (isFile) unlinkSync(this.path)
    const fate = isFile ? ', and was removed' : ''
    this.failure = new Error(`the capture could not be written to ${this.path}${fate}: ${reasonOf(error)}`)
  }
}

/** What the operating system said of an error, without the call and the path. */
export const reasonOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  return /^[A-Z]+: ([^,]+)/.exec(message)?.[1] ?? message
}
