import { closeSync, fstatSync, openSync, unlinkSync, writeSync } from 'node:fs'
import type { World } from '../core/world.ts'
import { Capture, type CaptureOptions } from '../link/capture.ts'

/** A file for a capture. When it cannot be written it is removed, and the error kept for whoever closes it. */
export class CaptureSink {
  private readonly path: string
  private readonly onError: ((error: Error) => void) | undefined
  private fd: number | null
  private failure: Error | null = null

  /**
   * @param onError told once, in one line, when the file cannot be written any more, such as when the disk is full
   * @throws Error, in one line, when the file cannot be made
   */
  constructor(path: string, onError?: (error: Error) => void) {
    this.path = path
    this.onError = onError
    try {
      this.fd = openSync(path, 'w')
    } catch (error) {
      throw new Error(`cannot write the capture to ${path}: ${reasonOf(error)}`)
    }
  }

  get isOpen(): boolean {
    return this.fd !== null
  }

  /** Writes all of `chunk`; nothing any more once that has failed. @returns whether it was written */
  write(chunk: Uint8Array): boolean {
    if (this.fd === null) return false
    try {
      // The operating system may take a part only.
      for (let at = 0; at < chunk.length; ) at += writeSync(this.fd, chunk, at)
      return true
    } catch (error) {
      const failure = this.fail(this.fd, error)
      this.onError?.(failure)
      return false
    }
  }

  /** @throws Error, in one line, when something could not be written */
  check(): void {
    if (this.failure !== null) throw this.failure
  }

  /** @throws Error, in one line, when it could not be written whole; then nothing of it is left */
  close(): void {
    if (this.fd !== null) closeSync(this.fd)
    this.fd = null
    this.check()
  }

  /** Closes the file and removes it, unless it is a device or a pipe. @returns why */
  private fail(fd: number, error: unknown): Error {
    const isFile = fstatSync(fd).isFile()
    closeSync(fd)
    this.fd = null
    if (isFile) unlinkSync(this.path)
    const fate = isFile ? ', and was removed' : ''
    this.failure = new Error(`the capture could not be written to ${this.path}${fate}: ${reasonOf(error)}`)
    return this.failure
  }
}

/** A capture that goes to a file, which is gone when it cannot be written whole. */
export class CaptureFile {
  readonly path: string
  readonly capture: Capture
  private readonly sink: CaptureSink

  /** As those of `CaptureSink`. */
  constructor(world: World, path: string, options: CaptureOptions = {}, onError?: (error: Error) => void) {
    this.path = path
    this.sink = new CaptureSink(path, onError)
    const write = (chunk: Uint8Array): void => {
      if (!this.sink.write(chunk)) this.sink.check()
    }
    this.capture = new Capture(world, write, options)
  }

  /**
   * Hands everything that has been captured to the operating system.
   * @throws Error, in one line, when it does not take it
   */
  flush(): void {
    if (this.sink.isOpen) this.capture.writer.flush()
    this.sink.check()
  }

  /**
   * Ends the capture.
   * @throws Error, in one line, when it could not be written whole; then nothing of it is left
   */
  close(): void {
    if (this.sink.isOpen) this.capture.close()
    // The last of it may have failed.
    this.sink.close()
  }
}

/** What the operating system said of an error, without the call and the path. */
export const reasonOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  return /^[A-Z]+: ([^,]+)/.exec(message)?.[1] ?? message
}
