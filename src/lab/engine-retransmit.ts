import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import { SO_SNDBUF, SOL_SOCKET } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages, dataSizes, type StageOptions, type Stages } from './stage.ts'
import { table } from './table.ts'

/** Section E: how TCP notices that segments were lost, and what it sends again. */

const MSS = 1448

/** What an episode of losses came to. */
interface Episode extends Stages {
  /** Data segments that the sender sent: which one (by number, from 1), when in milliseconds, and how often before. */
  readonly sent: readonly { segment: number; at: number; again: boolean }[]
  /** From the send to the arrival of the last byte, milliseconds. */
  readonly took: number
}

/** Sends `count` full segments of which some are lost the first time they leave, and waits until all have arrived. */
const episode = async (
  lab: Lab,
  title: string,
  count: number,
  lost: readonly number[],
  options: StageOptions & { readonly times?: number } = {},
): Promise<Episode> => {
  const stages = await connectStages(lab, { reads: true, ...options })
  const { near, client, link } = stages
  // The first data that passes a connection is for measuring the round trip.
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  await lab.quietly(() => stages.read() === 100 && stages.sender.cc.packetsOut === 0)
  await lab.quietly(() => false, 100)
  const mss = stages.sender.snd.mss
  const first = stages.sender.snd.nxt
  const left = new Map(lost.map((segment) => [segment, options.times ?? 1]))
  const { view } = lab.network.world.memory
  link.cable.aToB.filter = (frame) => {
    // Ethernet, IPv4 without options, TCP: its sequence number, and whether there is data.
    if (frame.end - frame.start < 200) return 'pass'
    const segment = ((view.getInt32(frame.start + 38) - first) | 0) / mss + 1
    const times = left.get(segment) ?? 0
    if (times === 0) return 'pass'
    left.set(segment, times - 1)
    return 'drop'
  }
  const before = lab.segments(/./).length
  const since = lab.network.now
  await ask(lab, near, `send(${count * mss})`, () => lab.send(near.sys, near.fd, count * mss))
  await lab.quietly(() => stages.read() === 100 + count * mss)
  const took = lab.network.now - since
  await lab.quietly(() => stages.sender.cc.packetsOut === 0)
  link.cable.aToB.filter = null
  await lab.step(title)
  const seen = new Set<number>()
  const sent = lab
    .segments(/./)
    .slice(before)
    .filter(({ from, text }) => from === client.name && text.includes('('))
    .map(({ at, text }) => {
      const segment = (Number(/seq (\d+)/.exec(text)![1]) - 101) / mss + 1
      const again = seen.has(segment)
      seen.add(segment)
      return { segment, at: Math.round((at * 1000 - since) * 1000) / 1000, again }
    })
  return { ...stages, sent, took }
}

const again = ({ sent }: Episode): number[] => sent.filter((entry) => entry.again).map(({ segment }) => segment)
const counters = (host: Host) => host.ip.mib.tcpExt

