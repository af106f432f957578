#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { reasonOf } from '../node/capture-file.ts'
import { addBenchCommand } from './bench.ts'
import { addExploreCommand } from './explore.ts'
import { errorLine, Failure } from './failure.ts'
import { addFetchCommand } from './fetch.ts'
import { addLabCommand } from './lab.ts'
import { addPacketdrillCommand } from './packetdrill.ts'
import { addRunCommand } from './run.ts'
import { addTcpdumpCommand } from './tcpdump.ts'
import { addTools } from './tools.ts'
import { addUpCommand } from './up.ts'
import { VERSION } from './version.ts'

/** The command `netglass`. */

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
  addTools(program)
  addTcpdumpCommand(program)
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
