import type { Msghdr, Sys } from '../host/calls.ts'
import { SA_RESTART, SIGHUP, SIGUSR1 } from '../host/signals.ts'
import * as C from '../socket/constants.ts'
import { acceptOne, connectTo, listenAt, outcome, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section I: calls that wait and are disturbed, and messages of several parts. */

const PORT = 80

/** Reads `length` bytes, whatever interrupts (readn). @returns bytes read: fewer only at the end */
const readn = async (sys: Sys, fd: number, length: number): Promise<number> => {
  const buffer = new Uint8Array(length)
  let total = 0
  while (total < length) {
    const count = await outcome(() => sys.read(fd, buffer.subarray(total)))
    if (count === 'EINTR') continue
    if (typeof count !== 'number') throw new Error(count)
    if (count === 0) break
    total += count
  }
  return total
}

/** Writes everything, whatever interrupts (writen). */
const writen = async (sys: Sys, fd: number, bytes: Uint8Array): Promise<number> => {
  let total = 0
  while (total < bytes.length) {
    const count = await outcome(() => sys.write(fd, bytes.subarray(total)))
    if (typeof count === 'number') total += count
    else if (count !== 'EINTR') throw new Error(count)
  }
  return total
}

const eintr: Scenario = {
  name: 'eintr',
  group: 'I',
  title: 'A signal during a call that waits: EINTR, a partial count, or the call begins anew',
  description:
    'recv() waits when a signal is handled. Without SA_RESTART it fails with EINTR; with it, it begins anew, and returns the data when it comes. What has moved some bytes already returns their number. poll() and select() always fail with EINTR, and a recv() with SO_RCVTIMEO does. readn and writen go on until everything has moved.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const log: Record<string, unknown> = {}
    const more = lab.gate()
    lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      const fd = await sys.accept(listener)
      await more.wait(sys)
      await sys.send(fd, 'data')
      await sys.sleep(1)
      await sys.send(fd, 'half')
      await sys.sleep(1)
      await sys.send(fd, new Uint8Array(20_000))
      await sys.sleep(3)
      log['server read'] = await readn(sys, fd, 3_000_000)
    })
    const process = lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      const buffer = new Uint8Array(100)
      const handler = { sa_handler: () => sys.print('SIGUSR1 is handled'), sa_flags: 0 }
      sys.sigaction(SIGUSR1, handler)
      log['recv'] = await outcome(() => sys.recv(fd, buffer))
      log['poll'] = await outcome(() => sys.poll([{ fd, events: C.POLLIN, revents: 0 }], -1))
      sys.sigaction(SIGUSR1, { ...handler, sa_flags: SA_RESTART })
      log['poll, SA_RESTART'] = await outcome(() => sys.poll([{ fd, events: C.POLLIN, revents: 0 }], -1))
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: 60, tv_usec: 0 })
      log['recv, SO_RCVTIMEO'] = await outcome(() => sys.recv(fd, buffer))
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: 0, tv_usec: 0 })
      log['recv, SA_RESTART'] = await outcome(() => sys.recv(fd, buffer))
      sys.sigaction(SIGUSR1, handler)
      log['partial'] = await outcome(() => sys.recv(fd, buffer, 100, C.MSG_WAITALL))
      log['readn'] = await readn(sys, fd, 20_000)
      log['writen'] = await writen(sys, fd, new Uint8Array(3_000_000))
      for (const [what, result] of Object.entries(log)) sys.print(`${what}: ${result}`)
    })
    const interrupt = async (what: string, reason: RegExp) => {
      await lab.quietly(() => reason.test(lab.waitsIn(process)))
      process.signal(SIGUSR1)
      await lab.quietly(() => log[what] !== undefined)
    }
    await interrupt('recv', /^recv/)
    await lab.step('A signal while recv() waits')
    lab.check('recv()', log['recv'], 'EINTR')
    await interrupt('poll', /^poll/)
    await interrupt('poll, SA_RESTART', /^poll/)
    await interrupt('recv, SO_RCVTIMEO', /^recv/)
    await lab.step('poll(), the same with SA_RESTART, and recv() with SO_RCVTIMEO and SA_RESTART')
    lab.check(
      'they failed with',
      [log['poll'], log['poll, SA_RESTART'], log['recv, SO_RCVTIMEO']],
      ['EINTR', 'EINTR', 'EINTR'],
    )
    await lab.quietly(() => lab.waitsIn(process).startsWith('recv'))
    process.signal(SIGUSR1)
    await lab.pass(100, 'recv() with SA_RESTART goes on waiting')
    lab.check('it waits in', lab.waitsIn(process).split(',')[0], 'recv')
    more.open()
    await lab.quietly(() => log['recv, SA_RESTART'] !== undefined)
    await lab.until('Data has come', () => lab.waitsIn(process).startsWith('recv'))
    lab.check('recv() returned', log['recv, SA_RESTART'], 4)
    await lab.until(
      '4 of 100 bytes have come to recv() with MSG_WAITALL',
      () => lab.waitsIn(process) === 'recv, 96 bytes awaited',
    )
    process.signal(SIGUSR1)
    await lab.quietly(() => log['partial'] !== undefined)
    await lab.step('A signal then')
    lab.check('recv() returned what it had', log['partial'], 4)
    for (let i = 0; i < 4; i++) {
      await lab.quietly(() => lab.waitsIn(process) !== '')
      process.signal(SIGUSR1)
      await lab.quietly(() => false, 300)
    }
    await lab.until('readn and writen, with a signal every 300 ms', () => !process.isAlive)
    await lab.quietly(() => log['server read'] !== undefined)
    lab.check(
      'readn, writen, and what the server read',
      [log['readn'], log['writen'], log['server read']],
      [20_000, 3_000_000, 3_000_000],
    )
  },
}

