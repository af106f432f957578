import type { NetstatOptions } from './netstat.ts'
import type { Snapshot } from './snapshot.ts'

/** `netstat -s`: counters in words, where net-tools has words for them, and by name where it has none. */

/**
 * When a counter is printed: always; when it has counted; or in one of ICMP's histograms. `never` are settings that
 * stand among the counters. The text has # for the number.
 *
 * net-tools looks its texts up by halving in tables that are not quite in order, and so misses some of its own: the
 * counters concerned are absent here, and come out by name as they do there.
 */
type Entry = readonly [when: 'always' | 'counted' | 'input' | 'output' | 'never', text: string]
type Table = Readonly<Record<string, Entry>>

const IP: Table = {
  DefaultTTL: ['never', ''],
  ForwDatagrams: ['always', '# forwarded'],
  FragCreates: ['counted', '# fragments created'],
  FragFails: ['counted', '# outgoing packets failed fragmentation'],
  FragOKs: ['counted', '# outgoing packets fragmented ok'],
  InAddrErrors: ['counted', '# with invalid addresses'],
  InDelivers: ['always', '# incoming packets delivered'],
  InDiscards: ['always', '# incoming packets discarded'],
  InHdrErrors: ['counted', '# with invalid headers'],
  InReceives: ['always', '# total packets received'],
  InUnknownProtos: ['counted', '# with unknown protocol'],
  OutDiscards: ['counted', '# outgoing packets dropped'],
  OutNoRoutes: ['counted', '# dropped because of missing route'],
  OutRequests: ['always', '# requests sent out'],
  ReasmFails: ['counted', '# packet reassemblies failed'],
  ReasmOKs: ['counted', '# packets reassembled ok'],
  ReasmReqds: ['counted', '# reassemblies required'],
  ReasmTimeout: ['counted', '# fragments dropped after timeout'],
}

const ICMP: Table = {
  InAddrMaskReps: ['input', 'address mask replies: #'],
  InAddrMasks: ['input', 'address mask request: #'],
  InDestUnreachs: ['input', 'destination unreachable: #'],
  InEchoReps: ['input', 'echo replies: #'],
  InEchos: ['input', 'echo requests: #'],
  InErrors: ['always', '# input ICMP message failed'],
  InMsgs: ['always', '# ICMP messages received'],
  InParmProbs: ['input', 'wrong parameters: #'],
  InRedirects: ['input', 'redirects: #'],
  InSrcQuenchs: ['input', 'source quenches: #'],
  InTimeExcds: ['input', 'timeout in transit: #'],
  InTimestampReps: ['input', 'timestamp reply: #'],
  InTimestamps: ['input', 'timestamp request: #'],
  OutAddrMaskReps: ['output', 'address mask replies: #'],
  OutAddrMasks: ['output', 'address mask requests: #'],
  OutDestUnreachs: ['output', 'destination unreachable: #'],
  OutEchoReps: ['output', 'echo replies: #'],
  OutEchos: ['output', 'echo requests: #'],
  OutErrors: ['always', '# ICMP messages failed'],
  OutMsgs: ['always', '# ICMP messages sent'],
  OutParmProbs: ['output', 'wrong parameters: #'],
  OutRedirects: ['output', 'redirect: #'],
  OutSrcQuenchs: ['output', 'source quench: #'],
  OutTimeExcds: ['output', 'time exceeded: #'],
  OutTimestampReps: ['output', 'timestamp replies: #'],
  OutTimestamps: ['output', 'timestamp requests: #'],
}

const TCP: Table = {
  ActiveOpens: ['always', '# active connection openings'],
  AttemptFails: ['always', '# failed connection attempts'],
  CurrEstab: ['always', '# connections established'],
  EstabResets: ['always', '# connection resets received'],
  InErrs: ['always', '# bad segments received'],
  InSegs: ['always', '# segments received'],
  MaxConn: ['never', ''],
  OutRsts: ['always', '# resets sent'],
  OutSegs: ['always', '# segments sent out'],
  PassiveOpens: ['always', '# passive connection openings'],
  RetransSegs: ['always', '# segments retransmitted'],
  RtoAlgorithm: ['never', ''],
  RtoMax: ['never', ''],
  RtoMin: ['never', ''],
}

