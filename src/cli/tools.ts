import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { IP_USAGE, ip } from '../inspect/ip.ts'
import { LSOF_USAGE, lsof } from '../inspect/lsof.ts'
import type { PrintOptions } from '../inspect/names.ts'
import { NETSTAT_USAGE, netstat } from '../inspect/netstat.ts'
import { NSTAT_USAGE, nstat } from '../inspect/nstat.ts'
import type { Snapshot } from '../inspect/snapshot.ts'
import { ss } from '../inspect/ss.ts'
import { SS_USAGE } from '../inspect/ss-request.ts'
import { SYSCTL_USAGE, sysctl } from '../inspect/sysctl.ts'
import { ControlClient, listStacks } from '../node/control-client.ts'
import { controlDirectory } from '../node/control-socket.ts'
import { fetchSnapshot, isHelpAsked, splitStackOption } from './attach.ts'
import { Failure } from './failure.ts'
import { addExamples, indent } from './help.ts'

/** Tools that look at a running stack, with the options of the tool of the same name. */

type Printer = (snapshot: Snapshot, args: readonly string[], print?: PrintOptions) => string

/** A tool of another name's, over a running stack. */
interface Tool {
  readonly summary: string
  /** Which of its options are here. */
  readonly usage: string
  /** Arguments worth a try. */
  readonly examples: readonly string[]
  /** Gives what is to be printed. */
  readonly run: (args: readonly string[], stack: string | undefined) => Promise<string>
}

const printing =
  (print: Printer): Tool['run'] =>
  async (args, stack) =>
    print(await fetchSnapshot(stack), args, { columns: process.stdout.columns })

export const addTools = (program: Command): void => {
  addTool(program, 'netstat', {
    summary: 'sockets, counters, routes and interfaces of a running stack, as netstat prints them',
    usage: NETSTAT_USAGE,
    examples: ['-ant', '-anp --stack ng0', '-s'],
    run: printing(netstat),
  })
  addTool(program, 'ss', {
    summary: 'sockets of a running stack, as ss prints them',
    usage: SS_USAGE,
    examples: ['-tanp', '-tino --stack ng0', "-t state established '( sport = :80 )'"],
    run: printing(ss),
  })
  addTool(program, 'ip', {
    summary: 'addresses, links, routes and neighbours of a running stack, as ip prints them',
    usage: IP_USAGE,
    examples: ['addr', '-s link', 'route --stack ng0', 'neigh'],
    run: printing(ip),
  })
  addTool(program, 'lsof', {
    summary: 'who holds the sockets of a running stack, as lsof -i prints it',
    usage: LSOF_USAGE,
    examples: ['-i', '-i tcp:80 -s TCP:LISTEN'],
    run: printing(lsof),
  })
  addStacks(program)
  addTool(program, 'nstat', {
    summary: 'counters of a running stack, as nstat prints them: what has changed since last',
    usage: NSTAT_USAGE,
    examples: ['', "-az 'TcpExt*'"],
    run: runNstat,
  })
  addTool(program, 'sysctl', {
    summary: 'settings of a running stack, read and written as by sysctl',
    usage: SYSCTL_USAGE,
    examples: ['net.ipv4.tcp_rmem', '-a -r tcp_', '-w net.ipv4.tcp_sack=0'],
    run: runSysctl,
  })
}

const addTool = (program: Command, name: string, { summary, usage, examples, run }: Tool): void => {
  const command = program
    .command(name)
    .summary(summary)
    .description(
      `Prints what ${name} would print on the running stack. Options are those of ${name}; --stack NAME chooses a stack when several run.`,
    )
    .usage(`[--stack NAME] [options of ${name}]`)
    .argument('[options...]')
    .helpOption('--help', 'show this, as -h does')
    .addHelpText('after', `\nWhat is here of ${name}:\n${indent(usage)}`)
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const { stack, rest } = splitStackOption(words)
      if (isHelpAsked(rest)) command.help()
      process.stdout.write(await run(rest, stack))
    })
  addExamples(command, ...examples.map((words) => `netglass ${name} ${words}`.trimEnd()))
}

const addStacks = (program: Command): void => {
  program
    .command('stacks')
    .summary('the stacks that run, by the names that --stack takes')
    .description('Lists the stacks of this user that other commands can look into: name, process id, and since when.')
    .action(async () => {
      const stacks = await listStacks()
      const width = Math.max(4, ...stacks.map(({ name }) => name.length))
      const row = (name: string, pid: string, since: string): string =>
        `${name.padEnd(width)}  ${pid.padStart(7)}  ${since}\n`
      process.stdout.write(row('NAME', 'PID', 'SINCE'))
      for (const { name, pid, started } of stacks) {
        process.stdout.write(row(name, `${pid}`, new Date(started).toISOString().replace(/\.\d+Z/, 'Z')))
      }
    })
}

/** nstat compares with what it saw last: a file beside the control sockets, by the stack's name. */
const runNstat = async (args: readonly string[], stack: string | undefined): Promise<string> => {
  const snapshot = await fetchSnapshot(stack)
  const directory = controlDirectory()
  const path = join(directory, `${stack ?? snapshot.host}.nstat`)
  const history = readHistory(path)
  // A stack that was started anew counts from 0, and so does what is compared with it.
  const text = nstat(snapshot, args, { history: history?.epoch === snapshot.epoch ? history : null })
  const flags = args.filter((word) => /^-[a-z]+$/.test(word)).join('')
  if (!flags.includes('s') && !args.includes('--noupdate')) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeFileSync(path, JSON.stringify(snapshot), { mode: 0o600 })
  }
  return text
}

const readHistory = (path: string): Snapshot | null => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Snapshot
  } catch {
    return null
  }
}

/** sysctl with `NAME=VALUE`, or with -w, writes; all else is read from a snapshot. */
const runSysctl = async (args: readonly string[], stack: string | undefined): Promise<string> => {
  const assignments = args.filter((word) => !word.startsWith('-'))
  const isWrite = args.includes('-w') || args.includes('--write') || assignments.some((word) => word.includes('='))
  if (!isWrite) return sysctl(await fetchSnapshot(stack), args)
  if (assignments.length === 0) throw new Failure('sysctl: no variables specified: give NAME=VALUE')
  const isQuiet = args.includes('-q') || args.includes('--quiet')
  const client = await ControlClient.connect(stack)
  try {
    let text = ''
    for (const word of assignments) {
      const equals = word.indexOf('=')
      if (equals <= 0) throw new Failure(`sysctl: "${word}" must be of the form name=value`)
      const name = word.slice(0, equals).trim().replaceAll('/', '.')
      const value = await client.call('sysctl', { name, value: word.slice(equals + 1).trim() })
      if (!isQuiet) text += `${name} = ${String(value)}\n`
    }
    return text
  } finally {
    client.close()
  }
}
