import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Host } from '../host/host.ts'
import type { Process, Program } from '../host/process.ts'
import { openControl, stackName } from '../node/attach.ts'
import { Directory } from '../node/directory.ts'
import { httpServer } from '../services/http.ts'
import { iperf3Server } from '../services/iperf3.ts'
import { IPERF3_PORT } from '../services/iperf3-protocol.ts'
import { meteredServer, SMALL_SERVICES } from '../services/small.ts'
import { LiveHost } from './device.ts'
import { addDeviceOptions, type DeviceCommandOptions } from './device-options.ts'
import { errorLine, Failure } from './failure.ts'
import { SignalWatch } from './signals.ts'
import { VERSION } from './version.ts'

/** `netglass up`: a stack on a TUN or TAP device, with services on it. */

interface UpOptions extends DeviceCommandOptions {
  readonly serve?: string
  readonly quiet?: boolean
}

/** One service of --serve. */
interface Service {
  readonly name: string
  readonly port: number
  readonly directory: string | null
}

const HTTP_PORT = 80

/** What is to be done at the end. */
type Closing = () => Promise<void> | void

/** Reads `http:DIR,echo,chargen:1919`: names, with a directory for http, and a port where it is not the usual one. */
const parseServices = (text: string): Service[] =>
  text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', ...rest] = part.split(':')
      if (name === 'http') return httpService(part, rest)
      const usual = name === 'iperf3' ? IPERF3_PORT : SMALL_SERVICES[name]?.port
      if (usual === undefined) {
        throw new Failure(
          `--serve ${part}: there is no such service; choose from http:DIR, ${Object.keys(SMALL_SERVICES).join(', ')}, iperf3`,
        )
      }
      return { name, port: rest[0] === undefined ? usual : portOf(part, rest[0]), directory: null }
    })

const httpService = (part: string, rest: string[]): Service => {
  const port = rest.length > 1 && /^[0-9]+$/.test(rest.at(-1)!) ? portOf(part, rest.pop()!) : HTTP_PORT
  const directory = rest.join(':')
  if (directory === '') throw new Failure(`--serve ${part}: name the directory, like http:/srv/files`)
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new Failure(`--serve ${part}: ${directory} is not a directory`)
  }
  return { name: 'http', port, directory: resolve(directory) }
}

const portOf = (part: string, text: string): number => {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Failure(`--serve ${part}: ${text} is no port: give a number from 1 to 65535`)
  }
  return port
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
  const log = options.quiet ? () => {} : (line: string) => console.log(line)
  const signals = new SignalWatch()
  const closing: Closing[] = [() => signals.close()]
  try {
    const live = new LiveHost(options, options.name ?? options.tap ?? options.tun ?? 'stack')
    closing.unshift(() => live.close())
    const name = options.name ?? stackName(live.port.name)
    const control = await openControl(live.host, { name, version: VERSION })
    closing.unshift(() => control.close())
    const ended: Promise<string>[] = []
    for (const service of services) {
      const process = await start(live.host, service, programOf(service, log, closing))
      ended.push(
        process.ended.then(() => `${service.name} on port ${service.port} has ended: ${errorLine(process.error)}`),
      )
    }
    if (options.pcap !== undefined) live.capture(options.pcap)
    const addresses = live.interface.addresses.map(({ address }) => String(address)).join(' ')
    log(`${live.port.name} is up: ${addresses}; look in with: netglass netstat -ant --stack ${name}`)
    let isDown = false
    live.onCarrier = (isUp) => {
      if (!isUp) log(`${live.port.name} is down: what is sent is lost until it is up again`)
      else if (isDown) log(`${live.port.name} is up again`)
      isDown = !isUp
    }
    const failed = Promise.race([live.lost, ...ended]).then((line) => new Failure(line))
    const over = await Promise.race([signals.came, failed])
    const { received, sent } = live.port.statistics
    log(`${live.port.name}: ${received} frames received, ${sent} sent`)
    if (over instanceof Failure) throw over
  } finally {
    await closeAll(closing)
  }
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

/** Starts a service, and waits until it listens. */
const start = async (host: Host, { name, port }: Service, program: Program): Promise<Process> => {
  const process = host.spawn(name, program)
  // It has called listen(2), or failed, when all that is ready now has run.
  await new Promise((resolve) => setImmediate(resolve))
  if (!process.isAlive) throw new Failure(`--serve ${name}: cannot listen on port ${port}: ${errorLine(process.error)}`)
  return process
}

/** Seconds of processor that this process has used. */
const cpuTimes = (): { user: number; system: number } => {
  const { user, system } = process.cpuUsage()
  return { user: user / 1e6, system: system / 1e6 }
}

/** A service's program. @param closing gets what is to be done when everything is over */
const programOf = ({ name, port, directory }: Service, log: (line: string) => void, closing: Closing[]): Program => {
  if (name === 'iperf3') return iperf3Server({ port, cpu: cpuTimes, tell: (line) => log(`iperf3: ${line}`) })
  if (directory === null) return meteredServer(name, port, (line) => log(`${name}: ${line}`))
  const files = new Directory(directory)
  // After the host: nothing writes then any more.
  closing.push(() => files.close())
  return httpServer(files, port, ({ peer, request, status, bytes, broken }) => {
    log(
      `http: ${peer} "${request}" ${status === 0 ? '-' : status} ${bytes}${broken === '' ? '' : `, broken off: ${broken}`}`,
    )
  })
}
