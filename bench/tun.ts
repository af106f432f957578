/**
 * A TUN device against slirp4netns and passt (pasta), iperf3 on the kernel's side of each, turn by turn:
 *
 *     node --import tsx bench/tun.ts [ROUNDS] [SECONDS]
 *
 * Needs root, /dev/net/tun, iproute2, iputils-ping and iperf3; what there is of slirp4netns and pasta is compared with.
 * Prints medians as two tables for docs/PERFORMANCE.md, transfers and pings, in less than five minutes. CPU is that of
 * the process behind the device, not of iperf3. While one is measured the others are stopped (SIGSTOP).
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, occasion } from '../src/cli/bench/report.ts'
import build from '../test/support/build.ts'
import { copyCommand, Namespace, type Running } from '../test/support/netns.ts'

const ROUNDS = Number(process.argv[2] ?? 3)
const SECONDS = Number(process.argv[3] ?? 2)
/** Seconds between pings, and how many each time. */
const SPACINGS = [
  [0.002, 200],
  [0.01, 80],
  [0.1, 10],
] as const

/** Pings that each way has answered, 2 ms apart, before any is measured, and those just before each measurement. */
const WARM_UP = 1500
const WARM_AGAIN = 50

/** One way from a kernel to an iperf3 server. */
interface Way {
  readonly name: string
  /** Where iperf3's client runs, and what it connects to. */
  readonly client: Namespace
  readonly server: string
  /** The process behind the device; null where there is only the kernel. */
  readonly process: Running | null
  readonly figures: {
    up: number[]
    down: number[]
    cpuUp: number[]
    cpuDown: number[]
    /** Round trips for each spacing, microseconds. */
    pings: number[][]
  }
  /** What is measured of it. */
  readonly transfers: boolean
  readonly pings: boolean
}

const folder = mkdtempSync(join(tmpdir(), 'netglass-tun-'))
const spaces: Namespace[] = []
const namespace = (name: string): Namespace => {
  const made = new Namespace(`ngb${process.pid}${name}`, { XDG_RUNTIME_DIR: folder })
  spaces.push(made)
  return made
}

const way = (
  name: string,
  client: Namespace,
  server: string,
  process: Running | null,
  { transfers = true, pings = true } = {},
): Way => ({
  name,
  client,
  server,
  process,
  transfers,
  pings,
  figures: { up: [], down: [], cpuUp: [], cpuDown: [], pings: SPACINGS.map(() => []) },
})

const isThere = (command: string): boolean => spawnSync('which', [command]).status === 0

const netglass = async (
  command: string,
  mtu: number,
  options: readonly string[],
  measured: { transfers?: boolean; pings?: boolean },
): Promise<Way> => {
  const space = namespace(`n${mtu}${options.at(-1)?.slice(0, 2) ?? ''}`)
  const addresses = ['--ip', '10.77.0.2/24', '--host-ip', '10.77.0.1/24']
  const name = ['--tun', 'ng0', '--name', space.name]
  const all = [...name, ...options, '--mtu', String(mtu), ...addresses, '--serve', 'iperf3']
  const running = space.start(process.execPath, command, 'up', ...all)
  await running.printed(/ is up: /, 30_000)
  return way([`netglass, MTU ${mtu}`, ...options].join(' '), space, '10.77.0.2', running, measured)
}

/** A namespace with an iperf3 server that slirp4netns and pasta connect to, as that of a user's machine. */
const outside = async (): Promise<Namespace> => {
  const space = namespace('o')
  // pasta copies the addresses and the route of an interface.
  await space.run('ip', 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1')
  for (const name of ['d0', 'd1']) await space.run('ip', 'link', 'set', name, 'up')
  await space.run('ip', 'address', 'add', '10.9.9.2/24', 'dev', 'd0')
  await space.run('ip', 'route', 'add', 'default', 'via', '10.9.9.1')
  space.start('iperf3', '-s', '-p', '5201')
  return space
}

const pathOf = ({ name }: Namespace): string => `/var/run/netns/${name}`

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1500))

const others = async (outer: Namespace): Promise<Way[]> => {
  const ways = [way("the kernel's loopback", outer, '127.0.0.1', null)]
  if (isThere('slirp4netns')) {
    const space = namespace('s')
    const options = ['-c', '--mtu=65520', '--netns-type=path', pathOf(space), 'tap0']
    ways.push(way('slirp4netns', space, '10.0.2.2', outer.start('slirp4netns', ...options)))
  }
  if (isThere('pasta')) {
    const space = namespace('p')
    const options = ['-f', '-m', '65520', '--config-net', '--runas', '0:0', '--netns', pathOf(space)]
    ways.push(way('passt (pasta)', space, '10.9.9.1', outer.start('pasta', ...options)))
  }
  await settled()
  return ways
}

