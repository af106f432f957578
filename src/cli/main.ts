#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { reasonOf } from '../node/capture-file.ts'
import { errorLine, Failure } from './failure.ts'
import { addExamples, HELP, usageLine } from './help.ts'
import { VERSION } from './version.ts'

/** The command `netglass`. */

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

/** @param words the command line; of its command alone the module is loaded */
const build = async (words: readonly string[]): Promise<Command> => {
  const program = new Command('netglass')
    .description('A TCP/IP stack that you can embed, see into, and replay.')
    .version(VERSION)
    .configureOutput({ outputError: (text, write) => write(`${usageLine(text, program, words)}\n`) })
    .configureHelp(HELP)
    .helpCommand('help [command...]', 'what a command does, and its options')
    // What stands behind a command is its own.
    .enablePositionalOptions()
    .exitOverride()
  const asked = COMMANDS.filter(([names]) => words[0] !== undefined && names.split(' ').includes(words[0]))
  for (const [, load] of asked.length > 0 ? asked : COMMANDS) (await load())(program)
  return addExamples(program, 'netglass lab', 'netglass lab --list', 'netglass help run')
}

/** `help bench measure` is `bench measure --help`. */
const helpAsOption = (words: readonly string[]): readonly string[] => {
  if (words[0] !== 'help') return words
  const asked = words.slice(1).filter((word) => !word.startsWith('-'))
  const [name] = asked
  if (name !== undefined && !COMMANDS.some(([names]) => names.split(' ').includes(name))) {
    throw new Failure(`there is no command ${name}: 'netglass --help' lists them all`)
  }
  return [...asked, '--help']
}

const main = async (): Promise<void> => {
  try {
    const words = helpAsOption(process.argv.slice(2))
    const program = await build(words)
    await program.parseAsync(words, { from: 'user' })
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
