import type { Micros } from '../core/clock.ts'
import { SystemError } from '../core/errno.ts'
import type { Credentials } from '../socket/control.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { BlockedCalls, IdleCalls, Wakeup } from './blocking.ts'
import { Sys } from './calls.ts'
import type { AcceptCall, ConnectCall } from './calls-connect.ts'
import type { ReceiveCall } from './calls-transfer.ts'
import { ProcessExit } from './failure.ts'
import type { FileTable } from './files.ts'
import type { Host } from './host.ts'
import {
  endsByDefault,
  SA_RESETHAND,
  SA_RESTART,
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGKILL,
  type SigAction,
  signalName,
} from './signals.ts'

/** A program: an asynchronous function of the system calls. What it returns is its exit status; nothing means 0. */
export type Program = (sys: Sys) => Promise<number | undefined | void> | number | undefined | void

/** A line that a program has printed. */
export interface OutputLine {
  /** World time, microseconds. */
  readonly at: Micros
  readonly text: string
  /** Was it written to standard error? */
  readonly isError: boolean
}

const DEFAULT: SigAction = { sa_handler: SIG_DFL, sa_flags: 0 }

/** A process of a host: a program that runs, with descriptors, signal actions and a parent. */
export class Process {
  readonly host: Host
  readonly pid: number
  readonly name: string
  readonly parent: Process | null
  readonly files: FileTable
  /** Datagrams that it has sent since a call of its last waited. */
  burst = 0
  readonly sys: Sys
  /** Effective user: 0 is the superuser. */
  uid = 0
  /** What it has printed. */
  readonly output: OutputLine[] = []
  /** Calls that wait now. */
  readonly blocked = new BlockedCalls()
  /** Receives, accepts and connects that are over, for the next that have to wait. */
  readonly idleReceives = new IdleCalls<ReceiveCall>()
  readonly idleAccepts = new IdleCalls<AcceptCall>()
  readonly idleConnects = new IdleCalls<ConnectCall>()
  /** Files that a close(2) which waits holds, when no descriptor does any more (SO_LINGER). */
  readonly closing = new Set<OpenFile>()
  readonly children = new Set<Process>()
  /** How it ended: an exit status, or 128 + the signal that ended it; null while it lives. */
  status: number | null = null
  /** The signal that ended it; 0 for none. */
  endedBy = 0
  /** What an uncaught exception said. */
  error: unknown = null
  readonly actions = new Map<number, SigAction>()
  private readonly endings: ((status: number) => void)[] = []

  constructor(host: Host, pid: number, name: string, parent: Process | null, files: FileTable) {
    this.host = host
    this.pid = pid
    this.name = name
    this.parent = parent
    this.files = files
    this.sys = new Sys(this)
    parent?.children.add(this)
  }

  get isAlive(): boolean {
    return this.status === null
  }

  /** As SCM_CREDENTIALS and SO_PEERCRED tell them; a user's group has the user's number. */
  get credentials(): Credentials {
    return { pid: this.pid, uid: this.uid, gid: this.uid }
  }

  /** Resolves with the exit status when the process has ended. */
  get ended(): Promise<number> {
    if (this.status !== null) return Promise.resolve(this.status)
    return new Promise((resolve) => {
      this.endings.push(resolve)
    })
  }

  /** Runs `program` from the beginning of the next step on. */
  start(program: Program): void {
    this.host.resumed()
    void Promise.resolve()
      .then(() => (this.isAlive ? program(this.sys) : undefined))
      .then(
        (status) => this.exit(typeof status === 'number' ? status : 0),
        (error: unknown) => this.fail(error),
      )
      .then(() => this.host.rested())
  }

  private fail(error: unknown): void {
    if (error instanceof ProcessExit) {
      this.exit(error.status)
      return
    }
    if (!this.isAlive) return
    this.error = error
    const text =
      error instanceof SystemError
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error)
    this.print(`${this.name}: ${text}`, true)
    this.exit(1)
    this.host.programFailed(this, error)
  }

  /** Ends the process: every descriptor is closed, every call that waits is gone. */
  exit(status: number): void {
    if (!this.isAlive) return
    this.status = status
    for (const call of [...this.blocked]) call.abandon()
    for (const file of this.closing) file.unref()
    this.closing.clear()
    for (const fd of this.files.numbers()) this.files.take(fd)?.unref()
    this.host.processEnded(this)
    for (const child of this.children) if (!child.isAlive) this.host.reap(child)
    for (const resolve of this.endings.splice(0)) resolve(status)
    this.parent?.signal(SIGCHLD)
  }

  /** Sends it a signal (kill(2)). */
  signal(signal: number): void {
    if (!this.isAlive) return
    const action = signal === SIGKILL ? DEFAULT : (this.actions.get(signal) ?? DEFAULT)
    const handler = action.sa_handler
    if (handler === SIG_IGN) return
    if (handler === SIG_DFL) {
      if (!endsByDefault(signal)) return
      this.endedBy = signal
      this.print(`${this.name}: ended by ${signalName(signal)}`, true)
      this.exit(128 + signal)
      return
    }
    if ((action.sa_flags & SA_RESETHAND) !== 0) this.actions.delete(signal)
    try {
      handler(signal)
    } catch (error) {
      // exit(2), or a mistake: it is this process that ends, and not
      // whoever has sent the signal, or a packet on its way.
      this.fail(error)
      return
    }
    // The thread that has waited longest takes the signal.
    this.blocked.first?.resume((action.sa_flags & SA_RESTART) !== 0 ? Wakeup.Restart : Wakeup.Interrupted)
  }

  print(text: string, isError = false): void {
    const line = { at: this.host.world.loop.now, text, isError }
    this.output.push(line)
    this.host.onPrint?.(this, line)
  }
}
