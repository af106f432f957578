import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_FASTOPEN,
  POLLOUT,
  SO_KEEPALIVE,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_CONGESTION,
  TCP_DEFER_ACCEPT,
  TCP_FASTOPEN,
  TCP_INFO,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_MAXSEG,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
} from '../socket/constants.ts'
import type { TcpInfo } from '../tcp/info.ts'
import type { Lab } from './lab.ts'
import { connectTo, listenAt, pollNames, told } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages, dataSizes, STAGE_PORT, type Stages } from './stage.ts'
import { table } from './table.ts'

/** Section E: TCP's own timers, and the options that change how long it waits. */

const keepalive: Scenario = {
  name: 'keepalive',
  group: 'E',
  title: 'SO_KEEPALIVE: is the other side still there?',
  description:
    'After 7200 idle seconds TCP sends a probe: a segment without data whose number was acknowledged long ago, so that a peer that is alive must answer. Nine probes without an answer, 75 seconds apart, end the connection with ETIMEDOUT. TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT set the three for one socket. A peer that has restarted answers with a RST.',
  async run(lab) {
    const alive = await connectStages(lab, { prepare: (sys, fd) => sys.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1) })
    const read = begin(alive.near, 'recv()', () => alive.near.sys.recv(alive.near.fd, new Uint8Array(1)))
    alive.far.sys.setsockopt(alive.far.fd, SOL_SOCKET, SO_KEEPALIVE, 0)
    const since = lab.network.now
    const before = lab.segments(/./).length
    await lab.pass(12 * 3600 * 1000, 'Twelve idle hours, and the peer is alive')
    const probes = lab.segments(/./).slice(before)
    const own = probes.filter(({ from }) => from === alive.client.name)
    lab.check('probes', own.length, 5)
    lab.check('every one was answered', probes.length - own.length, 5)
    const idle = own.map(({ at }, i) => Math.round(at - (i === 0 ? since / 1000 : own[i - 1]!.at)))
    lab.check('seconds between them', idle, [7200, 7200, 7200, 7200, 7200])
    lab.check('what a probe carries', own[0]?.text.replace(/ win.*/, ''), 'ACK seq 0 ack 1')
    lab.powerOff(alive.server)
    const crashed = lab.segments(/./).length
    await lab.until('The host of the peer loses power', () => read.result !== null)
    const unanswered = lab.segments(/./).slice(crashed)
    lab.check('probes without an answer, and a RST that nobody hears', unanswered.length, 10)
    const last = own.at(-1)!.at
    lab.check('seconds from the last answer to the end: 7200 + 9 x 75', Math.round(lab.network.now / 1000 - last), 7875)
    lab.check('recv() said', read.result, 'ETIMEDOUT')
    alive.end()
    await ownTimes(lab)
    await restarted(lab)
  },
}

/** TCP_KEEPIDLE 10, TCP_KEEPINTVL 5, TCP_KEEPCNT 3. */
const ownTimes = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 1 })
  const { near, link } = stages
  near.sys.setsockopt(near.fd, SOL_SOCKET, SO_KEEPALIVE, 1)
  for (const [option, value] of [
    [TCP_KEEPIDLE, 10],
    [TCP_KEEPINTVL, 5],
    [TCP_KEEPCNT, 3],
  ] as const) {
    near.sys.setsockopt(near.fd, SOL_TCP, option, value)
  }
  const since = stages.sender.lastAckMs
  link.cable.setDown(true)
  const read = begin(near, 'recv()', () => near.sys.recv(near.fd, new Uint8Array(1)))
  await lab.until('TCP_KEEPIDLE 10, TCP_KEEPINTVL 5, TCP_KEEPCNT 3, and the wire is cut', () => read.result !== null)
  lab.check('recv() said', read.result, 'ETIMEDOUT')
  const { nowMs32 } = lab.network.world.loop
  lab.check('after idle seconds: 10 + 3 x 5', Math.round((nowMs32 - since) / 1000), 25)
  stages.end()
}

