import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import {
  AF_INET,
  F_SETFL,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  O_NONBLOCK,
  POLLIN,
  POLLOUT,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_SNDBUF,
  SO_SNDTIMEO,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { outcome, pollNames, told } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { ask, hostOf, type Stage } from './stage.ts'
import { table } from './table.ts'

/** Section D, the calls: what send() and recv() do when there is no room, or nothing there. */

const PORT = 5050
const SEND_LIMIT = 2000
const RECEIVE_LIMIT = 1000

/** Listens with queues of the given sizes. */
const listening = (sys: Sys, receive: number, send = receive): number => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, receive)
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, send)
  sys.bind(fd, { address: '0.0.0.0', port: PORT })
  sys.listen(fd, 5)
  return fd
}

/** Connects with queues of the given sizes. */
const connecting = async (sys: Sys, send: number, receive = send): Promise<number> => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, send)
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, receive)
  await sys.connect(fd, { address: '10.0.0.2', port: PORT })
  return fd
}

const numbers = (lab: Lab, from: Host, to: Host): number[] => {
  const { sendQ, recvQ, delivered } = lab.queues(from, to, PORT)
  return [sendQ, recvQ, delivered]
}

const fourBuffers: Scenario = {
  name: 'four-buffers',
  group: 'D',
  title: 'One connection, four queues: data in all of them at once',
  description:
    'A connection has a SendQ and a RecvQ at each end, four in all, and the two directions know nothing of each other. Here both programs send before they read, and the wire keeps back part of it: 3000 bytes one way of which 1000 have arrived, 2000 the other way of which 500 have.',
  async run(lab) {
    const { client, server, link } = lab.pair({ mtu: 552 })
    lab.watchQueues(client, server, PORT)
    const reads = lab.gate()
    const got: number[] = []
    const talk = async (sys: Sys, fd: number, bytes: number, expected: number): Promise<void> => {
      await told(sys, `send(${bytes})`, () => lab.send(sys, fd, bytes))
      await reads.wait(sys)
      got.push(await sys.recv(fd, new Uint8Array(expected), expected, MSG_WAITALL))
      sys.print(`recv() returned ${got.at(-1)}`)
      await sys.sleep(60)
    }
    const keepBack = (count: number) => {
      let passed = 0
      return (frame: { start: number; end: number }) =>
        frame.end - frame.start < 200 || passed++ < count ? ('pass' as const) : ('hold' as const)
    }
    link.cable.aToB.filter = keepBack(2)
    link.cable.bToA.filter = keepBack(1)
    lab.spawn(server, 'bob', async (sys) => {
      const listener = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(listener, { address: '0.0.0.0', port: PORT })
      sys.listen(listener, 5)
      await talk(sys, await sys.accept(listener), 2000, 3000)
    })
    lab.spawn(client, 'alice', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      await sys.connect(fd, { address: '10.0.0.2', port: PORT })
      await talk(sys, fd, 3000, 2000)
    })
    const all = () => [...numbers(lab, client, server), ...numbers(lab, server, client)]
    await lab.until('Part of both has arrived and is acknowledged', () => all().join() === '2000,1000,0,1500,500,0')
    lab.check('from alice to bob: SendQ, RecvQ, Delivered', all().slice(0, 3), [2000, 1000, 0])
    lab.check('from bob to alice: SendQ, RecvQ, Delivered', all().slice(3), [1500, 500, 0])
    lab.note("netstat shows all four: Recv-Q and Send-Q at alice's end, Recv-Q and Send-Q at bob's.")
    for (const channel of [link.cable.aToB, link.cable.bToA]) {
      channel.filter = null
      channel.releaseHeld()
    }
    reads.open()
    await lab.until('The wire lets the rest through, and both read', () => got.length === 2)
    lab.check('bytes that both have read', [...got].sort(), [2000, 3000])
    await lab.quietly(() => all().join() === '0,0,3000,0,0,2000')
    lab.check('the queues are empty', all(), [0, 0, 3000, 0, 0, 2000])
  },
}

