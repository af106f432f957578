import type { Snapshot } from '../inspect/snapshot.ts'
import { ControlClient } from '../node/control-client.ts'
import { Failure } from './failure.ts'

/** Talking to a stack that runs in another process. */

/** Takes `--stack NAME` out of a tool's arguments, which are the tool's own otherwise. */
export const splitStackOption = (args: readonly string[]): { stack: string | undefined; rest: string[] } => {
  const rest: string[] = []
  let stack: string | undefined
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!
    if (word === '--stack') {
      stack = args[++i]
      if (stack === undefined) throw new Failure('--stack takes the name of a running stack')
    } else if (word.startsWith('--stack=')) stack = word.slice('--stack='.length)
    else rest.push(word)
  }
  return { stack, rest }
}

/** `-h`, and what ip has for it. A letter among others is the tool's own matter. */
export const isHelpAsked = ([first]: readonly string[]): boolean =>
  first === '-h' || first === '-help' || first === 'help'

/** A snapshot of the stack named, or of the only one that runs. */
export const fetchSnapshot = async (name?: string): Promise<Snapshot> => {
  const client = await ControlClient.connect(name)
  try {
    return (await client.call('snapshot')) as Snapshot
  } finally {
    client.close()
  }
}
