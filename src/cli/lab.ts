import { createInterface } from 'node:readline'
import type { Command } from 'commander'
import { type LabOptions, runScenario } from '../lab/lab.ts'
import { DEFAULT_SCENARIO, findScenario, SCENARIOS } from '../lab/registry.ts'
import type { LabReport, LabStep } from '../lab/report.ts'
import { GROUPS, type Scenario } from '../lab/scenario.ts'
import { LabText } from '../lab/text.ts'
import { CaptureFile } from '../node/capture-file.ts'
import { ip } from '../wire/address.ts'
import { Failure } from './failure.ts'
import { addExamples } from './help.ts'
import { PacketComments } from './packet-comments.ts'
import { SeriesFiles } from './series-files.ts'
import { parseSettings } from './settings.ts'

/** `netglass lab`: the catalogue's scenarios, to be watched. */

interface LabCommandOptions {
  readonly list?: boolean
  readonly all?: boolean
  readonly seed?: string
  readonly pcap?: string
  readonly json?: boolean
  readonly plot?: string
  readonly series?: string
  readonly set: string[]
  readonly personality: string
  readonly step?: boolean
  readonly ascii?: boolean
}

export const addLabCommand = (program: Command): void => {
  const command = program
    .command('lab')
    .summary('watch sockets and TCP at work, in virtual time')
    .description('Runs a scenario of the catalogue and shows at each step what happens: segments, netstat, queues.')
    .argument('[row]', `the scenario; ${DEFAULT_SCENARIO} unless given`)
    .option('--list', 'list the scenarios')
    .option('--all', 'run every scenario and say which pass')
    .option('--seed <number>', 'where chance begins: the same seed gives the same bytes', '1')
    .option('--json', 'print the run as JSON')
    .option('--pcap <file>', 'write what passes the links to a pcapng file')
    .option('--plot <file>', 'draw the busiest connection as a time-sequence diagram, in SVG')
    .option('--series <file>', 'write what passed each end of each connection: .json, or .csv for the busiest')
    .option(
      '--set <name=value>',
      'a setting of every host, as sysctl -w takes it; may be given again',
      (value: string, all: string[]) => [...all, value],
      [],
    )
    .option('--personality <name>', 'linux or bsd', 'linux')
    .option('--step', 'wait for Enter after each step')
    .option('--ascii', 'draw with ASCII characters only')
    .action((row: string | undefined, options: LabCommandOptions) => lab(row, options))
  addExamples(
    command,
    'netglass lab --list',
    'netglass lab three-queues --step',
    'netglass lab zero-window --json --seed 7 --pcap zero-window.pcapng',
    'netglass lab congestion --set net.ipv4.tcp_congestion_control=bbr --plot congestion.svg',
  )
}

const lab = async (row: string | undefined, options: LabCommandOptions): Promise<void> => {
  if (options.list) {
    console.log(listing())
    return
  }
  const common = parseCommon(options)
  if (options.all) {
    if (row !== undefined) throw new Failure('give a row or --all, not both')
    await runAll(options, common)
    return
  }
  const name = row ?? DEFAULT_SCENARIO
  const scenario = findScenario(name)
  if (scenario === undefined) throw new Failure(`there is no row ${name}: \`netglass lab --list\` names them all`)
  const report = await runOne(scenario, options, common)
  if (!report.passed) process.exitCode = 1
}

/** The options that go to the scenario as they are. */
const parseCommon = (options: LabCommandOptions): LabOptions => {
  const seed = Number(options.seed)
  if (options.seed?.trim() === '' || !Number.isSafeInteger(seed) || seed < 0)
    throw new Failure(`--seed ${options.seed}: a seed is a whole number from 0 on`)
  if (options.personality !== 'linux' && options.personality !== 'bsd') {
    throw new Failure(`--personality ${options.personality}: choose linux or bsd`)
  }
  return { seed, settings: Object.fromEntries(parseSettings(options.set)), personality: options.personality }
}