const UDP: Table = {
  InDatagrams: ['always', '# packets received'],
  InErrors: ['always', '# packet receive errors'],
  NoPorts: ['always', '# packets to unknown port received'],
  OutDatagrams: ['always', '# packets sent'],
  RcvbufErrors: ['always', '# receive buffer errors'],
  SndbufErrors: ['always', '# send buffer errors'],
}

const TCP_EXT: Table = {
  DelayedACKLocked: ['counted', '# delayed acks further delayed because of locked socket'],
  DelayedACKLost: ['counted', 'Quick ack mode was activated # times'],
  DelayedACKs: ['counted', '# delayed acks sent'],
  EmbryonicRsts: ['counted', '# resets received for embryonic SYN_RECV sockets'],
  ListenDrops: ['counted', '# SYNs to LISTEN sockets dropped'],
  ListenOverflows: ['counted', '# times the listen queue of a socket overflowed'],
  LockDroppedIcmps: ['counted', '# ICMP packets dropped because socket was locked'],
  OfoPruned: ['counted', '# packets dropped from out-of-order queue because of socket buffer overrun'],
  OutOfWindowIcmps: ['counted', '# ICMP packets dropped because they were out-of-window'],
  PAWSActive: ['counted', '# active connections rejected because of time stamp'],
  PAWSEstab: ['counted', '# packets rejected in established connections because of timestamp'],
  PruneCalled: ['counted', '# packets pruned from receive queue because of socket buffer overrun'],
  RcvPruned: ['counted', '# packets pruned from receive queue'],
  SyncookiesFailed: ['counted', '# invalid SYN cookies received'],
  SyncookiesRecv: ['counted', '# SYN cookies received'],
  SyncookiesSent: ['counted', '# SYN cookies sent'],
  TCPAbortFailed: ['counted', '# times unable to send RST due to no memory'],
  TCPAbortOnClose: ['counted', '# connections reset due to early user close'],
  TCPAbortOnData: ['counted', '# connections reset due to unexpected data'],
  TCPAbortOnLinger: ['counted', '# connections aborted after user close in linger timeout'],
  TCPAbortOnMemory: ['counted', '# connections aborted due to memory pressure'],
  TCPAbortOnTimeout: ['counted', '# connections aborted due to timeout'],
  TCPFastRetrans: ['counted', '# fast retransmits'],
  TCPFullUndo: ['counted', '# congestion windows fully recovered without slow start'],
  TCPHPAcks: ['counted', '# predicted acknowledgments'],
  TCPHPHits: ['always', '# packet headers predicted'],
  TCPLossFailures: ['counted', '# timeouts in loss state'],
  TCPLossUndo: ['counted', '# congestion windows recovered without slow start after partial ack'],
  TCPMemoryPressures: ['counted', 'TCP ran low on memory # times'],
  TCPPartialUndo: ['counted', '# congestion windows partially recovered using Hoe heuristic'],
  TCPPureAcks: ['counted', '# acknowledgments not containing data payload received'],
  TCPRcvCollapsed: ['counted', '# packets collapsed in receive queue due to low socket buffer'],
  TCPRenoFailures: ['counted', '# timeouts after reno fast retransmit'],
  TCPRenoRecovery: ['counted', '# times recovered from packet loss due to fast retransmit'],
  TCPRenoReorder: ['counted', 'Detected reordering # times using reno fast retransmit'],
  TCPSACKReorder: ['counted', 'Detected reordering # times using SACK'],
  TCPSlowStartRetrans: ['counted', '# retransmits in slow start'],
  TCPTSReorder: ['counted', 'Detected reordering # times using time stamp'],
  TW: ['counted', '# TCP sockets finished time wait in fast timer'],
  TWRecycled: ['counted', '# time wait sockets recycled by time stamp'],
}

