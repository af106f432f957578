import { SIGKILL } from '../host/signals.ts'
import { AF_INET, FIONBIO, SHUT_WR, SO_LINGER, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import { acceptOne, connectTo, listenAt, outcome, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C, the end: what stays behind when programs leave, and what close() does with bytes on their way. */

const PORT = 80

const orphan: Scenario = {
  name: 'orphan',
  group: 'C',
  title: 'FIN_WAIT_2 that nobody holds, and one that somebody does',
  description:
    'The peer does not close. After close() nobody holds the socket: it is an orphan, and goes after tcp_fin_timeout (60 seconds). After shutdown(SHUT_WR) the descriptor is still there: FIN_WAIT_2 lasts as long as the program wants, for it may still read.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.spawn(server, 'never-closes', async (sys) => {
      const listener = listenAt(sys, PORT)
      for (;;) await sys.accept(listener)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const ports: number[] = []
    const open = async (name: string, held: boolean): Promise<void> => {
      lab.spawn(client, name, async (sys) => {
        const fd = await connectTo(sys, '10.0.0.2', PORT)
        ports.push(sys.getsockname(fd).port)
        if (held) sys.shutdown(fd, SHUT_WR)
        else await sys.close(fd)
        sys.print(held ? 'shutdown(SHUT_WR), and the descriptor stays' : 'close()')
        await sys.sleep(7 * 24 * 3600)
      })
      await lab.quietly(() => lab.state(client, ports[Number(held)] ?? 0) === 'FIN_WAIT2')
    }
    await open('closes', false)
    const since = lab.network.now
    await open('shuts-down', true)
    await lab.step('Both are in FIN_WAIT_2; the server closes neither')
    lab.check('the client has', lab.states(client), ['FIN_WAIT2', 'FIN_WAIT2'])
    await lab.until('The orphan has gone', () => lab.state(client, ports[0]!) === '')
    lab.check('after seconds (tcp_fin_timeout)', Math.round((lab.network.now - since) / 1000), 60)
    lab.check('the other one is in', lab.state(client, ports[1]!), 'FIN_WAIT2')
    await lab.pass(24 * 3600 * 1000, 'A day later')
    lab.check('the one that is held is in', lab.states(client), ['FIN_WAIT2'])
    lab.check('the server has both in CLOSE_WAIT: nobody told it', lab.states(server), ['CLOSE_WAIT', 'CLOSE_WAIT'])
  },
}

const serverRestart: Scenario = {
  name: 'server-restart',
  group: 'C',
  title: 'A killed server cannot have its port again: EADDRINUSE, and SO_REUSEADDR',
  description:
    'A server is killed while a connection stands. Its side sends the FIN first and ends in TIME_WAIT, with the local port. Started again it gets EADDRINUSE from bind() until TIME_WAIT is over, 60 seconds. With SO_REUSEADDR, set by every server before bind(), it starts at once.',
  async run(lab) {
    const { client, server } = lab.pair()
    const start = (port: number, reuse: boolean) => {
      const result = { code: '' as number | string }
      const process = lab.spawn(server, 'server', async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        if (reuse) sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        result.code = await outcome(() => sys.bind(fd, { address: '0.0.0.0', port }))
        sys.print(`bind() to port ${port}${reuse ? ' with SO_REUSEADDR' : ''}: ${result.code}`)
        if (result.code !== 0) return
        sys.listen(fd, 5)
        await sys.accept(fd)
        await sys.sleep(3600)
      })
      return { process, result }
    }
    const waiting = (port: number) =>
      server.sockets.tcp.table
        .entries()
        .some((entry) => entry.localPort === port && lab.state(server, port) === 'TIME_WAIT')
    for (const [port, reuse] of [
      [80, false],
      [81, true],
    ] as const) {
      const first = start(port, reuse)
      await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
      lab.spawn(client, 'client', async (sys) => {
        const fd = await connectTo(sys, '10.0.0.2', port)
        await readToEnd(sys, fd)
        sys.print('recv() returned 0: the server has gone')
      })
      await lab.quietly(() => lab.state(server, port) === 'ESTABLISHED')
      await lab.quietly(() => false, 100)
      first.process.signal(SIGKILL)
      await lab.quietly(() => waiting(port))
      const since = lab.network.now
      await lab.step(`The server on port ${port} was killed; what is left is in TIME_WAIT`)
      const second = start(port, reuse)
      await lab.quietly(() => second.result.code !== '')
      await lab.step('It is started again')
      lab.check(`bind() ${reuse ? 'with' : 'without'} SO_REUSEADDR`, second.result.code, reuse ? 0 : 'EADDRINUSE')
      if (reuse) break
      await lab.quietly(() => lab.network.now >= since + 59_900)
      const third = start(port, reuse)
      await lab.quietly(() => third.result.code !== '')
      await lab.step('59.9 seconds after that')
      lab.check('bind()', third.result.code, 'EADDRINUSE')
      await lab.quietly(() => lab.network.now >= since + 60_001)
      const last = start(port, reuse)
      await lab.quietly(() => last.result.code !== '')
      await lab.step('TIME_WAIT is over')
      lab.check('bind()', last.result.code, 0)
      last.process.signal(SIGKILL)
    }
  },
}

