import { Errno } from '../core/errno.ts'
import type { Frame } from '../core/frame.ts'
import { Drop } from '../wire/drop.ts'
import {
  emitIcmpv6,
  Icmpv6Message,
  Icmpv6Type,
  Icmpv6Unreachable,
  isIcmpv6Error,
  isMld,
  isNdp,
  parseIcmpv6,
} from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { parseQuote } from '../wire/quote.ts'
import { verifyTransportChecksum } from '../wire/transport.ts'
import { EchoListeners } from './echo.ts'
import type { NetworkInterface } from './interface.ts'
import type { Icmp6Counters } from './mib.ts'
import { ndpInput } from './ndp.ts'
import { IcmpError, type TransportProtocol } from './protocol.ts'
import type { IpStack } from './stack.ts'

/** Which counter of `Icmp6` a type has, in and out. */
const COUNTERS: Readonly<Record<number, readonly [keyof Icmp6Counters, keyof Icmp6Counters]>> = {
  [Icmpv6Type.DestinationUnreachable]: ['InDestUnreachs', 'OutDestUnreachs'],
  [Icmpv6Type.PacketTooBig]: ['InPktTooBigs', 'OutPktTooBigs'],
  [Icmpv6Type.TimeExceeded]: ['InTimeExcds', 'OutTimeExcds'],
  [Icmpv6Type.ParameterProblem]: ['InParmProblems', 'OutParmProblems'],
  [Icmpv6Type.EchoRequest]: ['InEchos', 'OutEchos'],
  [Icmpv6Type.EchoReply]: ['InEchoReplies', 'OutEchoReplies'],
  [Icmpv6Type.MulticastListenerQuery]: ['InGroupMembQueries', 'OutGroupMembQueries'],
  [Icmpv6Type.MulticastListenerReport]: ['InGroupMembResponses', 'OutGroupMembResponses'],
  [Icmpv6Type.MulticastListenerDone]: ['InGroupMembReductions', 'OutGroupMembReductions'],
  [Icmpv6Type.RouterSolicitation]: ['InRouterSolicits', 'OutRouterSolicits'],
  [Icmpv6Type.RouterAdvertisement]: ['InRouterAdvertisements', 'OutRouterAdvertisements'],
  [Icmpv6Type.NeighborSolicitation]: ['InNeighborSolicits', 'OutNeighborSolicits'],
  [Icmpv6Type.NeighborAdvertisement]: ['InNeighborAdvertisements', 'OutNeighborAdvertisements'],
  [Icmpv6Type.Redirect]: ['InRedirects', 'OutRedirects'],
  [Icmpv6Type.MulticastListenerReportV2]: ['InMLDv2Reports', 'OutMLDv2Reports'],
}

/** ICMPv6 (RFC 4443): answers echoes, tells the protocols above of errors, hands on the rest. */
export class Icmpv6Protocol implements TransportProtocol {
  /** The message being written. */
  readonly out = new Icmpv6Message()
  /** Who sends echo requests. */
  readonly echoes = new EchoListeners()
  private readonly stack: IpStack
  private readonly message = new Icmpv6Message()
  private readonly error = new IcmpError()

  constructor(stack: IpStack) {
    this.stack = stack
  }

  /** Counts a message sent. */
  countOut(type: number): void {
    const { icmp6, icmp6OutType } = this.stack.mib
    icmp6.OutMsgs++
    icmp6OutType[type]!++
    const counter = COUNTERS[type]
    if (counter !== undefined) icmp6[counter[1]]++
  }