const sighup: Scenario = {
  name: 'sighup',
  group: 'I',
  title: 'A server that ends gracefully: SIGHUP closes the listener, those who are there are served',
  description:
    'On SIGHUP the server stops to listen: the handler sets a flag, accept() returns with EINTR, and the listener is closed. New clients are refused. The one that is connected gets its whole answer; then the server waits for its child and ends with status 0.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.hide(client)
    const answers = lab.gate()
    const process = lab.spawn(server, 'server', async (sys) => {
      let ends = false
      sys.sigaction(SIGHUP, { sa_handler: () => (ends = true), sa_flags: 0 })
      const listener = listenAt(sys, PORT)
      while (!ends) {
        const fd = await outcome(() => sys.accept(listener))
        if (typeof fd === 'string') {
          sys.print(`accept(): ${fd}`)
          continue
        }
        sys.fork(async (child) => {
          await child.close(listener)
          await answers.wait(child)
          await child.send(fd, 'a long answer')
          await child.close(fd)
        })
        await sys.close(fd)
      }
      await sys.close(listener)
      const { pid, status } = await sys.waitpid()
      sys.print(`the child ${pid} has ended with ${status}; so do I`)
      return 0
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    let got = -1
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      got = await readToEnd(sys, fd)
      sys.print(`${got} bytes`)
    })
    await lab.until(
      'One client is being served',
      () => process.children.size === 1 && lab.waitsIn(process) === 'accept',
    )
    process.signal(SIGHUP)
    await lab.until('SIGHUP: the server listens no more', () => lab.waitsIn(process) === 'waitpid')
    lab.check('listeners', server.sockets.tcp.listeners.size, 0)
    let refused: unknown = ''
    lab.spawn(client, 'late', async (sys) => {
      refused = await outcome(() => connectTo(sys, '10.0.0.2', PORT))
    })
    await lab.until('A late client', () => refused !== '')
    lab.check('connect() failed with', refused, 'ECONNREFUSED')
    answers.open()
    await lab.until('The first client has its answer, and the server ends', () => !process.isAlive && got >= 0)
    lab.check('bytes that the first client got', got, 13)
    lab.check('the server’s exit status', process.status, 0)
  },
}

