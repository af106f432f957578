import {
  MSG_WAITALL,
  SHUT_WR,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_QUICKACK,
} from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { acceptOne, connectTo, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages, dataSizes, STAGE_PORT } from './stage.ts'
import { table } from './table.ts'

/** Section E: how the stream is cut, and how its bytes are numbered. */

const segments: Scenario = {
  name: 'segments',
  group: 'E',
  title: 'The stream is cut at the MSS, never by IP; a smaller hop on the way is found',
  description:
    'The MSS of each side is its MTU less 40 bytes of headers: 1460 on Ethernet. Time stamps take 12 bytes of every segment, which leaves 1448. IP never cuts a segment: every packet says "don\'t fragment". Where a hop on the way carries only 1000 bytes, its router answers with an ICMP message that says so, and the segments become smaller: path-MTU discovery.',
  async run(lab) {
    const rows = [['MTU', 'time stamps', 'MSS in the SYN', 'bytes of data segments']]
    const cuts: number[][] = []
    for (const [index, mtu, timestamps] of [
      [0, 1500, 1],
      [1, 1500, 0],
      [2, 9000, 1],
    ] as const) {
      const sysctl = { 'net.ipv4.tcp_timestamps': timestamps }
      const stages = await connectStages(lab, { index, sysctl, link: { mtu }, reads: true })
      const before = lab.segments(/./).length
      await ask(lab, stages.near, 'send(10000)', () => lab.send(stages.near.sys, stages.near.fd, 10_000))
      await lab.quietly(() => stages.read() === 10_000)
      const sizes = dataSizes(lab, stages.client, before)
      cuts.push(sizes)
      const mss = /mss (\d+)/.exec(lab.segments(/^SYN/).at(-1)!.text)![1]!
      rows.push([String(mtu), timestamps === 1 ? 'yes' : 'no', mss, sizes.join(', ')])
      await lab.step(`10,000 bytes, MTU ${mtu}, time stamps ${timestamps === 1 ? 'on' : 'off'}`)
      lab.check('packets that IP has cut', stages.client.ip.mib.ip.FragCreates, 0)
      stages.end()
    }
    lab.figure('How 10,000 bytes were cut', table(rows))
    await lab.step('Side by side')
    lab.check('Ethernet: 1500 - 40 - 12', cuts[0], [1448, 1448, 1448, 1448, 1448, 1448, 1312])
    lab.check('without time stamps: 1500 - 40', cuts[1], [1460, 1460, 1460, 1460, 1460, 1460, 1240])
    lab.check('jumbo frames: 9000 - 40 - 12', cuts[2], [8948, 1052])
    await smallHop(lab)
  },
}

/** Two routers, and between them a link of 1000 bytes. */
const smallHop = async (lab: Lab): Promise<void> => {
  const client = lab.host('here')
  const server = lab.host('there')
  const first = lab.router('router-1')
  const second = lab.router('router-2')
  lab.link(client, first, { delay: 5, addresses: ['10.7.0.1/24', '10.7.0.254/24'] })
  lab.link(first, second, { delay: 5, mtu: 1000, addresses: ['10.8.0.1/24', '10.8.0.2/24'] })
  lab.link(second, server, { delay: 5, addresses: ['10.9.0.254/24', '10.9.0.2/24'] })
  lab.network.computeRoutes()
  lab.show(client, 'ss -tni')
  let read = 0
  acceptOne(lab, server, STAGE_PORT, async (sys, fd) => {
    read = await readToEnd(sys, fd)
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  const before = lab.segments(/./).length
  lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.9.0.2', STAGE_PORT)
    await lab.send(sys, fd, 10_000)
    sys.shutdown(fd, SHUT_WR)
    await sys.sleep(60)
  })
  await lab.quietly(() => lab.segments(/^ICMP destination unreachable: fragmentation needed/).length > 0)
  await lab.step('A hop of 1000 bytes: the router cannot pass the segment on, may not cut it, and says so')
  lab.check(
    'who says "fragmentation needed"',
    lab.segments(/^ICMP destination unreachable: fragmentation needed/)[0]?.from,
    'router-1',
  )
  await lab.until('Everything has arrived', () => read === 10_000)
  const sent = dataSizes(lab, client, before)
  const found = sent.findIndex((size) => size < 1000)
  lab.note(`Segments of here, in bytes: ${sent.join(', ')}.`)
  lab.check('the largest at first', Math.max(...sent.slice(0, found)), 1448)
  lab.check('sizes since then: 1000 - 40 - 12 at most', Math.max(...sent.slice(found)), 948)
  lab.check('the path MTU, as the client knows it now', lab.connection(client, STAGE_PORT)?.snd.pathMtu, 1000)
  lab.check(
    'packets that were cut on the way',
    [first, second].map(({ ip }) => ip.mib.ip.FragCreates),
    [0, 0],
  )
  lab.leave(client)
}

