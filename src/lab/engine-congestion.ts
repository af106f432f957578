import type { Frame } from '../core/frame.ts'
import { drawChart } from '../inspect/chart.ts'
import type { ConnectionSeries, SeriesSample } from '../inspect/series.ts'
import { foldSum } from '../wire/checksum.ts'
import type { Lab } from './lab.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages, type StageOptions, type Stages } from './stage.ts'
import { table } from './table.ts'

/** Section E: the congestion window, how it grows and shrinks. */

const MSS = 1448

const congestion: Scenario = {
  name: 'congestion',
  group: 'E',
  title: 'The congestion window: slow start, increase, decrease, recovery, idle, ECN',
  description:
    'cwnd is how many segments the sender dares to have in flight. It begins with 10 and doubles each round trip (slow start) until something is lost. NewReno then halves it and adds a segment a round trip; CUBIC cuts it to 0.7 and climbs back on a curve of the third degree. During recovery segments leave in proportion to what arrives (PRR, RFC 6937). After an idle time it begins anew. With ECN (RFC 3168) a router marks packets instead of dropping them.',
  async run(lab) {
    await slowStart(lab)
    for (const [index, control] of ['reno', 'cubic'].entries()) await decrease(lab, 10 + index, control)
    await idle(lab)
    await ecn(lab)
    await bottleneck(lab)
  },
}

/** Connects with a recorder, and sends. */
const recorded = async (lab: Lab, options: StageOptions): Promise<Stages & { readonly series: ConnectionSeries }> => {
  const recorder = lab.record()
  const stages = await connectStages(lab, { reads: true, ...options })
  const series = recorder.series.find(
    ({ host, local }) => host === stages.client.name && local.endsWith(`:${stages.sender.localPort}`),
  )!
  return { ...stages, series }
}

const dataOut = ({ samples }: ConnectionSeries): SeriesSample[] =>
  samples.filter(({ direction, length }) => direction === 'out' && length > 0)

const settled = ({ sender }: Stages) => sender.cc.packetsOut === 0 && sender.queue?.hasUnsent !== true

/** Nothing is lost: segments that leave in each round trip. */
const slowStart = async (lab: Lab): Promise<void> => {
  const stages = await recorded(lab, { link: { delay: 20 } })
  begin(stages.near, 'send(300000)', () => lab.send(stages.near.sys, stages.near.fd, 300_000))
  const since = lab.network.now * 1000
  await lab.quietly(() => stages.read() === 300_000)
  const rounds = [0, 0, 0]
  for (const { at } of dataOut(stages.series)) {
    const round = Math.floor((at - since) / 40_000)
    if (round < rounds.length) rounds[round]!++
  }
  lab.note(`Segments that left in each round trip of 40 ms: ${rounds.join(', ')}.`)
  await lab.step('Slow start: each ACK of a segment lets two more leave')
  lab.check('the initial window, segments (RFC 6928)', rounds[0], 10)
  lab.check('segments in the first round trips', rounds, [10, 20, 40])
  stages.end()
}

/** One segment is lost: how far the window falls, what leaves meanwhile, and how it grows afterwards. */
const decrease = async (lab: Lab, index: number, control: string): Promise<void> => {
  const sysctl = { 'net.ipv4.tcp_congestion_control': control }
  const stages = await recorded(lab, { index, sysctl, link: { delay: 20 } })
  const { near, link, sender, series } = stages
  let count = 0
  link.cable.aToB.filter = (frame) => (frame.end - frame.start > 200 && ++count === 100 ? 'drop' : 'pass')
  begin(near, 'send(2000000)', () => lab.send(near.sys, near.fd, 2_000_000))
  await lab.quietly(() => sender.cc.state === 3)
  const before = sender.cc.priorCwnd
  const { ssthresh } = sender.cc
  const [began, acked] = [lab.network.now * 1000, series.samples.length]
  await lab.until(`${control}: the hundredth segment is lost; recovery has begun`, () => sender.cc.state === 3)
  await lab.until('Recovery has ended', () => sender.cc.state === 0)
  const during = series.samples.slice(acked)
  const ended = lab.network.now * 1000
  const sent = during.filter(({ direction, length }) => direction === 'out' && length > 0).length
  const acks = during.filter(({ direction }) => direction === 'in').length
  lab.check('the window before', before > 40, true)
  const factor = control === 'reno' ? 'half of it' : '0.7 of it (717 of 1024)'
  lab.check(`ssthresh: ${factor}`, ssthresh, control === 'reno' ? before >> 1 : Math.floor((before * 717) / 1024))
  lab.check('the window when recovery has ended', sender.cc.cwnd, ssthresh)
  lab.note(`In the ${Math.round((ended - began) / 1000)} ms of recovery ${acks} ACKs came and ${sent} segments left.`)
  const off = Math.abs(sent / acks - (control === 'reno' ? 0.5 : 0.7))
  lab.check('PRR: segments left in that proportion to what arrived, within a tenth', off <= 0.1, true)
  const windows: number[] = []
  for (let i = 0; i < 5; i++) {
    windows.push(sender.cc.cwnd)
    await lab.quietly(() => false, 40)
  }
  lab.note(`The window in the round trips since then: ${windows.join(', ')}.`)
  await lab.step('Five round trips later')
  const steps = windows.slice(1).map((cwnd, i) => cwnd - windows[i]!)
  if (control === 'reno') lab.check('additive increase: segments more each round trip', steps, [1, 1, 1, 1])
  else lab.check('it grows', windows.at(-1)! > windows[0]!, true)
  stages.end()
}

