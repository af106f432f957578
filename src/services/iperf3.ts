import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import type { Sockaddr } from '../socket/address.ts'
import {
  AF_INET,
  AF_INET6,
  SO_MAX_PACING_RATE,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_CONGESTION,
  TCP_NODELAY,
} from '../socket/constants.ts'
import {
  COOKIE,
  type CpuTimes,
  IPERF3_PORT,
  type Iperf3Parameters,
  type Iperf3Results,
  Iperf3State,
  Iperf3Stream,
  readExactly,
  readJson,
  readState,
  resultsOf,
  sendJson,
  sendState,
} from './iperf3-protocol.ts'
import { listenOn, peerName } from './serve.ts'

/** iperf3's server and client, for TCP: the real ones talk to them. */

/** How an iperf3 server is made. */
export interface Iperf3ServerOptions {
  readonly port?: number
  /** Told of each test, in a line. */
  readonly tell?: (line: string) => void
  /** For the processor's share that clients are told; 0 unless given. */
  readonly cpu?: CpuTimes
}

const NO_CPU: CpuTimes = () => ({ user: 0, system: 0 })
const BLOCK = 128 * 1024
const MOST_BLOCK = 0x40_0000
const MOST_STREAMS = 128
/** `IEUNIMP` of iperf3: what it calls a feature that is not there. */
const NOT_IMPLEMENTED = 13

/** A server: one test at a time, as iperf3's own. */
export const iperf3Server =
  (options: Iperf3ServerOptions = {}): Program =>
  async (sys) => {
    // A stream's peer goes away at the end of each test.
    sys.signal(SIGPIPE, SIG_IGN)
    const listener = listenOn(sys, options.port ?? IPERF3_PORT)
    let test: ServerTest | null = null
    const take = async (fd: number, peer: Sockaddr): Promise<void> => {
      const cookie = new TextDecoder().decode(await readExactly(sys, fd, new Uint8Array(COOKIE)))
      if (test?.cookie === cookie && test.join(fd)) return
      if (test !== null) {
        await sendState(sys, fd, Iperf3State.AccessDenied)
        await sys.close(fd)
        return
      }
      test = new ServerTest(sys, fd, cookie, options)
      try {
        options.tell?.(`${peerName(peer)} port ${peer.port} ${await test.run()}`)
      } catch (error) {
        options.tell?.(`${peerName(peer)} port ${peer.port}: ${(error as Error).message}`)
      } finally {
        if (sys.process.isAlive) await test.close()
        test = null
      }
    }
    for (;;) {
      const peer: Sockaddr = {}
      const fd = await sys.accept(listener, peer)
      void sys
        .thread(() => take(fd, peer))
        .catch(() => {
          if (sys.process.isAlive) void sys.close(fd)
        })
    }
  }

/** A test that a client has asked a server for. */
class ServerTest {
  readonly cookie: string
  private readonly sys: Sys
  private readonly control: number
  private readonly cpu: CpuTimes
  private readonly streams: Iperf3Stream[] = []
  private parameters: Iperf3Parameters = {}
  /** Streams that the client will open, those that it sends on first. */
  private expected = 0
  private complete: () => void = () => {}

  constructor(sys: Sys, control: number, cookie: string, { cpu = NO_CPU }: Iperf3ServerOptions) {
    this.sys = sys
    this.control = control
    this.cookie = cookie
    this.cpu = cpu
  }

  /** Takes a stream of this test. @returns false when none is expected any more */
  join(fd: number): boolean {
    const { streams, expected, parameters } = this
    if (streams.length >= expected) return false
    const sends = parameters.bidirectional === true ? streams.length >= expected / 2 : parameters.reverse === true
    prepare(this.sys, fd, parameters)
    streams.push(new Iperf3Stream(fd, streams.length, sends))
    if (streams.length === expected) this.complete()
    return true
  }

