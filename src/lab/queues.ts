import type { Sys } from '../host/calls.ts'
import { AF_INET, SO_RCVBUF, SO_SNDBUF, SOCK_STREAM, SOL_SOCKET, SOL_TCP, TCP_MAXSEG } from '../socket/constants.ts'
import type { Lab, Pair } from './lab.ts'
import type { Scenario } from './scenario.ts'

/** Section D: SendQ, RecvQ and what the application has read; windows, and what happens when they are shut. */

const PORT = 5050

/** A listening socket with queues of a given size. */
const listenWith = (sys: Sys, receive: number, send: number): number => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  if (receive > 0) sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, receive)
  if (send > 0) sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, send)
  sys.bind(fd, { address: '0.0.0.0', port: PORT })
  sys.listen(fd, 5)
  return fd
}

/** Lets the first `count` data segments from the client pass and holds the others on the wire. */
const holdAfter = (pair: Pair, count: number): void => {
  const { aToB } = pair.link.cable
  let passed = 0
  aToB.filter = (frame) => {
    // Data segments of this scenario are the only large frames.
    if (frame.end - frame.start < 200) return 'pass'
    return passed++ < count ? 'pass' : 'hold'
  }
}

const threeQueues: Scenario = {
  name: 'three-queues',
  group: 'D',
  title: 'SendQ, RecvQ, Delivered: where the bytes of three sends are',
  description:
    'The client sends 1000, 2000 and 5000 bytes. When 1500 of them have arrived and are acknowledged, 6500 are in its SendQ. TCP keeps no boundaries: recv(2000) returns the 1500 that are there, and later recv(4000) the last 1500 of the second send with the first 2500 of the third.',
  async run(lab) {
    const pair = lab.pair()
    const { client, server, link } = pair
    lab.watchQueues(client, server, PORT, 'to server')
    const firstRead = lab.gate()
    const secondRead = lab.gate()
    const returned: number[] = []
    lab.spawn(server, 'receiver', async (sys) => {
      const listener = listenWith(sys, 0, 0)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(10_000)
      for (const [gate, size] of [
        [firstRead, 2000],
        [secondRead, 4000],
      ] as const) {
        await gate.wait(sys)
        returned.push(await sys.recv(fd, buffer, size))
        sys.print(`recv(${size}) returned ${returned.at(-1)}`)
      }
      await sys.sleep(60)
    })
    holdAfter(pair, 3)
    lab.spawn(client, 'sender', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.setsockopt(fd, SOL_TCP, TCP_MAXSEG, 500 + 12)
      await sys.connect(fd, { address: '10.0.0.2', port: PORT })
      for (const size of [1000, 2000, 5000]) {
        await lab.send(sys, fd, size)
        sys.print(`send(${size}) returned`)
      }
      await sys.sleep(60)
    })
    const queues = () => lab.queues(client, server, PORT)
    const numbers = () => [queues().sendQ, queues().recvQ, queues().delivered]
    await lab.until('1500 bytes have arrived and are acknowledged; the rest is on the wire, or waits', () => {
      const { recvQ, sendQ } = queues()
      return recvQ === 1500 && sendQ === 6500
    })
    lab.check('SendQ, RecvQ, Delivered', numbers(), [6500, 1500, 0])
    firstRead.open()
    await lab.until('recv(2000)', () => returned.length === 1)
    lab.check('it returned what was there', returned[0], 1500)
    lab.check('SendQ, RecvQ, Delivered', numbers(), [6500, 0, 1500])
    link.cable.aToB.filter = null
    link.cable.aToB.releaseHeld()
    await lab.until('Everything else has arrived', () => queues().recvQ === 6500 && queues().sendQ === 0)
    lab.check('SendQ, RecvQ, Delivered', numbers(), [0, 6500, 1500])
    secondRead.open()
    await lab.until('recv(4000)', () => returned.length === 2)
    lab.check('it returned', returned[1], 4000)
    lab.check('SendQ, RecvQ, Delivered', numbers(), [0, 2500, 5500])
    const sent = [1000, 2000, 5000]
    lab.check('of the second send it had the last', sent[0]! + sent[1]! - 1500, 1500)
    lab.check('and of the third the first', 1500 + 4000 - sent[0]! - sent[1]!, 2500)
  },
}

