import { Errno } from '../core/errno.ts'
import type { OpenFile } from '../socket/open-file.ts'

/** The descriptors of a process: small numbers, each a handle on an open file. */
export class FileTable {
  /** RLIMIT_NOFILE: descriptors are below it. */
  limit: number
  private readonly slots: (OpenFile | null)[] = []
  private readonly closeOnExec = new Set<number>()
  /** No number below it is free. */
  private lowest = 0
  private open = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Descriptors in use. */
  get size(): number {
    return this.open
  }

  /** What a descriptor refers to; null for a number that is none. */
  get(fd: number): OpenFile | null {
    return this.slots[fd] ?? null
  }

  /** Gives `file` the lowest free number from `from` on. @returns it, or -EMFILE */
  add(file: OpenFile, from = 0, closeOnExec = false): number {
    let fd = Math.max(from, this.lowest)
    while (fd < this.slots.length && this.slots[fd] !== null) fd++
    if (fd >= this.limit) return -Errno.EMFILE
    if (from <= this.lowest) this.lowest = fd + 1
    this.put(fd, file, closeOnExec)
    return fd
  }

  /** Gives `file` the number `fd`, which is free. */
  put(fd: number, file: OpenFile, closeOnExec: boolean): void {
    while (this.slots.length <= fd) this.slots.push(null)
    this.slots[fd] = file
    this.open++
    file.retain()
    if (closeOnExec) this.closeOnExec.add(fd)
  }

  /** Frees a number. @returns the file, whose reference is the caller's now; null for a number that is none */
  take(fd: number): OpenFile | null {
    const file = this.slots[fd] ?? null
    if (file === null) return null
    this.slots[fd] = null
    this.open--
    this.closeOnExec.delete(fd)
    if (fd < this.lowest) this.lowest = fd
    return file
  }

  isCloseOnExec(fd: number): boolean {
    return this.closeOnExec.has(fd)
  }

  setCloseOnExec(fd: number, value: boolean): void {
    if (value) this.closeOnExec.add(fd)
    else this.closeOnExec.delete(fd)
  }

  /** The numbers in use, in order. */
  *numbers(): Iterable<number> {
    for (let fd = 0; fd < this.slots.length; fd++) if (this.slots[fd] !== null) yield fd
  }

  /** The same numbers for the same files, in another table: what fork(2) does. */
  copy(): FileTable {
    const copy = new FileTable(this.limit)
    for (const fd of this.numbers()) copy.put(fd, this.slots[fd]!, this.closeOnExec.has(fd))
    copy.lowest = this.lowest
    return copy
  }

  /** Is there room for one more? */
  get hasRoom(): boolean {
    return this.open < this.limit
  }
}
