#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { reasonOf } from '../node/capture-file.ts'
import { errorLine, Failure } from './failure.ts'
import { VERSION } from './version.ts'

/** The command `netglass`. */

/** What commander has to say, in one line. */
const usageLine = (text: string): string =>
  `${text
    .replace(/^error: /, '')
    .trim()
    .replace(/\.$/, '')
    .replace(/\n/g, ' ')}: 'netglass --help' and 'netglass COMMAND --help' tell more`

/** What adds commands, and the names of these. The modules of other commands need not be loaded. */
const COMMANDS: readonly (readonly [names: string, load: () => Promise<(program: Command) => void>])[] = [
  ['lab', async () => (await import('./lab.ts')).addLabCommand],
  ['explore', async () => (await import('./explore.ts')).addExploreCommand],
  ['bench', async () => (await import('./bench.ts')).addBenchCommand],
  ['run', async () => (await import('./run.ts')).addRunCommand],
  ['up', async () => (await import('./up.ts')).addUpCommand],
  ['fetch', async () => (await import('./fetch.ts')).addFetchCommand],
  ['packetdrill', async () => (await import('./packetdrill.ts')).addPacketdrillCommand],
  ['netstat ss ip lsof nstat sysctl stacks', async () => (await import('./tools.ts')).addTools],
  ['tcpdump', async () => (await import('./tcpdump.ts')).addTcpdumpCommand],
]

/** @param word the command that is asked for, if it is one */
const build = async (word: string | undefined): Promise<Command> => {
  const program = new Command('netglass')
    .description('A TCP/IP stack that you can embed, see into, and replay.')
    .version(VERSION)
    .configureOutput({ outputError: (text, write) => write(`netglass: ${usageLine(text)}\n`) })
    // What stands behind a command is its own.
    .enablePositionalOptions()
    .exitOverride()
  const asked = COMMANDS.filter(([names]) => word !== undefined && names.split(' ').includes(word))
  for (const [, load] of asked.length > 0 ? asked : COMMANDS) (await load())(program)
  return program
}

const main = async (): Promise<void> => {
  try {
    const program = await build(process.argv[2])
    await program.parseAsync()
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
