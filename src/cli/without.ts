import { type Command, CommanderError, Option } from 'commander'
import { FAST_PATHS, type FastPath } from '../core/fast-paths.ts'
import { Failure } from './failure.ts'

/** Adds `--without LIST` to a command: fast paths to do without, to compare. Its value is their names. */
export const addWithoutOption = (command: Command): Command =>
  command.addOption(
    new Option(
      '--without <list>',
      'fast paths to do without, separated by commas, to compare; "list" prints them',
    ).argParser((text) => {
      if (text !== 'list') return parseWithout(text)
      console.log(fastPathList())
      throw new CommanderError(0, 'netglass.list', '')
    }),
  )

/** What there is to do without, a line each. */
const fastPathList = (): string =>
  Object.entries(FAST_PATHS)
    .map(([name, what]) => `${name.padEnd(22)}${what}`)
    .join('\n')

/** Reads `wasm,batches`. @throws Failure for a name that is none */
const parseWithout = (text: string): readonly FastPath[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => {
      if (!Object.hasOwn(FAST_PATHS, name)) {
        throw new Failure(`--without ${name}: there is no such fast path: --without list prints them`)
      }
      return name as FastPath
    })
