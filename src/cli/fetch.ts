import { closeSync, openSync, realpathSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs'
import type { Command } from 'commander'
import { reasonOf } from '../node/capture-file.ts'
import { httpGet } from '../services/http-client.ts'
import { AF_INET, AF_INET6, SOCK_STREAM } from '../socket/constants.ts'
import { parseIpAddress } from '../wire/address.ts'
import { LiveHost } from './device.ts'
import { addDeviceOptions, type DeviceCommandOptions } from './device-options.ts'
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

/** The parts of a URL that names an address: a stack of its own has no name server that it could ask. */
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
    const program = live.host.spawn('fetch', async (sys) => {
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
    const over = await Promise.race([program.ended, live.lost, interrupted])
    if (over instanceof Failure) throw over
    if (typeof over === 'string') throw new Failure(over)
    if (program.error instanceof Failure) throw program.error
    if (over !== 0) throw new Failure(`${text}: ${errorLine(program.error)}`)
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

/**
 * Where the body goes. A file is written under another name and takes its own when it is whole, so that a failure
 * leaves what was there before; devices and pipes are written to as they are.
 */
class Output {
  private readonly path: string | null
  /** The file while it is not whole; null for what is written to in place. */
  private readonly partial: string | null
  private fd: number

  constructor(path: string | undefined) {
    this.path = path ?? null
    try {
      const target = path === undefined ? null : targetOf(path)
      this.partial = target === null ? null : `${target}.${process.pid}.part`
      this.fd = path === undefined ? 1 : openSync(this.partial ?? path, 'w')
    } catch (error) {
      throw new Failure(`cannot write ${path}: ${reasonOf(error)}`)
    }
  }

  write(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at)
    } catch (error) {
      throw new Failure(`cannot write ${this.path ?? 'to standard output'}: ${reasonOf(error)}`)
    }
  }

  /** The body is whole. */
  finish(): void {
    this.close()
    if (this.partial !== null) renameSync(this.partial, targetOf(this.path!)!)
  }

  /** It will not be. */
  abandon(): void {
    if (!this.close()) return
    if (this.partial !== null) unlinkSync(this.partial)
  }

  /** @returns whether it was open */
  private close(): boolean {
    if (this.fd < 0) return false
    if (this.path !== null) closeSync(this.fd)
    this.fd = -1
    return true
  }
}

/** The file that a path means, behind symbolic links; null when it is there and no regular file. */
const targetOf = (path: string): string | null => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return path
  return found.isFile() ? realpathSync(path) : null
}
