import type { Command } from 'commander'
import { mergeSnapshots } from '../inspect/merge.ts'
import { type Snapshot, snapshot } from '../inspect/snapshot.ts'
import { openControl, setSetting, stackName } from '../node/attach.ts'
import { type CaptureRequest, chunkStream } from '../node/capture-stream.ts'
import type { ControlServer } from '../node/control.ts'
import { hasUndivided, MOST_SHARDS, planShards, type ShardPlan } from '../node/shard.ts'
import { LiveHost } from './device.ts'
import { addDeviceOptions, type DeviceCommandOptions } from './device-options.ts'
import { Failure } from './failure.ts'
import { type Closing, isForOneShard, parseServices, type Service, startServices } from './services.ts'
import { SignalWatch } from './signals.ts'
import { captureAll, captureToFile } from './up-capture.ts'
import { type ShardOrder, ShardWorkers } from './up-shards.ts'
import { VERSION } from './version.ts'

/** `netglass up`: a stack on a TUN or TAP device, with services on it. */

interface UpOptions extends DeviceCommandOptions {
  readonly serve?: string
  readonly quiet?: boolean
  readonly workers?: string
}

export const addUpCommand = (program: Command): void => {
  addDeviceOptions(
    program
      .command('up')
      .summary('a stack on a TUN or TAP device')
      .description('Runs a stack on a TUN or TAP device, so that the kernel and its programs can talk to it.'),
  )
    .option(
      '--serve <list>',
      'services, separated by commas: http:DIR[:PORT] (GET, and PUT to store), echo, discard, chargen, daytime, time, iperf3',
    )
    .option('--workers <number>', 'spread the stack over so many threads, on a queue of the device each')
    .option('--quiet', 'print only errors', false)
    .addHelpText(
      'after',
      `
Example, as root:
  netglass up --tap ng0 --ip 10.77.0.2/24 --host-ip 10.77.0.1/24 --serve http:.,echo
  curl http://10.77.0.2/`,
    )
    .action((options: UpOptions) => up(options))
}

const up = async (options: UpOptions): Promise<void> => {
  const services = parseServices(options.serve ?? '')
  const taken = services.find((service, i) => services.findIndex(({ port }) => port === service.port) !== i)
  if (taken !== undefined) {
    throw new Failure(
      `--serve: port ${taken.port} is in use by another service already: give ${taken.name} one of its own, ` +
        `like ${taken.name}:${taken.directory === null ? '' : `${taken.directory}:`}8080`,
    )
  }
  const plans = shardPlans(options, services)
  const log = options.quiet ? () => {} : (line: string) => console.log(line)
  const signals = new SignalWatch()
  const closing: Closing[] = [() => signals.close()]
  try {
    const hostName = options.name ?? options.tap ?? options.tun ?? 'stack'
    const live = new LiveHost(options, hostName, plans[0] ?? null)
    closing.unshift(() => live.close())
    const shards = new ShardWorkers(shardOrders(options, live, hostName, plans, services), log)
    closing.unshift(() => shards.close())
    await shards.areUp()
    const name = options.name ?? stackName(live.port.name)
    const control = await openControl(live.host, { name, version: VERSION })
    closing.unshift(() => control.close())
    if (plans.length > 0) answerForAll(control, live, shards)
    // All queues are there now: the kernel gives a flow to the same one as long as their number does not change.
    const own = plans[0] === undefined ? services : servicesOf(plans[0], services)
    const ended = await startServices(live.host, own, log, closing)
    await shards.serve()
    if (options.pcap !== undefined && plans.length === 0) live.capture(options.pcap)
    else if (options.pcap !== undefined) closing.unshift(captureToFile(options.pcap, live, shards))
    const addresses = live.interface.addresses.map(({ address }) => String(address)).join(' ')
    log(`${live.port.name} is up: ${addresses}; look in with: netglass netstat -ant --stack ${name}`)
    let isDown = false
    live.onCarrier = (isUp) => {
      if (!isUp) log(`${live.port.name} is down: what is sent is lost until it is up again`)
      else if (isDown) log(`${live.port.name} is up again`)
      isDown = !isUp
    }
    const failed = Promise.race([live.lost, shards.failed, ...ended]).then((line) => new Failure(line))
    const over = await Promise.race([signals.came, failed])
    const { received, sent } = live.port.statistics
    const whose = plans.length > 0 ? ', by the first worker' : ''
    log(`${live.port.name}: ${received} frames received, ${sent} sent${whose}`)
    if (over instanceof Failure) throw over
  } finally {
    await closeAll(closing)
  }
}

/** Ports that programs are given when they name none: Linux's, unless `--set` says otherwise. */
const PORT_RANGE: readonly [number, number] = [32_768, 60_999]

/** A plan for each worker; none when there is only one. @throws Failure */
const shardPlans = (options: UpOptions, services: readonly Service[]): ShardPlan[] => {
  if (options.workers === undefined) return []
  const count = Number(options.workers)
  if (!Number.isInteger(count) || count < 1 || count > MOST_SHARDS) {
    throw new Failure(`--workers ${options.workers}: it takes a whole number from 1 to ${MOST_SHARDS}`)
  }
  if (count === 1) return []
  if (options.set.some((setting) => setting.startsWith(`${RANGE_SETTING}=`))) {
    throw new Failure(`--set ${RANGE_SETTING}: the ports are divided among the workers`)
  }
  return planShards(
    count,
    PORT_RANGE,
    services.filter(isForOneShard).map(({ port }) => port),
  )
}

/** The services that a shard has: all but those that another one has alone. */
const servicesOf = (plan: ShardPlan, services: readonly Service[]): Service[] =>
  services.filter((service) => !isForOneShard(service) || hasUndivided(plan, service.port))

const RANGE_SETTING = 'net.ipv4.ip_local_port_range'

/** What the workers of all shards but the first are told. They have the first's addresses, its link-local one too. */
const shardOrders = (
  options: UpOptions,
  live: LiveHost,
  hostName: string,
  plans: readonly ShardPlan[],
  services: readonly Service[],
): ShardOrder[] => {
  const ip = live.interface.addresses.map(({ address, length }) => `${address}/${length}`)
  const kind = options.tap === undefined ? 'tun' : 'tap'
  const device: DeviceCommandOptions = { ...options, [kind]: live.port.name, ip, ip6: [] }
  const mac = options.tap === undefined ? null : live.interface.mac
  return plans.slice(1).map((plan) => ({ options: device, hostName, plan, mac, services: servicesOf(plan, services) }))
}

/** Answers `netglass netstat` and the like for all shards together. */
const answerForAll = (control: ControlServer, live: LiveHost, shards: ShardWorkers): void => {
  control.handle('snapshot', async () =>
    mergeSnapshots([snapshot(live.host), ...((await shards.ask('snapshot')) as Snapshot[])]),
  )
  control.handle('sysctl', async (params) => {
    if ((params as { name?: unknown }).name === RANGE_SETTING) {
      throw new TypeError(`${RANGE_SETTING}: the ports are divided among the workers`)
    }
    const value = setSetting(live.host, params)
    await shards.ask('sysctl', params)
    return value
  })
  control.handle('capture', (params, signal) =>
    chunkStream((sink) => {
      const end = captureAll(live, shards, params as CaptureRequest, sink)
      return () => void end()
    }, signal),
  )
}

/** Closes everything, whatever goes wrong with one. @throws the first error */
const closeAll = async (closing: readonly Closing[]): Promise<void> => {
  const errors: unknown[] = []
  for (const close of closing) {
    try {
      await close()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}