/** @returns Gbit/s that arrived, and CPU seconds a GB of the process behind the device */
const transfer = async (
  { name, client, server, process }: Way,
  reverse: boolean,
): Promise<[rate: number, cpu: number]> => {
  const before = process?.cpu() ?? 0
  const out = await client.run('iperf3', '-c', server, '-t', String(SECONDS), '-J', ...(reverse ? ['-R'] : []))
  const used = (process?.cpu() ?? 0) - before
  const { end, error } = JSON.parse(out) as {
    end: { sum_received?: { bits_per_second: number; bytes: number } }
    error?: string
  }
  if (end.sum_received === undefined) throw new Error(`${name}: iperf3 ${reverse ? '-R ' : ''}says: ${error}`)
  const { bits_per_second, bytes } = end.sum_received
  return [bits_per_second / 1e9, used / (bytes / 1e9)]
}

/** @returns round trips, microseconds; none where pings are not answered */
const ping = async ({ client, server }: Way, spacing: number, count: number): Promise<number[]> => {
  const { stdout } = await client.attempt('ping', '-c', String(count), '-W', '1', '-i', String(spacing), server)
  return [...stdout.matchAll(/time=([\d.]+)/g)].map(([, time]) => Number(time) * 1000)
}

/** Has the process of one way run while `measured` does, and no other's. */
const alone = async (one: Way, measured: () => Promise<void>): Promise<void> => {
  one.process?.process.kill('SIGCONT')
  await measured()
  one.process?.process.kill('SIGSTOP')
}

const measure = async (one: Way): Promise<void> => {
  const { figures } = one
  if (!one.transfers) return
  const [up, cpuUp] = await transfer(one, false)
  const [down, cpuDown] = await transfer(one, true)
  figures.up.push(up)
  figures.down.push(down)
  figures.cpuUp.push(cpuUp)
  figures.cpuDown.push(cpuDown)
}

/** Pings with one spacing after the other, all ways in turn at each. */
const measurePings = async (ways: readonly Way[]): Promise<void> => {
  for (const [i, [spacing, count]] of SPACINGS.entries()) {
    for (const one of ways) {
      if (!one.pings) continue
      await alone(one, async () => {
        await ping(one, 0.002, WARM_AGAIN)
        one.figures.pings[i]!.push(...(await ping(one, spacing, count)))
      })
    }
  }
}

const transferRow = ({ name, figures, process }: Way): string => {
  const { up, down, cpuUp, cpuDown } = figures
  const cpu = (values: number[]): string => (process === null ? '–' : median(values).toFixed(2))
  const rate = (values: number[]): string => `${median(values).toFixed(1)} (${Math.max(...values).toFixed(1)})`
  return `| ${name} | ${rate(up)} | ${cpu(cpuUp)} | ${rate(down)} | ${cpu(cpuDown)} |`
}

const pingRow = ({ name, figures }: Way): string => {
  const micros = (values: number[]): string =>
    values.length === 0 ? 'no answer' : `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)})`
  return `| ${name} | ${figures.pings.map(micros).join(' | ')} |`
}

try {
  build()
  const command = copyCommand(folder)
  const ways = [
    await netglass(command, 1500, [], {}),
    await netglass(command, 65_520, [], {}),
    await netglass(command, 1500, ['--without', 'segmentation-offload'], { pings: false }),
    await netglass(command, 1500, ['--without', 'spin'], { transfers: false }),
    await netglass(command, 1500, ['--without', 'stream-reads'], { transfers: false }),
    await netglass(command, 1500, ['--without', 'early-code'], { transfers: false }),
    await netglass(command, 1500, ['--without', 'poll-handles'], { transfers: false }),
    await netglass(command, 1500, ['--busy-poll', '20000'], { transfers: false }),
    ...(await others(await outside())),
  ]
  for (const { process } of ways) process?.process.kill('SIGSTOP')
  // V8 compiles first.
  for (const one of ways.slice(0, 3)) {
    await alone(one, async () => {
      for (const reverse of [false, true]) await transfer(one, reverse)
    })
  }
  for (const one of ways) if (one.pings) await alone(one, async () => void (await ping(one, 0.002, WARM_UP)))
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of ways) await alone(one, () => measure(one))
    await measurePings(ways)
  }
  console.log(`${occasion()}: medians of ${ROUNDS} runs of ${SECONDS} s (the best)\n`)
  console.log('| | from the kernel, Gbit/s | CPU s/GB | to the kernel, Gbit/s | CPU s/GB |\n|---|---|---|---|---|')
  for (const one of ways) if (one.transfers) console.log(transferRow(one))
  console.log(`\nRound trips of pings, µs: medians (the least) of ${SPACINGS.map(([, n]) => n * ROUNDS).join(', ')}\n`)
  console.log(`| | ${SPACINGS.map(([spacing]) => `${spacing * 1000} ms apart`).join(' | ')} |\n|---|---|---|---|`)
  for (const one of ways) if (one.pings) console.log(pingRow(one))
} finally {
  for (const space of spaces) await space.remove()
  rmSync(folder, { recursive: true })
}
