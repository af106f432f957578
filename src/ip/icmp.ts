import { Errno } from '../core/errno.ts'
import type { Frame } from '../core/frame.ts'
import { IPV4_MAPPED } from '../wire/address.ts'
import { updateChecksum } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import {
  emitIcmp,
  ICMP_TIMESTAMP_LENGTH,
  IcmpMessage,
  IcmpTimeExceeded,
  IcmpType,
  IcmpUnreachable,
  parseIcmp,
} from '../wire/icmp.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { parseQuote } from '../wire/quote.ts'
import { verifyTransportChecksum } from '../wire/transport.ts'
import { EchoListeners } from './echo.ts'
import type { NetworkInterface } from './interface.ts'
import type { IcmpCounters } from './mib.ts'
import { IcmpError, type TransportProtocol } from './protocol.ts'
import { acceptRedirect } from './redirect.ts'
import type { IpStack } from './stack.ts'

/** The error as a socket sees it, and whether it ends a connection, by code: Linux's icmp_err_convert. */
const UNREACHABLE: readonly (readonly [errno: number, hard: boolean])[] = [
  [Errno.ENETUNREACH, false],
  [Errno.EHOSTUNREACH, false],
  [Errno.ENOPROTOOPT, true],
  [Errno.ECONNREFUSED, true],
  [Errno.EMSGSIZE, false],
  [Errno.EOPNOTSUPP, false],
  [Errno.ENETUNREACH, true],
  [Errno.EHOSTDOWN, true],
  [Errno.ENONET, true],
  [Errno.ENETUNREACH, true],
  [Errno.EHOSTUNREACH, true],
  [Errno.ENETUNREACH, false],
  [Errno.EHOSTUNREACH, false],
  [Errno.EHOSTUNREACH, true],
  [Errno.EHOSTUNREACH, true],
  [Errno.EHOSTUNREACH, true],
]

/** Which counter of `Icmp` a type has, in and out. */
const COUNTERS: Readonly<Record<number, readonly [keyof IcmpCounters, keyof IcmpCounters]>> = {
  [IcmpType.EchoReply]: ['InEchoReps', 'OutEchoReps'],
  [IcmpType.DestinationUnreachable]: ['InDestUnreachs', 'OutDestUnreachs'],
  [IcmpType.SourceQuench]: ['InSrcQuenchs', 'OutSrcQuenchs'],
  [IcmpType.Redirect]: ['InRedirects', 'OutRedirects'],
  [IcmpType.Echo]: ['InEchos', 'OutEchos'],
  [IcmpType.TimeExceeded]: ['InTimeExcds', 'OutTimeExcds'],
  [IcmpType.ParameterProblem]: ['InParmProbs', 'OutParmProbs'],
  [IcmpType.Timestamp]: ['InTimestamps', 'OutTimestamps'],
  [IcmpType.TimestampReply]: ['InTimestampReps', 'OutTimestampReps'],
}

/** ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2): answers echoes, and tells the protocols above of errors. */
export class IcmpProtocol4 implements TransportProtocol {
  /** The message being written. */
  readonly out = new IcmpMessage()
  /** Who sends echo requests. */
  readonly echoes = new EchoListeners()
  private readonly stack: IpStack
  private readonly message = new IcmpMessage()
  private readonly error = new IcmpError()

  constructor(stack: IpStack) {
    this.stack = stack
  }

  /** Counts a message sent. */
  countOut(type: number): void {
    const { icmp, icmpOutType } = this.stack.mib
    icmp.OutMsgs++
    icmpOutType[type]!++
    const counter = COUNTERS[type]
    if (counter !== undefined) icmp[counter[1]]++
  }

