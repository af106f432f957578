import { tableOf } from '../core/table.ts'
import { IcmpType, IcmpUnreachable, isIcmpError } from '../wire/icmp.ts'
import { Icmpv6TimeExceeded, Icmpv6Type, isIcmpv6Error } from '../wire/icmpv6.ts'
import { type IcmpSpec, ScriptError } from './script.ts'

/** The names that scripts have for ICMP's types and codes. */

interface Names {
  readonly type: number
  readonly codes?: Readonly<Record<string, number>>
}

const UNREACHABLE4 = tableOf({
  net_unreachable: IcmpUnreachable.Net,
  host_unreachable: IcmpUnreachable.Host,
  protocol_unreachable: IcmpUnreachable.Protocol,
  port_unreachable: IcmpUnreachable.Port,
  frag_needed: IcmpUnreachable.FragmentationNeeded,
  source_route_failed: IcmpUnreachable.SourceRouteFailed,
  net_unknown: IcmpUnreachable.NetUnknown,
  host_unknown: IcmpUnreachable.HostUnknown,
  source_host_isolated: IcmpUnreachable.HostIsolated,
  net_prohibited: IcmpUnreachable.NetProhibited,
  host_prohibited: IcmpUnreachable.HostProhibited,
  net_unreachable_for_tos: IcmpUnreachable.NetTos,
  host_unreachable_for_tos: IcmpUnreachable.HostTos,
  packet_filtered: IcmpUnreachable.CommunicationProhibited,
  precedence_violation: IcmpUnreachable.HostPrecedence,
  precedence_cutoff: IcmpUnreachable.PrecedenceCutoff,
})

const IPV4: Readonly<Record<string, Names>> = tableOf({
  echo_reply: { type: IcmpType.EchoReply },
  unreachable: { type: IcmpType.DestinationUnreachable, codes: UNREACHABLE4 },
  source_quench: { type: IcmpType.SourceQuench },
  redirect: { type: IcmpType.Redirect },
  echo_request: { type: IcmpType.Echo },
  time_exceeded: { type: IcmpType.TimeExceeded },
  parameter_problem: { type: IcmpType.ParameterProblem },
})

/** `net_unreachable` and `host_unreachable` stand for what comes closest (RFC 4443 section 3.1). */
const UNREACHABLE6 = tableOf({
  net_unreachable: 0,
  no_route: 0,
  admin_prohibited: 1,
  not_neighbour: 2,
  address_unreachable: 3,
  port_unreachable: 4,
})

const IPV6: Readonly<Record<string, Names>> = tableOf({
  unreachable: { type: Icmpv6Type.DestinationUnreachable, codes: UNREACHABLE6 },
  packet_too_big: { type: Icmpv6Type.PacketTooBig },
  time_exceeded: {
    type: Icmpv6Type.TimeExceeded,
    codes: { exceeded_hop_limit: Icmpv6TimeExceeded.HopLimit, exceeded_frag_time: Icmpv6TimeExceeded.Reassembly },
  },
  parameter_problem: {
    type: Icmpv6Type.ParameterProblem,
    codes: { header_field: 0, unknown_next_header: 1, unknown_option: 2 },
  },
  echo_request: { type: Icmpv6Type.EchoRequest },
  echo_reply: { type: Icmpv6Type.EchoReply },
})

/** Type and code of a message; `type_N` and `code_N` are numbers. @throws ScriptError for names that are none */
export const icmpNumbers = (
  { type, code }: IcmpSpec,
  version: 4 | 6,
  line: number,
): { type: number; code: number; isError: boolean } => {
  const names = (version === 4 ? IPV4 : IPV6)[type]
  const typeNumber = names?.type ?? numbered(type, 'type_')
  if (typeNumber === null) throw new ScriptError(line, `${type} is no type of ICMP for IPv${version}`)
  const codeNumber = code === null ? 0 : (names?.codes?.[code] ?? numbered(code, 'code_'))
  if (codeNumber === null) throw new ScriptError(line, `${code} is no code of ICMP ${type} for IPv${version}`)
  const isError = version === 4 ? isIcmpError(typeNumber) : isIcmpv6Error(typeNumber)
  return { type: typeNumber, code: codeNumber, isError }
}

const numbered = (name: string, prefix: string): number | null =>
  name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? Number(name.slice(prefix.length)) : null
