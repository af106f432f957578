import type { Sys } from '../host/calls.ts'
import type { Host, HostOptions } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import { Network, type NetworkLinkOptions } from './network.ts'

/** What tests with whole hosts share. */

/** Two hosts on a cable, 10.0.0.1 and 10.0.0.2, 2001:db8::1 and ::2, whose IPv6 addresses can be used at once. */
export class Pair {
  readonly network: Network
  readonly a: Host
  readonly b: Host
  /** How long programs may run, milliseconds. */
  private readonly limit: number

  constructor(options: { seed?: number; link?: NetworkLinkOptions; host?: HostOptions; limit?: number } = {}) {
    this.limit = options.limit ?? 3_600_000
    this.network = new Network({ seed: options.seed ?? 1 })
    const sysctl = { 'net.ipv6.conf.all.dad_transmits': 0, ...options.host?.sysctl }
    this.a = this.network.host('a', { ...options.host, sysctl })
    this.b = this.network.host('b', { ...options.host, sysctl })
    this.network.link(this.a, this.b, {
      addresses: [
        ['10.0.0.1/24', '2001:db8::1/64'],
        ['10.0.0.2/24', '2001:db8::2/64'],
      ],
      ...options.link,
    })
  }

  /** Runs programs to their end, and gives what they return. @throws what one of them throws */
  async run<T>(...programs: (readonly [Host, (sys: Sys) => Promise<T> | T])[]): Promise<T[]> {
    const results: T[] = []
    const processes = programs.map(([host, program], index) => this.start(host, program, results, index))
    await this.network.runUntil(() => processes.every((process) => !process.isAlive), this.limit)
    for (const process of processes) {
      if (process.error !== null) throw process.error
      if (process.isAlive) throw new Error(`waits in ${[...process.blocked].map((call) => call.reason)}`)
    }
    return results
  }

  /** Runs one program on the first host to its end, and gives what it returns. */
  async alone<T>(program: (sys: Sys) => Promise<T> | T): Promise<T> {
    return (await this.run<T>([this.a, program]))[0]!
  }

  /** Takes everything down. @returns what is left over: all zero, unless something leaks */
  close(): { frames: number; timers: number; sockets: number; ports: number } {
    this.network.close()
    const { world } = this.network
    const hosts = [this.a, this.b]
    const sum = (count: (host: Host) => number): number => hosts.reduce((total, host) => total + count(host), 0)
    return {
      frames: world.frames.inUse,
      timers: world.loop.timers.size,
      sockets: sum(({ sockets }) => sockets.sockets.size + sockets.udp.size + sockets.tcp.table.size),
      ports: sum(({ sockets }) => sockets.tcpPorts.ports + sockets.udpPorts.ports),
    }
  }

  private start<T>(host: Host, program: (sys: Sys) => Promise<T> | T, results: T[], index: number): Process {
    return host.spawn(`program ${index}`, async (sys) => {
      results[index] = await program(sys)
    })
  }
}

/** Nothing is left over. */
export const NOTHING = { frames: 0, timers: 0, sockets: 0, ports: 0 }

/** The code of the error that a call fails with, or what it gives. */
export const codeOf = async <T>(call: () => Promise<T> | T): Promise<T | string> => {
  try {
    return await call()
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === undefined) throw error
    return code
  }
}