/** An idle time of more than a time-out. */
const idle = async (lab: Lab): Promise<void> => {
  for (const [index, restarts] of [1, 0].entries()) {
    const sysctl = { 'net.ipv4.tcp_slow_start_after_idle': restarts }
    const stages = await recorded(lab, { index: 20 + index, sysctl })
    const { near, sender, series } = stages
    const send = () => ask(lab, near, 'send(100000)', () => lab.send(near.sys, near.fd, 100_000))
    await send()
    await lab.quietly(() => settled(stages))
    const grown = sender.cc.cwnd
    await lab.quietly(() => false, 5000)
    const before = series.samples.length
    await send()
    const [first] = series.samples.slice(before)
    const burst = dataOut(series).filter(({ at }) => at === first!.at).length
    await lab.quietly(() => settled(stages))
    await lab.step(`Five idle seconds, tcp_slow_start_after_idle = ${restarts}`)
    lab.check('the window had grown', grown > 40, true)
    if (restarts === 1) lab.check('segments that leave at once after the idle time', burst, 10)
    else lab.check('segments that leave at once: all that AWS allows, more than 40', burst > 40, true)
    stages.end()
  }
}

/** A router marks one packet: Congestion Experienced. */
const ecn = async (lab: Lab): Promise<void> => {
  const stages = await recorded(lab, { index: 30, sysctl: { 'net.ipv4.tcp_ecn': 1 }, link: { delay: 20 } })
  const { near, client, server, link, sender } = stages
  let count = 0
  link.cable.aToB.filter = (frame) => {
    if (frame.end - frame.start > 200 && ++count === 30) markCongestion(lab, frame)
    return 'pass'
  }
  begin(near, 'send(200000)', () => lab.send(near.sys, near.fd, 200_000))
  await lab.quietly(() => sender.cc.state === 2)
  const { priorCwnd, ssthresh } = sender.cc
  await lab.until(
    'With ECN: a router has marked the thirtieth segment, and its ACK says so',
    () => sender.cc.state === 2,
  )
  await lab.quietly(() => stages.read() === 200_000)
  await lab.step('Everything has arrived')
  lab.check('in the SYN', lab.segments(/^SYN\+ECE\+CWR /).filter(({ from }) => from === client.name).length, 1)
  lab.check('in the SYN+ACK', lab.segments(/^SYN\+ACK\+ECE /).filter(({ from }) => from === server.name).length, 1)
  lab.check('packets that arrived marked', server.ip.mib.ipExt.InCEPkts, 1)
  const echoes = lab.segments(/^ACK\+ECE/).filter(({ from }) => from === server.name)
  lab.check('ACKs that echo it, until the sender has understood', echoes.length > 0, true)
  lab.check('the sender says that it has: segments with CWR', lab.segments(/^(PSH\+)?ACK\+CWR/).length, 1)
  lab.check('the window went down as after a loss', ssthresh, Math.floor((priorCwnd * 717) / 1024))
  lab.check('and nothing was lost or sent again', sender.cc.totalRetransmitted, 0)
  stages.end()
}

/** Turns ECT(0) into CE in an IPv4 header behind an Ethernet header, as a router does (RFC 3168 section 5). */
const markCongestion = (lab: Lab, frame: Frame): void => {
  const { u8, view } = lab.network.world.memory
  const at = frame.start + 14
  u8[at + 1]! |= 3
  const sum = view.getUint16(at + 10) - 1
  view.setUint16(at + 10, foldSum(sum <= 0 ? sum + 0xffff : sum))
}

const RATE = 20e6

/** Every control over the same narrow link: 20 Mbit/s, 40 ms, room for 50 packets. */
const bottleneck = async (lab: Lab): Promise<void> => {
  const rows = [['congestion control', 'seconds', 'Mbit/s', 'sent again']]
  const { names } = lab.host('any').sockets.tcp.layer.congestionControls
  const total = 8_000_000
  for (const [index, control] of names.entries()) {
    const sysctl = { 'net.ipv4.tcp_congestion_control': control }
    const link = { delay: 20, rate: RATE, queue: 50 }
    const stages = await recorded(lab, { index: 40 + index, sysctl, link })
    const since = lab.network.now
    begin(stages.near, `send(${total})`, () => lab.send(stages.near.sys, stages.near.fd, total))
    await lab.quietly(() => stages.read() === total)
    const took = (lab.network.now - since) / 1000
    const rate = (total * 8) / took / 1e6
    rows.push([control, took.toFixed(2), rate.toFixed(1), String(stages.sender.cc.totalRetransmitted)])
    lab.figure(`${control}: the window over time, beside ssthresh and AWS`, windowChart(stages.series))
    await lab.step(`8 MB through a narrow link, ${control}`)
    lab.check('the share of the link that was used is 80 % at least', rate > (RATE / 1e6) * 0.8, true)
    stages.end()
  }
  lab.figure('8 MB over 20 Mbit/s, 40 ms there and back, a queue of 50 packets', table(rows))
  await lab.step('Side by side')
}

const windowChart = ({ samples }: ConnectionSeries): string => {
  const most = samples.reduce((max, { cwnd }) => Math.max(max, cwnd), 0)
  const line = (name: string, sign: string, value: (sample: SeriesSample) => number | null) => ({
    name,
    sign,
    points: samples.flatMap((sample) => {
      const found = value(sample)
      return found === null ? [] : [[sample.at / 1e6, Math.min(found, most * 1.2) / MSS] as const]
    }),
  })
  return drawChart(
    [
      line('AWS', 'a', ({ sendWindow }) => sendWindow),
      line('ssthresh', '-', ({ ssthresh }) => ssthresh),
      line('cwnd, in segments', '*', ({ cwnd }) => cwnd),
    ],
    { unit: 's' },
  )
}

export const congestionScenarios: readonly Scenario[] = [congestion]
