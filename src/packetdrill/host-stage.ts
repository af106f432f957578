import { MILLISECOND, type Micros, VirtualClock } from '../core/clock.ts'
import { type FastPath, fastPaths } from '../core/fast-paths.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import type { Sys } from '../host/calls.ts'
import { Host } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { VirtualDriver } from '../sim/driver.ts'
import { BSD, LINUX } from '../tcp/settings.ts'
import { IPV4_ANY, IPV6_ANY, type IpAddress } from '../wire/address.ts'
import type { Configuration } from './configuration.ts'
import { ScriptLink } from './link.ts'
import { Shell } from './shell.ts'
import type { Stage } from './stage.ts'

/** A host of ours on the stage: with one more interface, whose link ends in the script, and virtual time. */

/**
 * World time at which scripts begin on a host of their own: what the host does when it comes up is over, and
 * milliseconds are not on the edge.
 */
const START: Micros = 1_000_250
/**
 * How long the interface of a host that was there before is given: its IPv6 address is looked for on the link first.
 */
const COMING_UP: Micros = 3_000_250

/** Reads a file that the script includes; null when there is none. */
export type Include = (name: string) => string | null

/** A new host, in a world of its own. @param without fast paths that it does without */
export const newHost = (seed: number, personality: 'linux' | 'bsd', without: readonly FastPath[] = []): Host => {
  const world = new World(new VirtualClock(), new SeededRandom(seed), undefined, fastPaths(without))
  // Addresses are usable at once.
  const host = new Host(world, 'host', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
  host.tcpSettings.personality = personality === 'bsd' ? BSD : LINUX
  return host
}

export class HostStage implements Stage {
  readonly world: World
  readonly link: ScriptLink
  readonly sys: Sys
  readonly start: Micros
  private readonly host: Host
  private readonly isOwn: boolean
  private readonly local: IpAddress
  private readonly interface: NetworkInterface
  private readonly program: Process
  private readonly shell: Shell
  private readonly driver: VirtualDriver
  private readonly onResume: Host['onResume']
  private readonly onRest: Host['onRest']

  /**
   * @param isOwn is the host there for this script alone, to be taken down with it
   * @throws TypeError for a host in real time
   */
  constructor(host: Host, isOwn: boolean, configuration: Configuration, include: Include) {
    const { clock } = host.world
    if (!(clock instanceof VirtualClock)) {
      throw new TypeError(`the host ${host.name} lives in real time: scripts need virtual time`)
    }
    this.host = host
    this.isOwn = isOwn
    this.local = configuration.local
    this.world = host.world
    this.start = isOwn ? START : Math.ceil(clock.now() / MILLISECOND) * MILLISECOND + COMING_UP
    this.driver = new VirtualDriver(this.world, clock)
    this.onResume = host.onResume
    host.onResume = () => {
      this.driver.noteResumed()
      this.onResume?.()
    }
    this.onRest = host.onRest
    host.onRest = () => {
      this.driver.noteRested()
      this.onRest?.()
    }
    this.link = new ScriptLink(this.world.memory, this.world.frames, clock, configuration.mtu)
    this.interface = this.plugIn(configuration)
    this.program = host.spawn('script', (sys) => sys.waitForSignal())
    this.sys = this.program.sys
    this.sys.sigaction(SIGPIPE, { sa_handler: SIG_IGN, sa_flags: 0 })
    this.shell = new Shell({ host, link: this.link, include })
  }

  /** The interface: everything goes there on a host of the script's own, and what is for the peer on another. */
  private plugIn({ local, prefixLength, remote }: Configuration): NetworkInterface {
    const { host, link } = this
    let name = 'tun0'
    for (let number = 1; host.ip.interfaceNamed(name) !== null; number++) name = `tun${number}`
    const added = host.addInterface(name, link, [`${local}/${prefixLength}`])
    const everywhere = { address: local.isIpv4 ? IPV4_ANY : IPV6_ANY, length: 0 }
    const prefix = this.isOwn ? everywhere : { address: remote, length: local.isIpv4 ? 32 : 128 }
    host.ip.routes.add({ prefix, interface: added })
    return added
  }

  get now(): Micros {
    return this.world.loop.now - this.start
  }

  async runUntil(time: Micros): Promise<void> {
    await this.driver.run(time + this.start)
  }

  async runUntilTrue(condition: () => boolean, limit: Micros): Promise<boolean> {
    if (condition()) return true
    await this.driver.run(limit + this.start, condition)
    return condition()
  }

  async settle(): Promise<void> {
    this.driver.noteResumed()
    await this.driver.run(this.world.loop.now)
  }

  command(text: string): number {
    return this.shell.run(text)
  }

  close(): void {
    const { host } = this
    if (this.isOwn) {
      host.close()
      return
    }
    this.program.exit(0)
    const { tcp } = host.sockets
    // What is left of the script's connections would keep their ports from the next script.
    for (const entry of tcp.table.entries()) if (entry.local.equals(this.local)) tcp.discard(entry)
    host.ip.removeInterface(this.interface)
    host.onResume = this.onResume
    host.onRest = this.onRest
  }
}
