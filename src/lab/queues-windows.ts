import type { Host } from '../host/host.ts'
import { drawChart } from '../inspect/chart.ts'
import { busiest, type ConnectionSeries } from '../inspect/series.ts'
import { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { acceptOne, connectTo, listenAt, readToEnd } from './programs.ts'
import { hostMemory, throughput } from './queues-memory.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section D, sizes: the windows that bound what is in flight, and the sizes of the queues behind them. */

const PORT = 5050

const windows: Scenario = {
  name: 'windows',
  group: 'D',
  title: 'What is in flight never exceeds the advertised window, nor the congestion window',
  description:
    "A sender may have min(AWS, cwnd) bytes sent and unacknowledged: AWS, the advertised window, is the receiver's word on its RecvQ; cwnd, the congestion window, the sender's own guess at the network. First cwnd is the smaller and grows; then the reader pauses, AWS falls to 0, and rules. Beside it a long fat link, with and without window scaling: 65,535 bytes a round trip is all that 16 bits can say.",
  async run(lab) {
    const recorder = lab.record()
    const { client, server } = lab.pair({ rate: 20e6 })
    lab.watchQueues(client, server, PORT, 'to server')
    const total = 600_000
    lab.spawn(server, 'reader', async (sys) => {
      const listener = listenAt(sys, PORT)
      sys.setsockopt(listener, SOL_SOCKET, SO_RCVBUF, 100_000)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(10_000)
      let read = 0
      for (let paused = false; read < total; ) {
        read += await sys.recv(fd, buffer)
        if (read < total / 2 || paused) continue
        paused = true
        sys.print(`read ${read} bytes, and a pause of half a second`)
        await sys.sleep(0.5)
      }
      sys.print(`read ${read} bytes`)
      await sys.close(fd)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const program = lab.spawn(client, 'sender', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      await lab.send(sys, fd, total)
      await sys.close(fd)
    })
    const isShut = () =>
      lab.queues(client, server, PORT).delivered >= total / 2 && lab.connection(client, PORT)?.snd.wnd === 0
    await lab.until('The reader has paused after half of it, and RecvQ is full: AWS is 0', isShut)
    await lab.until('The reader has gone on, and everything has arrived', () => !program.isAlive)
    await lab.quietly(() => lab.state(server, PORT) === '')
    const { sender } = busiest(recorder.series)!
    lab.drawn = sender
    const checked = sender.samples.filter(({ direction, length }) => direction === 'out' && length > 0)
    const over = checked.filter(({ inFlight, sendWindow, cwnd }) => inFlight > Math.min(sendWindow, cwnd))
    lab.figure('Bytes in flight, and what bounds them', windowChart(sender))
    await lab.step('The same over time')
    lab.check('segments with data that were looked at', checked.length > 400, true)
    lab.check('of these, sent beyond min(AWS, cwnd)', over.length, 0)
    const ruledBy = (what: 'sendWindow' | 'cwnd', other: 'sendWindow' | 'cwnd') =>
      checked.some((s) => s[what] < s[other] && s.inFlight > s[what] - 1448)
    lab.check('cwnd was the bound at some time', ruledBy('cwnd', 'sendWindow'), true)
    lab.check('AWS was the bound at some time', ruledBy('sendWindow', 'cwnd'), true)
    lab.leave(client, server)
    await scaling(lab)
  },
}

const windowChart = ({ samples }: ConnectionSeries): string => {
  const line = (name: string, sign: string, value: 'cwnd' | 'sendWindow' | 'inFlight') => ({
    name,
    sign,
    points: samples.map((sample) => [sample.at / 1e6, sample[value]] as const),
  })
  const lines = [line('AWS', 'a', 'sendWindow'), line('cwnd', 'c', 'cwnd'), line('in flight', '*', 'inFlight')]
  return drawChart(lines, { unit: 's' })
}

/** 100 Mbit/s, 200 ms there and back: 2.5 MB fit on the wire. */
const scaling = async (lab: Lab): Promise<void> => {
  const total = 10_000_000
  const rows = [['tcp_window_scaling', 'largest AWS', 'largest flight', 'seconds', 'Mbit/s']]
  const results: { most: number; rate: number }[] = []
  for (const on of [0, 1]) {
    const sysctl = { 'net.ipv4.tcp_window_scaling': on, 'net.ipv4.tcp_wmem': '4096 16384 8388608' }
    const client = lab.host(`far-${on}`, { sysctl })
    const server = lab.host(`away-${on}`, { sysctl })
    const recorder = lab.record()
    const before = recorder.series.length
    lab.link(client, server, { delay: 100, rate: 100e6, addresses: [`10.3.${on}.1/24`, `10.3.${on}.2/24`] })
    const reader = acceptOne(lab, server, PORT, async (sys, fd) => {
      await readToEnd(sys, fd)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const since = lab.network.now
    lab.spawn(client, 'sender', async (sys) => {
      const fd = await connectTo(sys, `10.3.${on}.2`, PORT)
      await sys.send(fd, new Uint8Array(total))
      await sys.close(fd)
    })
    await lab.quietly(() => !reader.isAlive)
    const took = (lab.network.now - since) / 1000
    const { samples } = busiest(recorder.series.slice(before))!.sender
    const most = (key: 'sendWindow' | 'inFlight') => samples.reduce((max, sample) => Math.max(max, sample[key]), 0)
    const rate = (total * 8) / took / 1e6
    results.push({ most: most('sendWindow'), rate })
    rows.push([String(on), ...[most('sendWindow'), most('inFlight')].map(String), took.toFixed(1), rate.toFixed(1)])
  }
  lab.figure('10 MB over 100 Mbit/s and 200 ms there and back', table(rows))
  await lab.step('A long fat link, without and with window scaling')
  const [without, scaled] = results
  lab.check('without scaling the largest window is', without!.most, 65_535)
  const ceiling = (65_535 * 8) / 0.2 / 1e6
  lab.check(
    'so that at most 2.62 Mbit/s are possible, and nearly that is reached',
    share(without!.rate / ceiling),
    'most of it',
  )
  lab.check('with scaling the window went beyond the 2.5 MB that fit on the wire', scaled!.most > 2_500_000, true)
  lab.check('and the transfer was so many times as fast, at least', scaled!.rate / without!.rate > 10, true)
}

const share = (part: number): string => (part > 0.8 && part <= 1 ? 'most of it' : `${Math.round(part * 100)} %`)

const buffers: Scenario = {
  name: 'buffers',
  group: 'D',
  title: 'Sizes of the queues: what is asked for, what one gets, and what it is worth',
  description:
    'SO_SNDBUF and SO_RCVBUF are doubled, for the overhead of packets, after they were cut to wmem_max and rmem_max, and never fall below 4608 and 2304. Whoever leaves them alone gets queues that grow with the connection, to the third value of tcp_wmem and tcp_rmem. Whoever sets them fixes them: with a small queue throughput is queue size by round-trip time. tcp_mem bounds what all queues of a host hold together.',
  async run(lab) {
    const { client, server } = lab.pair({ rate: 100e6 })
    lab.hide(client)
    lab.hide(server)
    const sizes = await asked(lab, client)
    lab.figure('setsockopt() and getsockopt()', table(sizes))
    await lab.step('What is asked for, and what one gets')
    lab.check('by default: tcp_wmem and tcp_rmem, the second values', sizes[1]!.slice(1), ['16384', '131072'])
    const isLinux = lab.report.personality === 'linux'
    const factor = isLinux ? 2 : 1
    const both = (size: number): string[] => [String(size * factor), String(size * factor)]
    lab.check('1', sizes[2]!.slice(1), isLinux ? ['4608', '2304'] : ['1', '1'])
    lab.check('50,000: doubled, except on BSD', sizes[3]!.slice(1), both(50_000))
    lab.check('10,000,000: wmem_max and rmem_max, doubled', sizes[4]!.slice(1), both(212_992))
    await autotuning(lab, client, server)
    await hostMemory(lab)
    await throughput(lab)
  },
}

/** SO_SNDBUF and SO_RCVBUF of new sockets, as a table. */
const asked = async (lab: Lab, host: Host): Promise<string[][]> => {
  const rows = [['asked for', 'SO_SNDBUF', 'SO_RCVBUF']]
  const process = lab.spawn(host, 'options', (sys) => {
    for (const size of [0, 1, 50_000, 10_000_000]) {
      const fd = sys.socket(2, 1)
      const got = [SO_SNDBUF, SO_RCVBUF].map((option) => {
        if (size > 0) sys.setsockopt(fd, SOL_SOCKET, option, size)
        return String(sys.getsockopt(fd, SOL_SOCKET, option))
      })
      rows.push([size === 0 ? 'nothing' : String(size), ...got])
    }
  })
  await lab.quietly(() => !process.isAlive)
  return rows
}

const autotuning = async (lab: Lab, client: Host, server: Host): Promise<void> => {
  const rows = [['SO_RCVBUF', 'at first', 'after 5 MB', 'SO_SNDBUF at first', 'after 5 MB']]
  const grown: number[][] = []
  for (const fixed of [0, 20_000]) {
    const port = PORT + fixed
    const seen: number[] = []
    acceptOne(lab, server, port, async (sys, fd) => {
      if (fixed > 0) sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, fixed)
      seen.push(sys.getsockopt(fd, SOL_SOCKET, SO_RCVBUF) as number)
      await readToEnd(sys, fd)
      seen.push(sys.getsockopt(fd, SOL_SOCKET, SO_RCVBUF) as number)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const sender = lab.spawn(client, 'sender', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', port)
      if (fixed > 0) sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, fixed)
      const first = sys.getsockopt(fd, SOL_SOCKET, SO_SNDBUF) as number
      await sys.send(fd, new Uint8Array(5_000_000))
      seen.unshift(first, sys.getsockopt(fd, SOL_SOCKET, SO_SNDBUF) as number)
      await sys.close(fd)
    })
    await lab.quietly(() => !sender.isAlive && seen.length === 4)
    await lab.quietly(() => server.sockets.tcp.listeners.size === 0)
    const [sendFirst = 0, sendLast = 0, first = 0, last = 0] = seen
    rows.push([fixed === 0 ? 'left alone' : `set to ${fixed}`, first, last, sendFirst, sendLast].map(String))
    grown.push([first, last, sendFirst, sendLast])
  }
  lab.figure('100 Mbit/s, 20 ms there and back: 500,000 bytes in two round trips', table(rows))
  await lab.step('Queues that grow, and queues that do not')
  const [free, set] = grown
  lab.check('left alone, RecvQ began with', free![0], 131_072)
  lab.check('and has grown', free![1]! > 400_000 && free![1]! <= 6_291_456, true)
  lab.check('so has SendQ', free![3]! > free![2]! && free![3]! <= 4_194_304, true)
  lab.check('set, nothing grows', set, new Array(4).fill(lab.report.personality === 'linux' ? 40_000 : 20_000))
}

export const queueWindowScenarios: readonly Scenario[] = [windows, buffers]
