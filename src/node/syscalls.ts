import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import type { KoffiFunc } from 'koffi'
import { Errno } from '../core/errno.ts'
import { DeviceError, notLinux, type Surroundings } from './device-error.ts'

/**
 * The system calls that Node has not, as functions of the C library. Each gives what the call gives, or the negated
 * error number. Memory is named by address where a call is made for every frame (see `addressOf`).
 */
export interface Syscalls {
  /** A worker that ends, or is terminated, closes what it has opened by this. */
  open(path: string, flags: number): number
  close(fd: number): number
  /** `argument` is read and written in place. */
  ioctl(fd: number, request: number, argument: Uint8Array): number
  /** ioctl(2) with a plain number. */
  ioctlNumber(fd: number, request: number, argument: number): number
  read(fd: number, address: number, length: number): number
  write(fd: number, address: number, length: number): number
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array): number
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number
  recv(fd: number, into: Uint8Array, flags: number): number
  /**
   * Where the first byte of `bytes` lies. It stays there as long as its buffer is neither collected nor detached; a
   * WebAssembly memory that grows detaches.
   */
  addressOf(bytes: Uint8Array): number
  /**
   * Calls `ready` in the event loop whenever `fd` has something to read, or an error. Where the event loop reads by
   * itself, `reader` is given what there is instead. See readiness.ts.
   */
  watch(fd: number, ready: () => void, reader?: Reader): DescriptorWatch
}

/** Who takes what the event loop has read of a descriptor. */
export interface Reader {
  /** Where the next read goes: another array when it is another place, which it becomes in `took` only. Never full. */
  readonly into: Uint8Array
  /** So many bytes were read, more than none. */
  took(length: number): void
}

/** A descriptor that the event loop watches; it does not keep the process alive. */
export interface DescriptorWatch {
  /** Whether `ready` is to be called too when there is room to write. */
  setWritable(on: boolean): void
  /** Ends it; to be called before the descriptor is closed. `ready` is not called again. */
  close(): void
}

/** The machine's byte order, in which the kernel's structures are. */
export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** Values of asm-generic; the architectures for which koffi and Node exist together all have them. */
export const O_RDWR = 0o2
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const SOCK_RAW = 3
export const SOCK_NONBLOCK = O_NONBLOCK
export const SOCK_CLOEXEC = O_CLOEXEC
export const SOL_SOCKET = 1
export const SO_RCVTIMEO = 20
/** "File descriptor in bad state": a device's descriptor whose device is gone. */
export const EBADFD = 77

type Koffi = typeof import('koffi')

/** What readiness.ts needs of koffi beside the system calls. */
export interface NativeCalls {
  readonly koffi: Koffi
  readonly poll: KoffiFunc<(fds: Uint8Array, count: number, timeout: number) => number>
  readonly eventfd: (value: number, flags: number) => number
  readonly read: (fd: number, address: number, length: number) => number
  readonly write: (fd: number, address: number, length: number) => number
  readonly close: (fd: number) => number
  readonly fcntl: (fd: number, command: number, argument: number) => number
}

/** What `Syscalls.watch` does, given the means. */
export type Watcher = (native: NativeCalls, fd: number, ready: () => void, reader?: Reader) => DescriptorWatch

/**
 * Loads the C library's calls.
 * @throws DeviceError ENOTSUP on another system than Linux, or where koffi cannot be loaded
 */