/** The peer has restarted, and remembers nothing. */
const restarted = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 2 })
  const { near } = stages
  near.sys.setsockopt(near.fd, SOL_SOCKET, SO_KEEPALIVE, 1)
  const read = begin(near, 'recv()', () => near.sys.recv(near.fd, new Uint8Array(1)))
  lab.powerOff(stages.server)
  const server = lab.powerOn(stages.server)
  const before = lab.segments(/./).length
  await lab.until('The peer has restarted; the first probe finds out', () => read.result !== null)
  lab.check('recv() said', read.result, 'ECONNRESET')
  const kinds = lab
    .segments(/./)
    .slice(before)
    .filter(({ from }) => from === stages.client.name || from === server.name)
    .map(({ from, text }) => `${from}: ${text.split(' ')[0]}`)
  lab.check('the segments', kinds, [`${stages.client.name}: ACK`, `${server.name}: RST`])
  stages.end()
}

const userTimeout: Scenario = {
  name: 'user-timeout',
  group: 'E',
  title: 'The options of TCP that change how long it waits, and what it says of itself',
  description:
    'TCP_USER_TIMEOUT: how long data may remain unacknowledged. TCP_SYNCNT: how often a SYN is sent again. TCP_LINGER2: how long an orphan stays in FIN_WAIT_2. TCP_DEFER_ACCEPT: accept() only when there is data. TCP_QUICKACK: no delayed ACKs. TCP_MAXSEG: smaller segments. TCP_NOTSENT_LOWAT: writable only while little is unsent. TCP_CONGESTION: another congestion control. TCP_FASTOPEN: data in the SYN. TCP_INFO: what TCP knows.',
  async run(lab) {
    const rows: [option: string, without: string, with_: string][] = []
    const row = (option: string, without: string, with_: string) => rows.push([option, without, with_])
    row('TCP_USER_TIMEOUT 5000', await unacknowledged(lab, 1, 0), await unacknowledged(lab, 2, 5000))
    row('TCP_SYNCNT 2', await noAnswer(lab, 3, 0), await noAnswer(lab, 4, 2))
    row('TCP_LINGER2 5', await orphaned(lab, 5, 0), await orphaned(lab, 6, 5))
    row('TCP_DEFER_ACCEPT 10', await accepted(lab, 7, 0), await accepted(lab, 8, 10))
    row('TCP_QUICKACK', await acknowledged(lab, 9, 0), await acknowledged(lab, 10, 1))
    row('TCP_MAXSEG 500', await cut(lab, 11, 0), await cut(lab, 12, 500))
    row('TCP_NOTSENT_LOWAT 4096', await writable(lab, 13, 0), await writable(lab, 14, 4096))
    row('TCP_CONGESTION reno', await control(lab, 15, ''), await control(lab, 16, 'reno'))
    row('TCP_FASTOPEN 5', await opening(lab, 17, 0), await opening(lab, 18, 5))
    lab.figure('What each option changes', table([['option', 'without', 'with'], ...rows]))
    await lab.step('Side by side')
    const expected = [
      ['ETIMEDOUT after 945 s', 'ETIMEDOUT after 5 s'],
      ['ETIMEDOUT after 127 s', 'ETIMEDOUT after 7 s'],
      ['FIN_WAIT_2 for 60 s', 'FIN_WAIT_2 for 5 s'],
      ['accept() after 0 s', 'accept() after 3 s'],
      ['ACK after 40 ms', 'ACK after 0 ms'],
      ['largest segment 1448', 'largest segment 488'],
      ['POLLOUT', '0'],
      ['cubic', 'reno'],
      ['answer after 40 ms', 'answer after 20 ms'],
    ]
    for (const [i, [option, ...seen]] of rows.entries()) lab.check(option, seen, expected[i])
    await info(lab)
  },
}

const unacknowledged = async (lab: Lab, index: number, limit: number): Promise<string> => {
  const stages = await connectStages(lab, { index })
  const { near, link } = stages
  if (limit > 0) near.sys.setsockopt(near.fd, SOL_TCP, TCP_USER_TIMEOUT, limit)
  link.cable.setDown(true)
  const since = lab.network.now
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  const { result } = await ask(lab, near, 'recv()', () => near.sys.recv(near.fd, new Uint8Array(1)))
  const took = Math.round((lab.network.now - since) / 1000)
  await lab.step(`The wire is cut; TCP_USER_TIMEOUT ${limit === 0 ? 'is not set' : limit}`)
  stages.end()
  return `${result} after ${took} s`
}

