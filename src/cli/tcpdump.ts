import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { Command } from 'commander'
import { describeLink, parseTcpdump, TCPDUMP_USAGE, type TcpdumpCommand, TcpdumpPrinter } from '../inspect/tcpdump.ts'
import { readCapture } from '../link/pcap.ts'
import { PcapngWriter } from '../link/pcapng.ts'
import { reasonOf } from '../node/capture-file.ts'
import { type CaptureRequest, CaptureStreamReader } from '../node/capture-stream.ts'
import { ControlClient } from '../node/control-client.ts'
import { isHelpAsked, splitStackOption } from './attach.ts'
import { Failure } from './failure.ts'
import { addExamples, indent } from './help.ts'
import { SignalWatch } from './signals.ts'

/** `netglass tcpdump`: packets of a running stack, or of a capture file. */
export const addTcpdumpCommand = (program: Command): void => {
  const command = program
    .command('tcpdump')
    .summary('packets of a running stack, or of a file, as tcpdump prints them')
    .description(
      'Prints packets as tcpdump does, with its options and filter expressions: those of a running stack, or with ' +
        '-r FILE those of a capture. --stack NAME chooses a stack when several run.',
    )
    .usage('[--stack NAME] [options of tcpdump] [expression]')
    .argument('[options...]')
    .helpOption('--help', 'show this, as -h does')
    .addHelpText('after', `\nWhat is here of tcpdump:\n${indent(TCPDUMP_USAGE)}`)
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const { stack, rest } = splitStackOption(words)
      if (isHelpAsked(rest)) command.help()
      const wanted = parseTcpdump(rest)
      const printer = new TcpdumpPrinter(wanted, zoneOffset)
      if (wanted.readFrom !== null) dumpFile(wanted, printer, wanted.readFrom)
      else await watch(wanted, printer, stack)
    })
  addExamples(
    command,
    'netglass tcpdump -n -c 10 tcp port 80',
    'netglass tcpdump --stack ng0 -w capture.pcapng',
    'netglass tcpdump -vr capture.pcapng icmp',
  )
}

/** Seconds by which the local time is ahead of UTC. */
const zoneOffset = (seconds: number): number => -60 * new Date(seconds * 1000).getTimezoneOffset()

const readWhole = (path: string): Uint8Array => {
  try {
    return readFileSync(path === '-' ? 0 : path)
  } catch (error) {
    throw new Failure(`${path}: ${reasonOf(error)}`)
  }
}

/** -r: all packets of a file, or as many as -c says. */
const dumpFile = (command: TcpdumpCommand, printer: TcpdumpPrinter, path: string): void => {
  const file = readCapture(readWhole(path))
  const [first] = file.interfaces
  if (file.error !== null && file.packets.length === 0) throw new Failure(`${path}: ${file.error}`)
  process.stderr.write(
    `reading from file ${path}, ${describeLink(first?.linkType ?? 0, first?.snaplen || command.snaplen)}\n`,
  )
  const out = command.writeTo === null ? null : new OutputFile(command.writeTo)
  const writer =
    out === null
      ? null
      : new PcapngWriter((chunk) => out.write(chunk), { epoch: 0, resolution: 'us', application: 'netglass' })
  for (const { linkType, name, snaplen } of writer === null ? [] : file.interfaces) {
    writer?.addInterface({ linkType, name: name ?? '', snaplen })
  }
  for (const packet of file.packets) {
    const linkType = file.interfaces[packet.interface]!.linkType
    const dumped = { ...packet, linkType }
    if (!printer.matches(dumped)) continue
    const { data, interface: on, timeNs, originalLength } = packet
    writer?.packet(on, Number(timeNs / 1000n), data, 0, data.length, originalLength, packet.direction === 'out', null)
    if (writer === null || command.alsoPrint) process.stdout.write(printer.print(dumped))
    if (printer.isDone) break
  }
  writer?.flush()
  out?.close()
  if (file.error !== null) throw new Failure(`${path}: ${file.error}`)
}

/** Packets of a running stack, until -c packets have come, a signal comes, or the stack goes. */
const watch = async (command: TcpdumpCommand, printer: TcpdumpPrinter, stack: string | undefined): Promise<void> => {
  const client = await ControlClient.connect(stack)
  const signals = new SignalWatch()
  let out: OutputFile | null = null
  const request: CaptureRequest = {
    snaplen: command.snaplen,
    ...(command.interface === null ? {} : { interface: command.interface }),
  }
  const reader = new CaptureStreamReader()
  const packets = client.stream('capture', request)
  const interrupted = signals.came.then(() => null)
  try {
    if (command.writeTo !== null) out = new OutputFile(command.writeTo)
    while (!printer.isDone) {
      const next = await Promise.race([packets.next(), interrupted])
      if (next === null || next.done === true) break
      const { bytes, packet } = reader.read(next.value)
      if (packet === null) {
        out?.write(bytes)
        const where = `${command.interface ?? 'the stack'}, ${describeLink(reader.linkType, command.snaplen)}`
        process.stderr.write(`listening on ${where}\n`)
      } else if (printer.matches(packet)) {
        out?.write(bytes)
        if (out === null || command.alsoPrint) process.stdout.write(printer.print(packet))
      }
    }
    process.stderr.write(`${printer.count} packets captured\n`)
  } finally {
    signals.close()
    client.close()
    out?.close()
  }
}

/** What -w writes to: a file, or with `-` standard output. */
class OutputFile {
  private readonly fd: number
  private readonly path: string

  constructor(path: string) {
    this.path = path
    try {
      this.fd = path === '-' ? 1 : openSync(path, 'w')
    } catch (error) {
      throw new Failure(`${path}: ${reasonOf(error)}`)
    }
  }

  write(chunk: Uint8Array): void {
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.fd, chunk, at)
    } catch (error) {
      throw new Failure(`${this.path}: ${reasonOf(error)}`)
    }
  }

  close(): void {
    if (this.path !== '-') closeSync(this.fd)
  }
}