const IP6: Table = {
  FragCreates: ['counted', '# fragments created'],
  FragFails: ['counted', '# outgoing packets failed fragmentation'],
  FragOKs: ['counted', '# outgoing packets fragmented ok'],
  InAddrErrors: ['counted', '# with invalid addresses'],
  InDelivers: ['always', '# incoming packets delivered'],
  InDiscards: ['always', '# incoming packets discarded'],
  InHdrErrors: ['counted', '# with invalid headers'],
  InMcastPkts: ['counted', '# incoming multicast packets'],
  InNoRoutes: ['counted', '# incoming packets with no route'],
  InReceives: ['always', '# total packets received'],
  InTooBigErrors: ['counted', '# with packets too big'],
  InTruncatedPkts: ['counted', '# with truncated packets'],
  InUnknownProtos: ['counted', '# with unknown protocol'],
  OutDiscards: ['counted', '# outgoing packets dropped'],
  OutForwDatagrams: ['always', '# forwarded'],
  OutMcastPkts: ['counted', '# outgoing multicast packets'],
  OutNoRoutes: ['counted', '# dropped because of missing route'],
  OutRequests: ['always', '# requests sent out'],
  ReasmFails: ['counted', '# packet reassemblies failed'],
  ReasmOKs: ['counted', '# packets reassembled ok'],
  ReasmReqds: ['counted', '# reassemblies required'],
  ReasmTimeout: ['counted', '# fragments dropped after timeout'],
}

const ICMP6: Table = {
  InDestUnreachs: ['input', 'destination unreachable: #'],
  InEchoReplies: ['input', 'echo replies: #'],
  InEchos: ['input', 'echo requests: #'],
  InErrors: ['always', '# input ICMP message failed'],
  InGroupMembQueries: ['input', 'group member queries: #'],
  InGroupMembReductions: ['input', 'group member reductions: #'],
  InGroupMembResponses: ['input', 'group member responses: #'],
  InMsgs: ['always', '# ICMP messages received'],
  InNeighborAdvertisements: ['input', 'neighbour advertisement: #'],
  InNeighborSolicits: ['input', 'neighbour solicits: #'],
  InParmProblems: ['input', 'parameter problem: #'],
  InPktTooBigs: ['input', 'packets too big: #'],
  InRedirects: ['input', 'redirects: #'],
  InRouterAdvertisements: ['input', 'router advertisement: #'],
  InRouterSolicits: ['input', 'router solicits: #'],
  InTimeExcds: ['input', 'received ICMPv6 time exceeded: #'],
  OutDestUnreachs: ['output', 'destination unreachable: #'],
  OutEchoReplies: ['output', 'echo replies: #'],
  OutEchos: ['output', 'echo requests: #'],
  OutGroupMembQueries: ['output', 'group member queries: #'],
  OutGroupMembReductions: ['output', 'group member reductions: #'],
  OutGroupMembResponses: ['output', 'group member responses: #'],
  OutMsgs: ['always', '# ICMP messages sent'],
  OutNeighborAdvertisements: ['output', 'neighbor advertisements: #'],
  OutNeighborSolicits: ['output', 'neighbor solicits: #'],
  OutParmProblems: ['output', 'parameter problem: #'],
  OutPktTooBigs: ['output', 'packets too big: #'],
  OutRedirects: ['output', 'redirects: #'],
  OutRouterSolicits: ['output', 'router solicits: #'],
  OutTimeExcds: ['output', 'sent ICMPv6 time exceeded: #'],
}

const UDP6: Table = {
  InDatagrams: ['always', '# packets received'],
  InErrors: ['always', '# packet receive errors'],
  NoPorts: ['always', '# packets to unknown port received'],
  OutDatagrams: ['always', '# packets sent'],
}

