import type { Sys } from '../host/calls.ts'
import { SHUT_RDWR, SOL_TCP, TCP_INFO } from '../socket/constants.ts'
import type { TcpInfo } from '../tcp/info.ts'

/**
 * What an iperf3 client and server say to each other. A control connection carries
 * states, a byte each, and between them JSON with its length before it; the streams
 * are connections of their own. Every connection begins with the test's cookie.
 */

export const IPERF3_PORT = 5201

/** The states, as the signed byte that is sent. */
export const Iperf3State = {
  TestStart: 1,
  TestRunning: 2,
  TestEnd: 4,
  ParameterExchange: 9,
  CreateStreams: 10,
  ServerTerminate: 11,
  ClientTerminate: 12,
  ExchangeResults: 13,
  DisplayResults: 14,
  Done: 16,
  AccessDenied: -1,
  ServerError: -2,
} as const

/** 36 characters and a zero. */
export const COOKIE = 37

/** What the client asks for, as far as it is heeded. */
export interface Iperf3Parameters {
  readonly tcp?: boolean
  readonly udp?: boolean
  readonly parallel?: number
  readonly reverse?: boolean
  readonly bidirectional?: boolean
  /** Bytes of each call. */
  readonly len?: number
  /** Seconds at the beginning that do not count. */
  readonly omit?: number
  readonly nodelay?: boolean
  /** SO_SNDBUF and SO_RCVBUF. */
  readonly window?: number
  readonly congestion?: string
  /** Bits a second of each stream; 0 for as many as go through. */
  readonly bandwidth?: number
}

/** What one side tells of a stream. */
export interface Iperf3StreamResult {
  readonly id: number
  readonly bytes: number
  readonly retransmits: number
  readonly jitter: number
  readonly errors: number
  readonly packets: number
  readonly start_time: number
  readonly end_time: number
}

/** What one side tells at the end. */
export interface Iperf3Results {
  readonly cpu_util_total: number
  readonly cpu_util_user: number
  readonly cpu_util_system: number
  readonly sender_has_retransmits: number
  readonly congestion_used?: string
  readonly streams: readonly Iperf3StreamResult[]
}

/** Seconds of processor that the process has used. */
export type CpuTimes = () => { user: number; system: number }

/** No results are longer; nor are parameters. */
const MOST_JSON = 0x10_0000

/** Fills `buffer`. @throws Error when the peer closes before */
export const readExactly = async (sys: Sys, fd: number, buffer: Uint8Array): Promise<Uint8Array> => {
  for (let got = 0; got < buffer.length; ) {
    const count = await sys.recv(fd, buffer.subarray(got))
    if (count === 0) throw new Error('the peer has closed the connection')
    got += count
  }
  return buffer
}

export const sendState = async (sys: Sys, fd: number, state: number): Promise<void> => {
  await sys.send(fd, Uint8Array.of(state))
}

export const readState = async (sys: Sys, fd: number): Promise<number> =>
  ((await readExactly(sys, fd, new Uint8Array(1)))[0]! << 24) >> 24

export const sendJson = async (sys: Sys, fd: number, value: object): Promise<void> => {
  const text = new TextEncoder().encode(JSON.stringify(value))
  const whole = new Uint8Array(4 + text.length)
  new DataView(whole.buffer).setUint32(0, text.length)
  whole.set(text, 4)
  await sys.send(fd, whole)
}

/** @throws Error when it is no object in JSON */
export const readJson = async <T extends object>(sys: Sys, fd: number): Promise<T> => {
  const head = await readExactly(sys, fd, new Uint8Array(4))
  const length = new DataView(head.buffer).getUint32(0)
  if (length > MOST_JSON) throw new Error(`the peer announces ${length} bytes of JSON`)
  const text = new TextDecoder().decode(await readExactly(sys, fd, new Uint8Array(length)))
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('the peer has sent JSON that is no object')
  return value as T
}

/** One of the connections that carry data. */
export class Iperf3Stream {
  readonly fd: number
  readonly sends: boolean
  readonly id: number
  bytes = 0
  /** Does what passes count? */
  counts = true
  private stopped = false
  private retransmits = 0

  /** @param index among all of the test: iperf3 numbers them 1, 3, 4 … */
  constructor(fd: number, index: number, sends: boolean) {
    this.fd = fd
    this.sends = sends
    this.id = index === 0 ? 1 : index + 2
  }

  /** Sends or receives until it is stopped, or the peer has had enough. */
  async run(sys: Sys, length: number): Promise<void> {
    const buffer = new Uint8Array(length)
    try {
      while (!this.stopped) {
        const count = this.sends ? await sys.send(this.fd, buffer) : await sys.recv(this.fd, buffer)
        if (count === 0) return
        if (this.counts) this.bytes += count
      }
    } catch {
      // The peer has closed, or this end is shut down: the test is over.
    }
  }

  /** Ends calls that wait, and closes. */
  async stop(sys: Sys): Promise<void> {
    if (this.stopped) return
    this.stopped = true
    this.retransmits = (sys.getsockopt(this.fd, SOL_TCP, TCP_INFO) as TcpInfo).tcpi_total_retrans
    try {
      sys.shutdown(this.fd, SHUT_RDWR)
    } catch {
      // It was reset already.
    }
    await sys.close(this.fd)
  }

  result(seconds: number): Iperf3StreamResult {
    return {
      id: this.id,
      bytes: this.bytes,
      retransmits: this.sends ? this.retransmits : -1,
      jitter: 0,
      errors: 0,
      packets: 0,
      start_time: 0,
      end_time: seconds,
    }
  }
}

/** What a side tells. @param cpu seconds of processor that the test took */
export const resultsOf = (
  streams: readonly Iperf3Stream[],
  seconds: number,
  cpu: { user: number; system: number },
  congestion: string,
): Iperf3Results => {
  const share = (part: number): number => (seconds > 0 ? (part / seconds) * 100 : 0)
  return {
    cpu_util_total: share(cpu.user + cpu.system),
    cpu_util_user: share(cpu.user),
    cpu_util_system: share(cpu.system),
    sender_has_retransmits: streams.some(({ sends }) => sends) ? 1 : -1,
    congestion_used: congestion,
    streams: streams.map((stream) => stream.result(seconds)),
  }
}
