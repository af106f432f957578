import type { Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { IpProtocol } from '../wire/ip.ts'
import { compareIp, compareTcp } from './compare.ts'
import type { Configuration } from './configuration.ts'
import { Mismatch } from './failure.ts'
import type { Flow } from './flow.ts'
import { formatSegment } from './format.ts'
import { icmpNumbers } from './icmp-names.ts'
import { buildIcmp, buildTcp, buildUdp, type Envelope } from './inject.ts'
import type { CapturedPacket, CapturedTcp } from './packet.ts'
import { type IcmpSpec, type IpSpec, type PacketSpec, ScriptError, type TcpSpec, type UdpSpec } from './script.ts'
import type { Stage } from './stage.ts'

/** Packets of the script: those that arrive are built and handed to the host, those that leave are compared. */

/** The packet that the script expects, and what is found when it is compared. */
export interface Comparison {
  readonly expected: string
  readonly actual: string
  readonly faults: readonly string[]
}

/** Builds the packet of an inbound event. @param line for errors */
export const buildPacket = (
  stage: Stage,
  configuration: Configuration,
  flow: Flow,
  packet: PacketSpec,
  line: number,
): Frame => {
  const envelope: Envelope = { source: flow.remote, destination: flow.local, ip: packet.ip }
  const { body } = packet
  const frame =
    body.protocol === 'tcp'
      ? buildSegment(stage, configuration, flow, body, envelope, line)
      : body.protocol === 'udp'
        ? buildDatagram(stage, flow, body, envelope)
        : buildMessage(stage, flow, body, envelope, line)
  if (frame === null) throw new ScriptError(line, 'the packet is longer than a packet can be')
  return frame
}

const buildSegment = (
  stage: Stage,
  configuration: Configuration,
  flow: Flow,
  spec: TcpSpec,
  envelope: Envelope,
  line: number,
): Frame | null => {
  const live = flow.toLive(spec, configuration.scaledEchoes)
  if (live === null) throw new ScriptError(line, 'the timestamp echo answers no timestamp of the host')
  const [source, destination] = spec.ports ?? [flow.remotePort, flow.localPort]
  const segment = { ...live, window: live.window ?? 0, sourcePort: source, destinationPort: destination }
  return buildTcp(stage.world, envelope, segment, configuration.mss)
}

const buildDatagram = (stage: Stage, flow: Flow, spec: UdpSpec, envelope: Envelope): Frame | null => {
  const [source, destination] = spec.ports ?? [flow.remotePort, flow.localPort]
  return buildUdp(stage.world, envelope, source, destination, spec.length)
}

const buildMessage = (stage: Stage, flow: Flow, spec: IcmpSpec, envelope: Envelope, line: number): Frame | null => {
  const { type, code, isError } = icmpNumbers(spec, envelope.source.isIpv4 ? 4 : 6, line)
  const { protocol, seq, length } = spec.quoted
  const quote = {
    protocol: protocol === 'udp' ? IpProtocol.Udp : IpProtocol.Tcp,
    sourcePort: flow.localPort,
    destinationPort: flow.remotePort,
    seq: flow.quotedSeq(seq),
    length,
  }
  return buildIcmp(stage.world, envelope, { type, code, mtu: spec.mtu, id: spec.id }, isError ? quote : null)
}

/**
 * Compares what the host has sent with what the script expects. Segments that follow one another are compared as one:
 * sequence number and CWR of the first, everything else of the last.
 * @param elapsed time since the script began, of which a share is allowed in timestamps
 */
export const compareOutbound = (
  configuration: Configuration,
  flow: Flow,
  expected: PacketSpec,
  packets: readonly CapturedPacket[],
  elapsed: Micros,
  line: number,
): Comparison => {
  const packet = packets[packets.length - 1]!
  const faults = [...compareIp(expected.ip, packet), ...compareFlowLabel(expected.ip, flow, packet)]
  const { body } = expected
  if (body.protocol === 'tcp' && packet.body.protocol === 'tcp') {
    const merged = mergeSegments(packets.map((one) => flow.toScript(one.body as CapturedTcp)))
    const actual = mapTimestamps(flow, body, merged)
    faults.push(...compareTcp(body, actual, { timestampTicks: timestampTicks(configuration, elapsed) }))
    return { expected: formatSegment(body), actual: formatCaptured(actual, body.window !== null), faults }
  }
  if (body.protocol === 'udp' && packet.body.protocol === 'udp') {
    const { length, isZero } = packet.body
    if (length !== body.length) faults.push(`payload of ${body.length} expected, ${length} came`)
    if (!isZero) faults.push('payload is not what the program sent')
    return { expected: `udp (${body.length})`, actual: `udp (${length})`, faults }
  }
  if (body.protocol === 'icmp' && packet.body.protocol === 'icmp') {
    const { type, code } = icmpNumbers(body, flow.local.isIpv4 ? 4 : 6, line)
    const came = `icmp ${packet.body.type}/${packet.body.code}`
    if (`icmp ${type}/${code}` !== came) faults.push(`icmp ${type}/${code} expected, ${came} came`)
    return { expected: `icmp ${body.type} ${body.code ?? ''}`, actual: came, faults }
  }
  throw new Mismatch(line, `a ${body.protocol} packet expected, a ${packet.body.protocol} packet came`)
}

/** A segment as it came, in the script's notation. */
export const formatCaptured = (segment: CapturedTcp, withWindow: boolean): string =>
  formatSegment({
    ...segment,
    ack: segment.flags.includes('.') ? segment.ack : null,
    window: withWindow ? segment.window : null,
  })

const mergeSegments = (segments: readonly CapturedTcp[]): CapturedTcp => {
  const first = segments[0]!
  const last = segments[segments.length - 1]!
  if (first === last) return first
  const flags = first.flags.includes('W') && !last.flags.includes('W') ? `${last.flags}W` : last.flags
  return {
    ...last,
    flags,
    seq: first.seq,
    length: segments.reduce((sum, { length }) => sum + length, 0),
    isZero: segments.every(({ isZero }) => isZero),
    fault: segments.find(({ fault }) => fault !== null)?.fault ?? null,
  }
}

/** May `next` be the rest of what `before` began: the same header, but for what the last one alone has? */
export const continues = (before: CapturedTcp, next: CapturedTcp): boolean => {
  const common = (flags: string): string => flags.replace(/[FPW]/g, '')
  return (
    common(before.flags) === common(next.flags) &&
    next.seq === (before.seq + before.length) >>> 0 &&
    next.ack === before.ack
  )
}

/** Timestamps in the script's count; outbound echoes are not compared, and stand there as the script has them. */
const mapTimestamps = (flow: Flow, expected: TcpSpec, actual: CapturedTcp): CapturedTcp => {
  const wanted = expected.options?.find(({ name }) => name === 'TS')
  const got = actual.options.find(({ name }) => name === 'TS')
  if (wanted === undefined || got === undefined) return actual
  const value = flow.mapTimestamp(wanted.values[0]!, got.values[0]!)
  const mapped = { ...got, values: [value, wanted.values[1]!] }
  return { ...actual, options: actual.options.map((option) => (option === got ? mapped : option)) }
}

const timestampTicks = (configuration: Configuration, elapsed: Micros): number => {
  const { timestampTick, toleranceMicros, tolerancePercent } = configuration
  if (timestampTick === 0) return Number.POSITIVE_INFINITY
  return Math.max(toleranceMicros, (elapsed * tolerancePercent) / 100) / timestampTick
}

/** A flow label in a script stands for whatever the host has chosen, and another one for another. */
const compareFlowLabel = ({ flowLabel: script }: IpSpec, flow: Flow, packet: CapturedPacket): string[] => {
  if (script === null || script === 0) return []
  const live = packet.flowLabel
  const known = flow.flowLabel
  if (live === 0) return ['a flow label expected']
  const isSame = known !== null && known.script === script
  const wasSame = known !== null && known.live === live
  flow.flowLabel = { script, live }
  if (known === null || isSame === wasSame) return []
  return [isSame ? 'the same flow label as before expected' : 'another flow label than before expected']
}
