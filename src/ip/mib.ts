import { DROP_REASONS } from '../wire/drop.ts'

/**
 * The counters of a host, under the names that Linux gives them in /proc/net/snmp, /proc/net/netstat and
 * /proc/net/snmp6 (RFC 4293, 4022 and 4113 define the first of them), one class a group and in Linux's order, so that
 * a printer needs only to walk them. `drops` counts every reason of wire/drop.ts beside them.
 */
export class Mib {
  readonly ip = new IpCounters()
  readonly icmp = new IcmpCounters()
  readonly tcp = new TcpCounters()
  readonly udp = new UdpCounters()
  readonly tcpExt = new TcpExtCounters()
  readonly ipExt = new IpExtCounters()
  readonly ip6 = new Ip6Counters()
  readonly icmp6 = new Icmp6Counters()
  readonly udp6 = new Udp6Counters()
  /** Messages by ICMP type, as `IcmpMsg` prints them: received, and sent. */
  readonly icmpInType = new Float64Array(256)
  readonly icmpOutType = new Float64Array(256)
  readonly icmp6InType = new Float64Array(256)
  readonly icmp6OutType = new Float64Array(256)
  /** Packets dropped, by reason. */
  readonly drops = new Float64Array(DROP_REASONS)
}

/** `Ip` of /proc/net/snmp. */
export class IpCounters {
  Forwarding = 2
  DefaultTTL = 64
  InReceives = 0
  InHdrErrors = 0
  InAddrErrors = 0
  ForwDatagrams = 0
  InUnknownProtos = 0
  InDiscards = 0
  InDelivers = 0
  OutRequests = 0
  OutDiscards = 0
  OutNoRoutes = 0
  ReasmTimeout = 0
  ReasmReqds = 0
  ReasmOKs = 0
  ReasmFails = 0
  FragOKs = 0
  FragFails = 0
  FragCreates = 0
  OutTransmits = 0
}

/** `Icmp` of /proc/net/snmp. */
export class IcmpCounters {
  InMsgs = 0
  InErrors = 0
  InCsumErrors = 0
  InDestUnreachs = 0
  InTimeExcds = 0
  InParmProbs = 0
  InSrcQuenchs = 0
  InRedirects = 0
  InEchos = 0
  InEchoReps = 0
  InTimestamps = 0
  InTimestampReps = 0
  InAddrMasks = 0
  InAddrMaskReps = 0
  OutMsgs = 0
  OutErrors = 0
  OutRateLimitGlobal = 0
  OutRateLimitHost = 0
  OutDestUnreachs = 0
  OutTimeExcds = 0
  OutParmProbs = 0
  OutSrcQuenchs = 0
  OutRedirects = 0
  OutEchos = 0
  OutEchoReps = 0
  OutTimestamps = 0
  OutTimestampReps = 0
  OutAddrMasks = 0
  OutAddrMaskReps = 0
}

/** `Tcp` of /proc/net/snmp. Times in milliseconds. */
export class TcpCounters {
  RtoAlgorithm = 1
  RtoMin = 200
  RtoMax = 120000
  MaxConn = -1
  ActiveOpens = 0
  PassiveOpens = 0
  AttemptFails = 0
  EstabResets = 0
  CurrEstab = 0
  InSegs = 0
  OutSegs = 0
  RetransSegs = 0
  InErrs = 0
  OutRsts = 0
  InCsumErrors = 0
}

/** `Udp` of /proc/net/snmp. */
export class UdpCounters {
  InDatagrams = 0
  NoPorts = 0
  InErrors = 0
  OutDatagrams = 0
  RcvbufErrors = 0
  SndbufErrors = 0
  InCsumErrors = 0
  IgnoredMulti = 0
  MemErrors = 0
}

