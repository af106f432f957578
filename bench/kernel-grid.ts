import { execFileSync, spawn } from 'node:child_process'
import type { Frame } from '../src/core/frame.ts'
import { SeededRandom } from '../src/core/random.ts'
import { World } from '../src/core/world.ts'
import { Cable } from '../src/link/cable.ts'
import type { LinkPort, LinkUser } from '../src/link/port.ts'
import { RealClock, RealTimeDriver } from '../src/node/realtime.ts'
import { openTunTap } from '../src/node/tuntap.ts'
import { queueBytes } from './grid.ts'

/**
 * Cells of the golden grid with the kernel's TCP at both ends: two network namespaces, and our link between them in real
 * time. As root, with iperf3: `node --import tsx bench/kernel-grid.ts reno,10,20,1 bbr,10,200,0` (congestion control,
 * Mbit/s, round trip in ms, loss in percent). Beyond some 20 Mbit/s the event loop is what is measured.
 */

const SECONDS = 10
const NAMESPACES = ['netglass-a', 'netglass-b'] as const
const DEVICES = ['ngrid-a', 'ngrid-b'] as const
const ADDRESSES = ['10.77.0.1', '10.77.0.2'] as const
/** What Ethernet has beside an IP packet: header, preamble, check sequence, gap. */
const OVERHEAD = 38

const ip = (...args: string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Hands on what arrives. */
class Forwarder implements LinkUser {
  private readonly to: LinkPort

  constructor(to: LinkPort) {
    this.to = to
  }

  receive(frame: Frame): void {
    this.to.send(frame)
  }

  carrierChanged(): void {}
}

const iperf = (control: string): Promise<{ end: { sum_received: { bytes: number } } }> =>
  new Promise((resolve) => {
    const args = [
      'netns',
      'exec',
      NAMESPACES[0],
      'iperf3',
      '-c',
      ADDRESSES[1],
      '-t',
      String(SECONDS),
      '-C',
      control,
      '-J',
    ]
    const client = spawn('ip', args)
    let text = ''
    client.stdout.on('data', (data) => {
      text += data
    })
    client.on('close', () => resolve(JSON.parse(text)))
  })

const world = new World(new RealClock(), new SeededRandom(1))
new RealTimeDriver(world.loop).ref()
// Large segments would be lost and delayed as one.
const a = openTunTap(world, { kind: 'tun', name: DEVICES[0], offload: false })
const b = openTunTap(world, { kind: 'tun', name: DEVICES[1], offload: false })
const cable = new Cable(world, 'grid', { medium: 'ip', mtu: 1500 })
a.user = new Forwarder(cable.a)
b.user = new Forwarder(cable.b)
cable.a.user = new Forwarder(a)
cable.b.user = new Forwarder(b)
for (const [i, namespace] of NAMESPACES.entries()) {
  const device = DEVICES[i]!
  ip('netns', 'add', namespace)
  ip('link', 'set', device, 'netns', namespace)
  ip('-n', namespace, 'addr', 'add', `${ADDRESSES[i]}/24`, 'dev', device)
  ip('-n', namespace, 'link', 'set', device, 'mtu', '1500', 'up')
  const buffers = ['rmem', 'wmem'].map((name) => `net.ipv4.tcp_${name}=4096 131072 134217728`)
  ip('netns', 'exec', namespace, 'sysctl', '-qw', ...buffers, 'net.ipv4.tcp_no_metrics_save=1')
}
const server = spawn('ip', ['netns', 'exec', NAMESPACES[1], 'iperf3', '-s'], { stdio: 'ignore' })
try {
  await new Promise((resolve) => setTimeout(resolve, 500))
  for (const argument of process.argv.slice(2)) {
    const [control = '', rate = 0, rtt = 0, loss = 0] = argument
      .split(',')
      .map((word, i) => (i === 0 ? word : Number(word)))
    const cell = { control: String(control), rate: Number(rate), rtt: Number(rtt), loss: Number(loss) }
    const delay = cell.rtt / 2
    const queue = { queue: 1_000_000, queueBytes: queueBytes(cell) }
    cable.bToA.impair({ delay })
    cable.aToB.impair({ delay, rate: cell.rate * 1e6, overhead: OVERHEAD, loss: cell.loss / 100, ...queue })
    // The server is busy until the last cell's queue is empty.
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const { end } = await iperf(cell.control)
    console.log(argument, Math.round((end.sum_received.bytes * 8) / 1000 / SECONDS), 'kbit/s')
  }
} finally {
  server.kill()
  for (const namespace of NAMESPACES) ip('netns', 'del', namespace)
}
process.exit(0)