const blockingSend: Scenario = {
  name: 'blocking-send',
  group: 'D',
  title: 'When send() returns: SendQ 2000, RecvQ 1000, a reader that waits',
  description:
    'A blocking send(n) returns when its last byte has found room in SendQ. If n fits, at once. If n is more, when n - 2000 bytes have left SendQ, which means that they have arrived in RecvQ and are acknowledged. If n is more than both queues hold, 3000, only when the program at the other end has read what is too much.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.countDataOnly(client, server)
    lab.watchQueues(client, server, PORT, 'to server')
    const reads = lab.gate()
    const closes = lab.gate()
    const drains = [lab.gate(), lab.gate(), reads]
    lab.spawn(server, 'reader', async (sys) => {
      const listener = listening(sys, RECEIVE_LIMIT)
      for (const drain of drains) {
        const fd = await sys.accept(listener)
        await drain.wait(sys)
        if (drain === reads) {
          sys.print(`recv(500) returned ${await sys.recv(fd, new Uint8Array(500))}`)
          await closes.wait(sys)
        }
        while ((await sys.recv(fd, new Uint8Array(1000))) > 0);
        await sys.close(fd)
      }
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const rows: string[][] = [['send()', 'returned after', 'SendQ', 'RecvQ', 'Delivered']]
    const send = (bytes: number) => {
      const result = { returned: -1, took: 0, at: [] as number[] }
      const process = lab.spawn(client, `send-${bytes}`, async (sys) => {
        const fd = await connecting(sys, SEND_LIMIT)
        const since = lab.network.now
        result.returned = await lab.send(sys, fd, bytes)
        result.took = lab.network.now - since
        result.at = numbers(lab, client, server)
        rows.push([String(bytes), `${result.took} ms`, ...result.at.map(String)])
        sys.print(`send(${bytes}) returned ${result.returned} after ${result.took} ms`)
        await sys.close(fd)
      })
      return { process, result }
    }
    const fits = send(2000)
    await lab.until('send(2000): all of it fits into SendQ', () => fits.result.returned >= 0)
    lab.check('it returned after milliseconds', fits.result.took, 0)
    lab.check('SendQ, RecvQ, Delivered', fits.result.at, [2000, 0, 0])
    drains[0]!.open()
    await lab.quietly(() => lab.state(server, PORT) === '')
    const more = send(2500)
    await lab.until('send(2500): 500 bytes have to leave SendQ first', () => more.result.returned >= 0)
    lab.check('it returned after milliseconds: a round trip', more.result.took, 20)
    lab.note('500 bytes are in SendQ and in RecvQ: they have arrived, and their ACK is on its way.')
    lab.check('SendQ, RecvQ, Delivered', more.result.at, [2000, 1000, 0])
    drains[1]!.open()
    await lab.quietly(() => lab.state(server, PORT) === '')
    const most = send(3500)
    await lab.pass(3600_000, 'send(3500): an hour later; nobody reads')
    lab.check('it has returned', most.result.returned >= 0, false)
    lab.check('SendQ, RecvQ, Delivered: both queues are full', numbers(lab, client, server), [2000, 1000, 0])
    lab.check('it waits in', lab.waitsIn(most.process), 'send, 500 bytes to go')
    lab.note('Who waits for whom: send-3500 waits for reader, which does not read.')
    reads.open()
    await lab.until('The reader reads 500 bytes', () => most.result.returned >= 0)
    lab.check('send() returned', most.result.returned, 3500)
    lab.check('bytes that the reader had read by then', most.result.at[2], 500)
    lab.check('SendQ + RecvQ + Delivered', most.result.at[0]! + most.result.at[1]! + most.result.at[2]!, 3500)
    lab.figure('When send() returned, and where its bytes were then', table(rows))
    closes.open()
    await lab.until('The rest is read', () => lab.state(server, PORT) === '')
  },
}

const nonblockingSend: Scenario = {
  name: 'nonblocking-send',
  group: 'D',
  title: 'Calls that do not wait, wait for a while, or wait for more',
  description:
    'With O_NONBLOCK send() takes what fits and returns a short count; when nothing fits, EAGAIN. SO_SNDTIMEO and SO_RCVTIMEO bound the wait: a short count when there is something to return, else EAGAIN. SO_RCVLOWAT and MSG_WAITALL wait for more than a byte, MSG_PEEK leaves what it reads, MSG_DONTWAIT does not wait this time, MSG_TRUNC throws away, MSG_MORE announces more so that two sends leave in one segment.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.countDataOnly(client, server)
    lab.watchQueues(client, server, PORT, 'to server')
    const stages: { client?: Stage; server?: Stage } = {}
    const stays = lab.gate()
    const receiver = lab.spawn(server, 'receiver', async (sys) => {
      const listener = listening(sys, RECEIVE_LIMIT)
      stages.server = { sys, fd: await sys.accept(listener) }
      await stays.wait(sys)
    })
    const sender = lab.spawn(client, 'sender', async (sys) => {
      stages.client = { sys, fd: await connecting(sys, SEND_LIMIT) }
      await stays.wait(sys)
    })
    await lab.quietly(() => stages.client !== undefined && stages.server !== undefined)
    const near = stages.client!
    const far = stages.server!
    await sendingCalls(lab, near, far)
    await receivingCalls(lab, near, far)
    stays.open()
    await lab.until('Both programs end', () => !sender.isAlive && !receiver.isAlive)
  },
}

