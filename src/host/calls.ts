import { MILLISECOND, type Micros, SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import type { KnownSockaddr, Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { Epoll, type EpollEvent } from '../socket/epoll.ts'
import { makeSocketPair } from '../socket/make.ts'
import { makePipe } from '../socket/pipe.ts'
import { Received } from '../socket/socket.ts'
import { isFailure, type OptionValue, type Timeval } from '../socket/socket-options.ts'
import { Wakeup } from './blocking.ts'
import { CallContext, isSocket } from './call-context.ts'
import { acceptOn, connectTo, lingeringClose, lingers } from './calls-connect.ts'
import {
  gather,
  type Mmsghdr,
  type Msghdr,
  receiveMessage,
  receiveMessages,
  roomFor,
  scatter,
  sendMessage,
  sendMessages,
  writable,
} from './calls-message.ts'
import { waitForChild } from './calls-process.ts'
import { type Offset, sendFile, splice } from './calls-splice.ts'
import { readFile, receiveInto, transmit, writeFile } from './calls-transfer.ts'
import { bytesOf, type Data } from './data.ts'
import { check, failure, ProcessExit } from './failure.ts'
import { fileControl } from './file-control.ts'
import { type PollFd, pollFiles, type SelectSet, selectFiles, waitEpoll } from './polling.ts'
import type { Program } from './process.ts'
import { RegularFile } from './regular-file.ts'
import { isSignal, SA_RESTART, SIGKILL, SIGSTOP, type SigAction, type SignalHandler } from './signals.ts'

export type { Mmsghdr, Msghdr } from './calls-message.ts'
export type { Offset } from './calls-splice.ts'
export type { Data } from './data.ts'

/**
 * The system calls, as a program has them: names, arguments and errors are POSIX's and Linux's. A call that may block
 * returns a promise; on a non-blocking descriptor it is rejected with EAGAIN instead of waiting. Errors are
 * `SystemError`s: thrown by calls that cannot block, rejections of those that can.
 */
export class Sys extends CallContext {
  // Sockets.

  /** socket(2). @returns a descriptor */
  socket(domain: number, type: number, protocol = 0): number {
    this.enter()
    const flags = type & ~SOCK_TYPE_MASK
    if ((flags & ~(C.SOCK_NONBLOCK | C.SOCK_CLOEXEC)) !== 0) throw failure(-Errno.EINVAL, 'socket')
    const socket = this.process.host.makeSocket(domain, type & SOCK_TYPE_MASK, protocol, this.process.uid)
    if (typeof socket === 'number') throw failure(socket, 'socket')
    return this.install(socket, flags, 'socket')
  }

  /** socketpair(2): two connected sockets, of AF_UNIX. */
  socketpair(domain: number, type: number, protocol = 0): [number, number] {
    this.enter()
    const flags = type & ~SOCK_TYPE_MASK
    if ((flags & ~(C.SOCK_NONBLOCK | C.SOCK_CLOEXEC)) !== 0) throw failure(-Errno.EINVAL, 'socketpair')
    const { files, host, uid } = this.process
    if (files.size + 2 > files.limit) throw failure(-Errno.EMFILE, 'socketpair')
    const pair = makeSocketPair(host.sockets, domain, type & SOCK_TYPE_MASK, protocol, uid)
    if (typeof pair === 'number') throw failure(pair, 'socketpair')
    return [this.install(pair[0], flags, 'socketpair'), this.install(pair[1], flags, 'socketpair')]
  }

  bind(fd: number, address: Sockaddr): number {
    return check(this.socketAt(fd, 'bind').bind(address), 'bind', address)
  }

  listen(fd: number, backlog: number): number {
    return check(this.socketAt(fd, 'listen').listen(backlog), 'listen')
  }

  /** @param peer filled with the peer's address */
  accept(fd: number, peer?: Sockaddr): Promise<number> {
    return this.accept4(fd, peer, 0)
  }

  /** @param flags SOCK_NONBLOCK, SOCK_CLOEXEC */
  accept4(fd: number, peer: Sockaddr | undefined, flags: number): Promise<number> {
    try {
      return acceptOn(this, this.fileAt(fd, 'accept'), peer, flags, 'accept')
    } catch (error) {
      return this.failed(error)
    }
  }

  connect(fd: number, address: Sockaddr): Promise<number> {
    try {
      return connectTo(this, this.socketAt(fd, 'connect'), address)
    } catch (error) {
      return this.failed(error)
    }
  }

  send(fd: number, data: Data, length?: number, flags = 0): Promise<number> {
    try {
      const bytes = bytesOf(data)
      return transmit(this, this.socketAt(fd, 'send'), bytes, length ?? bytes.length, flags, null, null, 'send')
    } catch (error) {
      return this.failed(error)
    }
  }

  sendto(fd: number, data: Data, length: number | undefined, flags: number, to: Sockaddr): Promise<number> {
    try {
      const bytes = bytesOf(data)
      return transmit(this, this.socketAt(fd, 'sendto'), bytes, length ?? bytes.length, flags, to, null, 'sendto')
    } catch (error) {
      return this.failed(error)
    }
  }

  recv(fd: number, buffer: Uint8Array, length = buffer.length, flags = 0): Promise<number> {
    try {
      return receiveInto(this, this.socketNow(fd, 'recv'), buffer, length, flags, null, 'recv')
    } catch (error) {
      return this.failed(error)
    }
  }

  /** @param from filled with the sender's address */
  async recvfrom(fd: number, buffer: Uint8Array, length: number, flags: number, from?: Sockaddr): Promise<number> {
    const received = from === undefined ? null : new Received()
    const count = await receiveInto(this, this.socketNow(fd, 'recvfrom'), buffer, length, flags, received, 'recvfrom')
    if (from !== undefined && received !== null && received.from !== null) Object.assign(from, received.from)
    return count
  }

  async sendmsg(fd: number, message: Msghdr, flags = 0): Promise<number> {
    return sendMessage(this, this.socketAt(fd, 'sendmsg'), message, flags)
  }

  async recvmsg(fd: number, message: Msghdr, flags = 0): Promise<number> {
    return receiveMessage(this, this.socketAt(fd, 'recvmsg'), message, flags)
  }

  /** @returns how many messages were sent */
  async sendmmsg(fd: number, messages: Mmsghdr[], flags = 0): Promise<number> {
    return sendMessages(this, this.socketAt(fd, 'sendmmsg'), messages, flags)
  }

  /** @returns how many messages were received */
  async recvmmsg(fd: number, messages: Mmsghdr[], flags = 0, timeout: Timeval | null = null): Promise<number> {
    const limit = timeout === null ? null : timeout.tv_sec * SECOND + timeout.tv_usec
    return receiveMessages(this, this.socketAt(fd, 'recvmmsg'), messages, flags, limit)
  }

  shutdown(fd: number, how: number): number {
    return check(this.socketAt(fd, 'shutdown').shutdown(how), 'shutdown')
  }

  getsockname(fd: number): KnownSockaddr {
    const address = this.socketAt(fd, 'getsockname').localAddress()
    if (typeof address === 'number') throw failure(address, 'getsockname')
    return address
  }

  getpeername(fd: number): KnownSockaddr {
    const address = this.socketAt(fd, 'getpeername').peerAddress()
    if (typeof address === 'number') throw failure(address, 'getpeername')
    return address
  }

  /** Numbers for options that are numbers, objects with the structure's fields for the others. */
  setsockopt(fd: number, level: number, name: number, value: OptionValue): number {
    return check(this.socketAt(fd, 'setsockopt').setOption(level, name, value), 'setsockopt')
  }

  getsockopt(fd: number, level: number, name: number): OptionValue {
    const value = this.socketAt(fd, 'getsockopt').getOption(level, name)
    if (isFailure(value)) throw failure(-value.errno, 'getsockopt')
    return value
  }

  // Descriptors.

  read(fd: number, buffer: Uint8Array, length = buffer.length): Promise<number> {
    try {
      const file = this.fileAt(fd, 'read')
      if (isSocket(file)) {
        // Nothing asked for is nothing read, whatever state the socket is in.
        return length === 0 ? this.settled(0) : receiveInto(this, file, buffer, length, 0, null, 'read')
      }
      return readFile(this, file, buffer, length)
    } catch (error) {
      return this.failed(error)
    }
  }

  write(fd: number, data: Data, length?: number): Promise<number> {
    try {
      const file = this.fileAt(fd, 'write')
      const bytes = bytesOf(data)
      const wanted = length ?? bytes.length
      if (isSocket(file)) return transmit(this, file, bytes, wanted, 0, null, null, 'write')
      return writeFile(this, file, bytes, wanted)
    } catch (error) {
      return this.failed(error)
    }
  }

  /** readv(2): fills the buffers in order. */
  async readv(fd: number, buffers: readonly Uint8Array[]): Promise<number> {
    this.fileAt(fd, 'readv')
    if (buffers.length > C.IOV_MAX) throw failure(-Errno.EINVAL, 'readv')
    const whole = roomFor(writable(buffers, 'readv'))
    const count = await this.read(fd, whole)
    scatter(whole, count, buffers)
    return count
  }

  /** writev(2): writes the buffers in order, as one. */
  async writev(fd: number, buffers: readonly Data[]): Promise<number> {
    this.fileAt(fd, 'writev')
    if (buffers.length > C.IOV_MAX) throw failure(-Errno.EINVAL, 'writev')
    return this.write(fd, gather(buffers))
  }

  /** open(2) of a file in `Host.files`, to be read. */
  open(path: string, flags = 0): number {
    this.enter()
    const content = this.process.host.files.get(path)
    if (content === undefined) throw failure(-Errno.ENOENT, 'open')
    if ((flags & 3) !== C.O_RDONLY) throw failure(-Errno.EACCES, 'open')
    return this.install(new RegularFile(content), (flags & C.O_CLOEXEC) !== 0 ? C.SOCK_CLOEXEC : 0, 'open')
  }

  /** sendfile(2). @param offset moved on; null for the file's own position */
  async sendfile(out: number, from: number, offset: Offset | null, count: number): Promise<number> {
    return sendFile(this, this.fileAt(out, 'sendfile'), this.fileAt(from, 'sendfile'), offset, count)
  }

  /** splice(2): one of the two is a pipe. */
  async splice(
    from: number,
    fromOffset: Offset | null,
    to: number,
    toOffset: Offset | null,
    length: number,
    flags = 0,
  ): Promise<number> {
    return splice(this, this.fileAt(from, 'splice'), fromOffset, this.fileAt(to, 'splice'), toOffset, length, flags)
  }

  /** pipe(2). @returns the descriptors of the end to read from and of the end to write to */
  pipe(): [number, number] {
    return this.pipe2(0)
  }

  /** @param flags O_NONBLOCK, O_CLOEXEC */
  pipe2(flags: number): [number, number] {
    this.enter()
    if ((flags & ~(C.O_NONBLOCK | C.O_CLOEXEC)) !== 0) throw failure(-Errno.EINVAL, 'pipe2')
    const { files, host } = this.process
    const [reader, writer] = makePipe(host.world.memory)
    const read = this.install(reader, flags, 'pipe2')
    if (files.hasRoom) return [read, this.install(writer, flags, 'pipe2')]
    files.take(read)?.unref()
    throw failure(-Errno.EMFILE, 'pipe2')
  }

  /** close(2). The descriptor is free at once; the promise is for SO_LINGER, which may make the call wait. */
  close(fd: number): Promise<number> {
    try {
      this.enter()
    } catch (error) {
      return this.failed(error)
    }
    const file = this.process.files.take(fd)
    if (file === null) throw failure(-Errno.EBADF, 'close')
    if (lingers(file)) return lingeringClose(this, file)
    const { loop } = this.process.host.world
    loop.hold()
    try {
      file.unref()
    } finally {
      loop.release()
    }
    return this.settled(0)
  }

  dup(fd: number): number {
    const copy = this.process.files.add(this.fileAt(fd, 'dup'))
    return check(copy, 'dup')
  }

  dup2(fd: number, to: number): number {
    return this.duplicateTo(fd, to, false)
  }

  dup3(fd: number, to: number, flags: number): number {
    this.enter()
    if (fd === to || (flags & ~C.O_CLOEXEC) !== 0) throw failure(-Errno.EINVAL, 'dup3')
    return this.duplicateTo(fd, to, (flags & C.O_CLOEXEC) !== 0)
  }

  private duplicateTo(fd: number, to: number, closeOnExec: boolean): number {
    const file = this.fileAt(fd, 'dup2')
    const { files } = this.process
    if (to < 0 || to >= files.limit) throw failure(-Errno.EBADF, 'dup2')
    if (fd === to) return to
    files.take(to)?.unref()
    files.put(to, file, closeOnExec)
    return to
  }

  fcntl(fd: number, command: number, argument = 0): number {
    return check(fileControl(this.process.files, fd, this.fileAt(fd, 'fcntl'), command, argument), 'fcntl')
  }

  /** @returns what the request asks for, or 0 */
  ioctl(fd: number, request: number, argument = 0): number {
    const file = this.fileAt(fd, 'ioctl')
    if (request === C.FIONBIO) file.nonBlocking = argument !== 0
    else if (request === C.FIOASYNC) file.setAsync(argument !== 0)
    else return check(file.ioctl(request, argument), 'ioctl')
    return 0
  }

  /** unlink(2), for what sockets were bound to: there are no other files. */
  unlink(path: string): number {
    this.enter()
    return check(this.process.host.sockets.unixNames.unlink(path, this.process.uid), 'unlink', { path })
  }

  /** chmod(2), for what sockets were bound to: who may write to it may connect. */
  chmod(path: string, mode: number): number {
    this.enter()
    return check(this.process.host.sockets.unixNames.chmod(path, mode, this.process.uid), 'chmod', { path })
  }

  // Waiting for several.

  /** poll(2). @param timeout milliseconds; negative for ever @returns how many have `revents` set */
  poll(fds: PollFd[], timeout: number): Promise<number> {
    this.enter()
    return pollFiles(this, fds, timeout < 0 ? Number.POSITIVE_INFINITY : this.now + timeout * MILLISECOND)
  }

  /**
   * select(2): each set is changed to those that are ready.
   * @param timeout null for ever
   * @returns how many are left in all sets
   */
  select(
    nfds: number,
    read: SelectSet | null,
    write: SelectSet | null,
    except: SelectSet | null,
    timeout: { tv_sec: number; tv_usec: number } | null,
  ): Promise<number> {
    this.enter()
    if (nfds < 0 || (timeout !== null && (timeout.tv_sec < 0 || timeout.tv_usec < 0))) {
      return Promise.reject(failure(-Errno.EINVAL, 'select'))
    }
    const limit = timeout === null ? Number.POSITIVE_INFINITY : timeout.tv_sec * SECOND + timeout.tv_usec
    return selectFiles(this, nfds, read, write, except, this.now + limit)
  }

  epoll_create1(flags = 0): number {
    this.enter()
    if ((flags & ~C.EPOLL_CLOEXEC) !== 0) throw failure(-Errno.EINVAL, 'epoll_create1')
    return this.install(new Epoll(), (flags & C.EPOLL_CLOEXEC) !== 0 ? C.SOCK_CLOEXEC : 0, 'epoll_create1')
  }

  epoll_ctl(epfd: number, operation: number, fd: number, event: EpollEvent | null = null): number {
    this.enter()
    if (event === null && operation !== C.EPOLL_CTL_DEL) throw failure(-Errno.EFAULT, 'epoll_ctl')
    const epoll = this.fileAt(epfd, 'epoll_ctl')
    const file = this.fileAt(fd, 'epoll_ctl')
    if (!(epoll instanceof Epoll)) throw failure(-Errno.EINVAL, 'epoll_ctl')
    return check(epoll.control(operation, fd, file, event), 'epoll_ctl')
  }

  /**
   * epoll_wait(2).
   * @param events filled with what is ready
   * @param timeout milliseconds; negative for ever
   * @returns how many
   */
  async epoll_wait(epfd: number, events: EpollEvent[], most: number, timeout: number): Promise<number> {
    return waitEpoll(this, this.fileAt(epfd, 'epoll_wait'), events, most, timeout)
  }

  // Processes.

  getpid(): number {
    return this.process.pid
  }

  /** The parent's process id; 1 when there is none, or not any more. */
  getppid(): number {
    const { parent } = this.process
    return parent?.isAlive === true ? parent.pid : 1
  }

  gethostname(): string {
    return this.process.host.name
  }

  /** fork(2): the child has the same descriptors and runs `program`. @returns the child's process id */
  fork(program: Program): number {
    this.enter()
    return this.process.host.fork(this.process, program).pid
  }

  /** Another thread of this process: it shares everything. @returns what it returns */
  thread<T>(body: (sys: Sys) => Promise<T>): Promise<T> {
    return body(this)
  }

  /** waitpid(2). @param pid a child's, or -1 for any */
  async waitpid(pid = -1): Promise<{ pid: number; status: number }> {
    return waitForChild(this, pid)
  }

  /** Ends the process. Does not return. */
  exit(status = 0): never {
    this.process.exit(status)
    throw new ProcessExit(status)
  }

  kill(pid: number, signal: number): number {
    this.enter()
    const target = this.process.host.processes.get(pid)
    if (signal !== 0 && !isSignal(signal)) throw failure(-Errno.EINVAL, 'kill')
    if (target === undefined) throw failure(-Errno.ESRCH, 'kill')
    if (signal !== 0) target.signal(signal)
    return 0
  }

  /** signal(2), as BSD and glibc have it: calls begin anew after a handler. @returns the action before */
  signal(signal: number, handler: SignalHandler): SignalHandler {
    return this.sigaction(signal, { sa_handler: handler, sa_flags: SA_RESTART }).sa_handler
  }

  sigaction(signal: number, action: SigAction | null): SigAction {
    this.enter()
    if (!isSignal(signal) || ((signal === SIGKILL || signal === SIGSTOP) && action !== null))
      throw failure(-Errno.EINVAL, 'sigaction')
    const before = this.process.actions.get(signal) ?? { sa_handler: 'default', sa_flags: 0 }
    if (action !== null) this.process.actions.set(signal, action)
    return before
  }

  /** sleep(3). @returns 0, or the seconds left when a signal was handled */
  async sleep(seconds: number): Promise<number> {
    const deadline = this.now + seconds * SECOND
    const why = await this.pause(deadline, 'sleep')
    return why === Wakeup.TimedOut ? 0 : Math.max(0, (deadline - this.now) / SECOND)
  }

  /** usleep(3). */
  async usleep(micros: Micros): Promise<number> {
    if ((await this.pause(this.now + micros, 'usleep')) !== Wakeup.TimedOut) throw failure(-Errno.EINTR, 'usleep')
    return 0
  }

  /** pause(2): waits until a signal was handled. */
  async waitForSignal(): Promise<never> {
    await this.pause(Number.POSITIVE_INFINITY, 'pause')
    throw failure(-Errno.EINTR, 'pause')
  }

  /** clock_gettime(CLOCK_REALTIME), or with `monotonic` CLOCK_MONOTONIC: seconds, with a fraction. */
  clock(monotonic = false): number {
    this.enter()
    const { world, wallClock } = this.process.host
    return (monotonic ? world.loop.now : wallClock.at(world.loop.now)) / SECOND
  }

  /** RLIMIT_NOFILE. */
  setrlimit(files: number): void {
    this.process.files.limit = files
  }

  /** Prints a line to standard output. */
  print(...words: unknown[]): void {
    this.enter()
    this.process.print(words.map(String).join(' '))
  }
}

/** The bits of socket(2)'s type that are the type; flags are above. */
const SOCK_TYPE_MASK = 0xf
