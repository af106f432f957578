import type { Frame } from '../core/frame.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import type { IpStack } from '../ip/stack.ts'
import type { IpHeader } from '../wire/ip.ts'

/** A raw socket, as the table knows it. */
export interface RawReceiver {
  /** Takes a copy of a packet, if it wants one. The frame stays the caller's. @returns whether it is for this socket */
  take(header: IpHeader, frame: Frame, from: NetworkInterface): boolean
  /** Hears of an ICMP error, if it is about something that it may have sent. @returns whether it is */
  hear(error: IcmpError): boolean
}

/** The raw sockets of a host. While there are none, packets pass without a look at this table. */
export class RawDemux {
  private readonly ip: IpStack
  private readonly receivers: RawReceiver[] = []

  constructor(ip: IpStack) {
    this.ip = ip
  }

  get size(): number {
    return this.receivers.length
  }

  add(receiver: RawReceiver): void {
    this.receivers.push(receiver)
    this.ip.rawReceiver = (header, frame, from) => this.receive(header, frame, from)
    this.ip.rawError = (error) => this.hear(error)
  }

  remove(receiver: RawReceiver): void {
    const at = this.receivers.indexOf(receiver)
    if (at >= 0) this.receivers.splice(at, 1)
    if (this.receivers.length > 0) return
    this.ip.rawReceiver = null
    this.ip.rawError = null
  }

  private receive(header: IpHeader, frame: Frame, from: NetworkInterface): boolean {
    let isTaken = false
    for (const receiver of this.receivers) if (receiver.take(header, frame, from)) isTaken = true
    return isTaken
  }

  private hear(error: IcmpError): boolean {
    let isHeard = false
    for (const receiver of this.receivers) if (receiver.hear(error)) isHeard = true
    return isHeard
  }
}