const LIMIT = 500
const TO_SEND = 1500

const deadlock: Scenario = {
  name: 'deadlock',
  group: 'D',
  title: 'Both send, nobody reads: neither send() returns',
  description:
    'SendQ and RecvQ hold 500 bytes on both hosts, and both programs send 1500 before they read. 1000 bytes of each find room; the last 500 never do: each waits for the other to read. An echo client that sends everything before it reads anything falls into the same trap; reading while sending is the way out.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.countDataOnly(client, server)
    lab.watchQueues(client, server, PORT)
    const done: string[] = []
    const exchange = async (sys: Sys, fd: number): Promise<void> => {
      sys.print(`send(${TO_SEND}) called`)
      await lab.send(sys, fd, TO_SEND)
      sys.print(`send(${TO_SEND}) returned`)
      done.push(sys.process.name)
      await sys.recv(fd, new Uint8Array(TO_SEND))
    }
    const one = lab.spawn(server, 'bob', async (sys) => {
      await exchange(sys, await sys.accept(listenWith(sys, LIMIT, LIMIT)))
    })
    const other = lab.spawn(client, 'alice', async (sys) => {
      await exchange(sys, await connectWith(sys, '10.0.0.2', LIMIT))
    })
    const stuck = `send, ${TO_SEND - 2 * LIMIT} bytes to go`
    await lab.quietly(() => lab.waitsIn(one) === stuck && lab.waitsIn(other) === stuck)
    lab.note(
      'Who waits for whom: alice has 500 bytes to go and waits until bob reads; bob has 500 to go and waits until alice reads.',
    )
    await lab.step('All four queues are full')
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const { sendQ, recvQ, delivered } = lab.queues(from, to, PORT)
      lab.check(`SendQ, RecvQ, Delivered from ${from.name} to ${to.name}`, [sendQ, recvQ, delivered], [500, 500, 0])
    }
    await lab.pass(3600 * 1000, 'An hour later')
    lab.check('send() calls that have returned', done, [])
    lab.check('both wait in', [lab.waitsIn(one), lab.waitsIn(other)], [stuck, stuck])
    await echoTrap(lab)
  },
}

/** Connects with queues of a given size. */
const connectWith = async (sys: Sys, address: string, size: number): Promise<number> => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, size)
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size)
  await sys.connect(fd, { address, port: PORT })
  return fd
}

/** The echo client in the trap, and out of it. */
const echoTrap = async (lab: Lab): Promise<void> => {
  const client = lab.host('echo-client')
  const server = lab.host('echo-server')
  lab.link(client, server, { delay: 10, addresses: ['10.2.0.1/24', '10.2.0.2/24'] })
  lab.countDataOnly(client, server)
  lab.spawn(server, 'echo', async (sys) => {
    const listener = listenWith(sys, LIMIT, LIMIT)
    for (;;) {
      const fd = await sys.accept(listener)
      void sys.thread(async () => {
        const buffer = new Uint8Array(100)
        for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) await sys.send(fd, buffer, n)
        await sys.close(fd)
      })
    }
  })
  const total = 10_000
  const received = { trapped: 0, free: 0 }
  const readBack = async (sys: Sys, fd: number, key: 'trapped' | 'free'): Promise<void> => {
    const buffer = new Uint8Array(LIMIT)
    while (received[key] < total) received[key] += await sys.recv(fd, buffer)
  }
  const trapped = lab.spawn(client, 'sends-first', async (sys) => {
    const fd = await connectWith(sys, '10.2.0.2', LIMIT)
    await lab.send(sys, fd, total)
    await readBack(sys, fd, 'trapped')
  })
  await lab.quietly(() => false, 3600 * 1000)
  await lab.step('An echo client that sends 10,000 bytes before it reads: an hour later')
  lab.check('it waits in', lab.waitsIn(trapped).startsWith('send'), true)
  lab.check('and has read', received.trapped, 0)
  const free = lab.spawn(client, 'reads-too', async (sys) => {
    const fd = await connectWith(sys, '10.2.0.2', LIMIT)
    const sending = sys.thread(async () => {
      await lab.send(sys, fd, total)
    })
    await readBack(sys, fd, 'free')
    await sending
    sys.print(`${received.free} bytes came back`)
  })
  await lab.until('One that reads while it sends', () => !free.isAlive)
  lab.check('it has read', received.free, total)
}

