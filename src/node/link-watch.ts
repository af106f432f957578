import { Errno } from '../core/errno.ts'
import { KernelLinks, openNetlink } from './ifconfig.ts'
import { type LinkState, NetlinkType, parseLink, parseMessages, RTMGRP_LINK } from './netlink.ts'
import { type DescriptorWatch, SOCK_NONBLOCK, type Syscalls } from './syscalls.ts'

export type { LinkState } from './netlink.ts'

/** The kernel sends at most this much in one piece. */
const BUFFER = 0x4000

/** Tells when one of the kernel's interfaces changes, from the announcements of rtnetlink. */
export class LinkWatch {
  private readonly syscalls: Syscalls
  private readonly fd: number
  private readonly buffer = new Uint8Array(BUFFER)
  private watch: DescriptorWatch | null = null
  private closed = false
  private index = 0
  private changed: ((state: LinkState | null) => void) | null = null

  /** Announcements are collected from now on. */
  constructor(syscalls: Syscalls) {
    this.syscalls = syscalls
    this.fd = openNetlink(syscalls, SOCK_NONBLOCK, RTMGRP_LINK)
  }

  /**
   * Begins to tell of the interface with this index.
   * @param changed gets its state, or null when it is gone from this network namespace
   */
  listen(index: number, changed: (state: LinkState | null) => void): void {
    this.index = index
    this.changed = changed
    this.watch = this.syscalls.watch(this.fd, () => this.read())
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.watch?.close()
    this.syscalls.close(this.fd)
  }

  private read(): void {
    while (!this.closed) {
      const length = this.syscalls.recv(this.fd, this.buffer, 0)
      if (length === -Errno.EINTR) continue
      if (length === -Errno.ENOBUFS) this.ask()
      else if (length <= 0) return
      else this.take(length)
    }
  }

  private take(length: number): void {
    for (const message of parseMessages(this.buffer.slice(0, length))) {
      if (message.type !== NetlinkType.NewLink && message.type !== NetlinkType.DeleteLink) continue
      const state = parseLink(message)
      if (this.closed || state === undefined || state.index !== this.index) continue
      this.changed?.(message.type === NetlinkType.NewLink ? state : null)
    }
  }

  /** Announcements were lost, for want of room: asks how things stand. */
  private ask(): void {
    let state: LinkState | null
    try {
      const links = new KernelLinks(this.syscalls)
      state = links.find(this.index) ?? null
      links.close()
    } catch {
      // No descriptor is left: the next announcement tells.
      return
    }
    this.changed?.(state)
  }
}