const sequence: Scenario = {
  name: 'sequence',
  group: 'E',
  title: 'Every byte has a number: ISN, wrap-around, ACKs, gaps, duplicates, and old segments',
  description:
    'Each byte of the stream has a number of 32 bits, from an initial one that nobody can guess: a keyed hash of the endpoints and a clock (RFC 6528). After 4,294,967,295 comes 0. An ACK names the next byte that is expected, so that one stands for all before it; it may wait 40 ms for company, and leaves at once with every second segment. What arrives out of order waits, what arrives twice is thrown away and reported, and what comes from an earlier round of the numbers is recognised by its time stamp (PAWS, RFC 7323).',
  async run(lab) {
    await initialNumbers(lab)
    await delayedAcks(lab)
    await gaps(lab)
    await oldSegments(lab)
  },
}

/** Initial sequence numbers of several connections, and one that begins shortly before the numbers wrap. */
const initialNumbers = async (lab: Lab): Promise<void> => {
  const client = lab.host('client')
  const server = lab.host('server')
  lab.link(client, server, { delay: 10, addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
  let read = 0
  lab.spawn(server, 'server', async (sys) => {
    const listener = sys.socket(2, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: STAGE_PORT })
    sys.listen(listener, 5)
    for (;;) {
      const fd = await sys.accept(listener)
      read += await readToEnd(sys, fd)
      await sys.close(fd)
    }
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  const open = async (port: number, bytes: number) => {
    const result = { isn: 0, nxt: 0, at: 0 }
    const before = read
    const process = lab.spawn(client, 'client', async (sys) => {
      const fd = sys.socket(2, SOCK_STREAM)
      sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
      sys.bind(fd, { address: '0.0.0.0', port })
      result.at = lab.network.now
      await sys.connect(fd, { address: '10.0.0.2', port: STAGE_PORT })
      const c = lab.connection(client, port)!
      if (bytes > 0) await sys.send(fd, new Uint8Array(bytes))
      result.isn = c.snd.iss >>> 0
      await sys.close(fd)
      result.nxt = c.snd.writeSeq >>> 0
    })
    await lab.quietly(() => !process.isAlive && read === before + bytes)
    return result
  }
  const rows = [['local port', 'at', 'ISN']]
  const isns: number[] = []
  for (const port of [4000, 4001, 4002]) {
    const { isn, at } = await open(port, 0)
    isns.push(isn)
    rows.push([String(port), `${at} ms`, String(isn)])
  }
  await lab.quietly(() => false, 70_000)
  const again = await open(4000, 0)
  rows.push(['4000', `${again.at} ms`, String(again.isn)])
  lab.figure('Initial sequence numbers', table(rows))
  await lab.step('Four connections, the last between the same endpoints as the first')
  const spread = Math.min(...[0, 1].map((i) => Math.abs(isns[i + 1]! - isns[i]!)))
  lab.check('between neighbouring ports they lie far apart', spread > 1_000_000, true)
  const elapsed = ((again.isn - isns[0]!) >>> 0) * 4
  lab.check(
    'between the same endpoints they follow a clock of 4 us: seconds between the first and the last',
    Math.round(elapsed / 1e6),
    70,
  )

  // The clock leads the ISN of these endpoints to 20,000 below 2^32 after so many microseconds.
  const wait = ((2 ** 32 - 20_000 - again.isn) >>> 0) * 4
  const round = 2 ** 32 * 4
  const due = again.at * 1000 + (wait < 70e6 ? wait + round : wait)
  await lab.quietly(() => false, due / 1000 - lab.network.now)
  const before = read
  const wrapped = await open(4000, 60_000)
  lab.note(
    `It begins with ${wrapped.isn} and ends with ${wrapped.nxt}: the numbers have wrapped, and nobody has noticed.`,
  )
  await lab.step('A connection that begins shortly before the numbers wrap, and sends 60,000 bytes')
  lab.check('it begins below 2^32, by at most', 2 ** 32 - wrapped.isn <= 20_000, true)
  lab.check('and ends beyond it', wrapped.nxt > 0 && wrapped.nxt < 60_000, true)
  lab.check('bytes that have arrived', read - before, 60_000)
}

/** A single segment, and two. */
const delayedAcks = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 1, reads: true })
  const { near, far, client, server } = stages
  const ackAfter = async (bytes: number): Promise<number> => {
    far.sys.setsockopt(far.fd, SOL_TCP, TCP_QUICKACK, 0)
    const before = lab.segments(/./).length
    const since = lab.network.now
    await ask(lab, near, `send(${bytes})`, () => lab.send(near.sys, near.fd, bytes))
    const answer = () =>
      lab
        .segments(/./)
        .slice(before)
        .find(({ from }) => from === server.name)
    await lab.quietly(() => answer() !== undefined)
    await lab.quietly(() => lab.queues(client, server, STAGE_PORT).sendQ === 0)
    return Math.round(answer()!.at * 1000 - since)
  }
  const one = await ackAfter(100)
  await lab.step('One small segment: its ACK waits for company')
  lab.check('the ACK left after milliseconds: 10 on the way, 40 of delay', one, 50)
  const two = await ackAfter(2 * 1448)
  await lab.step('Two full segments: one ACK for both, at once')
  lab.check('the ACK left after milliseconds', two, 10)
  lab.check(
    'what it acknowledges: all bytes so far, and the SYN',
    /ack (\d+)/.exec(lab.segments(/./).at(-1)?.text ?? '')?.[1],
    '2997',
  )
  stages.end()
}