const retransmit: Scenario = {
  name: 'retransmit',
  group: 'E',
  title: 'Segments that are lost: by time-out, by duplicate ACKs, by SACK, and by probe',
  description:
    'A segment is sent again when its ACK does not come within the retransmission time-out (RTO, RFC 6298), which doubles each time; that is slow. When later segments arrive, the ACKs they draw say that something is missing: three duplicate ACKs (RFC 5681), or SACK blocks that name what has arrived (RFC 2018, 6675), judged by time (RACK, RFC 8985). When nothing came later, a tail loss probe asks. When the time-out was a mistake, F-RTO (RFC 5682) and D-SACK (RFC 2883) tell, and the window comes back.',
  async run(lab) {
    const rows = [['what happened', 'noticed by', 'segments sent again', 'all there after']]
    const row = (what: string, by: string, done: Episode): void => {
      rows.push([what, by, again(done).join(', '), `${done.took} ms`])
      done.end()
    }
    await timeouts(lab)
    await karn(lab)
    const reno = await episode(lab, 'Without SACK: the third of ten segments is lost', 10, [3], {
      index: 3,
      sysctl: { 'net.ipv4.tcp_sack': 0 },
    })
    const acks = lab.segments(new RegExp(`ack ${101 + 2 * MSS} `)).filter(({ from }) => from === reno.server.name)
    lab.check('sent again', again(reno), [3])
    lab.check('when the third duplicate ACK came, after milliseconds', reno.sent.find((entry) => entry.again)?.at, 20)
    lab.check('ACKs of the second segment: the first, and duplicates', acks.length >= 4, true)
    lab.check('time-outs', counters(reno.client).TCPTimeouts, 0)
    row('1 of 10 lost, no SACK', 'three duplicate ACKs', reno)

    const lost = [3, 5, 8]
    const sack = await episode(lab, 'With SACK: three of twenty segments are lost', 20, lost, {
      index: 4,
      sysctl: { 'net.ipv4.tcp_recovery': 0 },
    })
    lab.check('sent again: these, and no other', again(sack), lost)
    lab.check('time-outs', counters(sack.client).TCPTimeouts, 0)
    lab.check('recoveries (TCPSackRecovery)', counters(sack.client).TCPSackRecovery, 1)
    row('3 of 20 lost', 'SACK (RFC 6675)', sack)

    const rack = await episode(lab, 'RACK: a segment that was sent again is lost again', 20, [3], {
      index: 5,
      times: 2,
    })
    lab.check('sent again: twice, without a time-out', [again(rack), counters(rack.client).TCPTimeouts], [[3, 3], 0])
    lab.check('counted (TCPLostRetransmit)', counters(rack.client).TCPLostRetransmit, 1)
    row('1 of 20 lost twice', 'RACK (RFC 8985)', rack)

    const tail = await episode(
      lab,
      'The last two of ten segments are lost: nothing comes after them that could tell',
      10,
      [9, 10],
      {
        index: 6,
      },
    )
    lab.check(
      'tail loss probes, and time-outs',
      [counters(tail.client).TCPLossProbes, counters(tail.client).TCPTimeouts],
      [1, 0],
    )
    const probe = tail.sent.find((entry) => entry.again)
    lab.check(
      'the probe repeats the last segment, after two round trips',
      [probe?.segment, Math.round((probe?.at ?? 0) / 10) * 10],
      [10, 60],
    )
    lab.check('its SACK shows that the one before is missing too', again(tail), [10, 9])
    row('the last 2 of 10 lost', 'tail loss probe (RFC 8985)', tail)
    await spurious(lab)
    lab.figure('What was lost, how it was noticed, what it cost; a round trip takes 20 ms', table(rows))
    await lab.step('Side by side')
  },
}

/** Nothing arrives any more: the time-out doubles, to two minutes. */
const timeouts = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 1, sysctl: { 'net.ipv4.tcp_early_retrans': 0 } })
  const { near, client, link, sender } = stages
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  await lab.quietly(() => sender.cc.packetsOut === 0)
  await lab.quietly(() => false, 1000)
  link.cable.setDown(true)
  const rto = sender.rtt.rto / 1000
  const before = lab.segments(/./).length
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  const first = lab.network.now / 1000
  await lab.until(
    'Nothing arrives any more: the time-out doubles, up to two minutes',
    () => lab.states(client).length === 0,
  )
  const times = lab
    .segments(/./)
    .slice(before)
    .map(({ at }) => at)
  const gaps = times.slice(1).map((at, i) => Math.round((at - times[i]!) * 1000))
  const doubled = gaps.map((_, i) => Math.min(Math.round(rto * 2 ** i), 120_000))
  lab.note(`SRTT 20 ms, RTO ${rto} ms: SRTT and four times the variation, but 200 ms of that at the least.`)
  lab.check('retransmissions (tcp_retries2)', gaps.length, 15)
  lab.check('intervals, milliseconds', gaps, doubled)
  lab.check('given up after seconds', Math.round(lab.network.now / 1000 - first), 945)
  lab.check('with an RTO of 200 ms it would be, seconds', Math.round(seconds(0.2, 16) * 10) / 10, 924.6)
  lab.check(
    'after tcp_retries1 = 3 of them IP is asked for another route: the time-out so far, seconds',
    round3(seconds(0.2, 4)),
    3,
  )
  stages.end()
}

