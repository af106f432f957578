import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import { SIG_IGN, SIGCHLD, SIGPIPE } from '../host/signals.ts'
import {
  AF_INET,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLIN,
  EPOLLOUT,
  MSG_DONTWAIT,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../socket/constants.ts'
import type { EpollEvent } from '../socket/epoll.ts'
import { FILE_LIMIT } from './serve.ts'

/** One service, echo over TCP, as servers of seven designs: the catalogue's section J. */

/** What a server of each design is told. */
export interface DesignOptions {
  readonly port: number
  /** Processes of the designs that start them beforehand: 4 unless given. */
  readonly workers?: number
  /**
   * What a server has to wait for, as for a disk, before it answers what one recv() gave, microseconds: 0 unless given.
   */
  readonly work?: number
}

/** One design. */
export interface ServerDesign {
  readonly name: string
  readonly title: string
  readonly program: (options: DesignOptions) => Program
}

const BUFFER = 64 * 1024
const BACKLOG = 1024
const WORKERS = 4
const MOST_EVENTS = 64

const listenAt = (sys: Sys, port: number, type = SOCK_STREAM, share = false): number => {
  sys.setrlimit(FILE_LIMIT)
  // A send to a peer that has gone fails; it does not end the server.
  sys.signal(SIGPIPE, SIG_IGN)
  const listener = sys.socket(AF_INET, type)
  sys.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, 1)
  if (share) sys.setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, 1)
  sys.bind(listener, { address: '0.0.0.0', port })
  sys.listen(listener, BACKLOG)
  return listener
}

/** Echoes until the peer has finished, then closes. A connection that fails is closed, too. */
const serve = async (sys: Sys, fd: number, { work = 0 }: DesignOptions): Promise<void> => {
  const buffer = new Uint8Array(BUFFER)
  try {
    for (let count = await sys.recv(fd, buffer); count > 0; count = await sys.recv(fd, buffer)) {
      if (work > 0) await sys.usleep(work)
      await sys.send(fd, buffer, count)
    }
  } catch {
    // The peer has reset it.
  }
  await sys.close(fd)
}

/** Accepts a connection, serves it to its end, accepts the next. */
const acceptAndServe = async (sys: Sys, listener: number, options: DesignOptions): Promise<never> => {
  for (;;) await serve(sys, await sys.accept(listener), options)
}

const iterative =
  (options: DesignOptions): Program =>
  async (sys) =>
    acceptAndServe(sys, listenAt(sys, options.port), options)

const processPerConnection =
  (options: DesignOptions): Program =>
  async (sys) => {
    const listener = listenAt(sys, options.port)
    // A child has ended: it is waited for, so that no zombie stays.
    sys.signal(SIGCHLD, () => void sys.waitpid().catch(() => {}))
    for (;;) {
      const fd = await sys.accept(listener)
      sys.fork(async (child) => {
        await child.close(listener)
        await serve(child, fd, options)
      })
      await sys.close(fd)
    }
  }

const preforked =
  (options: DesignOptions): Program =>
  async (sys) => {
    const listener = listenAt(sys, options.port)
    for (let i = 1; i < (options.workers ?? WORKERS); i++) {
      sys.fork((child) => acceptAndServe(child, listener, options))
    }
    return acceptAndServe(sys, listener, options)
  }

const threadPerConnection =
  (options: DesignOptions): Program =>
  async (sys) => {
    const listener = listenAt(sys, options.port)
    for (;;) {
      const fd = await sys.accept(listener)
      void sys.thread((thread) => serve(thread, fd, options))
    }
  }

/** A connection of a server that waits for all of them at once. */
class Echo {
  readonly fd: number
  /** Bytes that were read and not yet sent: as long as there are any, nothing more is read. */
  private pending: Uint8Array | null = null

  constructor(fd: number) {
    this.fd = fd
  }

  get wantsToSend(): boolean {
    return this.pending !== null
  }

  /** Goes on as far as that is possible without waiting. @returns false when the connection is over */
  async goOn(sys: Sys, buffer: Uint8Array, work: number): Promise<boolean> {
    try {
      if (this.pending === null) {
        const count = await sys.recv(this.fd, buffer, buffer.length, MSG_DONTWAIT)
        if (count === 0) return false
        if (work > 0) await sys.usleep(work)
        this.pending = buffer.subarray(0, count)
      }
      const { pending } = this
      const sent = await sys.send(this.fd, pending, pending.length, MSG_DONTWAIT)
      // What is left is kept in memory of its own: the buffer is everybody's.
      this.pending = sent === pending.length ? null : pending.slice(sent)
      return true
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAGAIN') return false
      if (this.pending !== null && this.pending.buffer === buffer.buffer) this.pending = this.pending.slice()
      return true
    }
  }
}

