import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import type { World } from '../core/world.ts'
import { Capture, type CaptureOptions } from '../link/capture.ts'

/** A capture that goes to a file. When the disk is full the file is removed, and the error kept for whoever closes it. */
export class CaptureFile {
  readonly path: string
  readonly capture: Capture
  private fd: number | null

  /** @throws Error, in one line, when the file cannot be made */
  constructor(world: World, path: string, options: CaptureOptions = {}) {
    this.path = path
    try {
      this.fd = openSync(path, 'w')
    } catch (error) {
      throw new Error(`cannot write the capture to ${path}: ${reasonOf(error)}`)
    }
    this.capture = new Capture(
      world,
      (chunk) => {
        for (let at = 0; at < chunk.length; ) at += writeSync(this.fd!, chunk, at)
      },
      options,
    )
  }

  /**
   * Ends the capture.
   * @throws Error, in one line, when it could not be written whole; then nothing of it is left
   */
  close(): void {
    if (this.fd === null) return
    this.capture.close()
    closeSync(this.fd)
    this.fd = null
    const { error } = this.capture
    if (error === null) return
    unlinkSync(this.path)
    throw new Error(`the capture could not be written to ${this.path}, and was removed: ${reasonOf(error)}`)
  }
}

/** What the operating system said of an error, without the call and the path. */
const reasonOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  return /^[A-Z]+: ([^,]+)/.exec(message)?.[1] ?? message
}
