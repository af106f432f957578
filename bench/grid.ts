import type { Sys } from '../src/host/calls.ts'
import { Network } from '../src/sim/network.ts'
import { AF_INET, SOCK_STREAM, SOL_TCP, TCP_CONGESTION } from '../src/socket/constants.ts'

/**
 * The golden grid: how much of a link one transfer gets, by congestion control,
 * loss, round-trip time and rate. Everything is in virtual time, so that the figures
 * are the same everywhere and any change of them comes from a change of the stack.
 */

export interface Cell {
  readonly control: string
  /** Share of the data segments that the path loses, percent; ACKs are not lost. */
  readonly loss: number
  /** Milliseconds. */
  readonly rtt: number
  /** Megabits per second. */
  readonly rate: number
}

export const CONTROLS = ['reno', 'cubic', 'bbr'] as const
const LOSSES = [0, 0.1, 1, 3] as const
const RTTS = [1, 20, 200] as const
const RATES = [10, 1000] as const

export const CELLS: readonly Cell[] = RATES.flatMap((rate) =>
  RTTS.flatMap((rtt) => LOSSES.flatMap((loss) => CONTROLS.map((control) => ({ control, loss, rtt, rate })))),
)

/** How long a cell is measured, seconds from the SYN on: slow paths need longer to get going. */
const duration = ({ rate, rtt }: Cell): number => (rate < 100 ? 10 : rtt < 10 ? 0.5 : rtt < 100 ? 2 : 4)

/** The drop-tail queue of the bottleneck holds a bandwidth-delay product, and 100 packets at the least. */
export const queueBytes = ({ rate, rtt }: Cell): number => Math.max(150_000, (rate * 1e6 * rtt) / 8000)

const PORT = 5001
const CHUNK = new Uint8Array(65_536)
/** Queues at the ends are not what is measured. */
const BUFFERS = '4096 131072 134217728'

/** Reads until the end. @param count is told of the bytes */
export const sink =
  (port: number, count: (bytes: number) => void) =>
  async (sys: Sys): Promise<void> => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    const buffer = new Uint8Array(1_048_576)
    for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) count(n)
  }

/** Sends for ever. */
export const source =
  (address: string, port: number, control: string) =>
  async (sys: Sys): Promise<void> => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, control)
    await sys.connect(fd, { address, port })
    for (;;) await sys.send(fd, CHUNK)
  }

/** Runs one cell. @returns kilobits of data per second, as the receiving application counts them */
export const measure = async (cell: Cell): Promise<number> => {
  const network = new Network({ seed: 1 })
  const sysctl = {
    'net.ipv4.tcp_rmem': BUFFERS,
    'net.ipv4.tcp_wmem': BUFFERS,
    'net.ipv4.tcp_mem': '1000000 1000000 1000000',
  }
  const sender = network.host('sender', { sysctl })
  const receiver = network.host('receiver', { sysctl })
  const link = network.link(sender, receiver, { delay: cell.rtt / 2 })
  link.cable.aToB.impair({
    delay: cell.rtt / 2,
    rate: cell.rate * 1e6,
    queue: 1_000_000,
    queueBytes: queueBytes(cell),
    loss: cell.loss / 100,
  })
  let bytes = 0
  receiver.spawn(
    'sink',
    sink(PORT, (count) => {
      bytes += count
    }),
  )
  sender.spawn('source', source('10.0.0.2', PORT, cell.control))
  const seconds = duration(cell)
  await network.run(seconds * 1000)
  network.close()
  return Math.round((bytes * 8) / 1000 / seconds)
}

/** The grid as text: a line for each path, a column for each congestion control, with the share of the link. */
export const table = (results: ReadonlyMap<Cell, number>): string => {
  const lines = [`  rate   RTT  loss |${CONTROLS.map((name) => name.padStart(18)).join('')}`]
  for (const first of CELLS) {
    if (first.control !== CONTROLS[0]) continue
    const { rate, rtt, loss } = first
    const columns = CELLS.filter((cell) => cell.rate === rate && cell.rtt === rtt && cell.loss === loss).map((cell) => {
      const kbits = results.get(cell) ?? 0
      return `${String(kbits).padStart(9)} ${(kbits / 10 / rate).toFixed(1).padStart(5)} %`.padStart(18)
    })
    lines.push(
      `${String(rate).padStart(6)} ${String(rtt).padStart(5)} ${String(loss).padStart(5)} |${columns.join('')}`,
    )
  }
  return `${lines.join('\n')}\n`
}