  receive(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, message } = this
    const { icmp, icmpInType } = stack.mib
    const { memory } = stack.world
    icmp.InMsgs++
    let reason = verifyTransportChecksum(header, memory)
    if (reason === Drop['icmp-checksum']) icmp.InCsumErrors++
    if (reason === Drop.none) reason = parseIcmp(message, memory, header.payloadStart, header.payloadEnd)
    if (reason === Drop.none || reason === Drop['icmp-type']) {
      icmpInType[message.type]!++
      const counter = COUNTERS[message.type]
      if (counter !== undefined) icmp[counter[0]]++
    }
    if (reason !== Drop.none) {
      icmp.InErrors++
      stack.drop(frame, reason)
      return
    }
    switch (message.type) {
      case IcmpType.Echo:
        this.answerEcho(header, frame, from)
        return
      case IcmpType.Timestamp:
        this.answerTimestamp(header, frame, from)
        return
      case IcmpType.EchoReply:
        this.echoes.reply(header, message)
        break
      case IcmpType.Redirect:
        reason = acceptRedirect(from, header, message)
        break
      case IcmpType.DestinationUnreachable:
      case IcmpType.TimeExceeded:
      case IcmpType.ParameterProblem:
        reason = this.tell(header)
        break
      default:
        // Source quench (RFC 6633) and timestamp replies are for nobody.
        reason = Drop['icmp-ignored']
    }
    if (reason === Drop.none) stack.world.frames.release(frame)
    else {
      if (reason === Drop['icmp-bad-quote']) icmp.InErrors++
      stack.drop(frame, reason)
    }
  }

  /** An error about an echo of this host, or about its answer to one: the next answer is cut to fit. */
  icmpError(error: IcmpError): void {
    const { memory } = this.stack.world
    const type = memory.u8[error.transportStart]
    if (type === IcmpType.Echo) this.echoes.error(memory, error)
    else if (type === IcmpType.EchoReply && error.errno === Errno.EMSGSIZE)
      this.stack.updatePathMtu(error.quoted.destination, error.mtu)
  }

  close(): void {
    this.echoes.close()
  }

  /** Turns an echo into its reply, in place (RFC 1122 section 3.2.2.6). Owns the frame. */
  private answerEcho(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack } = this
    const { settings } = from
    const toAll = stack.arrival !== 'unicast'
    if (settings.icmp_echo_ignore_all !== 0 || (toAll && settings.icmp_echo_ignore_broadcasts !== 0)) {
      stack.drop(frame, Drop['icmp-ignored'])
      return
    }
    const destination = stack.resolveReply(header, from)
    if (typeof destination === 'number') {
      stack.drop(frame, Drop['ip-no-route'])
      return
    }
    const { u8, view } = stack.world.memory
    const at = header.payloadStart
    const before = view.getUint16(at)
    u8[at] = IcmpType.EchoReply
    view.setUint16(at + 2, updateChecksum(view.getUint16(at + 2), before, view.getUint16(at)))
    frame.start = at
    frame.end = header.payloadEnd
    this.countOut(IcmpType.EchoReply)
    stack.send(frame, destination, destination.source, IpProtocol.Icmp, 0, header.trafficClass, 0)
  }

  /** Turns a timestamp request into its reply, in place (RFC 1122 section 3.2.2.8). Owns the frame. */
  private answerTimestamp(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, out, message } = this
    const destination = stack.arrival === 'unicast' ? stack.resolveReply(header, from) : 0
    if (typeof destination === 'number') {
      stack.drop(frame, Drop['icmp-ignored'])
      return
    }
    const { memory, clock, loop } = stack.world
    out.type = IcmpType.TimestampReply
    out.code = 0
    out.identifier = message.identifier
    out.sequence = message.sequence
    out.originate = message.originate
    out.receive = Math.floor(((clock.epoch + loop.now) / 1000) % 86_400_000)
    out.transmit = out.receive
    frame.start = header.payloadStart
    frame.end = frame.start + ICMP_TIMESTAMP_LENGTH
    emitIcmp(out, memory, frame.start, frame.end)
    this.countOut(IcmpType.TimestampReply)
    stack.send(frame, destination, destination.source, IpProtocol.Icmp, 0, header.trafficClass, 0)
  }

  /** Tells the protocol whose packet an error quotes. @returns a drop reason */
  private tell(header: IpHeader): number {
    const { stack, message, error } = this
    if (stack.arrival !== 'unicast' || concernsNobody(message)) return Drop['icmp-ignored']
    const { quoted } = error
    const reason = parseQuote(quoted, stack.world.memory, message.dataStart, message.dataEnd)
    if (reason !== Drop.none || quoted.version !== 4) return Drop['icmp-bad-quote']
    if (!stack.isLocalWords(0, 0, IPV4_MAPPED, quoted.source3)) return Drop['icmp-bad-quote']
    fillError(error, message)
    if (error.errno === Errno.EMSGSIZE) {
      const { ip_no_pmtu_disc } = stack.settings
      // Hardened: of protocols alone that can tell a forged error from a true one.
      const isIgnored = ip_no_pmtu_disc === 2 || (ip_no_pmtu_disc === 3 && quoted.protocol !== IpProtocol.Tcp)
      if (isIgnored) return Drop['icmp-ignored']
      // Where paths are not searched the packets get as small as they ever have to be.
      if (ip_no_pmtu_disc === 1) error.mtu = 0
    }
    error.transportStart = quoted.payloadStart
    error.transportEnd = quoted.payloadEnd
    error.reporter0 = 0
    error.reporter1 = 0
    error.reporter2 = header.source2
    error.reporter3 = header.source3
    const isHeard = stack.rawError?.(error) === true
    const transport = stack.transport(quoted.protocol)
    if (transport !== null) transport.icmpError(error)
    return isHeard || transport !== null ? Drop.none : Drop['icmp-no-socket']
  }
}

/** Codes beyond those that are known, and fragments that did not all arrive: no protocol is told, as on Linux. */
const concernsNobody = ({ type, code }: IcmpMessage): boolean =>
  type === IcmpType.DestinationUnreachable
    ? code > IcmpUnreachable.PrecedenceCutoff
    : type === IcmpType.TimeExceeded && code === IcmpTimeExceeded.Reassembly

const fillError = (error: IcmpError, message: IcmpMessage): void => {
  error.version = 4
  error.type = message.type
  error.code = message.code
  error.mtu = 0
  if (message.type === IcmpType.DestinationUnreachable) {
    const [errno, hard] = UNREACHABLE[message.code]!
    error.errno = errno
    error.hard = hard
    if (message.code === IcmpUnreachable.FragmentationNeeded) error.mtu = message.mtu
  } else if (message.type === IcmpType.ParameterProblem) {
    error.errno = Errno.EPROTO
    error.hard = true
  } else {
    error.errno = Errno.EHOSTUNREACH
    error.hard = false
  }
}