/** `TcpExt` of /proc/net/netstat. */
export class TcpExtCounters {
  SyncookiesSent = 0
  SyncookiesRecv = 0
  SyncookiesFailed = 0
  EmbryonicRsts = 0
  PruneCalled = 0
  RcvPruned = 0
  OfoPruned = 0
  OutOfWindowIcmps = 0
  LockDroppedIcmps = 0
  ArpFilter = 0
  TW = 0
  TWRecycled = 0
  TWKilled = 0
  PAWSActive = 0
  PAWSEstab = 0
  BeyondWindow = 0
  TSEcrRejected = 0
  PAWSOldAck = 0
  PAWSTimewait = 0
  DelayedACKs = 0
  DelayedACKLocked = 0
  DelayedACKLost = 0
  ListenOverflows = 0
  ListenDrops = 0
  TCPHPHits = 0
  TCPPureAcks = 0
  TCPHPAcks = 0
  TCPRenoRecovery = 0
  TCPSackRecovery = 0
  TCPSACKReneging = 0
  TCPSACKReorder = 0
  TCPRenoReorder = 0
  TCPTSReorder = 0
  TCPFullUndo = 0
  TCPPartialUndo = 0
  TCPDSACKUndo = 0
  TCPLossUndo = 0
  TCPLostRetransmit = 0
  TCPRenoFailures = 0
  TCPSackFailures = 0
  TCPLossFailures = 0
  TCPFastRetrans = 0
  TCPSlowStartRetrans = 0
  TCPTimeouts = 0
  TCPLossProbes = 0
  TCPLossProbeRecovery = 0
  TCPRenoRecoveryFail = 0
  TCPSackRecoveryFail = 0
  TCPRcvCollapsed = 0
  TCPBacklogCoalesce = 0
  TCPDSACKOldSent = 0
  TCPDSACKOfoSent = 0
  TCPDSACKRecv = 0
  TCPDSACKOfoRecv = 0
  TCPAbortOnData = 0
  TCPAbortOnClose = 0
  TCPAbortOnMemory = 0
  TCPAbortOnTimeout = 0
  TCPAbortOnLinger = 0
  TCPAbortFailed = 0
  TCPMemoryPressures = 0
  TCPMemoryPressuresChrono = 0
  TCPSACKDiscard = 0
  TCPDSACKIgnoredOld = 0
  TCPDSACKIgnoredNoUndo = 0
  TCPSpuriousRTOs = 0
  TCPMD5NotFound = 0
  TCPMD5Unexpected = 0
  TCPMD5Failure = 0
  TCPSackShifted = 0
  TCPSackMerged = 0
  TCPSackShiftFallback = 0
  TCPBacklogDrop = 0
  PFMemallocDrop = 0
  TCPMinTTLDrop = 0
  TCPDeferAcceptDrop = 0
  IPReversePathFilter = 0
  TCPTimeWaitOverflow = 0
  TCPReqQFullDoCookies = 0
  TCPReqQFullDrop = 0
  TCPRetransFail = 0
  TCPRcvCoalesce = 0
  TCPOFOQueue = 0
  TCPOFODrop = 0
  TCPOFOMerge = 0
  TCPChallengeACK = 0
  TCPSYNChallenge = 0
  TCPFastOpenActive = 0
  TCPFastOpenActiveFail = 0
  TCPFastOpenPassive = 0
  TCPFastOpenPassiveFail = 0
  TCPFastOpenListenOverflow = 0
  TCPFastOpenCookieReqd = 0
  TCPFastOpenBlackhole = 0
  TCPSpuriousRtxHostQueues = 0
  BusyPollRxPackets = 0
  TCPAutoCorking = 0
  TCPFromZeroWindowAdv = 0
  TCPToZeroWindowAdv = 0
  TCPWantZeroWindowAdv = 0
  TCPSynRetrans = 0
  TCPOrigDataSent = 0
  TCPHystartTrainDetect = 0
  TCPHystartTrainCwnd = 0
  TCPHystartDelayDetect = 0
  TCPHystartDelayCwnd = 0
  TCPACKSkippedSynRecv = 0
  TCPACKSkippedPAWS = 0
  TCPACKSkippedSeq = 0
  TCPACKSkippedFinWait2 = 0
  TCPACKSkippedTimeWait = 0
  TCPACKSkippedChallenge = 0
  TCPWinProbe = 0
  TCPKeepAlive = 0
  TCPMTUPFail = 0
  TCPMTUPSuccess = 0
  TCPDelivered = 0
  TCPDeliveredCE = 0
  TCPAckCompressed = 0
  TCPZeroWindowDrop = 0
  TCPRcvQDrop = 0
  TCPWqueueTooBig = 0
  TCPFastOpenPassiveAltKey = 0
  TcpTimeoutRehash = 0
  TcpDuplicateDataRehash = 0
  TCPDSACKRecvSegs = 0
  TCPDSACKIgnoredDubious = 0
  TCPMigrateReqSuccess = 0
  TCPMigrateReqFailure = 0
  TCPPLBRehash = 0
  TCPAORequired = 0
  TCPAOBad = 0
  TCPAOKeyNotFound = 0
  TCPAOGood = 0
  TCPAODroppedIcmps = 0
}

