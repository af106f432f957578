import type { Sys } from '../host/calls.ts'
import type { PollFd } from '../host/polling.ts'
import * as C from '../socket/constants.ts'
import type { EpollEvent } from '../socket/epoll.ts'
import type { Lab } from './lab.ts'
import { acceptOne, connectTo, listenAt, outcome, pollNames } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section I: waiting for several descriptors. */

const PORT = 80

/** A client that connects and sends what it is told, when it is told. */
const feeder = (lab: Lab, parts: readonly string[]) => {
  const gates = parts.map(() => lab.gate())
  const { client } = lab.pair()
  lab.hide(client)
  const process = lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', PORT)
    for (const [index, part] of parts.entries()) {
      await gates[index]!.wait(sys)
      if (part === 'FIN') sys.shutdown(fd, C.SHUT_WR)
      else await sys.send(fd, part)
    }
    await sys.sleep(3600)
  })
  return { gates, process }
}

const select: Scenario = {
  name: 'select',
  group: 'I',
  title: 'select(): three sets, changed to those that are ready',
  description:
    'A server waits with select() for its listener and for connections. It gets back how many are ready, and the sets hold only those. What was read to its end stays readable: recv() returns 0. The time-out ends it with 0. A descriptor that is none gives EBADF.',
  async run(lab) {
    const { gates, process } = feeder(lab, ['data', 'FIN'])
    const server = lab.network.host('server')
    lab.hide(server)
    const rounds: string[][] = [['select() gave', 'ready to read', 'ready to write']]
    let bad: unknown = ''
    const program = lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      let fd = -1
      const wait = async (timeout: { tv_sec: number; tv_usec: number } | null): Promise<void> => {
        const read = new Set(fd < 0 ? [listener] : [listener, fd])
        const write = new Set(fd < 0 ? [] : [fd])
        const reads = fd < 0 || timeout === null ? write : new Set<number>()
        if (fd >= 0 && timeout === null) write.clear()
        const count = await sys.select(fd + 5, read, reads, null, timeout)
        rounds.push([`${count}`, [...read].join(' '), [...reads].join(' ')])
        sys.print(`select(): ${count}; to read: ${[...read]}; to write: ${[...reads]}`)
      }
      await wait({ tv_sec: 0, tv_usec: 1000 })
      await wait(null)
      fd = await sys.accept(listener)
      const writable = new Set([fd])
      rounds.push([`${await sys.select(fd + 1, null, writable, null, null)}`, '', [...writable].join(' ')])
      await wait(null)
      await sys.recv(fd, new Uint8Array(100))
      await wait(null)
      await wait(null)
      bad = await outcome(() => sys.select(100, new Set([99]), null, null, null))
      await sys.sleep(60)
    })
    await lab.until('The client has connected; what it has sent nothing of yet is awaited', () => rounds.length === 4)
    gates[0]!.open()
    await lab.until('It has sent something', () => rounds.length === 5)
    gates[1]!.open()
    await lab.until('It has finished', () => bad !== '')
    lab.figure('The server’s calls: 3 is the listener, 4 the connection', table(rounds))
    await lab.step('All calls')
    lab.check('time-out, connection, writable, data, end, end again', rounds.slice(1), [
      ['0', '', ''],
      ['1', '3', ''],
      ['1', '', '4'],
      ['1', '4', ''],
      ['1', '4', ''],
      ['1', '4', ''],
    ])
    lab.check('a descriptor that is none', bad, 'EBADF')
    for (const each of [process, program]) each.exit(0)
  },
}