  receive(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, message } = this
    const { icmp6, icmp6InType } = stack.mib
    const { memory } = stack.world
    icmp6.InMsgs++
    let reason = verifyTransportChecksum(header, memory)
    if (reason === Drop['icmp-checksum']) icmp6.InCsumErrors++
    if (reason === Drop.none) reason = parseIcmpv6(message, memory, header.payloadStart, header.payloadEnd)
    if (reason === Drop.none || reason === Drop['icmp-type']) {
      icmp6InType[message.type]!++
      const counter = COUNTERS[message.type]
      if (counter !== undefined) icmp6[counter[0]]++
    }
    if (reason !== Drop.none) {
      icmp6.InErrors++
      stack.drop(frame, reason)
      return
    }
    const { type } = message
    if (type === Icmpv6Type.EchoRequest) {
      this.answerEcho(header, frame, from)
      return
    }
    if (type === Icmpv6Type.EchoReply) this.echoes.reply(header, message)
    else if (isNdp(type)) reason = ndpInput(from, header)
    else if (isMld(type)) reason = stack.mld.input(from, header)
    else if (isIcmpv6Error(type)) reason = this.tell(header)
    if (reason === Drop.none) stack.world.frames.release(frame)
    else stack.drop(frame, reason)
  }

  /** An error about an echo of this host, or about its answer to one: the next answer is cut to fit. */
  icmpError(error: IcmpError): void {
    const { memory } = this.stack.world
    const type = memory.u8[error.transportStart]
    if (type === Icmpv6Type.EchoRequest) this.echoes.error(memory, error)
    else if (type === Icmpv6Type.EchoReply && error.errno === Errno.EMSGSIZE)
      this.stack.updatePathMtu(error.quoted.destination, error.mtu)
  }

  close(): void {
    this.echoes.close()
  }

  /** Turns an echo request into its reply, in place (RFC 4443 section 4.2). Owns the frame. */
  private answerEcho(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, out, message } = this
    const { settings } = from
    const toGroup = stack.arrival !== 'unicast'
    if (settings.icmpv6_echo_ignore_all !== 0 || (toGroup && settings.icmpv6_echo_ignore_multicast !== 0)) {
      stack.drop(frame, Drop['icmp-ignored'])
      return
    }
    const destination = stack.resolveReply(header, from)
    if (typeof destination === 'number') {
      stack.drop(frame, Drop['ip-no-route'])
      return
    }
    const { tx } = stack
    frame.start = header.payloadStart
    frame.end = header.payloadEnd
    const { trafficClass } = header
    tx.version = 6
    tx.source = destination.source
    tx.destination = destination.address
    out.type = Icmpv6Type.EchoReply
    out.code = 0
    out.identifier = message.identifier
    out.sequence = message.sequence
    emitIcmpv6(out, tx, stack.world.memory, frame.start, frame.end)
    this.countOut(Icmpv6Type.EchoReply)
    stack.send(frame, destination, destination.source, IpProtocol.Icmpv6, 0, trafficClass, 0)
  }

  /** Tells the protocol whose packet an error quotes. @returns a drop reason */
  private tell(header: IpHeader): number {
    const { stack, message, error } = this
    const { quoted } = error
    const reason = parseQuote(quoted, stack.world.memory, message.dataStart, message.dataEnd)
    if (reason !== Drop.none || quoted.version !== 6) return Drop['icmp-bad-quote']
    if (!stack.isLocalWords(quoted.source0, quoted.source1, quoted.source2, quoted.source3)) {
      return Drop['icmp-bad-quote']
    }
    fillError(error, message)
    error.transportStart = quoted.payloadStart
    error.transportEnd = quoted.payloadEnd
    error.reporter0 = header.source0
    error.reporter1 = header.source1
    error.reporter2 = header.source2
    error.reporter3 = header.source3
    const isHeard = stack.rawError?.(error) === true
    const transport = stack.transport(quoted.protocol)
    if (transport !== null) transport.icmpError(error)
    return isHeard || transport !== null ? Drop.none : Drop['icmp-no-socket']
  }
}

/** The error as a socket sees it, and whether it ends a connection: Linux's icmpv6_err_convert. */
const fillError = (error: IcmpError, message: Icmpv6Message): void => {
  error.version = 6
  error.type = message.type
  error.code = message.code
  error.mtu = 0
  error.hard = false
  error.errno = Errno.EPROTO
  switch (message.type) {
    case Icmpv6Type.DestinationUnreachable:
      fillUnreachable(error, message.code)
      break
    case Icmpv6Type.PacketTooBig:
      error.errno = Errno.EMSGSIZE
      error.mtu = Math.min(message.mtu, 0x7fff_ffff)
      break
    case Icmpv6Type.ParameterProblem:
      error.hard = true
      break
    case Icmpv6Type.TimeExceeded:
      error.errno = Errno.EHOSTUNREACH
      break
    default:
  }
}

const fillUnreachable = (error: IcmpError, code: number): void => {
  switch (code) {
    case Icmpv6Unreachable.NoRoute:
      error.errno = Errno.ENETUNREACH
      break
    case Icmpv6Unreachable.BeyondScope:
    case Icmpv6Unreachable.Address:
      error.errno = Errno.EHOSTUNREACH
      break
    case Icmpv6Unreachable.Port:
      error.errno = Errno.ECONNREFUSED
      error.hard = true
      break
    case Icmpv6Unreachable.Prohibited:
    case Icmpv6Unreachable.SourcePolicy:
    case Icmpv6Unreachable.RejectRoute:
      error.errno = Errno.EACCES
      error.hard = true
      break
    default:
      error.hard = true
  }
}