/** How long so many time-outs take that begin with one and double to two minutes, seconds. */
const seconds = (rto: number, count: number): number =>
  Array.from({ length: count }, (_, i) => Math.min(rto * 2 ** i, 120)).reduce((sum, part) => sum + part, 0)

const round3 = (value: number): number => Math.round(value * 1000) / 1000

/** Without time stamps an ACK of something that was sent twice measures nothing (RFC 6298 section 3). */
const karn = async (lab: Lab): Promise<void> => {
  const sysctl = { 'net.ipv4.tcp_timestamps': 0, 'net.ipv4.tcp_early_retrans': 0 }
  const stages = await connectStages(lab, { index: 2, sysctl, reads: true })
  const { near, link, sender } = stages
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  await lab.quietly(() => sender.cc.packetsOut === 0)
  const before = sender.rtt.srtt
  lab.lose(link.cable.aToB, /\(100\)/, 1)
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  await lab.quietly(() => stages.read() === 200 && sender.cc.packetsOut === 0)
  await lab.step('Without time stamps: a segment arrives at the second attempt')
  lab.check('its ACK measures nothing (Karn): SRTT before and after, microseconds', sender.rtt.srtt, before)
  stages.end()
}

/** The wire holds everything back for a while: a time-out that was a mistake. */
const spurious = async (lab: Lab): Promise<void> => {
  const sysctl = { 'net.ipv4.tcp_early_retrans': 0, 'net.ipv4.tcp_timestamps': 0 }
  const prepare = (sys: Sys, fd: number) => void sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, 200_000)
  const stages = await connectStages(lab, { index: 7, reads: true, sysctl, prepare })
  const { near, client, server, link, sender } = stages
  const settled = () => sender.cc.packetsOut === 0 && !sender.queue?.hasUnsent
  for (let i = 0; i < 3; i++) {
    await ask(lab, near, 'send(14600)', () => lab.send(near.sys, near.fd, 14_600))
    await lab.quietly(settled)
  }
  const cwnd = sender.cc.cwnd
  const { aToB } = link.cable
  aToB.filter = () => 'hold'
  const before = lab.segments(/./).length
  const bytes = 80 * 1460
  const target = stages.read() + bytes
  const sentAgain = () => dataSizes(lab, client, before).reduce((sum, size) => sum + size, 0) - (sender.snd.nxt - start)
  const start = sender.snd.nxt
  begin(near, `send(${bytes})`, () => lab.send(near.sys, near.fd, bytes))
  await lab.pass(300, 'The wire is stuck: nothing is lost, but the time-out has struck')
  lab.check('bytes sent again: one segment', sentAgain(), 1460)
  lab.check('the congestion window, in segments', sender.cc.cwnd, 1)
  aToB.filter = null
  aToB.releaseHeld()
  await lab.quietly(() => stages.read() === target && settled())
  await lab.step('It goes on: the ACKs are of what was sent before the time-out')
  lab.check('bytes sent again', sentAgain(), 1460)
  lab.check('time-outs that F-RTO found to be mistakes (TCPSpuriousRTOs)', counters(client).TCPSpuriousRTOs, 1)
  lab.check(
    'the segment that came twice was reported by D-SACK',
    [counters(server).TCPDSACKOldSent, counters(client).TCPDSACKRecv],
    [1, 1],
  )
  lab.check('the window is back, in segments, at least', sender.cc.cwnd >= cwnd, true)
  stages.end()
}

export const retransmitScenarios: readonly Scenario[] = [retransmit]