const linger: Scenario = {
  name: 'linger',
  group: 'C',
  title: 'SO_LINGER: three ways to close',
  description:
    'By default close() returns at once, and what is in SendQ is delivered in the background. With l_onoff and seconds it waits until everything is acknowledged, or the time is up. With l_linger 0 it throws SendQ away and sends a RST: no TIME_WAIT. A non-blocking socket never waits.',
  async run(lab) {
    const size = 100_000
    const { client, server, link } = lab.pair({ rate: 1e6 })
    const got: (number | string)[] = []
    lab.spawn(server, 'reader', async (sys) => {
      const listener = listenAt(sys, PORT)
      for (;;) {
        const fd = await sys.accept(listener)
        void sys.thread(async () => {
          got.push(await outcome(() => readToEnd(sys, fd)))
          sys.print(`the reader got ${got.at(-1)}`)
          await sys.close(fd)
        })
      }
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const send = (name: string, seconds: number, nonBlocking = false) => {
      const result = { port: 0, took: -1, code: '' as number | string }
      const process = lab.spawn(client, name, async (sys) => {
        const fd = await connectTo(sys, '10.0.0.2', PORT)
        result.port = sys.getsockname(fd).port
        if (seconds >= 0) sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, { l_onoff: 1, l_linger: seconds })
        // As much as there is room for; the last 40,000 bytes or so are in SendQ when this returns.
        await sys.send(fd, new Uint8Array(size))
        if (nonBlocking) sys.ioctl(fd, FIONBIO, 1)
        const start = sys.clock(true)
        result.code = await outcome(() => sys.close(fd))
        result.took = Math.round((sys.clock(true) - start) * 1000)
        sys.print(
          `close(): ${result.code} after ${result.took} ms; ${lab.connection(client, result.port)?.sendQueueBytes ?? 0} bytes in SendQ`,
        )
      })
      return { process, result }
    }
    const ended = (program: ReturnType<typeof send>) => () => !program.process.isAlive

    const byDefault = send('default', -1)
    await lab.until('Default: close() has returned', ended(byDefault))
    lab.check('close() took, milliseconds', byDefault.result.took, 0)
    const left = lab.connection(client, byDefault.result.port)?.sendQueueBytes ?? 0
    lab.check('bytes are still in SendQ', left > 10_000, true)
    await lab.until('The program is gone; TCP delivers the rest', () => got.length === 1)
    lab.check('the reader got', got[0], size)

    const waits = send('lingers', 30)
    await lab.until('l_onoff 1, l_linger 30: close() has returned', ended(waits))
    lab.check('close() returned', waits.result.code, 0)
    lab.check('after it had waited for the ACKs', waits.result.took > 100 && waits.result.took < 30_000, true)
    lab.check('nothing was left in SendQ', lab.connection(client, waits.result.port)?.sendQueueBytes ?? 0, 0)
    await lab.quietly(() => got.length === 2)
    lab.check('the reader got', got[1], size)

    const impatient = send('impatient', 2)
    await lab.quietly(() => lab.waitsIn(impatient.process) === 'close, lingering')
    link.cable.setDown(true)
    await lab.until('l_linger 2, and the cable is cut meanwhile', ended(impatient))
    lab.check('close() took, milliseconds', impatient.result.took, 2000)
    lab.check('close() said', impatient.result.code, 'ETIMEDOUT')
    lab.check('bytes are left in SendQ', (lab.connection(client, impatient.result.port)?.sendQueueBytes ?? 0) > 0, true)
    link.cable.setUp()
    await lab.quietly(() => got.length === 3)

    const never = send('nonblocking', 30, true)
    await lab.until('l_linger 30 on a non-blocking socket', ended(never))
    lab.check('close() took, milliseconds', never.result.took, 0)
    await lab.quietly(() => got.length === 4)
    lab.check('the reader got', got[3], size)

    const hard = send('hard', 0)
    await lab.until('l_linger 0: SendQ is thrown away', ended(hard))
    lab.check('close() took, milliseconds', hard.result.took, 0)
    lab.check('the pair of endpoints is gone at once: no TIME_WAIT', lab.state(client, hard.result.port), '')
    await lab.until('The RST has arrived', () => got.length === 5)
    lab.check('the reader got', got[4], 'ECONNRESET')
  },
}

const closeUnread: Scenario = {
  name: 'close-unread',
  group: 'C',
  title: 'close() with unread bytes: RST, so that the peer learns of the loss',
  description:
    'A server closes although 3000 bytes in its RecvQ were never read. A FIN would say that all is well; TCP sends a RST instead. The client, whose send() had succeeded, gets ECONNRESET: what it sent was not processed.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.watchQueues(client, server, PORT, 'to server')
    const closes = lab.gate()
    acceptOne(lab, server, PORT, async (sys, fd) => {
      await closes.wait(sys)
      await sys.close(fd)
      sys.print('close(), and nothing was read')
    })
    const results: (number | string)[] = []
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      results.push(await outcome(() => lab.send(sys, fd, 3000)))
      sys.print(`send(): ${results[0]}`)
      results.push(await outcome(() => sys.recv(fd, new Uint8Array(10))))
      sys.print(`recv(): ${results[1]}`)
    })
    await lab.until(
      '3000 bytes wait in RecvQ',
      () => lab.queues(client, server, PORT).recvQ === 3000 && lab.queues(client, server, PORT).sendQ === 0,
    )
    closes.open()
    await lab.until('The server has closed', () => lab.state(server, PORT) === '')
    lab.check('the server keeps nothing: no FIN_WAIT, no TIME_WAIT', lab.states(server), [])
    await lab.until('The client knows', () => results.length === 2)
    lab.check('send() and recv() of the client', results, [3000, 'ECONNRESET'])
    const last = lab
      .segments(/./)
      .filter(({ from }) => from === 'server')
      .at(-1)
    lab.check('the last segment of the server', last?.text.split(' ')[0], 'RST+ACK')
    lab.check('FINs that were sent', lab.segments(/^FIN/).length, 0)
    lab.check('counted (TCPAbortOnClose)', server.ip.mib.tcpExt.TCPAbortOnClose, 1)
  },
}

export const leavingScenarios: readonly Scenario[] = [orphan, serverRestart, linger, closeUnread]