const closeWhileBlocked: Scenario = {
  name: 'close-while-blocked',
  group: 'I',
  title: 'Another thread closes the descriptor: the call that waits on it goes on',
  description:
    'One thread waits in recv() on descriptor 3; another closes 3. The number is free at once, and the next socket() gets it. But the call that waits holds the structure: it still receives what comes, and only when it returns is the connection closed. shutdown() is what wakes it.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.hide(server)
    const sends = lab.gate()
    acceptOne(lab, server, PORT, async (sys, fd) => {
      await sends.wait(sys)
      await sys.send(fd, 'late data')
      await readToEnd(sys, fd)
      await sys.close(fd)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const log: Record<string, unknown> = {}
    const ends = lab.gate()
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      log['descriptor'] = fd
      const waiting = sys.thread(async () => {
        const count = await outcome(() => sys.recv(fd, new Uint8Array(100)))
        log['recv'] = count
        sys.print(`the thread’s recv(): ${count}`)
      })
      await sys.usleep(50_000)
      await sys.close(fd)
      log['reused'] = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      sys.print(`close(${fd}); socket() gives ${log['reused']}`)
      await waiting
      const second = sys.socket(C.AF_INET, C.SOCK_STREAM)
      sys.bind(second, { address: '0.0.0.0', port: 81 })
      sys.listen(second, 1)
      const accepting = sys.thread(async () => {
        log['accept'] = await outcome(() => sys.accept(second))
        sys.print(`accept() after shutdown(): ${log['accept']}`)
      })
      await sys.usleep(1000)
      sys.shutdown(second, C.SHUT_RD)
      await accepting
      await ends.wait(sys)
    })
    await lab.until('The descriptor is closed, the call waits', () => log['reused'] !== undefined)
    lab.check('the number is used again', log['reused'], log['descriptor'])
    lab.check('the connection is', lab.state(server, PORT), 'ESTABLISHED')
    lab.check('FINs sent', lab.segments(/FIN/).length, 0)
    sends.open()
    await lab.until('Data comes', () => log['recv'] !== undefined)
    lab.check('recv() returned', log['recv'], 9)
    await lab.until('Now the connection is closed', () => lab.segments(/FIN/).length > 0)
    await lab.until('shutdown() wakes who waits in accept()', () => log['accept'] !== undefined)
    lab.check('accept() failed with', log['accept'], 'EINVAL')
    ends.open()
  },
}

const sendmsg: Scenario = {
  name: 'sendmsg',
  group: 'I',
  title: 'sendmsg() and recvmsg(): several buffers at once, and descriptors',
  description:
    'sendmsg() gathers three buffers into one stretch of the stream; recvmsg() scatters what comes over others. Over a Unix domain socket SCM_RIGHTS passes an open connection to another process: a dispatcher accepts, a worker gets the descriptor and answers; the dispatcher has closed its own by then.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    lab.show(server, 'lsof -nP -iTCP')
    const parts: string[] = []
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
    const passes = lab.gate()
    const log: Record<string, unknown> = {}
    const dispatcher = lab.spawn(server, 'dispatcher', async (sys) => {
      const listener = listenAt(sys, PORT)
      const fd = await sys.accept(listener)
      const buffers = [new Uint8Array(4), new Uint8Array(6), new Uint8Array(100)]
      const count = await sys.recvmsg(fd, { msg_iov: buffers })
      parts.push(decode(buffers[0]!), decode(buffers[1]!), decode(buffers[2]!.subarray(0, count - 10)))
      sys.print(`recvmsg(): ${count} bytes as ${JSON.stringify(parts)}`)
      const [own, workers] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      sys.fork(async (worker) => {
        for (const inherited of [listener, fd, own]) await worker.close(inherited)
        const message: Msghdr = { msg_iov: [new Uint8Array(10)], msg_controllen: 24 }
        await worker.recvmsg(workers, message)
        const [passed] = message.msg_control![0]!.data as number[]
        log['number'] = passed
        worker.print(`recvmsg(): descriptor ${passed}, connected with port ${worker.getpeername(passed!).port}`)
        await passes.wait(worker)
        await worker.send(passed!, 'from the worker')
      })
      const control = [{ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_RIGHTS, data: [fd] }]
      await sys.sendmsg(own, { msg_iov: ['x'], msg_control: control })
      await sys.close(fd)
      log['sent'] = fd
      await sys.waitpid()
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    let answer = ''
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      sys.print(`sendmsg(): ${await sys.sendmsg(fd, { msg_iov: ['one ', 'two ', 'three'] })}`)
      const buffer = new Uint8Array(100)
      answer = decode(buffer.subarray(0, await sys.recv(fd, buffer)))
    })
    await lab.until('The connection has been passed on', () => log['number'] !== undefined && log['sent'] !== undefined)
    lab.check('what recvmsg() put into buffers of 4, 6 and 100 bytes', parts, ['one ', 'two th', 'ree'])
    const socket = [...server.sockets.sockets].find((one) => one.domain === C.AF_INET && !one.isListening)!
    lab.check(
      'who holds the connection now',
      server.holders(socket).map(({ process }) => process === dispatcher),
      [false],
    )
    passes.open()
    await lab.until('The worker answers', () => answer !== '')
    lab.check('the client got', answer, 'from the worker')
  },
}

export const signalScenarios: readonly Scenario[] = [eintr, sighup, closeWhileBlocked, sendmsg]