const poll: Scenario = {
  name: 'poll',
  group: 'I',
  title: 'poll(): what each descriptor is ready for, through a connection’s life',
  description:
    'The same four bits asked of every descriptor, POLLIN, POLLOUT, POLLPRI and POLLRDHUP, in every state of a connection. POLLERR and POLLHUP are told without being asked for; a number that is no descriptor gives POLLNVAL.',
  async run(lab) {
    const { gates, process } = feeder(lab, ['data', 'FIN'])
    const server = lab.network.host('server')
    lab.hide(server)
    const rows: string[][] = []
    const closes = lab.gate()
    const program = lab.spawn(server, 'server', async (sys) => {
      const look = async (what: string, fd: number): Promise<void> => {
        const entry: PollFd = { fd, events: C.POLLIN | C.POLLOUT | C.POLLPRI | C.POLLRDHUP, revents: 0 }
        await sys.poll([entry], 0)
        rows.push([what, pollNames(entry.revents)])
      }
      const awaits = async (fd: number, events: number): Promise<void> => {
        await sys.poll([{ fd, events, revents: 0 }], -1)
      }
      const fresh = sys.socket(C.AF_INET, C.SOCK_STREAM)
      await look('a new socket', fresh)
      const listener = listenAt(sys, PORT)
      await look('a listener', listener)
      await awaits(listener, C.POLLIN)
      await look('a listener with a connection', listener)
      const fd = await sys.accept(listener)
      await look('a connection', fd)
      gates[0]!.open()
      await awaits(fd, C.POLLIN)
      await look('with data to read', fd)
      gates[1]!.open()
      await awaits(fd, C.POLLRDHUP)
      await look('the peer has finished', fd)
      sys.shutdown(fd, C.SHUT_WR)
      await look('and so has this side', fd)
      await closes.wait(sys)
      const udp = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      await look('a UDP socket', udp)
      const [from, to] = sys.pipe()
      await look('an empty pipe’s end to read', from)
      await look('its end to write', to)
      await sys.close(from)
      await look('when nobody reads', to)
      await look('no descriptor', 99)
    })
    await lab.until('Through a connection’s life', () => rows.length === 7)
    closes.open()
    await lab.until('Other descriptors', () => !program.isAlive)
    lab.figure('revents', table(rows))
    await lab.step('All of them')
    lab.check('revents', Object.fromEntries(rows), {
      'a new socket': 'POLLOUT|POLLHUP',
      'a listener': '0',
      'a listener with a connection': 'POLLIN',
      'a connection': 'POLLOUT',
      'with data to read': 'POLLIN|POLLOUT',
      'the peer has finished': 'POLLIN|POLLOUT|POLLRDHUP',
      'and so has this side': 'POLLIN|POLLOUT|POLLHUP|POLLRDHUP',
      'a UDP socket': 'POLLOUT',
      'an empty pipe’s end to read': '0',
      'its end to write': 'POLLOUT',
      'when nobody reads': 'POLLOUT|POLLERR',
      'no descriptor': 'POLLNVAL',
    })
    process.exit(0)
  },
}

/** 2 kB written, 1 kB read, then wait; and again for each further wait. @returns what each wait gave */
const readHalf = (lab: Lab, mode: number, waits: number, rest: boolean) => {
  const { client, server } = lab.pair()
  lab.hide(client)
  lab.hide(server)
  lab.watchQueues(client, server, PORT, 'to server')
  const results: string[] = []
  lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', PORT)
    await sys.send(fd, new Uint8Array(2000))
    await sys.sleep(3600)
  })
  const process = acceptOne(lab, server, PORT, async (sys, fd) => {
    const epoll = sys.epoll_create1()
    sys.epoll_ctl(epoll, C.EPOLL_CTL_ADD, fd, { events: C.EPOLLIN | mode, data: 0 })
    const events: EpollEvent[] = []
    for (let i = 0; i < waits; i++) {
      const count = await sys.epoll_wait(epoll, events, 8, 1000)
      results.push(count === 0 ? 'nothing in 1 s' : `ready at ${sys.now / 1000} ms`)
      sys.print(`epoll_wait(): ${count}`)
      if (count === 0) break
      if (rest) results.push(...(await drain(sys, fd)))
      else results.push(`read ${await sys.recv(fd, new Uint8Array(1000))}`)
    }
    await sys.sleep(3600)
  })
  return { client, server, results, process }
}

/** Reads until there is nothing left. */
const drain = async (sys: Sys, fd: number): Promise<string[]> => {
  const seen: string[] = []
  for (;;) {
    const count = await outcome(() => sys.recv(fd, new Uint8Array(1000), 1000, C.MSG_DONTWAIT))
    seen.push(typeof count === 'number' ? `read ${count}` : count)
    if (typeof count !== 'number') return seen
  }
}

const epollLevel: Scenario = {
  name: 'epoll-level',
  group: 'I',
  title: 'epoll, level-triggered: as long as there is something, it says so',
  description:
    '2,000 bytes arrive, and the server reads 1,000 after each epoll_wait(). The second call returns at once, as 1,000 bytes are left; the third one waits in vain.',
  async run(lab) {
    const { server, client, results } = readHalf(lab, 0, 3, false)
    await lab.until('2,000 bytes were read in two parts; there is nothing more', () => results.length === 5)
    lab.check('epoll_wait() and recv()', results, [
      'ready at 30 ms',
      'read 1000',
      'ready at 30 ms',
      'read 1000',
      'nothing in 1 s',
    ])
    lab.check('bytes left in RecvQ', lab.queues(client, server, PORT).recvQ, 0)
  },
}

const epollEdge: Scenario = {
  name: 'epoll-edge',
  group: 'I',
  title: 'epoll, edge-triggered: only when something has come; read until EAGAIN',
  description:
    '2,000 bytes arrive, and the server reads 1,000. With EPOLLET the second epoll_wait() says nothing, though 1,000 bytes wait in RecvQ: nothing new has come. They would wait for ever. A program must read until EAGAIN, as a second one does.',
  async run(lab) {
    const { server, client, results } = readHalf(lab, C.EPOLLET, 2, false)
    await lab.until('1,000 bytes were read; epoll_wait() waits in vain', () => results.length === 3)
    lab.check('epoll_wait() and recv()', [...results], ['ready at 30 ms', 'read 1000', 'nothing in 1 s'])
    lab.check('bytes that nobody is told of, in RecvQ', lab.queues(client, server, PORT).recvQ, 1000)
  },
}

