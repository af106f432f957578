import type { Sys } from '../host/calls.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import * as C from '../socket/constants.ts'
import { SOCK_STREAM } from '../socket/constants.ts'
import { connectTo, listenAt, outcome, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section A: descriptors, and the structures behind them. */

const PORT = 80

const descriptors: Scenario = {
  name: 'descriptors',
  group: 'A',
  title: 'A descriptor is a handle: dup() and fork() share one socket, the last close() ends it',
  description:
    'A client duplicates its descriptor and forks: three numbers in two processes refer to one socket structure. close() of one, then of another, sends nothing; the last one starts the FIN. On a second connection the child calls shutdown(): that acts at once, for the parent too.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.show(client, 'lsof -nP -iTCP')
    const got: number[] = []
    lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      for (;;) {
        const fd = await sys.accept(listener)
        void sys.thread(async () => {
          got.push(await readToEnd(sys, fd))
          await sys.close(fd)
        })
      }
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const begins = lab.gate()
    const childCloses = lab.gate()
    const again = lab.gate()
    const shuts = lab.gate()
    let fds: number[] = []
    let sameQueue = 0
    let afterShutdown: unknown = ''
    const parent = lab.spawn(client, 'parent', async (sys) => {
      sys.signal(SIGPIPE, SIG_IGN)
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      const copy = sys.dup(fd)
      fds = [fd, copy]
      sys.fork(async (child) => {
        await begins.wait(child)
        await child.send(fd, 'through the child')
        await child.close(fd)
        child.print(`close(${fd})`)
        await childCloses.wait(child)
        await child.close(copy)
        child.print(`close(${copy}): the last one`)
      })
      await begins.wait(sys)
      await sys.send(copy, 'through the copy')
      sameQueue = sys.ioctl(fd, C.SIOCOUTQ)
      await sys.close(fd)
      await sys.close(copy)
      sys.print(`close(${fd}) and close(${copy}): the child has it still`)
      await again.wait(sys)
      const second = await connectTo(sys, '10.0.0.2', PORT)
      sys.fork(async (child) => {
        await shuts.wait(child)
        child.print(`shutdown(SHUT_WR): ${child.shutdown(second, C.SHUT_WR)}`)
      })
      await sys.waitpid()
      await sys.waitpid()
      afterShutdown = await outcome(() => sys.send(second, 'x'))
      sys.print(`send() of the parent, which has closed nothing: ${afterShutdown}`)
      await sys.sleep(60)
    })
    const socket = () => [...client.sockets.sockets][0]
    await lab.until('connect(), dup() and fork()', () => socket()?.references === 4)
    lab.check('descriptors of the parent', fds, [3, 4])
    const holders = () => (socket() === undefined ? [] : client.holders(socket()!)).map(({ fd }) => fd)
    lab.check('sockets of the client host', client.sockets.sockets.size, 1)
    lab.check('descriptors that refer to it, in both processes', holders(), [3, 4, 3, 4])
    begins.open()
    await lab.until('The parent has closed both of its descriptors, the child one', () => holders().length === 1)
    lab.check('bytes in SendQ, seen through the other descriptor', sameQueue, 33)
    lab.check(
      'the connection stays',
      lab.state(client, client.sockets.tcp.table.entries()[0]!.localPort),
      'ESTABLISHED',
    )
    lab.check('FINs sent', lab.segments(/FIN/).length, 0)
    childCloses.open()
    await lab.until('The last close()', () => lab.segments(/FIN/).length > 0)
    lab.check('sockets of the client host', client.sockets.sockets.size, 0)
    await lab.until('The server has read everything, and closes too', () => got.length === 1)
    lab.check('bytes it got: from both processes, over one connection', got[0], 33)

    again.open()
    await lab.until('A second connection, and a child that has a copy', () => socket()?.references === 2)
    shuts.open()
    await lab.until('The child has called shutdown()', () => afterShutdown !== '')
    lab.check('the parent’s send()', afterShutdown, 'EPIPE')
    lab.check('the parent still has its descriptor', holders(), [3])
    parent.exit(0)
  },
}