/** The first of four segments comes last, and one comes twice. */
const gaps = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 2, sysctl: { 'net.ipv4.tcp_recovery': 0 } })
  const { near, far, client, server, link, receiver } = stages
  lab.watchQueues(client, server, STAGE_PORT, 'to server')
  let passed = 0
  link.cable.aToB.filter = (frame) => (frame.end - frame.start > 200 && ++passed === 2 ? 'hold' : 'pass')
  await ask(lab, near, 'send(4344)', () => lab.send(near.sys, near.fd, 3 * 1448))
  await lab.quietly(() => receiver.reassembly !== null)
  const before = lab.segments(/./).length
  await lab.quietly(() => false, 12)
  await lab.step('The second of three segments is late')
  lab.check('bytes in RecvQ: what is in order', lab.queues(client, server, STAGE_PORT).recvQ, 1448)
  lab.check('bytes beyond the gap, kept', receiver.reassembly?.dataBytes, 1448)
  lab.check(
    'the ACK that follows says what is missing, and what is there',
    /ack (.*) win .*<(.*)>/.exec(lab.segments(/sack/).at(-1)?.text ?? '')?.slice(1),
    ['1449', 'sack 2897:4345'],
  )
  const read = begin(far, 'recv(4344, MSG_WAITALL)', () =>
    far.sys.recv(far.fd, new Uint8Array(4344), 4344, MSG_WAITALL),
  )
  link.cable.aToB.filter = null
  link.cable.aToB.releaseHeld()
  await lab.until('It arrives: the gap is closed', () => read.result !== null)
  lab.check('recv() returned', read.result, 4344)
  lab.check('segments that were sent again', dataSizes(lab, client, before).length, 0)

  link.cable.aToB.impair({ delay: 10, duplicate: 1 })
  await ask(lab, near, 'send(1000)', () => lab.send(near.sys, near.fd, 1000))
  await lab.quietly(() => lab.segments(/sack 4345:5345/).length > 0)
  await lab.quietly(() => false, 50)
  link.cable.aToB.impair({ delay: 10 })
  await lab.step('The wire delivers a segment twice')
  lab.check('bytes in RecvQ', lab.queues(client, server, STAGE_PORT).recvQ, 1000)
  lab.check('the second is reported by D-SACK, and counted', server.ip.mib.tcpExt.TCPDSACKOldSent, 1)
  stages.end()
}

/** A segment that was lost for a while, and comes when its bytes have long been sent again. */
const oldSegments = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 3, reads: true })
  const { near, client, server, link } = stages
  let passed = 0
  link.cable.aToB.filter = (frame) => (frame.end - frame.start > 200 && ++passed === 1 ? 'hold' : 'pass')
  await ask(lab, near, 'send(1000)', () => lab.send(near.sys, near.fd, 1000))
  await lab.quietly(() => stages.read() === 1000)
  await lab.quietly(() => false, 1000)
  await ask(lab, near, 'send(1000)', () => lab.send(near.sys, near.fd, 1000))
  await lab.quietly(() => stages.read() === 2000)
  await lab.quietly(() => lab.queues(client, server, STAGE_PORT).sendQ === 0)
  const before = lab.segments(/./).length
  link.cable.aToB.filter = null
  link.cable.aToB.releaseHeld()
  await lab.pass(
    100,
    'A segment that was sent again a second ago turns up: its time stamp is older than the last one seen',
  )
  lab.check('it was thrown away, and counted (PAWSEstab)', server.ip.mib.tcpExt.PAWSEstab, 1)
  lab.check(
    'the answer',
    lab
      .segments(/./)
      .slice(before)
      .map(({ from, text }) => `${from}: ${text.split(' ')[0]}`),
    [`${server.name}: ACK`],
  )
  lab.check('bytes that were read', stages.read(), 2000)
  stages.end()
}

export const segmentScenarios: readonly Scenario[] = [segments, sequence]
