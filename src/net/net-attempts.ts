import type { Alarm } from './alarm.ts'
import type { CodedError } from './errors.ts'
import {
  bindLocal,
  type ConnectOptions,
  connectFailure,
  type Destination,
  isConnected,
  noneConnected,
  refusal,
} from './net-connection.ts'
import { NetHandle } from './net-handle.ts'
import type { NetSocket } from './net-socket.ts'
import { attach, stateOf } from './net-socket-state.ts'
import { newAlarm } from './new-alarm.ts'
import { ECANCELED, ETIMEDOUT } from './uv.ts'

/**
 * Connects to one address after the other, as `autoSelectFamily` does
 * it: the next when one has failed or takes too long.
 */
export class Attempts {
  private readonly socket: NetSocket
  private readonly destinations: readonly Destination[]
  private readonly options: ConnectOptions
  private readonly timeout: number
  private readonly errors: CodedError[] = []
  private readonly alarm: Alarm
  private current = 0
  private late: NetHandle | null = null

  /** @param timeout milliseconds that an attempt may take before the next begins */
  constructor(socket: NetSocket, destinations: readonly Destination[], options: ConnectOptions, timeout: number) {
    this.socket = socket
    this.destinations = destinations
    this.options = options
    this.timeout = timeout
    this.alarm = newAlarm(stateOf(socket).surroundings, () => this.isLate())
  }

  /** Begins the next attempt, if one is left. */
  next(): void {
    const { socket } = this
    this.alarm.stop()
    if (socket.destroyed) return
    const index = this.current++
    const to = this.destinations[index]
    if (to === undefined) {
      noneConnected(socket, this.errors)
      return
    }
    if (index > 0) this.renew()
    const handle = socket._handle!
    const problem = bindLocal(handle, to.kind, this.options)
    if (problem !== null) {
      this.errors.push(problem)
      this.next()
      return
    }
    const refused = refusal(socket, to)
    if (refused !== null) {
      this.errors.push(refused)
      socket.emit('connectionAttemptFailed', to.address, to.port, to.kind, refused)
      this.next()
      return
    }
    socket.autoSelectFamilyAttemptedAddresses.push(`${to.address}:${to.port}`)
    socket.emit('connectionAttempt', to.address, to.port, to.kind)
    const result = handle.connect(to.kind, to.address, to.port, (status) => this.ended(handle, index, status))
    if (result !== 0) this.failed(to, result)
    else if (index < this.destinations.length - 1) {
      this.late = handle
      this.alarm.start(this.timeout)
    }
  }

  /** A handle for another attempt. */
  private renew(): void {
    const { socket } = this
    const before = socket._handle
    if (before !== null) {
      before.user = null
      before.close()
    }
    const handle = new NetHandle(stateOf(socket).surroundings, before?.context)
    if (before !== null && !before.isReferenced) handle.unref()
    attach(socket, handle)
  }

  private failed(to: Destination, status: number): void {
    const { socket } = this
    const error = connectFailure(status, to, this.options)
    this.errors.push(error)
    socket.emit('connectionAttemptFailed', to.address, to.port, to.kind, error)
    if (!socket.connecting) return
    if (status === ECANCELED) noneConnected(socket, this.errors)
    else this.next()
  }

  private ended(handle: NetHandle, index: number, status: number): void {
    this.alarm.stop()
    if (status === 0 && index !== this.current - 1) handle.close()
    else if (status !== 0) this.failed(this.destinations[index]!, status)
    else if (!this.socket.destroyed) isConnected(this.socket)
  }

  private isLate(): void {
    const { socket, late } = this
    const to = this.destinations[this.current - 1]!
    socket.emit('connectionAttemptTimeout', to.address, to.port, to.kind)
    this.errors.push(connectFailure(ETIMEDOUT, to, this.options))
    late?.forgetConnect()
    late?.close()
    if (socket.connecting) this.next()
  }
}
