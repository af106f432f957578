import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Host } from '../host/host.ts'
import type { Process, Program } from '../host/process.ts'
import { Directory } from '../node/directory.ts'
import { httpServer } from '../services/http.ts'
import { iperf3Server } from '../services/iperf3.ts'
import { IPERF3_PORT } from '../services/iperf3-protocol.ts'
import { meteredServer, SMALL_SERVICES } from '../services/small.ts'
import { errorLine, Failure } from './failure.ts'

/** The services of `netglass up --serve`. */

/** One service of --serve. */
export interface Service {
  readonly name: string
  readonly port: number
  readonly directory: string | null
}

const HTTP_PORT = 80

/** What is to be done at the end. */
export type Closing = () => Promise<void> | void

/** Services whose connections belong together, so that one shard of a host must have them all. */
export const isForOneShard = ({ name }: Service): boolean => name === 'iperf3'

/** Reads `http:DIR,echo,chargen:1919`: names, with a directory for http, and a port where it is not the usual one. */
export const parseServices = (text: string): Service[] =>
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

/**
 * Starts services, and waits until they listen.
 * @param closing gets what is to be done when everything is over
 * @returns for each a promise of the line that says why it has ended
 * @throws Failure when one cannot listen
 */
export const startServices = async (
  host: Host,
  services: readonly Service[],
  log: (line: string) => void,
  closing: Closing[],
): Promise<Promise<string>[]> => {
  const ended: Promise<string>[] = []
  for (const service of services) {
    const process = await start(host, service, programOf(service, log, closing))
    ended.push(
      process.ended.then(() => `${service.name} on port ${service.port} has ended: ${errorLine(process.error)}`),
    )
  }
  return ended
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