const noAnswer = async (lab: Lab, index: number, retries: number): Promise<string> => {
  const stages = await connectStages(lab, { index })
  const { near, link } = stages
  link.cable.setDown(true)
  const { result, took } = await ask(lab, near, 'connect()', async () => {
    const fd = near.sys.socket(AF_INET, SOCK_STREAM)
    if (retries > 0) near.sys.setsockopt(fd, SOL_TCP, TCP_SYNCNT, retries)
    return near.sys.connect(fd, { address: `10.${index}.0.2`, port: STAGE_PORT })
  })
  await lab.step(`Nobody answers a SYN; TCP_SYNCNT ${retries === 0 ? 'is not set' : retries}`)
  stages.end()
  return `${result} after ${Math.round(took / 1000)} s`
}

const orphaned = async (lab: Lab, index: number, seconds: number): Promise<string> => {
  const stages = await connectStages(lab, { index })
  const { near, client } = stages
  if (seconds > 0) near.sys.setsockopt(near.fd, SOL_TCP, TCP_LINGER2, seconds)
  await ask(lab, near, 'close()', () => near.sys.close(near.fd))
  await lab.quietly(() => lab.state(client, stages.sender.localPort) === 'FIN_WAIT2')
  const since = lab.network.now
  await lab.quietly(() => lab.states(client).length === 0)
  await lab.step(`An orphan whose peer does not close; TCP_LINGER2 ${seconds === 0 ? 'is not set' : seconds}`)
  const took = Math.round((lab.network.now - since) / 1000)
  stages.end()
  return `FIN_WAIT_2 for ${took} s`
}

const accepted = async (lab: Lab, index: number, seconds: number): Promise<string> => {
  const client = lab.host(`client-${index}`)
  const server = lab.host(`server-${index}`)
  lab.link(client, server, { delay: 10, addresses: [`10.${index}.0.1/24`, `10.${index}.0.2/24`] })
  let at = -1
  const process = lab.spawn(server, 'server', async (sys) => {
    const listener = listenAt(sys, STAGE_PORT)
    if (seconds > 0) sys.setsockopt(listener, SOL_TCP, TCP_DEFER_ACCEPT, seconds)
    await sys.accept(listener)
    at = lab.network.now
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  let connected = 0
  lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, `10.${index}.0.2`, STAGE_PORT)
    connected = lab.network.now
    await sys.sleep(3)
    await sys.send(fd, 'hello')
  })
  await lab.quietly(() => !process.isAlive)
  await lab.step(`A client that is silent for 3 seconds; TCP_DEFER_ACCEPT ${seconds === 0 ? 'is not set' : seconds}`)
  return `accept() after ${Math.round((at - connected) / 1000)} s`
}

const acknowledged = async (lab: Lab, index: number, quick: number): Promise<string> => {
  const stages = await connectStages(lab, { index, reads: true })
  const { near, far, sender } = stages
  far.sys.setsockopt(far.fd, SOL_TCP, TCP_QUICKACK, quick)
  const since = lab.network.now
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  await lab.quietly(() => sender.cc.packetsOut === 0)
  const took = lab.network.now - since - 20
  await lab.step(`One small segment; TCP_QUICKACK ${quick}`)
  stages.end()
  return `ACK after ${took} ms`
}

const cut = async (lab: Lab, index: number, most: number): Promise<string> => {
  const prepare: Parameters<typeof connectStages>[1] = {
    index,
    reads: true,
    ...(most === 0 ? {} : { prepare: (sys, fd) => void sys.setsockopt(fd, SOL_TCP, TCP_MAXSEG, most) }),
  }
  const stages = await connectStages(lab, prepare)
  const { near, client } = stages
  const before = lab.segments(/./).length
  await ask(lab, near, 'send(10000)', () => lab.send(near.sys, near.fd, 10_000))
  await lab.quietly(() => stages.read() === 10_000)
  await lab.step(`10,000 bytes; TCP_MAXSEG ${most === 0 ? 'is not set' : most}`)
  stages.end()
  return `largest segment ${Math.max(...dataSizes(lab, client, before))}`
}

