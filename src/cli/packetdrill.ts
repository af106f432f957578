import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
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
import { Failure } from './failure.ts'

/** `netglass packetdrill`: scripts of packetdrill, against a host in virtual time. */

interface PacketdrillCommandOptions {
  readonly ip_version: string
  readonly personality: string
  readonly define: string[]
  readonly json?: boolean
  readonly verbose?: boolean
  readonly pcap?: string
}

/** A run with the script that it was of. */
interface Run {
  readonly file: string
  readonly result: PacketdrillResult
}

export const addPacketdrillCommand = (program: Command): void => {
  program
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
      'what stands for a name in the scripts',
      (value: string, all: string[]) => [...all, value],
      [],
    )
    .option('--json', 'print the results as JSON')
    .option('--verbose', 'print every run, and what was exchanged')
    .option('--pcap <file>', 'write what passes the links to a pcapng file')
    .action((files: string[], options: PacketdrillCommandOptions) => packetdrill(files, options))
}

const packetdrill = async (paths: readonly string[], options: PacketdrillCommandOptions): Promise<void> => {
  const versions = parseVersions(options.ip_version)
  const { personality } = options
  if (personality !== 'linux' && personality !== 'bsd') {
    throw new Failure(`--personality ${personality}: choose linux or bsd`)
  }
  const definitions = parseDefinitions(options.define)
  const capture = options.pcap === undefined ? null : new Captures(options.pcap)
  const runs: Run[] = []
  try {
    for (const file of paths.flatMap(scriptsIn)) {
      const text = readFileSync(file, 'utf8')
      for (const ipVersion of versionsOf(file)) {
        if (!versions.includes(ipVersion)) continue
        const result = await runPacketdrill(text, {
          ipVersion,
          personality,
          definitions,
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

const parseDefinitions = (words: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    words.map((word) => {
      const equals = word.indexOf('=')
      if (equals <= 0) throw new Failure(`-D ${word}: write it as NAME=VALUE`)
      return [word.slice(0, equals), word.slice(equals + 1)]
    }),
  )

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