const runOne = async (scenario: Scenario, options: LabCommandOptions, common: LabOptions): Promise<LabReport> => {
  const text = new LabText({ ascii: options.ascii === true })
  const keyboard = options.step && !options.json ? new Keyboard() : null
  const files = new SeriesFiles(options)
  const comments = new PacketComments()
  let capture: CaptureFile | null = null
  try {
    if (!options.json) process.stdout.write(text.header(scenario, common.seed ?? 1))
    const report = await runScenario(scenario, {
      ...common,
      onLink(link, a, b, network) {
        if (options.pcap === undefined) return
        capture ??= new CaptureFile(network.world, options.pcap, {
          application: `netglass lab ${scenario.name}`,
          comment: (frame, port, outgoing) => comments.of(frame, port, outgoing),
        })
        comments.add(network, link)
        capture.capture.add(link.a.port, `${a.name}-${b.name}`, {
          description: `${link.a.name} of ${a.name}, to ${b.name}`,
        })
        capture.capture.names(
          [a, b].flatMap((host) =>
            host.ip.interfaces
              .filter((iface) => !iface.isLoopback)
              .flatMap((iface) => iface.addresses.map(({ address }) => [ip(String(address)), host.name] as const)),
          ),
        )
      },
      ...(files.isWanted ? { onSeries: (series, drawn) => files.write(series, drawn, scenario) } : {}),
      async onStep(step: LabStep, report: LabReport) {
        if (options.json) return
        process.stdout.write(text.step(step, report))
        await keyboard?.next()
      },
    })
    if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else process.stdout.write(text.summary(report))
    return report
  } finally {
    keyboard?.close()
    ;(capture as CaptureFile | null)?.close()
  }
}

const runAll = async (options: LabCommandOptions, common: LabOptions): Promise<void> => {
  for (const name of ['pcap', 'plot', 'series'] as const) {
    if (options[name] !== undefined) throw new Failure(`--${name} goes with one row, not with --all`)
  }
  const reports: LabReport[] = []
  for (const scenario of SCENARIOS) {
    const report = await runScenario(scenario, common)
    reports.push(report)
    if (options.json) continue
    const failed = report.checks.filter(({ ok }) => !ok)
    const checks = `${report.checks.length - failed.length} of ${report.checks.length} checks`
    console.log(`${report.passed ? 'PASS' : 'FAIL'}  ${scenario.group}  ${scenario.name.padEnd(24)} ${checks}`)
    for (const { what, expected, actual } of failed) {
      console.log(`         ${what}: ${JSON.stringify(expected)} expected, ${JSON.stringify(actual)} seen`)
    }
  }
  const failed = reports.filter(({ passed }) => !passed).length
  if (options.json) console.log(JSON.stringify(reports, null, 2))
  else console.log(`${reports.length - failed} passed, ${failed} failed`)
  if (failed > 0) process.exitCode = 1
}

const listing = (): string => {
  const width = Math.max(...SCENARIOS.map(({ name }) => name.length)) + 2
  const groups = [...new Set(SCENARIOS.map(({ group }) => group))].sort()
  return groups
    .map((group) => {
      const rows = SCENARIOS.filter((scenario) => scenario.group === group)
      return `${group}. ${GROUPS[group] ?? ''}\n${rows.map(({ name, title }) => `  ${name.padEnd(width)}${title}`).join('\n')}`
    })
    .join('\n\n')
}

/** Waits for Enter. Where nobody can press it any more, it waits no longer. */
class Keyboard {
  private readonly lines = createInterface({ input: process.stdin })
  private ended = false

  constructor() {
    this.lines.once('close', () => {
      this.ended = true
    })
  }

  async next(): Promise<void> {
    process.stdout.write('-- Enter for the next step --\n')
    if (this.ended) return
    await new Promise<void>((resolve) => {
      this.lines.once('line', () => resolve())
      this.lines.once('close', () => resolve())
    })
  }

  close(): void {
    this.lines.close()
  }
}