/** Accepts everybody who waits at a non-blocking listener. */
const acceptAll = async (sys: Sys, listener: number, take: (connection: Echo) => void): Promise<void> => {
  try {
    for (;;) take(new Echo(await sys.accept4(listener, undefined, SOCK_NONBLOCK)))
  } catch (error) {
    if (!PASSING.has((error as { code?: string }).code ?? '')) throw error
  }
}

/**
 * Errors of accept(2) after which the others are served: nobody waits, somebody has given up, or there is no room now.
 */
const PASSING: ReadonlySet<string> = new Set(['EAGAIN', 'ECONNABORTED', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

const selectMultiplexed =
  (options: DesignOptions): Program =>
  async (sys) => {
    const listener = listenAt(sys, options.port, SOCK_STREAM | SOCK_NONBLOCK)
    const buffer = new Uint8Array(BUFFER)
    const connections = new Map<number, Echo>()
    let most = listener
    for (;;) {
      const read = new Set([listener])
      const write = new Set<number>()
      for (const [fd, { wantsToSend }] of connections) (wantsToSend ? write : read).add(fd)
      await sys.select(most + 1, read, write, null, null)
      if (read.delete(listener)) {
        await acceptAll(sys, listener, (connection) => {
          connections.set(connection.fd, connection)
          most = Math.max(most, connection.fd)
        })
      }
      for (const fd of [...read, ...write]) {
        if (await connections.get(fd)!.goOn(sys, buffer, options.work ?? 0)) continue
        connections.delete(fd)
        await sys.close(fd)
      }
    }
  }

/** Waits for a listener and all its connections in one epoll instance. */
const epollLoop = async (sys: Sys, listener: number, { work = 0 }: DesignOptions): Promise<never> => {
  const buffer = new Uint8Array(BUFFER)
  const epoll = sys.epoll_create1()
  sys.epoll_ctl(epoll, EPOLL_CTL_ADD, listener, { events: EPOLLIN, data: null })
  const events: EpollEvent[] = []
  for (;;) {
    const count = await sys.epoll_wait(epoll, events, MOST_EVENTS, -1)
    for (let i = 0; i < count; i++) {
      const connection = events[i]!.data as Echo | null
      if (connection === null) {
        await acceptAll(sys, listener, (accepted) => {
          sys.epoll_ctl(epoll, EPOLL_CTL_ADD, accepted.fd, { events: EPOLLIN, data: accepted })
        })
        continue
      }
      const { fd, wantsToSend } = connection
      if (!(await connection.goOn(sys, buffer, work))) {
        sys.epoll_ctl(epoll, EPOLL_CTL_DEL, fd)
        await sys.close(fd)
      } else if (connection.wantsToSend !== wantsToSend) {
        const interest = connection.wantsToSend ? EPOLLOUT : EPOLLIN
        sys.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, { events: interest, data: connection })
      }
    }
  }
}

const epollMultiplexed =
  (options: DesignOptions): Program =>
  async (sys) =>
    epollLoop(sys, listenAt(sys, options.port, SOCK_STREAM | SOCK_NONBLOCK), options)

const reusePort =
  (options: DesignOptions): Program =>
  async (sys) => {
    const work = (worker: Sys) =>
      epollLoop(worker, listenAt(worker, options.port, SOCK_STREAM | SOCK_NONBLOCK, true), options)
    for (let i = 1; i < (options.workers ?? WORKERS); i++) sys.fork(work)
    return work(sys)
  }

export const SERVER_DESIGNS: readonly ServerDesign[] = [
  { name: 'iterative', title: 'iterative: one connection after another', program: iterative },
  { name: 'fork', title: 'a process for each connection', program: processPerConnection },
  { name: 'prefork', title: 'preforked: four processes, each accepting', program: preforked },
  { name: 'thread', title: 'a thread for each connection', program: threadPerConnection },
  { name: 'select', title: 'one process, select()', program: selectMultiplexed },
  { name: 'epoll', title: 'one process, epoll', program: epollMultiplexed },
  { name: 'reuseport', title: 'SO_REUSEPORT: four processes, a listener and an epoll each', program: reusePort },
]
