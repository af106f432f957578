import { type Micros, VirtualClock } from '../core/clock.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import type { Sys } from '../host/calls.ts'
import { Host } from '../host/host.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { VirtualDriver } from '../sim/driver.ts'
import { BSD, LINUX } from '../tcp/settings.ts'
import { IPV4_ANY, IPV6_ANY } from '../wire/address.ts'
import type { Configuration } from './configuration.ts'
import { ScriptLink } from './link.ts'

/** What a script is played on: a host with one interface, `tun0`, whose link ends in the script, and virtual time. */

/** World time at which scripts begin: what the host does when it comes up is over, and milliseconds are not on the edge. */
const START: Micros = 1_000_250

export class Stage {
  readonly world: World
  readonly host: Host
  readonly link: ScriptLink
  readonly interface: NetworkInterface
  /** The calls of the program that the script plays. */
  readonly sys: Sys
  readonly start = START
  private readonly driver: VirtualDriver

  constructor(configuration: Configuration, seed: number, personality: 'linux' | 'bsd') {
    const clock = new VirtualClock()
    this.world = new World(clock, new SeededRandom(seed))
    this.driver = new VirtualDriver(this.world, clock)
    // Addresses are usable at once.
    this.host = new Host(this.world, 'host', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
    this.host.tcpSettings.personality = personality === 'bsd' ? BSD : LINUX
    this.host.onResume = () => this.driver.noteResumed()
    this.link = new ScriptLink(this.world.memory, this.world.frames, clock, configuration.mtu)
    const address = `${configuration.local}/${configuration.prefixLength}`
    this.interface = this.host.addInterface('tun0', this.link, [address])
    const everywhere = { address: configuration.local.isIpv4 ? IPV4_ANY : IPV6_ANY, length: 0 }
    this.host.ip.routes.add({ prefix: everywhere, interface: this.interface })
    const program = this.host.spawn('script', (sys) => sys.waitForSignal())
    program.sys.sigaction(SIGPIPE, { sa_handler: SIG_IGN, sa_flags: 0 })
    this.sys = program.sys
  }

  /** Script time. */
  get now(): Micros {
    return this.world.loop.now - this.start
  }

  /** Lets everything happen up to a script time. */
  async runUntil(time: Micros): Promise<void> {
    await this.driver.run(time + this.start)
  }

  /** Lets everything happen until `condition` holds, or up to a script time. @returns whether it held */
  async runUntilTrue(condition: () => boolean, limit: Micros): Promise<boolean> {
    if (condition()) return true
    await this.driver.run(limit + this.start, condition)
    return condition()
  }

  /** Lets programs go on, and everything happen that is to happen now. */
  async settle(): Promise<void> {
    this.driver.noteResumed()
    await this.driver.run(this.world.loop.now)
  }

  /** Takes everything down. */
  close(): void {
    this.host.close()
  }
}