const sendingCalls = async (lab: Lab, near: Stage, far: Stage): Promise<void> => {
  const { sys, fd } = near
  const send = (bytes: number) => () => lab.send(sys, fd, bytes)
  const poll = async (): Promise<string> => {
    const entry = { fd, events: POLLOUT, revents: 0 }
    await sys.poll([entry], 0)
    return pollNames(entry.revents)
  }
  sys.fcntl(fd, F_SETFL, O_NONBLOCK)
  const first = await ask(lab, near, 'send(5000), O_NONBLOCK', send(5000))
  await lab.step('O_NONBLOCK: SendQ takes what fits')
  lab.check('send(5000) returned a short count', first, { result: SEND_LIMIT, took: 0 })
  const none = await ask(lab, near, 'send(5000), O_NONBLOCK', send(5000))
  lab.check('the next', none, { result: 'EAGAIN', took: 0 })
  lab.check('poll() for POLLOUT says', (await ask(lab, near, 'poll()', poll)).result, '0')
  await lab.quietly(() => lab.queues(hostOf(near), hostOf(far), PORT).recvQ === RECEIVE_LIMIT)
  await lab.quietly(() => lab.queues(hostOf(near), hostOf(far), PORT).sendQ === SEND_LIMIT - RECEIVE_LIMIT)
  await lab.step('RecvQ has taken 1000 of them')
  lab.check('poll() for POLLOUT says', (await ask(lab, near, 'poll()', poll)).result, 'POLLOUT')
  sys.fcntl(fd, F_SETFL, 0)
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, { tv_sec: 2, tv_usec: 0 })
  const timed = await ask(lab, near, 'send(1500), SO_SNDTIMEO 2 s', send(1500))
  await lab.step('SO_SNDTIMEO: 1000 of 1500 bytes find room, the rest waits for two seconds')
  lab.check('send(1500) returned, after milliseconds', timed, { result: 1000, took: 2000 })
  const full = await ask(lab, near, 'send(1500), SO_SNDTIMEO 2 s', send(1500))
  lab.check('and with no room at all', full, { result: 'EAGAIN', took: 2000 })
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, { tv_sec: 0, tv_usec: 0 })
}

