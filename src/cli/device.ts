import type { Command } from 'commander'
import { CryptoRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { CaptureFile } from '../node/capture-file.ts'
import type { DeviceError } from '../node/device-error.ts'
import { configureHostSide } from '../node/ifconfig.ts'
import { RealClock, RealTimeDriver } from '../node/realtime.ts'
import { openTunTap, type TunTapPort } from '../node/tuntap.ts'
import { type IpPrefix, parseIpAddress, parseIpPrefix } from '../wire/address.ts'
import { Failure } from './failure.ts'

/** A live host behind a TUN or TAP device: what `up`, `fetch` and others begin with. */

/** The options of the command line that describe it. */
export interface DeviceCommandOptions {
  readonly tap?: string
  readonly tun?: string
  readonly ip: string[]
  readonly hostIp: string[]
  readonly mtu?: string
  readonly gateway?: string
  readonly pcap?: string
  readonly name?: string
  readonly set: string[]
}

const collect = (value: string, before: string[]): string[] => [...before, value]

/** Adds those options to a command. */
export const addDeviceOptions = (command: Command): Command =>
  command
    .option('--tap <name>', 'a TAP device of this name: Ethernet frames')
    .option('--tun <name>', 'a TUN device of this name: IP packets')
    .option('--ip <address/length>', "the stack's address, IPv4 or IPv6; may be given several times", collect, [])
    .option('--ip6 <address/length>', 'the same as --ip', collect, [])
    .option('--host-ip <address/length>', "the kernel's address on the device; may be given several times", collect, [])
    .option('--gateway <address>', "the stack's default route; the first --host-ip unless given")
    .option('--mtu <bytes>', "the device's MTU")
    .option('--set <name=value>', 'a setting, as sysctl -w takes it; may be given several times', collect, [])
    .option('--pcap <file>', 'write what passes the device to a pcapng file')
    .option('--name <name>', 'the name under which other commands find this stack')

/** The parsed form of what was given. */
interface DevicePlan {
  readonly kind: 'tun' | 'tap'
  readonly device: string
  readonly addresses: readonly IpPrefix[]
  readonly hostAddresses: readonly IpPrefix[]
  readonly mtu: number | undefined
  readonly settings: readonly [string, string][]
}

const prefixOf = (option: string, text: string): IpPrefix => {
  const prefix = parseIpPrefix(text)
  if (prefix === undefined || !text.includes('/')) {
    throw new Failure(`${option} ${text}: give an address with its prefix length, like 10.77.0.2/24 or fd77::2/64`)
  }
  return prefix
}

/** Checks everything that can be checked before anything is opened. */
const plan = (options: DeviceCommandOptions & { ip6?: string[] }): DevicePlan => {
  const { tap, tun } = options
  if ((tap === undefined) === (tun === undefined)) throw new Failure('give one of --tap NAME and --tun NAME')
  const addresses = [...options.ip, ...(options.ip6 ?? [])].map((text) => prefixOf('--ip', text))
  if (addresses.length === 0) throw new Failure("give the stack's address with --ip, like --ip 10.77.0.2/24")
  const mtu = options.mtu === undefined ? undefined : Number(options.mtu)
  if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_535)) {
    throw new Failure(`--mtu ${options.mtu}: the MTU is a number of bytes from 68 to 65535`)
  }
  const settings = options.set.map((text): [string, string] => {
    const equals = text.indexOf('=')
    if (equals <= 0) throw new Failure(`--set ${text}: write it as net.ipv4.tcp_sack=0`)
    return [text.slice(0, equals), text.slice(equals + 1)]
  })
  return {
    kind: tap !== undefined ? 'tap' : 'tun',
    device: tap ?? tun ?? '',
    addresses,
    hostAddresses: options.hostIp.map((text) => prefixOf('--host-ip', text)),
    mtu,
    settings,
  }
}

/** A host that is up. */
export class LiveHost {
  readonly world: World
  readonly host: Host
  readonly port: TunTapPort
  readonly interface: NetworkInterface
  readonly captureFile: CaptureFile | null
  /** Resolves with a line when the device is lost. */
  readonly lost: Promise<string>
  private readonly driver: RealTimeDriver

  /** @throws Failure or DeviceError, in one line; nothing is left then */
  constructor(options: DeviceCommandOptions, hostName: string) {
    const wanted = plan(options)
    const world = new World(new RealClock(), new CryptoRandom())
    this.world = world
    this.host = new Host(world, hostName)
    for (const [name, value] of wanted.settings) this.host.sysctl.set(name, value)
    const gateway = options.gateway === undefined ? undefined : parseIpAddress(options.gateway)
    if (options.gateway !== undefined && gateway === undefined) {
      throw new Failure(`--gateway ${options.gateway} is not an address`)
    }
    let lose: (line: string) => void = () => {}
    this.lost = new Promise((resolve) => {
      lose = resolve
    })
    const { mtu } = wanted
    this.port = openTunTap(world, {
      kind: wanted.kind,
      name: wanted.device,
      ...(mtu === undefined ? {} : { mtu }),
      onError: (error: DeviceError) => lose(error.message),
    })
    try {
      if (wanted.hostAddresses.length > 0) {
        configureHostSide(this.port.name, { addresses: wanted.hostAddresses, ...(mtu === undefined ? {} : { mtu }) })
      }
      this.interface = this.host.ip.addInterface('eth0', this.port)
      for (const prefix of wanted.addresses) this.interface.addAddress(prefix)
      this.addDefaultRoutes(wanted, gateway)
      this.captureFile = options.pcap === undefined ? null : new CaptureFile(world, options.pcap)
      this.captureFile?.capture.add(this.port, this.port.name)
    } catch (error) {
      this.port.close()
      throw error
    }
    this.driver = new RealTimeDriver(world.loop).ref()
  }

  private addDefaultRoutes(wanted: DevicePlan, gateway: ReturnType<typeof parseIpAddress>): void {
    const gateways = gateway !== undefined ? [gateway] : wanted.hostAddresses.map(({ address }) => address)
    for (const isIpv4 of [true, false]) {
      const via = gateways.find((address) => address.isIpv4 === isIpv4 && !address.isLinkLocal)
      if (via === undefined) continue
      const everywhere = parseIpPrefix(isIpv4 ? '0.0.0.0/0' : '::/0')!
      const errno = this.host.ip.routes.add({ prefix: everywhere, gateway: via })
      if (errno !== 0) throw new Failure(`--gateway ${via} cannot be reached from the addresses given`)
    }
  }

  /** Takes everything down. @throws Error when the capture could not be written */
  close(): void {
    this.host.close()
    this.port.close()
    this.driver.close()
    this.captureFile?.close()
  }
}
