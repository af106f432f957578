import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import type { Command } from 'commander'
import { reasonOf } from '../node/capture-file.ts'
import { httpGet } from '../services/http-client.ts'
import { AF_INET, AF_INET6, SOCK_STREAM } from '../socket/constants.ts'
import { parseIpAddress } from '../wire/address.ts'
import { addDeviceOptions, type DeviceCommandOptions, LiveHost } from './device.ts'
import { errorLine, Failure } from './failure.ts'
import { exitStatusOf, SignalWatch } from './signals.ts'

/** `netglass fetch`: gets a file by HTTP over a stack of its own, from a server behind a device. */

interface FetchOptions extends DeviceCommandOptions {
  readonly output?: string
}

export const addFetchCommand = (program: Command): void => {
  addDeviceOptions(
    program
      .command('fetch')
      .summary('get a file by HTTP over a stack on a device')
      .description('Gets a file by HTTP over a stack on a TUN or TAP device, and tells how fast it came.')
      .argument('<url>', 'http://ADDRESS[:PORT]/PATH'),
  )
    .option('-o, --output <file>', 'where the file goes; standard output unless given')
    .action((url: string, options: FetchOptions) => fetchUrl(url, options))
}

/** The parts of a URL that names an address: there is no resolver yet to ask for names. */
const parseUrl = (text: string): { address: string; family: number; port: number; path: string; host: string } => {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new Failure(`${text} is no URL, like http://10.77.0.1:8080/file`)
  }
  if (url.protocol !== 'http:') throw new Failure(`${text}: only http: can be fetched`)
  const address = url.hostname.replace(/^\[|\]$/g, '')
  const parsed = parseIpAddress(address)
  if (parsed === undefined) throw new Failure(`${text}: give the server by its address, not by a name`)
  return {
    address,
    family: parsed.isIpv4 ? AF_INET : AF_INET6,
    port: url.port === '' ? 80 : Number(url.port),
    path: `${url.pathname}${url.search}`,
    host: url.host,
  }
}

const fetchUrl = async (text: string, options: FetchOptions): Promise<void> => {
  const target = parseUrl(text)
  const signals = new SignalWatch()
  const live = new LiveHost(options, 'fetch')
  let output: Output | null = null
  try {
    if (options.pcap !== undefined) live.capture(options.pcap)
    const file = new Output(options.output)
    output = file
    let bytes = 0
    let status = 0
    let seconds = 0
    const process = live.host.spawn('fetch', async (sys) => {
      const start = sys.clock(true)
      const fd = sys.socket(target.family, SOCK_STREAM)
      await sys.connect(fd, { address: target.address, port: target.port })
      const response = await httpGet(sys, fd, target.host, target.path, (part) => file.write(part))
      status = response.status
      bytes = response.length
      seconds = sys.clock(true) - start
      await sys.close(fd)
    })
    const interrupted = signals.came.then((signal) => new Failure(`${text}: interrupted`, exitStatusOf(signal)))
    const over = await Promise.race([process.ended, live.lost, interrupted])
    if (over instanceof Failure) throw over
    if (typeof over === 'string') throw new Failure(over)
    if (over !== 0) throw new Failure(`${text}: ${errorLine(process.error)}`)
    if (status !== 200) throw new Failure(`${text}: the server answered ${status}`)
    file.finish()
    console.error(`${bytes} bytes in ${seconds.toFixed(3)} s, ${((bytes * 8) / seconds / 1e6).toFixed(1)} Mbit/s`)
  } catch (error) {
    output?.abandon()
    throw error
  } finally {
    signals.close()
    live.close()
  }
}

/** Where the body goes; a file that was not completed is removed. */
class Output {
  private readonly path: string | undefined
  private fd: number

  constructor(path: string | undefined) {
    this.path = path
    try {
      this.fd = path === undefined ? 1 : openSync(path, 'w')
    } catch (error) {
      throw new Failure(`cannot write ${path}: ${reasonOf(error)}`)
    }
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at)
  }

  finish(): void {
    if (this.path !== undefined) closeSync(this.fd)
    this.fd = -1
  }

  abandon(): void {
    if (this.path === undefined || this.fd < 0) return
    closeSync(this.fd)
    unlinkSync(this.path)
    this.fd = -1
  }
}