const writable = async (lab: Lab, index: number, limit: number): Promise<string> => {
  const stages = await connectStages(lab, { index })
  const { near, link } = stages
  if (limit > 0) near.sys.setsockopt(near.fd, SOL_TCP, TCP_NOTSENT_LOWAT, limit)
  link.cable.setDown(true)
  await ask(lab, near, 'send(20000)', () => lab.send(near.sys, near.fd, 20_000, MSG_DONTWAIT))
  const entry = { fd: near.fd, events: POLLOUT, revents: 0 }
  await ask(lab, near, 'poll()', () => near.sys.poll([entry], 0))
  const { tcpi_notsent_bytes } = near.sys.getsockopt(near.fd, SOL_TCP, TCP_INFO) as unknown as TcpInfo
  lab.note(`Bytes that were written and not sent yet: ${tcpi_notsent_bytes}.`)
  await lab.step(
    `20,000 bytes, of which cwnd lets 14,480 leave; TCP_NOTSENT_LOWAT ${limit === 0 ? 'is not set' : limit}`,
  )
  stages.end()
  return pollNames(entry.revents)
}

const control = async (lab: Lab, index: number, name: string): Promise<string> => {
  const stages = await connectStages(lab, { index })
  const { sys, fd } = stages.near
  if (name !== '') sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, name)
  await lab.step(`TCP_CONGESTION ${name === '' ? 'is not set' : name}: ss -i names it`)
  stages.end()
  return String(sys.getsockopt(fd, SOL_TCP, TCP_CONGESTION))
}

/** A question and its answer on a new connection, the second time, when a cookie is known. */
const opening = async (lab: Lab, index: number, queue: number): Promise<string> => {
  const sysctl = { 'net.ipv4.tcp_fastopen': 3 }
  const client = lab.host(`client-${index}`, { sysctl })
  const server = lab.host(`server-${index}`, { sysctl })
  lab.link(client, server, { delay: 10, addresses: [`10.${index}.0.1/24`, `10.${index}.0.2/24`] })
  lab.spawn(server, 'server', async (sys) => {
    const listener = listenAt(sys, STAGE_PORT)
    if (queue > 0) sys.setsockopt(listener, SOL_TCP, TCP_FASTOPEN, queue)
    for (;;) {
      const fd = await sys.accept(listener)
      await sys.recv(fd, new Uint8Array(100))
      await sys.send(fd, 'answer')
      await sys.close(fd)
    }
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  let took = 0
  for (let i = 0; i < 2; i++) {
    const process = lab.spawn(client, 'client', async (sys) => {
      const to = { address: `10.${index}.0.2`, port: STAGE_PORT }
      const since = lab.network.now
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      const question = new TextEncoder().encode('question')
      if (queue > 0) await sys.sendto(fd, question, question.length, MSG_FASTOPEN, to)
      else {
        await sys.connect(fd, to)
        await sys.send(fd, question)
      }
      await told(sys, 'recv()', () => sys.recv(fd, new Uint8Array(100)))
      took = lab.network.now - since
      await sys.close(fd)
    })
    await lab.quietly(() => !process.isAlive)
  }
  await lab.step(
    `A question and its answer on a new connection; ${queue > 0 ? 'TCP_FASTOPEN' : 'without TCP_FASTOPEN'}`,
  )
  return `answer after ${took} ms`
}

/** TCP_INFO of a connection that has sent 10,000 bytes. */
const info = async (lab: Lab): Promise<void> => {
  const stages: Stages = await connectStages(lab, { index: 19, reads: true })
  const { near, sender } = stages
  await ask(lab, near, 'send(10000)', () => lab.send(near.sys, near.fd, 10_000))
  await lab.quietly(() => stages.read() === 10_000 && sender.cc.packetsOut === 0)
  const told = near.sys.getsockopt(near.fd, SOL_TCP, TCP_INFO) as unknown as TcpInfo
  const fields = ['tcpi_rtt', 'tcpi_snd_cwnd', 'tcpi_snd_mss', 'tcpi_bytes_acked', 'tcpi_total_retrans'] as const
  lab.figure('TCP_INFO, some of it', table([['field', 'value'], ...fields.map((name) => [name, String(told[name])])]))
  await lab.step('What TCP knows of a connection')
  lab.check('round-trip time, microseconds', told.tcpi_rtt, 20_000)
  lab.check('bytes sent and acknowledged, with the SYN', [10_000, 10_001].includes(told.tcpi_bytes_acked), true)
  stages.end()
}

export const timerScenarios: readonly Scenario[] = [keepalive, userTimeout]
