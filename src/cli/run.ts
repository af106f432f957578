import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import type { RunConfiguration } from '../node/start.ts'
import { addDeviceOptions, type DeviceCommandOptions } from './device-options.ts'
import { Failure } from './failure.ts'

/** `netglass run`: an unmodified program over our stack. */

interface RunOptions extends DeviceCommandOptions {
  readonly network?: string
  readonly host?: string
  readonly kernel: string[]
  readonly virtualTime?: boolean
  readonly seed?: string
}

const collect = (value: string, before: string[]): string[] => [...before, ...value.split(',')]

/** What the process of the program is told. */
export interface RunProcessConfiguration extends RunConfiguration {
  /** The name under which other commands find the stack. */
  readonly stack?: string
  /** A TUN or TAP device in place of a network file. */
  readonly device?: DeviceCommandOptions
}

/** Options of Node's that take the next word as their value. */
const WITH_VALUE = new Set(['-r', '--require', '--import', '--loader', '--experimental-loader', '-C', '--conditions'])

export const addRunCommand = (program: Command): void => {
  addDeviceOptions(
    program
      .command('run')
      .summary('an unmodified Node program over this stack')
      .description(
        "Runs a Node program whose net, dgram, dns, http, https, tls, http2 and fetch use this stack in place of the kernel's.",
      ),
  )
    .option('--network <file>', 'the network that it runs in, as JSON; a host by itself unless given')
    .option('--host <name>', 'the host of the network that it runs on; the first unless given')
    .option(
      '--kernel <list>',
      "what goes to the kernel's stack: addresses, networks, names, with or without :PORT",
      collect,
      [],
    )
    .option('--virtual-time', 'clocks and timers stand still while programs work, and leap while they wait')
    .option('--seed <number>', "chance of a network in virtual time; the file's, or 1, unless given")
    .argument('<program...>', "options of Node's, the program and its arguments, after --")
    .addHelpText(
      'after',
      `
Example, with net.json:
  {"hosts": {"client": {}, "server": {"run": "server.js"}},
   "links": [{"between": ["client", "server"], "delay": 20, "loss": 0.01}]}
  netglass run --network net.json --host client -- client.js
On a device, as root:
  netglass run --tap ng0 --ip 10.77.0.2/24 --host-ip 10.77.0.1/24 -- server.js`,
    )
    .action((words: string[], options: RunOptions) => run(words, options))
}

/** Splits what is given to Node from the program and its arguments. */
const splitNodeOptions = (words: readonly string[]): { nodeOptions: string[]; rest: string[] } => {
  let i = 0
  while (i < words.length && words[i]!.startsWith('-')) i += WITH_VALUE.has(words[i]!) ? 2 : 1
  return { nodeOptions: words.slice(0, i), rest: words.slice(i) }
}

const run = async (words: readonly string[], options: RunOptions): Promise<void> => {
  const { network, host, kernel } = options
  const { nodeOptions, rest } = splitNodeOptions(words)
  const [script] = rest
  if (script === undefined) throw new Failure('name the program to run, after --, like: netglass run -- app.js')
  if (!existsSync(script)) throw new Failure(`${script}: there is no such file`)
  if (network !== undefined && !existsSync(network)) throw new Failure(`--network ${network}: there is no such file`)
  const onDevice = options.tap !== undefined || options.tun !== undefined
  if (onDevice && network !== undefined) throw new Failure('give either --network or --tap and --tun, not both')
  if (onDevice && options.virtualTime === true) throw new Failure('a device is in real time: leave out --virtual-time')
  if (options.seed !== undefined && options.virtualTime !== true) throw new Failure('--seed is for --virtual-time')
  if (options.seed !== undefined && !/^[0-9]{1,9}$/.test(options.seed)) {
    throw new Failure(`--seed ${options.seed}: give a whole number`)
  }
  const seed = options.seed === undefined ? {} : { seed: Number(options.seed) }
  const configuration: RunProcessConfiguration = {
    ...(options.virtualTime === true ? { virtual: seed } : {}),
    ...(onDevice ? { device: options } : {}),
    ...(network === undefined ? {} : { network }),
    ...(host === undefined ? {} : { host }),
    ...(options.name === undefined ? {} : { stack: options.name }),
    kernel,
    name: script,
  }
  const main = fileURLToPath(new URL(`./run-main${extname(import.meta.url)}`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, ...nodeOptions, main, ...rest], {
    stdio: 'inherit',
    env: { ...process.env, NETGLASS_RUN: JSON.stringify(configuration) },
  })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of signals) process.on(signal, pass)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (...ended) => resolve(ended))
  })
  for (const name of signals) process.off(name, pass)
  if (signal !== null) process.kill(process.pid, signal)
  process.exitCode = code ?? 1
}