const zeroWindow: Scenario = {
  name: 'zero-window',
  group: 'D',
  title: 'A reader that stops: AWS 0, probes, and the way back',
  description:
    "When the reader stops, its queue fills and the advertised window (AWS) falls to 0. The sender's persist timer then sends a byte at growing intervals; each probe is answered with AWS 0, without end and without error. When the reader reads on and the window update is lost, the next probe finds the window open. Neither side makes small segments of it.",
  async run(lab) {
    // Segments of 1000 bytes, so that the queue of 4000 is filled by four.
    const { client, server, link } = lab.pair({ mtu: 1052 })
    lab.countDataOnly(client, server)
    lab.watchQueues(client, server, PORT, 'to server')
    const size = 4000
    const total = 40_000
    const readsOn = lab.gate()
    let read = 0
    lab.spawn(server, 'reader', async (sys) => {
      const listener = listenWith(sys, size, 0)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(size)
      await readsOn.wait(sys)
      while (read < total) read += await sys.recv(fd, buffer, 400)
      sys.print(`read all ${read} bytes`)
    })
    const writer = lab.spawn(client, 'writer', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, 10_000)
      await sys.connect(fd, { address: '10.0.0.2', port: PORT })
      await lab.send(sys, fd, total)
      sys.print(`send(${total}) returned`)
      await sys.sleep(3600)
    })
    const aws = () => lab.connection(client, PORT)?.snd.wnd ?? -1
    await lab.until(
      'The reader has stopped: AWS is 0',
      () => aws() === 0 && lab.queues(client, server, PORT).recvQ === size,
    )
    lab.check('bytes in RecvQ', lab.queues(client, server, PORT).recvQ, size)
    const shutAt = lab.segments(/./).length
    await lab.pass(2 * 3600 * 1000, 'Two hours later: probes, and nothing else')
    const since = lab.segments(/./).slice(shutAt)
    const probes = since.filter(({ from }) => from === 'client')
    const answers = since.filter(({ from }) => from === 'server')
    lab.check(
      'each probe carries one byte',
      probes.every(({ text }) => text.includes('(1)')),
      true,
    )
    lab.check(
      'each is answered with AWS 0',
      [answers.length, answers.every(({ text }) => text.endsWith('win 0'))],
      [probes.length, true],
    )
    const gaps = probes.slice(1).map(({ at }, i) => at - probes[i]!.at)
    lab.check(
      'each interval is so many times the one before',
      gaps.slice(1, 6).map((gap, i) => Math.round(gap / gaps[i]!)),
      [2, 2, 2, 2, 2],
    )
    lab.check('up to seconds', Math.round(gaps.at(-1) ?? 0), 120)
    lab.check('no error: the connection is in', lab.state(server, PORT), 'ESTABLISHED')
    lab.check('the writer still waits', lab.waitsIn(writer).startsWith('send'), true)

    lab.lose(link.cable.bToA)
    readsOn.open()
    await lab.until('The reader reads on; its window update is lost', () => read >= size)
    lab.check('AWS, as the sender knows it', aws(), 0)
    link.cable.bToA.filter = null
    const opened = lab.segments(/./).length
    await lab.until('The next probe finds the window open, and the rest follows', () => read === total)
    const rest = lab
      .segments(/./)
      .slice(opened)
      .filter(({ from, text }) => from === 'client' && text.includes('('))
    const sizes = rest.map(({ text }) => Number(/\(([0-9]+)\)/.exec(text)?.[1]))
    lab.note(`Segments after that, in bytes: ${sizes.join(', ')}.`)
    const small = sizes.filter((bytes) => bytes > 1 && bytes < 1000)
    lab.check('small segments among them, but for the last', small.length <= 1, true)
  },
}

export const queueScenarios: readonly Scenario[] = [threeQueues, deadlock, zeroWindow]