export const loadSyscalls = (watch: Watcher, platform: string = process.platform): Syscalls => {
  if (platform !== 'linux') throw notLinux(platform)
  const koffi = loadKoffi()
  // The symbols of this process: the C library that Node itself runs on, glibc or musl.
  const libc = koffi.load(null)
  const close = libc.func('int close(int fd)')
  const ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)')
  const ioctlNumber = libc.func('ioctl', 'int', ['int', 'unsigned long', 'unsigned long'])
  const read = libc.func('read', 'long', ['int', 'uintptr_t', 'size_t'])
  const write = libc.func('write', 'long', ['int', 'uintptr_t', 'size_t'])
  const socket = libc.func('int socket(int domain, int type, int protocol)')
  const bind = libc.func('int bind(int fd, void *address, uint32 length)')
  const setsockopt = libc.func('int setsockopt(int fd, int level, int option, void *value, uint32 length)')
  const send = libc.func('long send(int fd, void *bytes, size_t length, int flags)')
  const recv = libc.func('long recv(int fd, void *into, size_t length, int flags)')
  const native: NativeCalls = {
    koffi,
    poll: libc.func('int poll(void *fds, unsigned long count, int timeout)'),
    eventfd: libc.func('int eventfd(unsigned int value, int flags)'),
    read,
    write,
    close,
    fcntl: libc.func('int fcntl(int fd, int command, int argument)'),
  }
  /** Descriptors that Node has opened. */
  const files = new Set<number>()
  const result = (value: number): number => (value < 0 ? -koffi.errno() : value)
  return {
    open: (path, flags) => {
      try {
        // Not by the C library: Node closes at the end of a worker what it has opened itself.
        const fd = openSync(path, flags)
        files.add(fd)
        return fd
      } catch (error) {
        return (error as NodeJS.ErrnoException).errno ?? -Errno.EIO
      }
    },
    close: (fd) => {
      if (!files.delete(fd)) return result(close(fd))
      closeSync(fd)
      return 0
    },
    ioctl: (fd, request, argument) => result(ioctl(fd, request, argument)),
    ioctlNumber: (fd, request, argument) => result(ioctlNumber(fd, request, argument)),
    read: (fd, address, length) => result(read(fd, address, length)),
    write: (fd, address, length) => result(write(fd, address, length)),
    socket: (domain, type, protocol) => result(socket(domain, type, protocol)),
    bind: (fd, address) => result(bind(fd, address, address.length)),
    setsockopt: (fd, level, option, value) => result(setsockopt(fd, level, option, value, value.length)),
    send: (fd, bytes, length, flags) => result(send(fd, bytes, length, flags)),
    recv: (fd, into, flags) => result(recv(fd, into, into.length, flags)),
    addressOf: (bytes) => Number(koffi.address(bytes)),
    watch: (fd, ready, reader) => watch(native, fd, ready, reader),
  }
}

const loadKoffi = (): Koffi => {
  try {
    // Not a static import: only who uses a device needs koffi, which not every machine can load.
    return createRequire(import.meta.url)('koffi') as Koffi
  } catch (error) {
    const [line] = String((error as Error).message).split('\n')
    throw new DeviceError('ENOTSUP', `cannot load koffi, which makes system calls for TUN and TAP devices: ${line}`)
  }
}

/** This machine. */
export const surroundings = (): Surroundings => ({
  platform: process.platform,
  uid: process.geteuid?.() ?? -1,
  user: userName(),
  holder: deviceHolder,
})

const userName = (): string => {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry in the password file.
    return String(process.geteuid?.() ?? '$USER')
  }
}

/**
 * Which process has opened device `name`: the driver writes the name into /proc/PID/fdinfo/FD. Only processes of this
 * network namespace are looked at, for others may have devices of the same name; other users' can be seen by root only.
 */
const deviceHolder = (name: string): string | undefined => {
  const here = networkNamespace('self')
  for (const pid of list('/proc')) {
    if (!/^[0-9]+$/.test(pid) || networkNamespace(pid) !== here) continue
    for (const fd of list(`/proc/${pid}/fd`)) {
      try {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== '/dev/net/tun') continue
        const line = /^iff:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))
        if (line?.[1] === name) return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`
      } catch {
        // The process has ended or closed it meanwhile.
      }
    }
  }
  return undefined
}

/** Names a process's network namespace; undefined where that cannot be seen. */
const networkNamespace = (pid: string): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return undefined
  }
}

const list = (directory: string): string[] => {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