const fdLimit: Scenario = {
  name: 'fd-limit',
  group: 'A',
  title: '1,024 descriptors a process: accept() gives EMFILE, and the connection stays in the queue',
  description:
    'A server never closes what it accepts. With 1,024 descriptors accept() fails with EMFILE. The connection is not lost: it stays in the accept queue, which grows to its limit (backlog 5: six connections) and then overflows: further clients’ third messages are ignored. When the server closes some descriptors, the queue drains.',
  async run(lab) {
    const { client, server } = lab.pair({ delay: 1 })
    lab.hide(client)
    lab.hide(server)
    lab.show(server, 'ss -lnt')
    const drains = lab.gate()
    const accepted: number[] = []
    let refused: unknown = ''
    const process = lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      while (refused === '') {
        const fd = await outcome(() => sys.accept(listener))
        if (typeof fd === 'string') refused = fd
        else accepted.push(fd)
      }
      sys.print(`accept() after ${accepted.length} connections: ${refused}`)
      await drains.wait(sys)
      for (const fd of accepted.splice(0, 8)) await sys.close(fd)
      sys.print('8 descriptors are closed')
      for (let i = 0; i < 8; i++) accepted.push(await sys.accept(listener))
      await sys.sleep(36_000)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    let connected = 0
    const connect = (count: number) =>
      lab.spawn(client, 'clients', async (sys) => {
        sys.setrlimit(4096)
        for (let i = 0; i < count; i++) {
          await connectTo(sys, '10.0.0.2', PORT)
          connected++
        }
        await sys.sleep(36_000)
      })
    const queued = () => Number(lab.toolOn(server, 'ss -lntH').trim().split(/\s+/)[1])
    connect(1026)
    await lab.until(
      'The server has used up its descriptors; six more clients are connected',
      () => connected === 1026 && queued() === 6,
    )
    lab.check('accepted: all but standard input, output and error, and the listener', accepted.length, 1020)
    lab.check('accept() fails with', refused, 'EMFILE')
    lab.check('descriptors in use', process.files.size, 1024)
    lab.check('connections in the accept queue, one more than the backlog', queued(), 6)
    connect(2)
    await lab.pass(3000, 'Two more clients: the queue is full')
    // BSD has room for 3/2 of the backlog of 5.
    lab.check('connections in the accept queue', queued(), lab.report.personality === 'bsd' ? 7 : 6)
    lab.check('overflows were counted (ListenOverflows)', server.ip.mib.tcpExt.ListenOverflows > 0, true)
    drains.open()
    await lab.until(
      'The server has closed 8 descriptors: the queue drains, and then the late ones come',
      () => connected === 1028,
    )
    await lab.quietly(() => accepted.length === 1020)
    lab.check('connections in the accept queue', queued(), 0)
    lab.check('accepted in all', accepted.length + 8, 1028)
  },
}

const pipes: Scenario = {
  name: 'pipes',
  group: 'A',
  title: 'pipe() and socketpair(): bytes between processes of one host',
  description:
    'A pipe is one way and holds 65,536 bytes: a writer with more waits until the reader has made room for a page. When the last writer has closed, the reader reads 0; when the last reader has, the writer gets EPIPE and SIGPIPE. A socket pair is two ways, and it may keep the boundaries of messages.',
  async run(lab) {
    const host = lab.host('host')
    lab.show(host, 'netstat -x')
    const reads = lab.gate()
    const got: unknown[] = []
    let writes = 0
    const writer = lab.spawn(host, 'writer', async (sys) => {
      const [from, to] = sys.pipe()
      sys.fork(async (child) => {
        await child.close(to)
        await reads.wait(child)
        const buffer = new Uint8Array(100_000)
        for (;;) {
          const count = await child.read(from, buffer)
          got.push(count)
          child.print(`read(): ${count}`)
          if (count === 0) break
        }
      })
      await sys.close(from)
      writes = await sys.write(to, new Uint8Array(100_000))
      sys.print(`write() of 100,000 bytes returned ${writes}`)
      await sys.close(to)
      await sys.waitpid()
    })
    await lab.until('The pipe is full; write() waits', () => lab.waitsIn(writer).startsWith('write'))
    lab.check('write() has returned', writes, 0)
    reads.open()
    await lab.until('The other process reads to the end', () => !writer.isAlive)
    lab.check('write() returned', writes, 100_000)
    lab.check('read() returned', got, [65_536, 34_464, 0])

    const codes: unknown[] = []
    const broken = lab.spawn(host, 'broken', async (sys) => {
      const [from, to] = sys.pipe()
      sys.signal(SIGPIPE, SIG_IGN)
      await sys.close(from)
      codes.push(await outcome(() => sys.write(to, 'x')))
    })
    const killed = lab.spawn(host, 'killed', async (sys) => {
      const [from, to] = sys.pipe()
      await sys.close(from)
      await sys.write(to, 'x')
    })
    await lab.until('A pipe that nobody reads', () => !broken.isAlive && !killed.isAlive)
    lab.check('write() with SIGPIPE ignored', codes, ['EPIPE'])
    lab.check('a process that does not ignore it is ended by signal', killed.endedBy, SIGPIPE)

    const pair = async (sys: Sys, type: number): Promise<string[]> => {
      const [a, b] = sys.socketpair(C.AF_UNIX, type)
      await sys.send(a, 'one ')
      await sys.send(a, 'two ')
      await sys.send(b, 'back')
      const texts: string[] = []
      const buffer = new Uint8Array(100)
      for (const fd of [b, a]) {
        const count = await sys.recv(fd, buffer)
        texts.push(new TextDecoder().decode(buffer.subarray(0, count)))
      }
      return texts
    }
    const seen: { stream?: string[]; datagram?: string[]; seqpacket?: string[] } = {}
    const ready = lab.gate()
    const pairs = lab.spawn(host, 'pairs', async (sys) => {
      seen.stream = await pair(sys, SOCK_STREAM)
      seen.datagram = await pair(sys, C.SOCK_DGRAM)
      seen.seqpacket = await pair(sys, C.SOCK_SEQPACKET)
      for (const [type, texts] of Object.entries(seen))
        sys.print(`${type}: "${texts[0]}", and the other way "${texts[1]}"`)
      await ready.wait(sys)
    })
    await lab.until('Socket pairs of three types', () => seen.seqpacket !== undefined)
    lab.check('what the first recv() at each end got', seen, {
      stream: ['one two ', 'back'],
      datagram: ['one ', 'back'],
      seqpacket: ['one ', 'back'],
    })
    lab.check('netstat -x: connected', lab.toolOn(host, 'netstat -x').match(/CONNECTED/g)?.length, 6)
    ready.open()
    await lab.quietly(() => !pairs.isAlive)
  },
}

export const descriptorScenarios: readonly Scenario[] = [descriptors, fdLimit, pipes]
