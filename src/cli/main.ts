#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import type { PrintOptions } from '../inspect/names.ts'
import { netstat } from '../inspect/netstat.ts'
import type { Snapshot } from '../inspect/snapshot.ts'
import { ss } from '../inspect/ss.ts'
import { reasonOf } from '../node/capture-file.ts'
import { fetchSnapshot, splitStackOption } from './attach.ts'
import { addBenchCommand } from './bench.ts'
import { addExploreCommand } from './explore.ts'
import { errorLine, Failure } from './failure.ts'
import { addFetchCommand } from './fetch.ts'
import { addLabCommand } from './lab.ts'
import { addPacketdrillCommand } from './packetdrill.ts'
import { addRunCommand } from './run.ts'
import { addUpCommand } from './up.ts'
import { VERSION } from './version.ts'

/** The command `netglass`. */

type Printer = (snapshot: Snapshot, args: readonly string[], print?: PrintOptions) => string

/** Tools that look at a running stack, with the options of the tool of the same name. */
const TOOLS: Readonly<Record<string, { summary: string; print: Printer }>> = {
  netstat: {
    summary: 'sockets, counters, routes and interfaces of a running stack, as netstat prints them',
    print: netstat,
  },
  ss: { summary: 'sockets of a running stack, as ss prints them', print: ss },
}

const addTool = (program: Command, name: string, summary: string, print: Printer): void => {
  program
    .command(name)
    .summary(summary)
    .description(
      `Prints what ${name} would print on the running stack. Options are those of ${name}; --stack NAME chooses a stack when several run.`,
    )
    .argument('[options...]', `options of ${name}, like -ant`)
    .helpOption('--help', 'show this')
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const { stack, rest } = splitStackOption(words)
      const snapshot = await fetchSnapshot(stack)
      process.stdout.write(print(snapshot, rest, { columns: process.stdout.columns }))
    })
}

/** What commander has to say, in one line. */
const usageLine = (text: string): string =>
  `${text
    .replace(/^error: /, '')
    .trim()
    .replace(/\n/g, ' ')}: 'netglass --help' and 'netglass COMMAND --help' tell more`

const build = (): Command => {
  const program = new Command('netglass')
    .description('A TCP/IP stack that you can embed, see into, and replay.')
    .version(VERSION)
    .configureOutput({ outputError: (text, write) => write(`netglass: ${usageLine(text)}\n`) })
    .exitOverride()
  addLabCommand(program)
  addExploreCommand(program)
  addBenchCommand(program)
  addRunCommand(program)
  addUpCommand(program)
  addFetchCommand(program)
  addPacketdrillCommand(program)
  for (const [name, { summary, print }] of Object.entries(TOOLS)) addTool(program, name, summary, print)
  return program
}

const main = async (): Promise<void> => {
  try {
    await build().parseAsync()
  } catch (error) {
    // What commander has to say it has said.
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 1
      return
    }
    console.error(`netglass: ${errorLine(error)}`)
    process.exitCode = error instanceof Failure ? error.exitCode : 1
  }
}

// A reader that goes away (`netglass lab | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  console.error(`netglass: cannot write to standard output: ${reasonOf(error)}`)
  process.exit(1)
})

await main()
