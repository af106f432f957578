import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import type { NetworkLinkOptions } from '../sim/network.ts'
import { AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import type { TcpConnection } from '../tcp/connection.ts'
import type { Lab, Pair } from './lab.ts'
import { told } from './programs.ts'

/** Two programs that do what the scenario tells them, call by call. */

/** A program with a descriptor, which waits to be told what to call. */
export interface Stage {
  readonly sys: Sys
  readonly fd: number
}

/** What a pair of them is like. */
export interface StageOptions {
  /** Tells the pair from others of the scenario: its network is 10.`index`.0.0/24. 0 unless given. */
  readonly index?: number
  readonly link?: NetworkLinkOptions
  /** Settings of both hosts. */
  readonly sysctl?: Readonly<Record<string, string | number>>
  /** Called with each socket before it connects or listens. */
  readonly prepare?: (sys: Sys, fd: number) => void
  /** Does the server read all that comes, as it comes? */
  readonly reads?: boolean
  /** What is shown of both hosts at every step; `ss -tni` unless given. */
  readonly show?: string
}

/** A client and a server, connected. */
export interface Stages extends Pair {
  readonly near: Stage
  readonly far: Stage
  /** The client's end and the server's. */
  readonly sender: TcpConnection
  readonly receiver: TcpConnection
  /** Bytes that a server that reads has read so far. */
  read(): number
  /** Ends both programs, and shows nothing of them any more. */
  end(): void
}

export const STAGE_PORT = 5050

/** Makes two hosts and connects two programs. */
export const connectStages = async (lab: Lab, options: StageOptions = {}): Promise<Stages> => {
  const { index = 0, sysctl = {}, prepare, reads = false, show = 'ss -tni' } = options
  const client = lab.host(index === 0 ? 'client' : `client-${index}`, { sysctl })
  const server = lab.host(index === 0 ? 'server' : `server-${index}`, { sysctl })
  const addresses = [`10.${index}.0.1/24`, `10.${index}.0.2/24`] as const
  const link = lab.link(client, server, { delay: 10, addresses, ...options.link })
  lab.show(client, show)
  lab.show(server, show)
  const ends = lab.gate()
  const stages: Stage[] = []
  let read = 0
  const open = (sys: Sys): number => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    sys.signal(SIGPIPE, SIG_IGN)
    sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    prepare?.(sys, fd)
    return fd
  }
  lab.spawn(server, 'receiver', async (sys) => {
    const listener = open(sys)
    sys.bind(listener, { address: '0.0.0.0', port: STAGE_PORT })
    sys.listen(listener, 5)
    const fd = await sys.accept(listener)
    stages[1] = { sys, fd }
    const buffer = new Uint8Array(65_536)
    for (let count = -1; reads && count !== 0; read += Math.max(0, count)) count = await sys.recv(fd, buffer)
    await ends.wait(sys)
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  lab.spawn(client, 'sender', async (sys) => {
    const fd = open(sys)
    await sys.connect(fd, { address: `10.${index}.0.2`, port: STAGE_PORT })
    stages[0] = { sys, fd }
    await ends.wait(sys)
  })
  await lab.quietly(() => stages[0] !== undefined && stages[1] !== undefined)
  const end = (): void => {
    ends.open()
    lab.leave(client, server)
  }
  return {
    client,
    server,
    link,
    near: stages[0]!,
    far: stages[1]!,
    sender: lab.connection(client, STAGE_PORT)!,
    receiver: lab.connection(server, STAGE_PORT)!,
    read: () => read,
    end,
  }
}

/** Lets a program make a call, and waits for it. @returns what came of it, and how long it took in milliseconds */
export const ask = async <T>(lab: Lab, { sys }: Stage, what: string, call: () => Promise<T> | T) => {
  const since = lab.network.now
  let result: T | string | undefined
  sys.process.host.resumed()
  void told(sys, what, call).then((value) => {
    result = value
  })
  await lab.quietly(() => result !== undefined)
  return { result, took: lab.network.now - since }
}

/** Lets a program make a call, and does not wait for it. @returns what came of it; null while it has not returned */
export const begin = <T>({ sys }: Stage, what: string, call: () => Promise<T> | T): { result: T | string | null } => {
  const begun: { result: T | string | null } = { result: null }
  sys.process.host.resumed()
  void told(sys, what, call).then((value) => {
    begun.result = value
  })
  return begun
}

export const hostOf = ({ sys }: Stage): Host => sys.process.host

/** Bytes of data of the segments that one host has sent from the `since`th segment on. */
export const dataSizes = (lab: Lab, from: Host, since: number): number[] =>
  lab
    .segments(/./)
    .slice(since)
    .filter((segment) => segment.from === from.name)
    .flatMap(({ text }) => /\((\d+)\)/.exec(text)?.[1] ?? [])
    .map(Number)