const receivingCalls = async (lab: Lab, near: Stage, far: Stage): Promise<void> => {
  const { sys, fd } = far
  const buffer = new Uint8Array(10_000)
  const recv =
    (length: number, flags = 0) =>
    () =>
      sys.recv(fd, buffer, length, flags)
  const all = await ask(lab, far, 'recv(3000, MSG_WAITALL)', recv(3000, MSG_WAITALL))
  await lab.step('MSG_WAITALL: recv(3000) waits until all 3000 bytes are there, though RecvQ holds 1000')
  lab.check('it returned', all.result, 3000)
  const empty = await ask(lab, far, 'recv(100, MSG_DONTWAIT)', recv(100, MSG_DONTWAIT))
  lab.check('MSG_DONTWAIT on an empty queue', empty, { result: 'EAGAIN', took: 0 })
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, { tv_sec: 1, tv_usec: 500_000 })
  const timed = await ask(lab, far, 'recv(100), SO_RCVTIMEO 1.5 s', recv(100))
  lab.check('SO_RCVTIMEO, and nothing comes', timed, { result: 'EAGAIN', took: 1500 })
  await ask(lab, near, 'send(60)', () => lab.send(near.sys, near.fd, 60))
  const part = await ask(lab, far, 'recv(100, MSG_WAITALL), SO_RCVTIMEO 1.5 s', recv(100, MSG_WAITALL))
  await lab.step('SO_RCVTIMEO with MSG_WAITALL: 60 of 100 bytes have come when the time is up')
  lab.check('a short count', part, { result: 60, took: 1500 })
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, { tv_sec: 0, tv_usec: 0 })
  await lowWaterMark(lab, near, far)
  await ask(lab, near, 'send("hello")', () => lab.send(near.sys, near.fd, new TextEncoder().encode('hello')))
  await lab.quietly(() => false, 100)
  const peeked = await ask(lab, far, 'recv(5, MSG_PEEK)', recv(5, MSG_PEEK))
  const again = await ask(lab, far, 'recv(5, MSG_PEEK)', recv(5, MSG_PEEK))
  lab.check('MSG_PEEK, twice', [peeked.result, again.result], [5, 5])
  lab.check('the bytes are still there', numbers(lab, hostOf(near), hostOf(far))[1], 5)
  buffer.fill(0)
  const thrown = await ask(lab, far, 'recv(3, MSG_TRUNC)', recv(3, MSG_TRUNC))
  lab.check('MSG_TRUNC on a stream: 3 bytes thrown away, none copied', [thrown.result, buffer[0]], [3, 0])
  const rest = await ask(lab, far, 'recv(10)', recv(10))
  await lab.step('MSG_PEEK leaves the bytes, MSG_TRUNC throws them away')
  lab.check('what is left', [rest.result, new TextDecoder().decode(buffer.subarray(0, 2))], [2, 'lo'])
  const before = lab.segments(/\(\d+\)/).length
  await ask(lab, near, 'send(100, MSG_MORE)', () => lab.send(near.sys, near.fd, 100, MSG_MORE))
  lab.check('MSG_MORE: segments that left', lab.segments(/\(\d+\)/).length - before, 0)
  await ask(lab, near, 'send(50)', () => lab.send(near.sys, near.fd, 50))
  await lab.quietly(() => numbers(lab, hostOf(near), hostOf(far))[1] === 150)
  await lab.step('MSG_MORE, and then a send without it: both leave in one segment')
  const sizes = lab
    .segments(/\(\d+\)/)
    .slice(before)
    .map(({ text }) => /\((\d+)\)/.exec(text)![1])
  lab.check('bytes of the segments', sizes, ['150'])
}

/** SO_RCVLOWAT: neither recv() nor poll() takes notice of less. */
const lowWaterMark = async (lab: Lab, near: Stage, far: Stage): Promise<void> => {
  const { sys, fd } = far
  const poll = async (): Promise<string> => {
    const entry = { fd, events: POLLIN, revents: 0 }
    await sys.poll([entry], 0)
    return pollNames(entry.revents)
  }
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, 100)
  let read: number | string = ''
  sys.process.host.resumed()
  void outcome(() => sys.recv(fd, new Uint8Array(1000))).then((value) => {
    read = value
  })
  await ask(lab, near, 'send(60)', () => lab.send(near.sys, near.fd, 60))
  await lab.pass(1000, 'SO_RCVLOWAT: 100; 60 bytes are there, and recv() waits')
  lab.check('recv() has returned', read, '')
  lab.check('poll() for POLLIN says', (await ask(lab, far, 'poll()', poll)).result, '0')
  await ask(lab, near, 'send(60)', () => lab.send(near.sys, near.fd, 60))
  await lab.until('60 more: recv() returns', () => read !== '')
  lab.check('recv() returned', read, 120)
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, 1)
}

export const queueCallScenarios: readonly Scenario[] = [fourBuffers, blockingSend, nonblockingSend]