const epollEdgeDrained: Scenario = {
  name: 'epoll-edge-drained',
  group: 'I',
  title: 'epoll, edge-triggered, as it is meant: until EAGAIN',
  description: 'The same 2,000 bytes with EPOLLET. The server reads until EAGAIN: nothing is left behind.',
  async run(lab) {
    const { server, client, results } = readHalf(lab, C.EPOLLET, 2, true)
    await lab.until('Everything was read at the first event', () => results.length === 5)
    lab.check('epoll_wait() and recv()', results, [
      'ready at 30 ms',
      'read 1000',
      'read 1000',
      'EAGAIN',
      'nothing in 1 s',
    ])
    lab.check('bytes left in RecvQ', lab.queues(client, server, PORT).recvQ, 0)
  },
}

const epollFlags: Scenario = {
  name: 'epoll-flags',
  group: 'I',
  title: 'EPOLLONESHOT, EPOLLEXCLUSIVE and EPOLLRDHUP',
  description:
    'With EPOLLONESHOT an interest is asleep after its event, until EPOLL_CTL_MOD. With EPOLLRDHUP the peer’s FIN is told apart from data. Three processes wait for one listener, each with an epoll of its own: with EPOLLEXCLUSIVE one of them is woken by a connection, without it all three, and two find nothing.',
  async run(lab) {
    const { gates, process } = feeder(lab, ['one', 'two', 'FIN'])
    const server = lab.network.host('server')
    lab.hide(server)
    const results: string[] = []
    const program = acceptOne(lab, server, PORT, async (sys, fd) => {
      const epoll = sys.epoll_create1()
      const events: EpollEvent[] = []
      const wait = async (what: string): Promise<void> => {
        const count = await sys.epoll_wait(epoll, events, 8, 500)
        results.push(`${what}: ${count === 0 ? 'nothing' : pollNames(events[0]!.events)}`)
        sys.print(results.at(-1))
      }
      const interest = { events: C.EPOLLIN | C.EPOLLRDHUP | C.EPOLLONESHOT, data: 0 }
      sys.epoll_ctl(epoll, C.EPOLL_CTL_ADD, fd, interest)
      gates[0]!.open()
      await wait('data')
      gates[1]!.open()
      await wait('more, asleep')
      sys.epoll_ctl(epoll, C.EPOLL_CTL_MOD, fd, interest)
      await wait('awake again')
      await sys.recv(fd, new Uint8Array(100))
      gates[2]!.open()
      sys.epoll_ctl(epoll, C.EPOLL_CTL_MOD, fd, interest)
      await wait('the end')
      await sys.sleep(3600)
    })
    await lab.until('One connection with EPOLLONESHOT', () => results.length === 4)
    lab.check('events', results, [
      'data: POLLIN',
      'more, asleep: nothing',
      'awake again: POLLIN',
      'the end: POLLIN|POLLRDHUP',
    ])
    for (const each of [process, program]) each.exit(0)

    for (const [title, mode, woken] of [
      ['Three processes, without EPOLLEXCLUSIVE', 0, 3],
      ['Three processes, with EPOLLEXCLUSIVE', C.EPOLLEXCLUSIVE, 1],
    ] as const) {
      const log: string[] = []
      const port = PORT + woken
      const parent = lab.spawn(server, 'parent', async (sys) => {
        const listener = listenAt(sys, port)
        sys.fcntl(listener, C.F_SETFL, C.O_NONBLOCK)
        const worker = async (own: Sys): Promise<void> => {
          const epoll = own.epoll_create1()
          own.epoll_ctl(epoll, C.EPOLL_CTL_ADD, listener, { events: C.EPOLLIN | mode, data: 0 })
          await own.epoll_wait(epoll, [], 8, -1)
          const fd = await outcome(() => own.accept(listener))
          log.push(typeof fd === 'number' ? 'a connection' : fd)
          own.print(`woken: ${log.at(-1)}`)
          await own.sleep(3600)
        }
        for (let i = 0; i < 2; i++) sys.fork(worker)
        await worker(sys)
      })
      await lab.quietly(
        () => [parent, ...parent.children].filter((one) => lab.waitsIn(one) === 'epoll_wait').length === 3,
      )
      const visitor = lab.spawn(lab.network.host('client'), 'visitor', async (sys) => {
        await connectTo(sys, '10.0.0.2', port)
        await sys.sleep(3600)
      })
      await lab.pass(100, title)
      lab.check('processes that were woken', log.length, woken)
      lab.check('connections that they got', log.filter((what) => what === 'a connection').length, 1)
      for (const each of [visitor, parent, ...parent.children]) each.exit(0)
    }
  },
}

export const pollScenarios: readonly Scenario[] = [select, poll, epollLevel, epollEdge, epollEdgeDrained, epollFlags]
