import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import { AF_INET, SOCK_STREAM, SOL_TCP, TCP_NODELAY } from '../socket/constants.ts'

/** The tester of section J: clients that all come at once to an echo server, and what each of them measures. */

/** Whom the clients test, how many they are, and what each asks. */
export interface TesterOptions {
  readonly address: string
  readonly port: number
  readonly clients: number
  /** Requests of each client, one after another; all on one connection. */
  readonly requests: number
  /** Bytes of a request, and of its answer. */
  readonly size: number
}

/** What was measured, microseconds. */
export interface TesterFigures {
  /** How long connect() took, for each client. */
  readonly connect: number[]
  /** From a client's first request to the first bytes of the answer: until somebody serves it; for each client. */
  readonly latency: number[]
  /** From a request to the last byte of its answer, for each request. */
  readonly response: number[]
  /** From when the clients began to each one's end. */
  readonly finished: number[]
  /** Bytes of answers in all. */
  bytes: number
}

/** Megabits of answers a second, of all clients together. */
export const dataRate = ({ bytes, finished }: TesterFigures): number => (bytes * 8) / Math.max(...finished)

/**
 * A program with `clients` threads, each of which connects and sends its requests.
 * @param now microseconds; the world's clock unless given, which stands still while a program runs
 */
export const echoTester =
  (
    options: TesterOptions,
    take: (figures: TesterFigures) => void,
    now: (sys: Sys) => number = (sys) => sys.now,
  ): Program =>
  async (sys) => {
    sys.setrlimit(options.clients + 100)
    const figures: TesterFigures = { connect: [], latency: [], response: [], finished: [], bytes: 0 }
    const start = now(sys)
    const clients = Array.from({ length: options.clients }, () =>
      sys.thread(async (thread) => {
        await client(thread, options, figures, now)
        figures.finished.push(now(sys) - start)
      }),
    )
    await Promise.all(clients)
    take(figures)
  }

const client = async (
  sys: Sys,
  { address, port, requests, size }: TesterOptions,
  figures: TesterFigures,
  now: (sys: Sys) => number,
): Promise<void> => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  const begun = now(sys)
  await sys.connect(fd, { address, port })
  figures.connect.push(now(sys) - begun)
  sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
  const request = new Uint8Array(size)
  const answer = new Uint8Array(size)
  for (let i = 0; i < requests; i++) {
    const asked = now(sys)
    await sys.send(fd, request)
    let got = 0
    do {
      const count = await sys.recv(fd, answer, size - got)
      if (count === 0) throw new Error(`the server closed after ${got} of ${size} bytes`)
      if (i === 0 && got === 0) figures.latency.push(now(sys) - asked)
      got += count
    } while (got < size)
    figures.response.push(now(sys) - asked)
    figures.bytes += got
  }
  await sys.close(fd)
}
