import { MILLISECOND, type Micros, SECOND } from '../core/clock.ts'
import { Errno, errnoCode, SystemError } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { Epoll, type EpollEvent } from '../socket/epoll.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { Received, Socket } from '../socket/socket.ts'
import type { OptionValue } from '../socket/socket-options.ts'
import { TcpSocket } from '../socket/tcp.ts'
import { BlockedCall, Wakeup } from './blocking.ts'
import { type PollFd, pollFiles, type SelectSet, selectFiles } from './polling.ts'
import { type Process, ProcessExit, type Program } from './process.ts'
import { isSignal, SIGKILL, SIGPIPE, type SigAction, type SignalHandler } from './signals.ts'

/** Bytes, or text that stands for its UTF-8. */
export type Data = Uint8Array | string

const encoder = new TextEncoder()
const bytesOf = (data: Data): Uint8Array => (typeof data === 'string' ? encoder.encode(data) : data)

/**
 * The system calls, as a program has them: names, arguments and errors are POSIX's and Linux's. A call that may block
 * returns a promise; on a non-blocking descriptor it is rejected with EAGAIN instead of waiting. Errors are
 * `SystemError`s: thrown by calls that cannot block, rejections of those that can.
 */
export class Sys {
  readonly process: Process

  constructor(process: Process) {
    this.process = process
  }

  // Sockets.

