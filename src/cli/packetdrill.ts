import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { World } from '../core/world.ts'
import { Capture } from '../link/capture.ts'
import type { LinkPort } from '../link/port.ts'
import {
  formatLadder,
  formatResult,
  IP_VERSIONS,
  type IpVersion,
  type PacketdrillResult,
  runPacketdrill,
  versionsOf,
} from '../packetdrill/index.ts'
import { parseIpAddress } from '../wire/address.ts'
import { Failure } from './failure.ts'
import { addExamples } from './help.ts'

/** `netglass packetdrill`: scripts of packetdrill, against a host in virtual time. */

interface PacketdrillCommandOptions {
  readonly ip_version: string
  readonly personality: string
  readonly define?: string[]
  readonly json?: boolean
  readonly verbose?: boolean
  readonly pcap?: string
  /** Flags of packetdrill itself, by their names. */
  readonly [flag: string]: unknown
}

/** Flags of packetdrill that go before those of a script: what their values are called, and what they are for. */
const NUMBER_FLAGS = {
  mtu: ['bytes', 'the largest packet of the link'],
  mss: ['bytes', 'inbound segments that are longer count as several'],
  bind_port: ['port', 'the port that programs bind'],
  connect_port: ['port', 'the port that programs connect to'],
  tolerance_usecs: ['microseconds', 'how far off a time may be'],
  tolerance_percent: ['percent', 'or by which share of the time since the event before'],
  tcp_ts_tick_usecs: ['microseconds', 'compare timestamps, which count in these'],
} as const
const ADDRESS_FLAGS = { local_ip: 'the address under test', remote_ip: "the peer's address" } as const
const BARE_FLAGS = {
  tcp_ts_ecr_scaled: 'timestamp echoes go by the distance to the first',
  strict_segments: 'each segment has the length that the script says',
} as const
/** Taken, as the suite's own runner gives them, and without effect here. */
const IDLE_FLAGS = ['--gateway_ip <address>', '--netmask_ip <mask>', '--send_omit_free'] as const

/** A run with the script that it was of. */
interface Run {
  readonly file: string
  readonly result: PacketdrillResult
}

export const addPacketdrillCommand = (program: Command): void => {
  const command = program
    .command('packetdrill')
    .summary('run packetdrill scripts, in virtual time')
    .description(
      'Runs packetdrill scripts against a host of its own: no root, no kernel, no waiting. A directory stands for all *.pkt files below it.',
    )
    .argument('<files...>', 'scripts, and directories of scripts')
    .option('--ip_version <version>', `${IP_VERSIONS.join(', ')}, or all`, 'all')
    .option('--personality <name>', 'linux or bsd', 'linux')
    .option(
      '-D, --define <name=value>',
      'what stands for a name in the scripts; ipv6:name=value for one version; may be given several times',
      (value: string, all: string[] = []) => [...all, value],
    )
    .option('--json', 'print the results as JSON')
    .option('--verbose', 'print every run, and what was exchanged')
    .option('--pcap <file>', 'write what passes the links to a pcapng file')
  for (const [name, [unit, text]] of Object.entries(NUMBER_FLAGS)) {
    command.addOption(new Option(`--${name} <${unit}>`, text).argParser(numberFlag(name)))
  }
  for (const [name, text] of Object.entries(ADDRESS_FLAGS)) {
    command.addOption(new Option(`--${name} <address>`, text).argParser(addressFlag(name)))
  }
  for (const [name, text] of Object.entries(BARE_FLAGS)) command.addOption(new Option(`--${name}`, text))
  for (const flag of IDLE_FLAGS) command.addOption(new Option(flag).hideHelp())
  addExamples(
    command,
    'netglass packetdrill handshake.pkt',
    'netglass packetdrill --ip_version ipv6 --verbose --pcap run.pcapng tests/',
  )
  command.action((files: string[], options: PacketdrillCommandOptions) => packetdrill(files, options))
}