const HISTOGRAMS = { input: 'ICMP input histogram:', output: 'ICMP output histogram:' } as const

/** What the options leave of the tables that net-tools knows. */
const isWanted = (title: string, options: NetstatOptions): boolean => {
  const { tcp, udp, raw } = options
  if (!tcp && !udp && !raw) return true
  if (title.startsWith('Tcp')) return tcp
  return title.startsWith('Udp') ? udp : raw
}

/** The counters of the host, of IPv4 and what is above it, or with -6 of IPv6. */
export const printStatistics = (snapshot: Snapshot, options: NetstatOptions): string => {
  const writer = new StatisticsWriter()
  if (options.inet6) writeIpv6(writer, snapshot, options)
  else writeIpv4(writer, snapshot, options)
  return writer.text
}

const writeIpv4 = (writer: StatisticsWriter, { counters }: Snapshot, options: NetstatOptions): void => {
  const known = (title: string, table: Table, values: Record<string, number>): void => {
    if (isWanted(title, options)) writer.known(title, table, values)
    else writer.skip()
  }
  known('Ip', IP, counters.Ip)
  known('Icmp', ICMP, counters.Icmp)
  // Linux leaves the table out until there is something in it.
  if (Object.keys(counters.IcmpMsg).length > 0) writer.unknown('IcmpMsg', counters.IcmpMsg)
  known('Tcp', TCP, counters.Tcp)
  known('Udp', UDP, counters.Udp)
  // Protocols that this stack does not have, and whose tables are there all the same.
  writer.unknown('UdpLite', {})
  known('TcpExt', TCP_EXT, counters.TcpExt)
  writer.unknown('IpExt', counters.IpExt)
  writer.unknown('MPTcpExt', {})
}

const writeIpv6 = (writer: StatisticsWriter, { counters }: Snapshot, options: NetstatOptions): void => {
  const known = (title: string, table: Table, values: Record<string, number>): void => {
    if (isWanted(title, options)) writer.known(title, table, values, title)
  }
  known('Ip6', IP6, counters.Ip6)
  known('Icmp6', ICMP6, { ...counters.Icmp6, ...counters.Icmp6Msg })
  known('Udp6', UDP6, counters.Udp6)
  writer.unknown('UdpLite6', {})
  if (isWanted('Tcp', options)) writer.known('Tcp', TCP, counters.Tcp)
}

class StatisticsWriter {
  text = ''
  /**
   * A counter without words is indented like what came before it, in a table without words also like the table before.
   */
  private state: 'normal' | 'input' | 'output' = 'normal'

  /** @param prefix what stands before the names of counters that come out by name */
  known(title: string, table: Table, values: Record<string, number>, prefix = ''): void {
    this.text += `${title}:\n`
    this.state = 'normal'
    for (const [name, value] of Object.entries(values)) {
      const entry = table[name]
      if (entry === undefined) this.bare(`${prefix}${name}`, value)
      else this.worded(entry, value)
    }
  }

  /** A table that is not wanted ends the one before all the same. */
  skip(): void {
    this.state = 'normal'
  }

  unknown(title: string, values: Record<string, number>): void {
    this.text += `${title}:\n`
    for (const [name, value] of Object.entries(values)) this.bare(name, value)
  }

  private worded([when, words]: Entry, value: number): void {
    if (when === 'never') return
    const state = when === 'input' || when === 'output' ? when : 'normal'
    if (state !== 'normal' && this.state !== state) this.line(HISTOGRAMS[state])
    this.state = state
    if (when === 'always' || value > 0) this.line(words.replace('#', `${value}`))
  }

  private bare(name: string, value: number): void {
    if (value !== 0) this.line(`${name}: ${value}`)
  }

  private line(text: string): void {
    this.text += `${this.state === 'normal' ? '    ' : '        '}${text}\n`
  }
}