  /**
   * Runs it to its end.
   * @returns what it came to, for people
   * @throws Error when the client goes away or asks for too much
   */
  async run(): Promise<string> {
    const { sys, control } = this
    await sendState(sys, control, Iperf3State.ParameterExchange)
    this.parameters = await readJson<Iperf3Parameters>(sys, control)
    await this.refuseWhatIsNotThere()
    const { parallel = 1, bidirectional = false, len = BLOCK, omit = 0, congestion = 'cubic' } = this.parameters
    this.expected = parallel * (bidirectional ? 2 : 1)
    const complete = new Promise<void>((resolve) => {
      this.complete = resolve
    })
    await sendState(sys, control, Iperf3State.CreateStreams)
    // The next that the client says is that the test is over; or it is gone.
    const over = this.ended()
    await Promise.race([complete, over])
    if (this.streams.length < this.expected) throw new Error('the test was given up before it began')
    await sendState(sys, control, Iperf3State.TestStart)
    await sendState(sys, control, Iperf3State.TestRunning)
    const begin = this.start(len, omit)
    await over
    const seconds = sys.clock(true) - begin.at
    const now = this.cpu()
    for (const stream of this.streams) await stream.stop(sys)
    const cpu = { user: now.user - begin.cpu.user, system: now.system - begin.cpu.system }
    await sendState(sys, control, Iperf3State.ExchangeResults)
    await readJson<Iperf3Results>(sys, control)
    await sendJson(sys, control, resultsOf(this.streams, seconds, cpu, congestion))
    await sendState(sys, control, Iperf3State.DisplayResults)
    await readState(sys, control)
    return this.summary(seconds)
  }

  /** Closes everything. */
  async close(): Promise<void> {
    for (const stream of this.streams) await stream.stop(this.sys)
    await this.sys.close(this.control)
  }

  private async refuseWhatIsNotThere(): Promise<void> {
    const { udp = false, parallel = 1, len = BLOCK } = this.parameters
    if (!udp && parallel >= 1 && parallel <= MOST_STREAMS && len >= 1 && len <= MOST_BLOCK) return
    await sendState(this.sys, this.control, Iperf3State.ServerError)
    const numbers = new Uint8Array(8)
    new DataView(numbers.buffer).setInt32(0, NOT_IMPLEMENTED)
    await this.sys.send(this.control, numbers)
    throw new Error(
      udp
        ? 'asks for UDP, which is not there'
        : `asks for ${parallel} streams of ${len} bytes a call, which is too much`,
    )
  }

  /** Waits until the client says that the test is over. */
  private async ended(): Promise<void> {
    const state = await readState(this.sys, this.control)
    if (state !== Iperf3State.TestEnd) throw new Error('the client has given up')
  }

  /** Lets the streams run; what passes in the first `omit` seconds is not counted. */
  private start(length: number, omit: number): { at: number; cpu: { user: number; system: number } } {
    const { sys, streams } = this
    const begin = { at: sys.clock(true), cpu: this.cpu() }
    for (const stream of streams) void sys.thread(() => stream.run(sys, length))
    if (omit > 0) {
      void sys.thread(async () => {
        await sys.sleep(omit)
        for (const stream of streams) stream.bytes = 0
        Object.assign(begin, { at: sys.clock(true), cpu: this.cpu() })
      })
    }
    return begin
  }

  private summary(seconds: number): string {
    const total = (sends: boolean): number =>
      this.streams.reduce((sum, stream) => sum + (stream.sends === sends ? stream.bytes : 0), 0)
    const rate = ((total(true) + total(false)) * 8) / seconds / 1e6
    return `sent ${total(false)} bytes and was sent ${total(true)} in ${seconds.toFixed(3)} s, ${rate.toFixed(1)} Mbit/s`
  }
}

/** Sets a stream's socket as the parameters have it. */
const prepare = (sys: Sys, fd: number, { nodelay, window, bandwidth, congestion }: Iperf3Parameters): void => {
  if (nodelay === true) sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
  if (window !== undefined && window > 0) {
    sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, window)
    sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, window)
  }
  if (bandwidth !== undefined && bandwidth > 0) sys.setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, bandwidth / 8)
  if (congestion !== undefined) sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, congestion)
}

