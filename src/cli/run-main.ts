import Module, { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { runProgram } from '../node/program.ts'
import { type RunConfiguration, startNetwork } from '../node/register.ts'
import { errorLine } from './failure.ts'

/** What `netglass run` starts in a process of its own: puts the stack under Node, then runs the program as Node does. */

const { NETGLASS_RUN = '{}' } = process.env
delete process.env['NETGLASS_RUN']

const start = (): void => {
  const { others } = startNetwork(JSON.parse(NETGLASS_RUN) as RunConfiguration)
  for (const { context, command } of others) {
    runProgram(context, () => load(command[0]!))
  }
}

/** Loads another host's program: its module, CommonJS or not. */
const load = (file: string): void => {
  const path = resolve(file)
  if (/\.(mjs|mts)$/.test(path)) void import(pathToFileURL(path).href)
  else createRequire(import.meta.url)(path)
}

try {
  start()
} catch (error) {
  console.error(`netglass: ${errorLine(error)}`)
  process.exit(1)
}
const [node = process.execPath, , script = '', ...args] = process.argv
process.argv = [node, resolve(script), ...args]
;(Module as unknown as { runMain(path: string): void }).runMain(process.argv[1]!)
