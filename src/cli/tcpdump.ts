import { once } from 'node:events'
import { closeSync, createReadStream, openSync, statSync, writeSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { Command } from 'commander'
import { describeLink, parseTcpdump, TCPDUMP_USAGE, type TcpdumpCommand, TcpdumpPrinter } from '../inspect/tcpdump.ts'
import { type CapturedPacket, CaptureReader } from '../link/pcap.ts'
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
      if (wanted.readFrom !== null) await dumpFile(wanted, printer, wanted.readFrom)
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

/** How much of a file is read at once. */
const PIECE = 0x10_0000

/** -r: all packets of a file, however large, or as many as -c says; of a pipe as they come, until a signal does. */
const dumpFile = async (command: TcpdumpCommand, printer: TcpdumpPrinter, path: string): Promise<void> => {
  const dump = new FileDump(command, printer, path)
  const signals = new SignalWatch()
  const file: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: PIECE })
  let isStopped = false
  void signals.came.then(() => {
    isStopped = true
    file.destroy()
  })
  try {
    for await (const piece of file) {
      dump.push(piece)
      if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
      if (dump.isOver) break
    }
  } catch (error) {
    if (!isStopped) throw error instanceof Failure ? error : failure(path, error)
  } finally {
    signals.close()
    if (isStopped) dump.close()
  }
  if (!isStopped) dump.end()
}

const failure = (path: string, error: unknown): Failure => new Failure(`${path}: ${reasonOf(error)}`)

/** A capture file on its way to standard output, or to another file. */
class FileDump {
  private readonly command: TcpdumpCommand
  private readonly printer: TcpdumpPrinter
  private readonly path: string
  private readonly reader: CaptureReader
  private out: OutputFile | null = null
  private writer: PcapngWriter | null = null
  private described = 0
  private isBegun = false
  /** What is to be printed of the piece that is being read. */
  private text = ''

  constructor(command: TcpdumpCommand, printer: TcpdumpPrinter, path: string) {
    this.command = command
    this.printer = printer
    this.path = path
    this.reader = new CaptureReader((packet) => this.packet(packet))
  }

  /** Has all come that was asked for, or the file proved broken? */
  get isOver(): boolean {
    return this.printer.isDone || this.reader.error !== null
  }

  push(piece: Uint8Array): void {
    this.reader.push(piece)
    if (this.reader.interfaces.length > 0) this.begin()
    if (this.text !== '') process.stdout.write(this.text)
    this.text = ''
  }

  /** The file has been read. @throws Failure when something was wrong with it, or what is left cannot be written */
  end(): void {
    if (!this.printer.isDone) this.reader.end()
    const { error } = this.reader
    if (error === null) this.begin()
    this.close()
    if (error !== null) throw new Failure(`${this.path}: ${error}`)
  }

  /** Hands over what is left for -w. */
  close(): void {
    const { writer, out } = this
    this.writer = null
    this.out = null
    if (writer !== null) {
      this.describe(writer)
      writer.flush()
    }
    out?.close()
  }

  /** Writes what interfaces have become known. */
  private describe(writer: PcapngWriter): void {
    for (const { linkType, name, description, snaplen } of this.reader.interfaces.slice(this.described)) {
      const more = description === null ? {} : { description }
      writer.addInterface({ linkType, name: name ?? '', snaplen, ...more })
      this.described++
    }
  }

  /** What it is becomes known with its first interface. */
  private begin(): void {
    if (this.isBegun) return
    this.isBegun = true
    const { command, path } = this
    const [first] = this.reader.interfaces
    const link = describeLink(first?.linkType ?? 0, first?.snaplen || command.snaplen)
    process.stderr.write(`reading from file ${path}, ${link}\n`)
    if (command.writeTo === null) return
    if (isSameFile(path, command.writeTo))
      throw new Failure(`${command.writeTo}: is the file that is read: give -w another`)
    const out = new OutputFile(command.writeTo)
    this.out = out
    this.writer = new PcapngWriter((chunk) => out.write(chunk), { epoch: 0, application: 'netglass' })
  }

  private packet(packet: CapturedPacket): void {
    const { printer, reader } = this
    if (printer.isDone) return
    this.begin()
    const { writer } = this
    const dumped = { ...packet, linkType: reader.interfaces[packet.interface]!.linkType }
    if (!printer.matches(dumped)) return
    if (writer !== null) {
      this.describe(writer)
      writer.copy(packet.interface, packet)
    }
    if (writer === null || this.command.alsoPrint) this.text += printer.print(dumped)
  }
}

const isSameFile = (one: string, other: string): boolean => {
  const [a, b] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false }))
  return a !== undefined && b !== undefined && a.isFile() && a.dev === b.dev && a.ino === b.ino
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
      if (process.stdout.writableNeedDrain) await Promise.race([once(process.stdout, 'drain'), interrupted])
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
  /** Null for standard output, which may be a pipe that takes no more for now. */
  private readonly fd: number | null
  private readonly path: string

  constructor(path: string) {
    this.path = path
    try {
      this.fd = path === '-' ? null : openSync(path, 'w')
    } catch (error) {
      throw failure(path, error)
    }
  }

  write(chunk: Uint8Array): void {
    if (this.fd === null) {
      process.stdout.write(chunk)
      return
    }
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.fd, chunk, at)
    } catch (error) {
      throw failure(this.path, error)
    }
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd)
  }
}
