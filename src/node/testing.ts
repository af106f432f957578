import { Errno } from '../core/errno.ts'
import type { Memory } from '../core/memory.ts'
import type { Surroundings } from './device-error.ts'
import { NetlinkType } from './netlink.ts'
import { type DescriptorWatch, LITTLE_ENDIAN, type Reader, type Syscalls } from './syscalls.ts'

/** The machine that errors speak of in tests: Linux, and an ordinary user. */
export const ORDINARY: Surroundings = { platform: 'linux', uid: 1000, user: 'alice', holder: () => undefined }

/** Where the fake machine's memory begins, for the first time that it is asked. */
export const FIRST_ADDRESS = 0x7000_0000_0000

const TUNSETIFF = 0x4004_54ca
const TUNGETIFF = 0x8004_54d2

/** One end of a watch that the fake kernel was asked for. */
export class FakeWatch implements DescriptorWatch {
  readonly fd: number
  readonly ready: () => void
  readonly reader: Reader | undefined
  /** Where in the memory the event loop reads, as it was told last. */
  at: number
  writable = false
  closed = false

  constructor(fd: number, ready: () => void, reader?: Reader) {
    this.fd = fd
    this.ready = ready
    this.reader = reader
    this.at = reader?.into.byteOffset ?? 0
  }

  setWritable(on: boolean): void {
    this.writable = on
  }

  close(): void {
    this.closed = true
  }
}

/** A kernel with one TUN or TAP device, interface number 7, and rtnetlink. Every call is written down. */
export class FakeKernel implements Syscalls {
  readonly calls: string[] = []
  /** Descriptors that are open, and what they are. */
  readonly descriptors = new Map<number, string>()
  readonly watches: FakeWatch[] = []
  /** What the device gives to read, in order; a number is a negated error. */
  readonly toRead: (Uint8Array | number)[] = []
  /** What was written to the device. */
  readonly written: Uint8Array[] = []
  /** Told of each. */
  onWrite: (() => void) | null = null
  /** What writing gives instead, one for each write; 0 lets it pass. */
  readonly writeResults: number[] = []
  /** Negated errors that calls give, by the name under which they are written down. */
  readonly failures = new Map<string, number>()
  /** Messages that wait at netlink sockets, one array for each. */
  readonly netlink = new Map<number, Uint8Array[]>()
  name = 'ng0'
  up = false
  mtu = 1500
  /** Times that a memory's address was asked for. */
  addressed = 0
  memory: Memory | null = null
  private base = FIRST_ADDRESS
  private next = 10

  private did(call: string): number {
    this.calls.push(call)
    return this.failures.get(call) ?? 0
  }

  private newFd(what: string): number {
    const fd = this.next++
    this.descriptors.set(fd, what)
    return fd
  }

  /** The watch of the device, or of its announcements. */
  watchOf(what: string): FakeWatch {
    return this.watches.find((watch) => this.descriptors.get(watch.fd) === what)!
  }

  /** Says that there is something to read. */
  wake(): void {
    this.watchOf('tun').ready()
  }

  /** Has the event loop read a frame of the device by itself. */
  give(frame: Uint8Array): void {
    const watch = this.watchOf('tun')
    const { reader } = watch
    this.memory!.u8.set(frame, watch.at)
    reader!.took(frame.length)
    watch.at = reader!.into.byteOffset
  }

  /** Announces the interface as it is now. */
  announce(type: number = NetlinkType.NewLink): void {
    const watch = this.watchOf('netlink')
    this.netlink.get(watch.fd)!.push(linkMessage(type, 0, this))
    watch.ready()
  }

  open(path: string): number {
    return this.did(`open ${path}`) || this.newFd('tun')
  }

  close(fd: number): number {
    if (!this.descriptors.delete(fd)) throw new Error(`descriptor ${fd} is not open`)
    return 0
  }

  ioctl(_fd: number, request: number, argument: Uint8Array): number {
    const failure = this.did(
      `ioctl ${request.toString(16)} ${hex(argument.subarray(0, request === TUNSETIFF ? 18 : 4))}`,
    )
    const byNumber = this.failures.get(`ioctl ${request.toString(16)}`) ?? failure
    if (byNumber === 0 && (request === TUNSETIFF || request === TUNGETIFF)) {
      argument.fill(0, 0, 16)
      argument.set(new TextEncoder().encode(this.name))
    }
    return byNumber
  }

