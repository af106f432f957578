import type { Sys } from '../host/calls.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, SO_RCVTIMEO, SOCK_DGRAM, SOL_SOCKET } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section H: datagrams between two sockets. */

const PORT = 7
const decoder = new TextDecoder()
const SERVER = { address: '10.0.0.2', port: PORT }

/** A datagram socket, bound to a port. */
const udpAt = (sys: Sys, port: number, address = '0.0.0.0'): number => {
  const fd = sys.socket(AF_INET, SOCK_DGRAM)
  sys.bind(fd, { address, port })
  return fd
}

const next = async (sys: Sys, fd: number, length = 65_536, flags = 0): Promise<string> => {
  const buffer = new Uint8Array(length)
  return decoder.decode(buffer.subarray(0, await sys.recv(fd, buffer, length, flags)))
}

const showUdp = (lab: Lab): ReturnType<Lab['pair']> => {
  const pair = lab.pair()
  for (const host of [pair.client, pair.server]) {
    lab.hide(host)
    lab.show(host, 'netstat -anu')
  }
  return pair
}

const datagrams: Scenario = {
  name: 'datagrams',
  group: 'H',
  title: 'Datagrams keep their boundaries; what a short recv() leaves is lost',
  description:
    'Three sends of 10, 20 and 0 bytes arrive as three datagrams, and an empty one is one. Each recv() takes exactly one: with room for 4 bytes the other 6 of the first are lost; MSG_TRUNC makes recv() return the whole length, and recvmsg() sets the flag MSG_TRUNC.',
  async run(lab) {
    const { client, server } = showUdp(lab)
    const reads = lab.gate()
    const results: unknown[] = []
    const reader = lab.spawn(server, 'reader', async (sys) => {
      const fd = udpAt(sys, PORT)
      await reads.wait(sys)
      const four = new Uint8Array(4)
      results.push(await sys.recv(fd, four, 4, C.MSG_PEEK | C.MSG_TRUNC))
      results.push(await next(sys, fd, 4))
      const message = { msg_iov: [four], msg_flags: 0 }
      results.push(await sys.recvmsg(fd, message), message.msg_flags === C.MSG_TRUNC)
      results.push(await sys.recv(fd, four), await outcome(() => sys.recv(fd, four, 4, C.MSG_DONTWAIT)))
      sys.print(`recv(): ${JSON.stringify(results)}`)
    })
    const sent: number[] = []
    lab.spawn(client, 'writer', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_DGRAM)
      for (const text of ['0123456789', 'abcdefghijklmnopqrst', ''])
        sent.push(await sys.sendto(fd, text, undefined, 0, SERVER))
      sys.print(`sendto(): ${sent}`)
      await sys.sleep(1)
    })
    const inDatagrams = () => server.ip.mib.udp.InDatagrams + waiting(lab, server)
    await lab.until('Three datagrams have arrived', () => waiting(lab, server) === 3)
    lab.check('sendto() returned', sent, [10, 20, 0])
    lab.check('packets on the wire', lab.segments(/UDP/).length, 3)
    reads.open()
    await lab.until('They are read', () => !reader.isAlive)
    lab.check('length of the first with MSG_PEEK and MSG_TRUNC; what 4 bytes of room got', results.slice(0, 2), [
      10,
      '0123',
    ])
    lab.check('the second by recvmsg(): bytes, and is MSG_TRUNC set', results.slice(2, 4), [4, true])
    lab.check('the third, and then', results.slice(4), [0, 'EAGAIN'])
    lab.check('datagrams delivered (InDatagrams)', inDatagrams(), 3)
  },
}

/** Datagrams that wait in the sockets of a host. */
const waiting = (lab: Lab, host: ReturnType<Lab['host']>): number =>
  lab.snapshotOf(host).sockets.reduce((sum, socket) => sum + (socket.protocol === 'udp' ? socket.datagrams : 0), 0)

const udpConnect: Scenario = {
  name: 'udp-connect',
  group: 'H',
  title: 'connect() on UDP: a default peer, a filter, and errors that come back',
  description:
    'connect() sends nothing. It names the peer for send(), lets only that peer’s datagrams through, and lets the socket hear of ICMP errors: where nobody has the port, the next call gets ECONNREFUSED. A socket that is not connected hears nothing. AF_UNSPEC undoes it.',
  async run(lab) {
    const { client, server } = showUdp(lab)
    const log: Record<string, unknown> = {}
    const answers = lab.spawn(server, 'server', async (sys) => {
      const fd = udpAt(sys, PORT)
      const stranger = udpAt(sys, 9999)
      const from: Sockaddr = {}
      const buffer = new Uint8Array(100)
      for (;;) {
        await sys.recvfrom(fd, buffer, 100, 0, from)
        await sys.sendto(stranger, 'from a stranger', undefined, 0, from)
        await sys.sendto(fd, 'from the server', undefined, 0, from)
      }
    })
    const program = lab.spawn(client, 'client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_DGRAM)
      sys.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, { tv_sec: 1, tv_usec: 0 })
      log['send before'] = await outcome(() => sys.send(fd, 'x'))
      await sys.connect(fd, SERVER)
      log['address'] = sys.getsockname(fd).address
      log['packets'] = lab.segments(/./).length
      await sys.send(fd, 'hello')
      log['heard'] = [await next(sys, fd), await outcome(() => next(sys, fd))]
      await sys.connect(fd, { family: C.AF_UNSPEC })
      log['undone'] = [await outcome(() => sys.getpeername(fd)), sys.getsockname(fd).address]
      await sys.sendto(fd, 'hello', undefined, 0, SERVER)
      log['all heard'] = [await next(sys, fd), await next(sys, fd)].sort()
      const nobody = { address: '10.0.0.2', port: 4444 }
      await sys.sendto(fd, 'x', 1, 0, nobody)
      log['unconnected'] = await outcome(() => next(sys, fd))
      await sys.connect(fd, nobody)
      await sys.send(fd, 'x')
      log['connected'] = await outcome(() => next(sys, fd))
      log['again'] = await outcome(() => sys.send(fd, 'x'))
      for (const [what, result] of Object.entries(log)) sys.print(`${what}: ${JSON.stringify(result)}`)
      await sys.sleep(10)
    })
    await lab.until('The client has tried it all', () => log['again'] !== undefined)
    lab.check('send() without a peer', log['send before'], 'EDESTADDRREQ')
    lab.check(
      'packets that connect() sent, and the local address after it',
      [log['packets'], log['address']],
      [0, '10.0.0.1'],
    )
    lab.check('connected, it hears the server and not the stranger', log['heard'], ['from the server', 'EAGAIN'])
    lab.check('after AF_UNSPEC getpeername() and the local address', log['undone'], ['ENOTCONN', '0.0.0.0'])
    lab.check('unconnected, it hears both', log['all heard'], ['from a stranger', 'from the server'])
    lab.check('nobody has the port: unconnected, recv() waits in vain', log['unconnected'], 'EAGAIN')
    lab.check(
      'connected, recv() learns of it; the error is told once',
      [log['connected'], log['again']],
      ['ECONNREFUSED', 1],
    )
    lab.check('ICMP port unreachable came', lab.segments(/unreachable/i).length >= 2, true)
    for (const process of [answers, program]) process.exit(0)
  },
}

