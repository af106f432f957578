import type { Micros } from '../core/clock.ts'
import { Errno, errnoCode } from '../core/errno.ts'
import { type FastPaths, fastPaths } from '../core/fast-paths.ts'
import { CryptoRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { LEAST_MTU } from '../link/features.ts'
import { CaptureFile } from '../node/capture-file.ts'
import type { DeviceOffloads } from '../node/device.ts'
import type { DeviceError } from '../node/device-error.ts'
import { configureHostSide, keepAddresses, removeHostAddresses } from '../node/ifconfig.ts'
import { pollSystemCalls, threadSystemCalls, workerSystemCalls } from '../node/readiness.ts'
import { RealClock, RealTimeDriver } from '../node/realtime.ts'
import { portsOf, type ShardPlan, ShardPort } from '../node/shard.ts'
import { ShardCapture, type ShardCaptureRequest } from '../node/shard-capture.ts'
import type { Syscalls } from '../node/syscalls.ts'
import { openTunTap, type TunTapPort } from '../node/tuntap.ts'
import { compileEarly, tuneV8 } from '../node/v8.ts'
import { TcpConnection } from '../tcp/connection.ts'
import { stateIn, stateSet, TcpState } from '../tcp/state.ts'
import { type IpAddress, type IpPrefix, type MacAddress, parseIpAddress, parseIpPrefix } from '../wire/address.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import { IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { parseOffloads } from './device-offloads.ts'
import type { DeviceCommandOptions } from './device-options.ts'
import { Failure } from './failure.ts'
import { parseSettings } from './settings.ts'

const FLUSHING = stateSet(TcpState.FinWait1, TcpState.Closing, TcpState.LastAck)

/** A live host behind a TUN or TAP device: what `up`, `fetch` and others begin with. */

/** The parsed form of what was given. */
interface DevicePlan {
  readonly kind: 'tun' | 'tap'
  readonly device: string
  readonly addresses: readonly IpPrefix[]
  readonly hostAddresses: readonly IpPrefix[]
  readonly gateway: IpAddress | null
  readonly mtu: number | undefined
  readonly settings: readonly (readonly [string, string])[]
  readonly offload: Partial<DeviceOffloads>
  readonly busyPoll: Micros
  readonly fast: FastPaths
}

/** The least MTU of a device: IPv4's (RFC 791), and IPv6's (RFC 8200 section 5) where there is an IPv6 address. */

const prefixOf = (option: string, text: string): IpPrefix => {
  const prefix = parseIpPrefix(text)
  if (prefix === undefined || !text.includes('/')) {
    throw new Failure(`${option} ${text}: give an address with its prefix length, like 10.77.0.2/24 or fd77::2/64`)
  }
  const { address, length } = prefix
  if (
    address.isUnspecified ||
    address.isMulticast ||
    address.isLoopback ||
    address.isLimitedBroadcast ||
    length === 0
  ) {
    throw new Failure(`${option} ${text}: no interface can have this address`)
  }
  return prefix
}

/** Checks everything that can be checked before anything is opened. */
const plan = (options: DeviceCommandOptions): DevicePlan => {
  const { tap, tun } = options
  if ((tap === undefined) === (tun === undefined)) throw new Failure('give one of --tap NAME and --tun NAME')
  const addresses = [
    ...options.ip.map((text) => prefixOf('--ip', text)),
    ...options.ip6.map((text) => prefixOf('--ip6', text)),
  ]
  if (addresses.length === 0) throw new Failure("give the stack's address with --ip, like --ip 10.77.0.2/24")
  const hostAddresses = options.hostIp.map((text) => prefixOf('--host-ip', text))
  const everyone = [...addresses, ...hostAddresses].map(({ address }) => address)
  const twice = everyone.find((address, i) => everyone.findIndex((other) => isSame(other, address)) !== i)
  if (twice !== undefined) throw new Failure(`${twice} is given twice: every address has one owner`)
  return {
    kind: tap !== undefined ? 'tap' : 'tun',
    device: tap ?? tun ?? '',
    addresses,
    hostAddresses,
    gateway: gatewayOf(options.gateway),
    mtu: mtuOf(options.mtu, addresses.some(({ address }) => !address.isIpv4) ? IPV6_MIN_MTU : LEAST_MTU),
    settings: parseSettings(options.set),
    offload: parseOffloads(options.features),
    busyPoll: busyPollOf(options.busyPoll),
    fast: fastPaths(options.without),
  }
}

const systemCallsOf = (fast: FastPaths): Syscalls =>
  fast['stream-reads'] ? workerSystemCalls() : fast['poll-handles'] ? pollSystemCalls() : threadSystemCalls()

const isSame = (a: IpAddress, b: IpAddress): boolean => a.isIpv4 === b.isIpv4 && a.equals(b)

const gatewayOf = (text: string | undefined): IpAddress | null => {
  if (text === undefined) return null
  const address = parseIpAddress(text)
  if (address === undefined) throw new Failure(`--gateway ${text}: give an address, like 10.77.0.1 or fd77::1`)
  return address
}

const mtuOf = (text: string | undefined, least: number): number | undefined => {
  if (text === undefined) return undefined
  const mtu = Number(text)
  if (!/^[0-9]+$/.test(text) || mtu < least || mtu > MAX_PACKET) {
    throw new Failure(`--mtu ${text}: the MTU is a number of bytes from ${least} to ${MAX_PACKET} here`)
  }
  return mtu
}

const busyPollOf = (text = '0'): Micros => {
  if (!/^[0-9]{1,7}$/.test(text)) {
    throw new Failure(`--busy-poll ${text}: give a number of microseconds, 9999999 at most`)
  }
  return Number(text)
}

/** A host that is up. */
export class LiveHost {
  readonly world: World
  readonly host: Host
  readonly port: TunTapPort
  readonly interface: NetworkInterface
  /** Resolves with a line when the device is lost, or the capture cannot go on. */
  readonly lost: Promise<string>
  /** Told when the kernel's interface went down or came up. */
  onCarrier: ((up: boolean) => void) | null = null
  private readonly driver: RealTimeDriver
  private captureFile: CaptureFile | null = null
  /** Addresses that the kernel's interface has got for as long as this runs. */
  private hostAddresses: readonly IpPrefix[] = []
  /** Ends it, as if the device were lost. */
  lose: (line: string) => void = () => {}

  /** What the interface is plugged into: the device, or a shard's part of it. */
  private readonly shardPort: ShardPort | null = null

  /**
   * @param shard what part of a host this is; null for a whole one
   * @param mac the link-layer address, when another shard has it already
   * @throws Failure or DeviceError, in one line; nothing is left then
   */
  constructor(
    options: DeviceCommandOptions,
    hostName: string,
    shard: ShardPlan | null = null,
    mac: MacAddress | null = null,
  ) {
    const wanted = plan(options)
    if (wanted.fast.inlining) tuneV8()
    if (wanted.fast['early-code']) compileEarly()
    const world = new World(new RealClock(shard?.clock), new CryptoRandom(), undefined, wanted.fast)
    this.world = world
    this.host = new Host(world, hostName)
    for (const [name, value] of wanted.settings) this.host.sysctl.set(name, value)
    if (shard !== null) this.host.sysctl.set('net.ipv4.ip_local_port_range', portsOf(shard).join(' '))
    // The first shard sets the kernel's side up, and has an address of the link, which is given to the others.
    const isFirst = shard === null || shard.index === 0
    if (!isFirst) this.host.sysctl.set('net.ipv6.conf.default.addr_gen_mode', '1')
    this.lost = new Promise((resolve) => {
      this.lose = resolve
    })
    const { mtu } = wanted
    this.port = openTunTap(world, {
      kind: wanted.kind,
      name: wanted.device,
      ...(mtu === undefined ? {} : { mtu }),
      ...(shard === null ? {} : { multiQueue: true }),
      offload: wanted.offload,
      busyPoll: wanted.busyPoll,
      syscalls: systemCallsOf(wanted.fast),
      onError: (error: DeviceError) => this.lose(error.message),
      onCarrier: (up: boolean) => this.onCarrier?.(up),
    })
    try {
      if (isFirst && wanted.hostAddresses.length > 0) {
        keepAddresses(this.port.name)
        this.hostAddresses = configureHostSide(this.port.name, {
          addresses: wanted.hostAddresses,
          ...(mtu === undefined ? {} : { mtu }),
        })
      }
      if (shard !== null) this.shardPort = new ShardPort(world, this.port, shard)
      this.interface = this.host.ip.addInterface('eth0', this.shardPort ?? this.port, mac === null ? {} : { mac })
      for (const prefix of wanted.addresses) this.addAddress(prefix, wanted.hostAddresses.length === 0)
      this.addDefaultRoutes(wanted)
    } catch (error) {
      this.closePort()
      throw error
    }
    this.driver = new RealTimeDriver(world.loop).ref()
  }

  /** @param detect does IPv6 look for duplicates? Needless where both ends of the device are ours. */
  private addAddress(prefix: IpPrefix, detect: boolean): void {
    const result = this.interface.addAddress(prefix, detect ? {} : { probe: false })
    if (typeof result !== 'number') return
    const why = result === -Errno.EACCES ? 'IPv6 is turned off by --set' : (errnoCode(-result) ?? String(result))
    throw new Failure(`the stack cannot have the address ${prefix.address}/${prefix.length}: ${why}`)
  }

  private addDefaultRoutes(wanted: DevicePlan): void {
    const { gateway } = wanted
    const gateways = [...(gateway === null ? [] : [gateway]), ...wanted.hostAddresses.map(({ address }) => address)]
    for (const isIpv4 of [true, false]) {
      const via = gateways.find((address) => address.isIpv4 === isIpv4 && (address === gateway || !address.isLinkLocal))
      const own = this.interface.addresses.filter(({ address }) => address.isIpv4 === isIpv4)
      // The kernel may have an address of a family that the stack has not.
      if (via === undefined || (own.length === 0 && via !== gateway)) continue
      const everywhere = parseIpPrefix(isIpv4 ? '0.0.0.0/0' : '::/0')!
      const errno = this.host.ip.routes.add({ prefix: everywhere, gateway: via, interface: this.interface })
      if (errno !== 0 && via === gateway) {
        throw new Failure(`--gateway ${via}: no address given by --ip has it in its subnet`)
      }
    }
  }

  /** Does the host keep the process alive? It does at first. */
  keepAlive(on: boolean): void {
    if (on) this.driver.ref()
    else this.driver.unref()
  }

  /** Has it connections whose last bytes have not been acknowledged? */
  get isFlushing(): boolean {
    for (const entry of this.host.sockets.tcp.table.entries()) {
      if (entry instanceof TcpConnection && stateIn(entry.state, FLUSHING)) return true
    }
    return false
  }

  /** Writes from now on what passes the device to a file. @throws Error, in one line, when that cannot be done */
  capture(path: string): void {
    const file = new CaptureFile(this.world, path, {}, (error) => this.lose(error.message))
    this.captureFile = file
    file.capture.add(this.port, this.port.name)
    file.flush()
  }

  /** Captures as a shard's part of a capture of all. @throws Error, in one line, for an interface that is not there */
  captureShard(request: ShardCaptureRequest, tell: (bytes: Uint8Array, upTo: number) => void): ShardCapture {
    return new ShardCapture(this.host, this.port, request, tell)
  }

  /** Takes everything down. @throws Error when the capture could not be written */
  close(): void {
    this.host.close()
    this.closePort()
    this.driver.close()
    this.captureFile?.close()
  }

  /** The device vanishes, or is as it was when it was made to stay. */
  private closePort(): void {
    this.shardPort?.close()
    this.port.close()
    if (this.hostAddresses.length > 0) removeHostAddresses(this.port.name, this.hostAddresses)
  }
}
