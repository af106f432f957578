import { existsSync, readFileSync } from 'node:fs'
import Module from 'node:module'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Host } from '../host/host.ts'
import { openControls, stackName } from '../node/attach.ts'
import { program, runProgram, useProgram } from '../node/program.ts'
import { buildVirtually, type RunConfiguration, runVirtually, startNetwork } from '../node/start.ts'
import type { DeviceCommandOptions } from './device-options.ts'
import { errorLine } from './failure.ts'
import type { RunProcessConfiguration } from './run.ts'
import { VERSION } from './version.ts'

/**
 * What `netglass run` starts in a process of its own: puts the stack under Node, then runs the program as Node does.
 */

const { NETGLASS_RUN = '{}' } = process.env
delete process.env['NETGLASS_RUN']

/** The program's name, as stacks are named after it. */
const programName = ({ name = 'node' }: RunConfiguration): string => basename(name, extname(name))

const start = async ({ device, stack, ...configuration }: RunProcessConfiguration): Promise<void> => {
  if (device !== undefined) {
    await startOnDevice(device, configuration)
    return
  }
  const { hosts, others } = startNetwork(configuration)
  const usual = (host: Host): string => (configuration.network === undefined ? programName(configuration) : host.name)
  await openControls([...hosts.values()], stack, usual, VERSION)
  for (const { context, command } of others) void runProgram(context, () => load(command[0]!))
}

/** How often and how many times a program that has ended looks whether its last bytes have arrived. */
const FLUSH_MS = 50
const FLUSHES = 100

const startOnDevice = async (
  device: DeviceCommandOptions,
  { kernel = [], name = 'node' }: RunConfiguration,
): Promise<void> => {
  const { LiveHost } = await import('./device.ts')
  const live = new LiveHost(device, device.name ?? device.tap ?? device.tun ?? 'stack')
  if (device.pcap !== undefined) live.capture(device.pcap)
  live.keepAlive(false)
  await openControls([live.host], device.name, () => stackName(live.port.name), VERSION)
  useProgram(program(live.host, { name, kernel, onActive: (isActive) => live.keepAlive(isActive) }))
  void live.lost.then((line) => {
    console.error(`netglass: ${line}`)
    process.exit(1)
  })
  // What a kernel does for a program that is gone: it sends what is left.
  let flushes = FLUSHES
  process.on('beforeExit', () => {
    if (live.isFlushing && flushes-- > 0) setTimeout(() => {}, FLUSH_MS)
  })
  process.on('exit', () => live.close())
}

/** Is a file a module, as Node decides it, and no CommonJS? */
const isModule = (path: string): boolean => {
  if (/\.[cm][jt]s$/.test(path)) return /\.m[jt]s$/.test(path)
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const description = join(folder, 'package.json')
    if (existsSync(description)) return JSON.parse(readFileSync(description, 'utf8')).type === 'module'
    if (folder === dirname(folder)) return false
  }
}

/** Loads a host's program. @param isMain is it the one that the process is there for? */
const load = async (file: string, isMain = false): Promise<void> => {
  const path = resolve(file)
  if (isModule(path)) await import(pathToFileURL(path).href)
  else (Module as unknown as { _load(path: string, parent: null, isMain: boolean): unknown })._load(path, null, isMain)
}

/** Loads the program that the process is there for, as Node does. */
const loadMain = (): void => (Module as unknown as { runMain(path: string): void }).runMain(process.argv[1]!)

const configuration = JSON.parse(NETGLASS_RUN) as RunProcessConfiguration
const [node = process.execPath, , script = '', ...args] = process.argv
process.argv = [node, resolve(script), ...args]
/** @returns what `begin` does. What is wrong in the configuration ends the process, with a line. */
const begun = async <T>(begin: () => T): Promise<Awaited<T>> => {
  try {
    return await begin()
  } catch (error) {
    console.error(`netglass: ${errorLine(error)}`)
    process.exit(1)
  }
}

if (configuration.virtual === undefined) {
  await begun(() => start(configuration))
  loadMain()
} else {
  const network = await begun(() => buildVirtually(configuration))
  try {
    await runVirtually(network, (command) => load(command?.[0] ?? process.argv[1]!, command === null))
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}