  /** socket(2). @returns a descriptor */
  socket(domain: number, type: number, protocol = 0): number {
    this.enter()
    const flags = type & (C.SOCK_NONBLOCK | C.SOCK_CLOEXEC)
    const socket = this.process.host.makeSocket(domain, type & ~flags, protocol, this.process.uid)
    if (typeof socket === 'number') throw failure(socket, 'socket')
    return this.install(socket, flags, 'socket')
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
  async accept4(fd: number, peer: Sockaddr | undefined, flags: number): Promise<number> {
    const socket = this.socketAt(fd, 'accept')
    if ((flags & ~(C.SOCK_NONBLOCK | C.SOCK_CLOEXEC)) !== 0) throw failure(-Errno.EINVAL, 'accept4')
    const { files } = this.process
    const deadline = this.deadline(socket.receiveTimeout)
    for (;;) {
      // At the limit the connection stays where it is.
      if (!files.hasRoom) throw failure(-Errno.EMFILE, 'accept')
      const accepted = socket.accept()
      if (typeof accepted !== 'number') {
        const address = accepted.peerAddress()
        if (peer !== undefined && typeof address !== 'number') Object.assign(peer, address)
        return this.install(accepted, flags, 'accept')
      }
      if (accepted !== -Errno.EAGAIN || socket.nonBlocking) throw failure(accepted, 'accept')
      await this.wait(socket, Readiness.In, deadline, 'accept', true)
    }
  }

  async connect(fd: number, address: Sockaddr): Promise<number> {
    const socket = this.socketAt(fd, 'connect')
    const began = socket.connect(address)
    if (began !== -Errno.EINPROGRESS || socket.nonBlocking) {
      if (began === -Errno.EALREADY && !socket.nonBlocking) return this.finishConnect(socket as TcpSocket, address)
      return check(began, 'connect', address)
    }
    return this.finishConnect(socket as TcpSocket, address)
  }

  private async finishConnect(socket: TcpSocket, address: Sockaddr): Promise<number> {
    const deadline = this.deadline(socket.sendTimeout)
    for (;;) {
      const result = socket.connectResult(false)
      if (result !== -Errno.EINPROGRESS) return check(result, 'connect', address)
      const why = await this.block(socket, Readiness.Out, deadline, 'connect')
      if (why === Wakeup.TimedOut) throw failure(-Errno.EINPROGRESS, 'connect', address)
      // The connection goes on being opened; the call cannot begin anew.
      if (why === Wakeup.Interrupted) throw failure(-Errno.EINTR, 'connect', address)
    }
  }

  send(fd: number, data: Data, length?: number, flags = 0): Promise<number> {
    return this.transmit(fd, data, length, flags, null, 'send')
  }

  sendto(fd: number, data: Data, length: number | undefined, flags: number, to: Sockaddr): Promise<number> {
    return this.transmit(fd, data, length, flags, to, 'sendto')
  }

  recv(fd: number, buffer: Uint8Array, length = buffer.length, flags = 0): Promise<number> {
    return this.receiveInto(fd, buffer, length, flags, null, 'recv')
  }

  /** @param from filled with the sender's address */
  recvfrom(fd: number, buffer: Uint8Array, length: number, flags: number, from?: Sockaddr): Promise<number> {
    const received = new Received()
    return this.receiveInto(fd, buffer, length, flags, received, 'recvfrom').then((count) => {
      if (from !== undefined && received.from !== null) Object.assign(from, received.from)
      return count
    })
  }

  shutdown(fd: number, how: number): number {
    return check(this.socketAt(fd, 'shutdown').shutdown(how), 'shutdown')
  }

  getsockname(fd: number): Required<Sockaddr> {
    const address = this.socketAt(fd, 'getsockname').localAddress()
    if (typeof address === 'number') throw failure(address, 'getsockname')
    return address
  }

  getpeername(fd: number): Required<Sockaddr> {
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
    if (typeof value === 'number' && value < 0 && errnoCode(-value) !== undefined) throw failure(value, 'getsockopt')
    return value
  }

  // Descriptors.

  read(fd: number, buffer: Uint8Array, length = buffer.length): Promise<number> {
    const file = this.fileAt(fd, 'read')
    if (file instanceof Socket) return this.receiveInto(fd, buffer, length, 0, null, 'read')
    return this.readFile(file, buffer, length)
  }

  write(fd: number, data: Data, length?: number): Promise<number> {
    const file = this.fileAt(fd, 'write')
    if (file instanceof Socket) return this.transmit(fd, data, length, 0, null, 'write')
    return this.writeFile(file, bytesOf(data), length)
  }

  /** close(2). The descriptor is free at once; the promise is for SO_LINGER, which may make the call wait. */
  close(fd: number): Promise<number> {
    this.enter()
    const file = this.process.files.take(fd)
    if (file === null) throw failure(-Errno.EBADF, 'close')
    const lingers = file instanceof TcpSocket && file.references === 1 && file.lingerSeconds > 0 && !file.nonBlocking
    if (lingers && file.ioctl(C.FIONREAD, 0) <= 0) return this.lingeringClose(file)
    file.unref()
    return Promise.resolve(0)
  }

  private async lingeringClose(socket: TcpSocket): Promise<number> {
    socket.beginLingeringClose()
    const deadline = this.now + socket.lingerSeconds * SECOND
    let timedOut = false
    while (socket.isLingering && !timedOut) {
      timedOut = (await this.block(socket, 0, deadline, 'close, lingering')) === Wakeup.TimedOut
    }
    const unsent = socket.isLingering
    socket.unref()
    if (unsent) throw failure(-Errno.ETIMEDOUT, 'close')
    return 0
  }

  dup(fd: number): number {
    const copy = this.process.files.add(this.fileAt(fd, 'dup'))
    return check(copy, 'dup')
  }

  dup2(fd: number, to: number): number {
    return this.duplicateTo(fd, to, false)
  }

  dup3(fd: number, to: number, flags: number): number {
    if (fd === to) throw failure(-Errno.EINVAL, 'dup3')
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
    const file = this.fileAt(fd, 'fcntl')
    const { files } = this.process
    switch (command) {
      case C.F_DUPFD:
      case C.F_DUPFD_CLOEXEC:
        if (argument < 0 || argument >= files.limit) throw failure(-Errno.EINVAL, 'fcntl')
        return check(files.add(file, argument, command === C.F_DUPFD_CLOEXEC), 'fcntl')
      case C.F_GETFD:
        return files.isCloseOnExec(fd) ? C.FD_CLOEXEC : 0
      case C.F_SETFD:
        files.setCloseOnExec(fd, (argument & C.FD_CLOEXEC) !== 0)
        return 0
      case C.F_GETFL:
        return C.O_RDWR | (file.nonBlocking ? C.O_NONBLOCK : 0) | (file.async ? C.O_ASYNC : 0)
      case C.F_SETFL:
        file.nonBlocking = (argument & C.O_NONBLOCK) !== 0
        file.async = (argument & C.O_ASYNC) !== 0
        return 0
      case C.F_SETOWN:
        file.owner = argument
        return 0
      case C.F_GETOWN:
        return file.owner
      default:
        throw failure(-Errno.EINVAL, 'fcntl')
    }
  }

  /** @returns what the request asks for, or 0 */
  ioctl(fd: number, request: number, argument = 0): number {
    const file = this.fileAt(fd, 'ioctl')
    if (request === C.FIONBIO) {
      file.nonBlocking = argument !== 0
      return 0
    }
    return check(file.ioctl(request, argument), 'ioctl')
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
    return this.install(new Epoll(), (flags & C.EPOLL_CLOEXEC) !== 0 ? C.SOCK_CLOEXEC : 0, 'epoll_create1')
  }

  epoll_ctl(epfd: number, operation: number, fd: number, event: EpollEvent | null = null): number {
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
    const epoll = this.fileAt(epfd, 'epoll_wait')
    if (!(epoll instanceof Epoll) || most <= 0) throw failure(-Errno.EINVAL, 'epoll_wait')
    const deadline = timeout < 0 ? Number.POSITIVE_INFINITY : this.now + timeout * MILLISECOND
    for (;;) {
      const count = epoll.harvest(events, most)
      if (count > 0 || timeout === 0) return count
      const why = await this.block(epoll, Readiness.In, deadline, 'epoll_wait')
      if (why === Wakeup.TimedOut) return 0
      if (why !== Wakeup.Ready) throw failure(-Errno.EINTR, 'epoll_wait')
    }
  }

  // Processes.

  getpid(): number {
    return this.process.pid
  }

  getppid(): number {
    return this.process.parent?.pid ?? 1
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
    this.enter()
    const { process } = this
    for (;;) {
      const candidates = [...process.children].filter((child) => pid === -1 || child.pid === pid)
      if (candidates.length === 0) throw failure(-Errno.ECHILD, 'waitpid')
      const ended = candidates.find((child) => !child.isAlive)
      if (ended !== undefined) {
        process.host.reap(ended)
        return { pid: ended.pid, status: ended.status! }
      }
      const call = new BlockedCall(process, 'waitpid')
      for (const child of candidates) void child.ended.then(() => call.resume(Wakeup.Ready))
      const why = await call.promise
      if (why === Wakeup.Interrupted) throw failure(-Errno.EINTR, 'waitpid')
    }
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
    return this.sigaction(signal, { sa_handler: handler, sa_flags: 0x1000_0000 }).sa_handler
  }

  sigaction(signal: number, action: SigAction | null): SigAction {
    this.enter()
    if (!isSignal(signal) || (signal === SIGKILL && action !== null)) throw failure(-Errno.EINVAL, 'sigaction')
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
    const { world } = this.process.host
    return (monotonic ? world.loop.now : world.clock.epoch + world.loop.now) / SECOND
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

  // What the calls are made of.

  /** World time, microseconds. */
  get now(): Micros {
    return this.process.host.world.loop.now
  }

  /** Every call begins here: a process that was ended calls no more, and live hosts read the clock. */
  enter(): void {
    if (!this.process.isAlive) throw new ProcessExit(this.process.status ?? 0)
    this.process.host.world.loop.refresh()
  }

  /** The file behind a descriptor. */
  fileAt(fd: number, syscall: string): OpenFile {
    this.enter()
    const file = this.process.files.get(fd)
    if (file === null) throw failure(-Errno.EBADF, syscall)
    return file
  }

  private socketAt(fd: number, syscall: string): Socket {
    const file = this.fileAt(fd, syscall)
    if (!(file instanceof Socket)) throw failure(-Errno.ENOTSOCK, syscall)
    return file
  }

  /** Gives a new file a descriptor. */
  private install(file: OpenFile, flags: number, syscall: string): number {
    file.nonBlocking = (flags & C.SOCK_NONBLOCK) !== 0
    const fd = this.process.files.add(file, 0, (flags & C.SOCK_CLOEXEC) !== 0)
    if (fd >= 0) return fd
    file.retain()
    file.unref()
    throw failure(fd, syscall)
  }

  private deadline(limit: Micros): Micros {
    return limit === 0 ? Number.POSITIVE_INFINITY : this.now + limit
  }

  /** Waits for a file; the call keeps it open meanwhile. @returns one of `Wakeup` */
  async block(file: OpenFile, mask: number, deadline: Micros, reason: string, exclusive = false): Promise<number> {
    file.retain()
    const call = new BlockedCall(this.process, reason).onFile(file, mask, exclusive).until(deadline)
    const why = await call.promise
    file.unref()
    this.enter()
    return why
  }

  /** Waits for a file in a call that has done nothing yet: throws EAGAIN or EINTR when it has to give up. */
  private async wait(file: Socket, mask: number, deadline: Micros, syscall: string, exclusive: boolean): Promise<void> {
    const why = await this.block(file, mask, deadline, syscall, exclusive)
    if (why === Wakeup.TimedOut) throw failure(-Errno.EAGAIN, syscall)
    // With a time-out set a call does not begin anew (signal(7)).
    if (why === Wakeup.Interrupted || (why === Wakeup.Restart && deadline !== Number.POSITIVE_INFINITY)) {
      throw failure(-Errno.EINTR, syscall)
    }
  }

  private async pause(deadline: Micros, reason: string): Promise<number> {
    this.enter()
    const why = await new BlockedCall(this.process, reason).until(deadline).promise
    this.enter()
    return why
  }

  private transmit(
    fd: number,
    data: Data,
    length: number | undefined,
    flags: number,
    to: Sockaddr | null,
    syscall: string,
  ): Promise<number> {
    try {
      const socket = this.socketAt(fd, syscall)
      const bytes = bytesOf(data)
      const wanted = length ?? bytes.length
      const sent = socket.send(bytes, 0, wanted, flags, to)
      if (sent === wanted) return Promise.resolve(sent)
      if (sent >= 0 || sent === -Errno.EAGAIN) {
        if (!socket.nonBlocking && (flags & C.MSG_DONTWAIT) === 0) {
          return this.sendRest(socket, bytes, wanted, Math.max(0, sent), flags, to, syscall)
        }
        if (sent > 0) return Promise.resolve(sent)
      }
      return Promise.reject(this.sendFailure(sent, flags, syscall))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The part of a send that has to wait for room. */
  private async sendRest(
    socket: Socket,
    bytes: Uint8Array,
    length: number,
    already: number,
    flags: number,
    to: Sockaddr | null,
    syscall: string,
  ): Promise<number> {
    const deadline = this.deadline(socket.sendTimeout)
    let total = already
    for (;;) {
      if (total > 0 && !socket.isStream) return total
      const why = await this.block(socket, Readiness.Out, deadline, `${syscall}, ${length - total} bytes to go`)
      if (why !== Wakeup.Ready && !(why === Wakeup.Restart && deadline === Number.POSITIVE_INFINITY)) {
        if (total > 0) return total
        throw failure(why === Wakeup.TimedOut ? -Errno.EAGAIN : -Errno.EINTR, syscall)
      }
      const sent = socket.send(bytes, total, length - total, flags, to)
      if (sent > 0) total += sent
      else if (sent < 0 && sent !== -Errno.EAGAIN) {
        if (total > 0) return total
        throw this.sendFailure(sent, flags, syscall)
      }
      if (total === length) return total
    }
  }

  /** EPIPE comes with SIGPIPE, unless the caller does not want it. */
  private sendFailure(result: number, flags: number, syscall: string): SystemError {
    if (result === -Errno.EPIPE && (flags & C.MSG_NOSIGNAL) === 0) this.process.signal(SIGPIPE)
    return failure(result, syscall)
  }

  private receiveInto(
    fd: number,
    buffer: Uint8Array,
    length: number,
    flags: number,
    received: Received | null,
    syscall: string,
  ): Promise<number> {
    try {
      const socket = this.socketAt(fd, syscall)
      const count = socket.receive(buffer, 0, length, flags, received)
      const blocking = !socket.nonBlocking && (flags & (C.MSG_DONTWAIT | C.MSG_OOB)) === 0
      if (count === -Errno.EAGAIN && blocking) {
        return this.receiveRest(socket, buffer, length, 0, flags, received, syscall)
      }
      if (count < 0) return Promise.reject(failure(count, syscall))
      const target = (flags & C.MSG_WAITALL) !== 0 ? length : socket.receiveTarget(length)
      const isEnough = count === 0 || count >= target || !socket.isStream || !blocking || (flags & C.MSG_PEEK) !== 0
      if (isEnough) return Promise.resolve(count)
      return this.receiveRest(socket, buffer, length, count, flags, received, syscall)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The part of a receive that has to wait for data. */
  private async receiveRest(
    socket: Socket,
    buffer: Uint8Array,
    length: number,
    already: number,
    flags: number,
    received: Received | null,
    syscall: string,
  ): Promise<number> {
    const deadline = this.deadline(socket.receiveTimeout)
    const target = (flags & C.MSG_WAITALL) !== 0 ? length : socket.receiveTarget(length)
    let total = already
    for (;;) {
      // An error that came after some bytes is for the next call to report.
      if (total > 0 && (socket.poll() & Readiness.Err) !== 0) return total
      const count = socket.receive(buffer, total, length - total, flags, received)
      if (count > 0) {
        total += count
        if (total >= target || !socket.isStream || (flags & C.MSG_PEEK) !== 0) return total
      } else if (count !== -Errno.EAGAIN) {
        if (total > 0 || count === 0) return total
        throw failure(count, syscall)
      } else {
        const why = await this.block(socket, Readiness.In, deadline, `${syscall}, ${target - total} bytes awaited`)
        if (why !== Wakeup.Ready && !(why === Wakeup.Restart && deadline === Number.POSITIVE_INFINITY)) {
          if (total > 0) return total
          throw failure(why === Wakeup.TimedOut ? -Errno.EAGAIN : -Errno.EINTR, syscall)
        }
      }
    }
  }

  private async readFile(file: OpenFile, buffer: Uint8Array, length: number): Promise<number> {
    for (;;) {
      const count = file.read(buffer, 0, length)
      if (count >= 0) return count
      if (count !== -Errno.EAGAIN || file.nonBlocking) throw failure(count, 'read')
      const why = await this.block(file, Readiness.In, Number.POSITIVE_INFINITY, 'read')
      if (why === Wakeup.Interrupted) throw failure(-Errno.EINTR, 'read')
    }
  }

  private async writeFile(file: OpenFile, bytes: Uint8Array, length = bytes.length): Promise<number> {
    let total = 0
    for (;;) {
      const count = file.write(bytes, total, length - total)
      if (count >= 0) {
        total += count
        if (total === length || file.nonBlocking) return total
      } else if (count !== -Errno.EAGAIN || file.nonBlocking) {
        if (total > 0) return total
        throw this.sendFailure(count, 0, 'write')
      }
      const why = await this.block(file, Readiness.Out, Number.POSITIVE_INFINITY, 'write')
      if (why === Wakeup.Interrupted) {
        if (total > 0) return total
        throw failure(-Errno.EINTR, 'write')
      }
    }
  }
}

/** The exception for a negative `Errno`. */
export const failure = (result: number, syscall: string, address?: Sockaddr): SystemError => {
  const endpoint: { address?: string; port?: number } = {}
  if (address?.address !== undefined) endpoint.address = address.address
  if (address?.port !== undefined) endpoint.port = address.port
  return new SystemError(errnoCode(-result) ?? 'EIO', syscall, endpoint)
}

/** Passes a result on, or throws what a negative one stands for. */
const check = (result: number, syscall: string, address?: Sockaddr): number => {
  if (result < 0) throw failure(result, syscall, address)
  return result
}