/** `IpExt` of /proc/net/netstat. */
export class IpExtCounters {
  InNoRoutes = 0
  InTruncatedPkts = 0
  InMcastPkts = 0
  OutMcastPkts = 0
  InBcastPkts = 0
  OutBcastPkts = 0
  InOctets = 0
  OutOctets = 0
  InMcastOctets = 0
  OutMcastOctets = 0
  InBcastOctets = 0
  OutBcastOctets = 0
  InCsumErrors = 0
  InNoECTPkts = 0
  InECT1Pkts = 0
  InECT0Pkts = 0
  InCEPkts = 0
  ReasmOverlaps = 0
}

/** `Ip6` of /proc/net/snmp6. */
export class Ip6Counters {
  InReceives = 0
  InHdrErrors = 0
  InTooBigErrors = 0
  InNoRoutes = 0
  InAddrErrors = 0
  InUnknownProtos = 0
  InTruncatedPkts = 0
  InDiscards = 0
  InDelivers = 0
  OutForwDatagrams = 0
  OutRequests = 0
  OutDiscards = 0
  OutNoRoutes = 0
  ReasmTimeout = 0
  ReasmReqds = 0
  ReasmOKs = 0
  ReasmFails = 0
  FragOKs = 0
  FragFails = 0
  FragCreates = 0
  InMcastPkts = 0
  OutMcastPkts = 0
  InOctets = 0
  OutOctets = 0
  InMcastOctets = 0
  OutMcastOctets = 0
  InBcastOctets = 0
  OutBcastOctets = 0
  InNoECTPkts = 0
  InECT1Pkts = 0
  InECT0Pkts = 0
  InCEPkts = 0
  OutTransmits = 0
}

/** `Icmp6` of /proc/net/snmp6. */
export class Icmp6Counters {
  InMsgs = 0
  InErrors = 0
  OutMsgs = 0
  OutErrors = 0
  InCsumErrors = 0
  OutRateLimitHost = 0
  InDestUnreachs = 0
  InPktTooBigs = 0
  InTimeExcds = 0
  InParmProblems = 0
  InEchos = 0
  InEchoReplies = 0
  InGroupMembQueries = 0
  InGroupMembResponses = 0
  InGroupMembReductions = 0
  InRouterSolicits = 0
  InRouterAdvertisements = 0
  InNeighborSolicits = 0
  InNeighborAdvertisements = 0
  InRedirects = 0
  InMLDv2Reports = 0
  OutDestUnreachs = 0
  OutPktTooBigs = 0
  OutTimeExcds = 0
  OutParmProblems = 0
  OutEchos = 0
  OutEchoReplies = 0
  OutGroupMembQueries = 0
  OutGroupMembResponses = 0
  OutGroupMembReductions = 0
  OutRouterSolicits = 0
  OutRouterAdvertisements = 0
  OutNeighborSolicits = 0
  OutNeighborAdvertisements = 0
  OutRedirects = 0
  OutMLDv2Reports = 0
}

/** `Udp6` of /proc/net/snmp6. */
export class Udp6Counters {
  InDatagrams = 0
  NoPorts = 0
  InErrors = 0
  OutDatagrams = 0
  RcvbufErrors = 0
  SndbufErrors = 0
  InCsumErrors = 0
  IgnoredMulti = 0
  MemErrors = 0
}