const packetdrill = async (paths: readonly string[], options: PacketdrillCommandOptions): Promise<void> => {
  const versions = parseVersions(options.ip_version)
  const { personality } = options
  if (personality !== 'linux' && personality !== 'bsd') {
    throw new Failure(`--personality ${personality}: choose linux or bsd`)
  }
  const definitions = parseDefinitions(options.define ?? [])
  const flags = flagsIn(options)
  const capture = options.pcap === undefined ? null : new Captures(options.pcap)
  const runs: Run[] = []
  try {
    for (const file of paths.flatMap(scriptsIn)) {
      const text = readFileSync(file, 'utf8')
      for (const ipVersion of versionsOf(file)) {
        if (!versions.includes(ipVersion)) continue
        const result = await runPacketdrill(text, null, {
          ipVersion,
          personality,
          flags,
          definitions: definitions[ipVersion],
          readFile: (name) => readOrNull(resolve(dirname(file), name)),
          onLink: (port, world) => capture?.begin(port, world, `${file} ${ipVersion}`),
        })
        runs.push({ file, result })
        if (!options.json) print(file, result, options.verbose === true)
      }
    }
  } finally {
    capture?.close()
  }
  if (runs.length === 0) throw new Failure('there is no script to run: name files or directories with *.pkt files')
  const count = (outcome: string): number => runs.filter(({ result }) => result.outcome === outcome).length
  if (options.json) process.stdout.write(`${JSON.stringify(runs, null, 2)}\n`)
  else console.log(`${count('passed')} passed, ${count('failed')} failed, ${count('unsupported')} unsupported`)
  if (count('passed') < runs.length) process.exitCode = 1
}

const print = (file: string, result: PacketdrillResult, verbose: boolean): void => {
  if (result.outcome === 'passed' && !verbose) return
  console.log(formatResult(file, result))
  if (verbose && result.outcome === 'passed') console.log(formatLadder(result.ladder))
}

const parseVersions = (text: string): readonly IpVersion[] => {
  if (text === 'all') return IP_VERSIONS
  const found = IP_VERSIONS.find((version) => version === text)
  if (found === undefined) throw new Failure(`--ip_version ${text}: choose ${IP_VERSIONS.join(', ')}, or all`)
  return [found]
}

const numberFlag =
  (name: string) =>
  (text: string): string => {
    if (!(Number(text) >= 0)) throw new Failure(`--${name} ${text}: give a number`)
    return text
  }

const addressFlag =
  (name: string) =>
  (text: string): string => {
    if (parseIpAddress(text.replace(/\/\d+$/, '')) === undefined)
      throw new Failure(`--${name} ${text}: give an IP address`)
    return text
  }

/** The flags of packetdrill that were given. */
const flagsIn = (options: PacketdrillCommandOptions): Record<string, string | null> => {
  const names = Object.keys({ ...NUMBER_FLAGS, ...ADDRESS_FLAGS, ...BARE_FLAGS })
  const given = names.filter((name) => options[name] !== undefined)
  return Object.fromEntries(given.map((name) => [name, options[name] === true ? null : String(options[name])]))
}

/** What -D has given, for each version: `NAME=VALUE` for all of them, `ipv6:NAME=VALUE` for one. */
const parseDefinitions = (words: readonly string[]): Record<IpVersion, Record<string, string>> => {
  const all: Record<IpVersion, Record<string, string>> = { ipv4: {}, 'ipv4-mapped-ipv6': {}, ipv6: {} }
  for (const word of words) {
    const only = IP_VERSIONS.find((version) => word.startsWith(`${version}:`))
    const definition = only === undefined ? word : word.slice(only.length + 1)
    const equals = definition.indexOf('=')
    if (equals <= 0) throw new Failure(`-D ${word}: write it as NAME=VALUE`)
    const [name, value] = [definition.slice(0, equals), definition.slice(equals + 1)]
    for (const version of only === undefined ? IP_VERSIONS : [only]) all[version][name] = value
  }
  return all
}

/** A file itself, or the scripts below a directory, in order. */
const scriptsIn = (path: string): string[] => {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) throw new Failure(`${path}: there is no such file or directory`)
  if (!status.isDirectory()) return [path]
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const inner = join(path, entry.name)
      return entry.isDirectory() ? scriptsIn(inner) : entry.name.endsWith('.pkt') ? [inner] : []
    })
}

const readOrNull = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** A capture file with one section for each run. */
class Captures {
  private readonly fd: number
  private current: Capture | null = null

  constructor(path: string) {
    try {
      this.fd = openSync(path, 'w')
    } catch (error) {
      throw new Failure(`--pcap ${path}: ${error instanceof Error ? error.message : error}`)
    }
  }

  begin(port: LinkPort, world: World, description: string): void {
    this.current?.close()
    const write = (chunk: Uint8Array): void => {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.fd, chunk, at)
    }
    this.current = new Capture(world, write, { application: 'netglass packetdrill' })
    this.current.add(port, 'tun0', { description })
  }

  close(): void {
    this.current?.close()
    closeSync(this.fd)
  }
}
