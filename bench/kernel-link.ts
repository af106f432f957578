import { execFileSync, spawn } from 'node:child_process'
import type { Frame } from '../src/core/frame.ts'
import { SeededRandom } from '../src/core/random.ts'
import { World } from '../src/core/world.ts'
import { Cable } from '../src/link/cable.ts'
import type { LinkPort, LinkUser } from '../src/link/port.ts'
import { RealClock, RealTimeDriver } from '../src/node/realtime.ts'
import { openTunTap } from '../src/node/tuntap.ts'

/**
 * The kernel's TCP at both ends of our link: two network namespaces, and the link between them in real time. As root,
 * with iperf3. Beyond some 20 Mbit/s the event loop is what is measured.
 */

const NAMESPACES = ['netglass-a', 'netglass-b'] as const
const DEVICES = ['ngrid-a', 'ngrid-b'] as const
const ADDRESSES = ['10.77.0.1', '10.77.0.2'] as const
/** What Ethernet has beside an IP packet: header, preamble, check sequence, gap. */
export const ETHERNET_OVERHEAD = 38

/** What iperf3 tells of a transfer, as far as it is wanted. */
export interface Transfer {
  readonly end: { readonly sum_received: { readonly bytes: number } }
  /** What was sent in each second. */
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[]
}

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

/** Sends from the first namespace to the second. @param port of one of the servers */
export const transfer = (control: string, seconds: number, port: number): Promise<Transfer> =>
  new Promise((resolve) => {
    const iperf = ['iperf3', '-c', ADDRESSES[1], '-p', String(port), '-t', String(seconds), '-C', control, '-J']
    const client = spawn('ip', ['netns', 'exec', NAMESPACES[0], ...iperf])
    let text = ''
    client.stdout.on('data', (data) => {
      text += data
    })
    client.on('close', () => resolve(JSON.parse(text)))
  })

export const wait = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Sets everything up, calls `work` with the link, and takes everything down. @param ports where servers listen */
export const withKernels = async (ports: readonly number[], work: (cable: Cable) => Promise<void>): Promise<never> => {
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
  const servers = ports.map((port) =>
    spawn('ip', ['netns', 'exec', NAMESPACES[1], 'iperf3', '-s', '-p', String(port)], { stdio: 'ignore' }),
  )
  try {
    await wait(0.5)
    await work(cable)
  } finally {
    for (const server of servers) server.kill()
    for (const namespace of NAMESPACES) ip('netns', 'del', namespace)
  }
  process.exit(0)
}
