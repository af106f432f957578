import type { Memory } from '../core/memory.ts'
import type { IpHeader } from '../wire/ip.ts'
import type { IcmpError } from './protocol.ts'

/** Who has sent echo requests, and waits for what becomes of them. */
export interface EchoListener {
  /**
   * An answer. `header` and what lies at `start` to `end` of the world's memory are read before this returns.
   * @param start where the echo's data lies
   */
  echoReply(header: IpHeader, sequence: number, start: number, end: number): void
  /** An ICMP error about the request with this sequence number. */
  echoError(error: IcmpError, sequence: number): void
  /** The stack closes. */
  stop(): void
}

/** A message of ICMP or ICMPv6 that is an echo. */
interface EchoMessage {
  readonly identifier: number
  readonly sequence: number
  readonly dataStart: number
  readonly dataEnd: number
}

/** Who sends echo requests over one version of IP, by their identifiers. */
export class EchoListeners {
  private readonly listeners = new Map<number, EchoListener>()

  /** Gives an identifier's echo replies to `listener`. @returns false when somebody has the identifier */
  add(identifier: number, listener: EchoListener): boolean {
    if (this.listeners.has(identifier)) return false
    this.listeners.set(identifier, listener)
    return true
  }

  remove(identifier: number): void {
    this.listeners.delete(identifier)
  }

  /** An echo reply has come. */
  reply(header: IpHeader, message: EchoMessage): void {
    this.listeners.get(message.identifier)?.echoReply(header, message.sequence, message.dataStart, message.dataEnd)
  }

  /** An error has come about an echo request, which the error quotes. */
  error(memory: Memory, error: IcmpError): void {
    const at = error.transportStart
    this.listeners.get(memory.view.getUint16(at + 4))?.echoError(error, memory.view.getUint16(at + 6))
  }

  close(): void {
    for (const listener of [...this.listeners.values()]) listener.stop()
    this.listeners.clear()
  }
}