/** What an iperf3 client tests. */
export interface Iperf3ClientOptions {
  readonly address: string
  readonly port?: number
  /** Seconds that the test takes; 10 unless given. */
  readonly time?: number
  readonly parallel?: number
  /** Does the server send? */
  readonly reverse?: boolean
  /** Bytes of each call. */
  readonly length?: number
  readonly cpu?: CpuTimes
}

/** What both sides have counted. */
export interface Iperf3Outcome {
  readonly local: Iperf3Results
  readonly remote: Iperf3Results
  readonly seconds: number
  /** Bits a second that have arrived, by the receiving side's count. */
  readonly rate: number
}

/** Runs a test against a server. @throws Error when the server refuses or goes away */
export const iperf3Client = async (sys: Sys, options: Iperf3ClientOptions): Promise<Iperf3Outcome> => {
  const { address, port = IPERF3_PORT, time = 10, parallel = 1, reverse = false, length = BLOCK } = options
  const cpu = options.cpu ?? NO_CPU
  const cookie = new TextEncoder().encode(`${makeCookie(sys)}\0`)
  const open = async (): Promise<number> => {
    const fd = sys.socket(address.includes(':') ? AF_INET6 : AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address, port })
    await sys.send(fd, cookie)
    return fd
  }
  const control = await open()
  await expectState(sys, control, Iperf3State.ParameterExchange)
  const parameters = { tcp: true, omit: 0, time, num: 0, blockcount: 0, parallel, len: length }
  await sendJson(sys, control, { ...parameters, ...(reverse ? { reverse } : {}), client_version: '3.12' })
  await expectState(sys, control, Iperf3State.CreateStreams)
  const streams: Iperf3Stream[] = []
  for (let i = 0; i < parallel; i++) streams.push(new Iperf3Stream(await open(), i, !reverse))
  await expectState(sys, control, Iperf3State.TestStart)
  await expectState(sys, control, Iperf3State.TestRunning)
  const start = sys.clock(true)
  const before = cpu()
  for (const stream of streams) void sys.thread(() => stream.run(sys, length))
  await sys.sleep(time)
  const seconds = sys.clock(true) - start
  const now = cpu()
  // What comes from now on is read, so that the answer behind it comes through, and is not counted.
  if (reverse) for (const stream of streams) stream.counts = false
  await sendState(sys, control, Iperf3State.TestEnd)
  await expectState(sys, control, Iperf3State.ExchangeResults)
  for (const stream of streams) await stream.stop(sys)
  const used = { user: now.user - before.user, system: now.system - before.system }
  const local = resultsOf(streams, seconds, used, 'cubic')
  await sendJson(sys, control, local)
  const remote = await readJson<Iperf3Results>(sys, control)
  await expectState(sys, control, Iperf3State.DisplayResults)
  await sendState(sys, control, Iperf3State.Done)
  await sys.close(control)
  // Each side by its own clock: what is in flight at the end counts for whom it reaches.
  const rate = (reverse ? local : remote).streams.reduce((sum, { bytes, end_time }) => sum + (bytes * 8) / end_time, 0)
  return { local, remote, seconds, rate }
}

const COOKIE_LETTERS = 'abcdefghijklmnopqrstuvwxyz234567'

/** 36 letters and digits, of the host's chance. */
const makeCookie = (sys: Sys): string =>
  Array.from({ length: COOKIE - 1 }, () => COOKIE_LETTERS[sys.process.host.random.below(32)]).join('')

const expectState = async (sys: Sys, fd: number, wanted: number): Promise<void> => {
  const state = await readState(sys, fd)
  if (state === wanted) return
  if (state === Iperf3State.AccessDenied) throw new Error('the server is busy with another test')
  throw new Error(`the server says ${state} where ${wanted} was expected`)
}
