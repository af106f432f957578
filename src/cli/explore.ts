import { existsSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command } from 'commander'
import { ExploreError, explore, type Property } from '../node/explore.ts'
import { Failure } from './failure.ts'
import { addExamples } from './help.ts'

/** `netglass explore`: a property of networks, tried with many seeds. */

interface ExploreCommandOptions {
  readonly seeds: string
  readonly first: string
  readonly seed?: string
  readonly workers?: string
  readonly timeout: string
  readonly directory: string
}

export const addExploreCommand = (program: Command): void => {
  const command = program
    .command('explore')
    .summary('try a property of a network with many seeds, in parallel')
    .description(
      "FILE's default export is a function that takes a Network, builds and runs it, and throws when something is wrong. " +
        'It is tried with many seeds. Of those that fail the shortest run is shown, and its capture is kept.',
    )
    .argument('<file>', 'a module: .js or .mjs')
    .option('--seeds <number>', 'how many seeds', '1000')
    .option('--first <number>', 'the first of them', '1')
    .option('--seed <number>', 'this one only')
    .option('--workers <number>', 'threads; as many as there are processors unless given')
    .option('--timeout <seconds>', 'real time that one seed may take', '60')
    .option('--directory <dir>', "where a failing run's capture goes", '.')
    .action((file: string, options: ExploreCommandOptions) => exploreFile(file, options))
  addExamples(command, 'netglass explore delivers.mjs --seeds 5000', 'netglass explore delivers.mjs --seed 12')
}

const exploreFile = async (file: string, options: ExploreCommandOptions): Promise<void> => {
  const property = await load(file)
  const workers = options.workers === undefined ? {} : { workers: numberOf('--workers', options.workers, 1) }
  try {
    const { seeds, elapsed } = await explore(
      {
        seeds: options.seed === undefined ? numberOf('--seeds', options.seeds, 1) : 1,
        first: options.seed === undefined ? numberOf('--first', options.first, 0) : numberOf('--seed', options.seed, 0),
        ...workers,
        timeout: numberOf('--timeout', options.timeout, 1),
        directory: options.directory,
        // The workers run this very command, and get their seeds from here.
        module: pathToFileURL(realpathSync(process.argv[1]!)),
      },
      property,
    )
    console.log(`${seeds} seeds hold, in ${(elapsed / 1000).toFixed(1)} s`)
  } catch (error) {
    if (!(error instanceof ExploreError)) throw error
    const again = `netglass explore ${file} --seed ${error.seed}`
    console.log(error.message.replace(/run it again: [^;]*;/, `run it again: ${again};`))
    process.exitCode = 1
  }
}

const numberOf = (option: string, text: string, least: number): number => {
  const value = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= least) return value
  throw new Failure(`${option} ${text}: give a whole number from ${least} on`)
}

const load = async (file: string): Promise<Property> => {
  let module: { default?: unknown }
  try {
    module = await import(pathToFileURL(resolve(file)).href)
  } catch (error) {
    if (!existsSync(file)) throw new Failure(`${file}: there is no such file`)
    throw new Failure(`${file} cannot be loaded: ${error instanceof Error ? error.message : error}`)
  }
  if (typeof module.default !== 'function') {
    throw new Failure(`${file} has no default export that is a function: export default async (network) => { … }`)
  }
  return module.default as Property
}