  ioctlNumber(_fd: number, request: number, argument: number): number {
    return this.did(`ioctl ${request.toString(16)} ${argument}`)
  }

  read(_fd: number, address: number, length: number): number {
    const next = this.toRead.shift()
    if (next === undefined) return -Errno.EAGAIN
    if (typeof next === 'number') return next
    const given = next.subarray(0, length)
    this.memory!.u8.set(given, address - this.base)
    return given.length
  }

  write(_fd: number, address: number, length: number): number {
    const result = this.writeResults.shift() ?? 0
    if (result < 0) return result
    const at = address - this.base
    this.written.push(this.memory!.u8.slice(at, at + length))
    this.onWrite?.()
    return length
  }

  socket(): number {
    const failure = this.did('socket')
    if (failure < 0) return failure
    const fd = this.newFd('netlink')
    this.netlink.set(fd, [])
    return fd
  }

  bind(): number {
    return this.did('bind')
  }

  setsockopt(_fd: number, level: number, option: number): number {
    return this.did(`setsockopt ${level} ${option}`)
  }

  send(fd: number, bytes: Uint8Array, length: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const type = view.getUint16(4, LITTLE_ENDIAN)
    const failure = this.did(`send ${type} ${hex(bytes.subarray(16))}`)
    const sequence = view.getUint32(8, LITTLE_ENDIAN)
    const error = this.failures.get(`send ${type}`) ?? failure
    const answer =
      error === 0 && type === NetlinkType.GetLink
        ? linkMessage(NetlinkType.NewLink, sequence, this)
        : errorMessage(sequence, error)
    this.netlink.get(fd)!.push(answer)
    return length
  }

  recv(fd: number, into: Uint8Array): number {
    const message = this.netlink.get(fd)!.shift()
    if (message === undefined) return -Errno.EAGAIN
    into.set(message)
    return message.length
  }

  /** Every time another: as if the memory had moved. */
  addressOf(): number {
    this.addressed++
    this.base = FIRST_ADDRESS + this.addressed * 0x1_0000_0000
    return this.base
  }

  watch(fd: number, ready: () => void, reader?: Reader): DescriptorWatch {
    const watch = new FakeWatch(fd, ready, reader)
    this.watches.push(watch)
    return watch
  }
}

/** Bytes as hexadecimal digits. */
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The bytes of hexadecimal digits; blanks are for the eye. */
export const unhex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'))

/** A message as the kernel sends it about an interface. */
export const linkMessage = (
  type: number,
  sequence: number,
  link: { readonly name: string; readonly up: boolean; readonly mtu: number },
): Uint8Array => {
  const bytes = new Uint8Array(16 + 16 + 8 + 4 + 16)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, LITTLE_ENDIAN)
  view.setUint16(4, type, LITTLE_ENDIAN)
  view.setUint32(8, sequence, LITTLE_ENDIAN)
  view.setInt32(20, 7, LITTLE_ENDIAN)
  view.setUint32(24, link.up ? 1 : 0, LITTLE_ENDIAN)
  view.setUint16(32, 8, LITTLE_ENDIAN)
  view.setUint16(34, 4, LITTLE_ENDIAN)
  view.setUint32(36, link.mtu, LITTLE_ENDIAN)
  view.setUint16(40, 4 + link.name.length + 1, LITTLE_ENDIAN)
  view.setUint16(42, 3, LITTLE_ENDIAN)
  bytes.set(new TextEncoder().encode(link.name), 44)
  return bytes
}

/** An acknowledgment, or with a negated error number an error, as the kernel sends it. */
export const errorMessage = (sequence: number, error: number): Uint8Array => {
  const bytes = new Uint8Array(16 + 4 + 16)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, LITTLE_ENDIAN)
  view.setUint16(4, NetlinkType.Error, LITTLE_ENDIAN)
  view.setUint32(8, sequence, LITTLE_ENDIAN)
  view.setInt32(16, error, LITTLE_ENDIAN)
  return bytes
}