const SENT = 500
const SIZE = 1000

const udpLoss: Scenario = {
  name: 'udp-loss',
  group: 'H',
  title: 'A full RecvQ: datagrams are dropped silently, and counted',
  description:
    'A client sends 500 datagrams of 1,000 bytes to a server that does not read. Every send() succeeds at once: UDP never waits for the peer. RecvQ holds SO_RCVBUF = 212,992 bytes, in which a datagram of 1,000 bytes takes 2,304 with its overhead; the others are dropped. Neither program is told; the counters are.',
  async run(lab) {
    const { client, server } = showUdp(lab)
    const reads = lab.gate()
    let got = 0
    const reader = lab.spawn(server, 'reader', async (sys) => {
      const fd = udpAt(sys, PORT)
      await reads.wait(sys)
      while ((await outcome(() => sys.recv(fd, new Uint8Array(2000), 2000, C.MSG_DONTWAIT))) === SIZE) got++
      sys.print(`${got} datagrams`)
    })
    const sent = new Map<unknown, number>()
    let took = -1
    lab.spawn(client, 'writer', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_DGRAM)
      const start = sys.now
      for (let i = 0; i < SENT; i++) {
        const count = await outcome(() => sys.sendto(fd, new Uint8Array(SIZE), SIZE, 0, SERVER))
        sent.set(count, (sent.get(count) ?? 0) + 1)
      }
      took = sys.now - start
      sys.print(`${SENT} × sendto(): ${[...sent.keys()]}`)
    })
    await lab.pass(1000, `${SENT} datagrams were sent`)
    lab.check('what sendto() returned, and how often', [...sent], [[SIZE, SENT]])
    lab.check('microseconds that it waited', took, 0)
    const kept = waiting(lab, server)
    lab.check('datagrams in RecvQ: 212,992 / 2,304, and the one that crosses the limit', kept, 93)
    lab.check('Recv-Q in netstat', lab.toolOn(server, 'netstat -anu').match(/^udp +(\d+)/m)?.[1], String(93 * 2304))
    reads.open()
    await lab.until('The server reads at last', () => !reader.isAlive)
    lab.check('datagrams it got', got, 93)
    lab.check('dropped (RcvbufErrors)', server.ip.mib.udp.RcvbufErrors, SENT - 93)
    lab.check('delivered (InDatagrams)', server.ip.mib.udp.InDatagrams, 93)
  },
}

const udpTimeout: Scenario = {
  name: 'udp-timeout',
  group: 'H',
  title: 'A lost answer: SO_RCVTIMEO, and a client that asks again',
  description:
    'UDP does not send anything again: who needs an answer must wait for it with a limit, and ask again. The first two answers are lost. recv() gives EAGAIN after SO_RCVTIMEO, here 1, 2 and 4 seconds; the third question is answered. The server has done the work three times, and cannot know.',
  async run(lab) {
    const { client, server, link } = showUdp(lab)
    let served = 0
    const program = lab.spawn(server, 'server', async (sys) => {
      const fd = udpAt(sys, PORT)
      const from: Sockaddr = {}
      for (;;) {
        await sys.recvfrom(fd, new Uint8Array(100), 100, 0, from)
        served++
        await sys.sendto(fd, 'answer', undefined, 0, from)
      }
    })
    lab.lose(link.cable.bToA, /UDP/, 2)
    const results: unknown[] = []
    let took = 0
    const asker = lab.spawn(client, 'client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_DGRAM)
      await sys.connect(fd, SERVER)
      for (const seconds of [1, 2, 4]) {
        sys.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, { tv_sec: seconds, tv_usec: 0 })
        await sys.send(fd, 'question')
        results.push(await outcome(() => next(sys, fd)))
        sys.print(`recv() with ${seconds} s: ${results.at(-1)}`)
      }
      took = sys.now / 1000
    })
    await lab.until('The third question is answered', () => !asker.isAlive)
    lab.check('recv() gave', results, ['EAGAIN', 'EAGAIN', 'answer'])
    lab.check('after, milliseconds', took, 3020)
    lab.check('questions that the server has answered', served, 3)
    program.exit(0)
  },
}

export const datagramScenarios: readonly Scenario[] = [datagrams, udpConnect, udpLoss, udpTimeout]
