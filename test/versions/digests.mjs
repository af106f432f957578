/** Prints digests of what some networks send and some rows of the lab report, as JSON. Uses the compiled package. */
import { createHash } from 'node:crypto'
import { Network, NetworkDigest } from '../../dist/index.js'
import { findScenario, runScenario } from '../../dist/lab/index.js'
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '../../dist/socket/constants.js'

const server = (bytes) => async (sys) => {
  const listener = sys.socket(AF_INET, SOCK_STREAM)
  sys.bind(listener, { address: '0.0.0.0', port: 80 })
  sys.listen(listener, 5)
  for (;;) {
    const fd = await sys.accept(listener)
    await sys.send(fd, new Uint8Array(bytes).fill(5))
    await sys.close(fd)
  }
}

const client = (address) => async (sys) => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  await sys.connect(fd, { address, port: 80 })
  while ((await sys.recv(fd, new Uint8Array(30_000))) > 0);
  await sys.close(fd)
}

/** What a network sends in so many milliseconds. */
const digestOf = async (seed, duration, build) => {
  const network = new Network({ seed })
  const digest = new NetworkDigest(network)
  build(network)
  await network.run(duration)
  network.close()
  return `${digest.frames} frames ${digest.value}`
}

const noisy = (network) => {
  const [a, b] = [network.host('a'), network.host('b')]
  network.link(a, b, {
    delay: 7,
    jitter: 2,
    jitterShape: 'normal',
    rate: 3e6,
    loss: 0.1,
    duplicate: 0.05,
    corrupt: 0.05,
  })
  b.spawn('server', server(100_000))
  a.spawn('client', client('10.0.0.2'))
  a.spawn('talk', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 7 })
    for (let i = 0; i < 50; i++) {
      await sys.send(fd, new Uint8Array(1 + ((i * 397) % 4000)).fill(i)).catch(() => 0)
      await sys.usleep(i * 300)
    }
  })
}

const transfer = (control) => (network) => {
  const options = { sysctl: { 'net.ipv4.tcp_congestion_control': control } }
  const [a, b] = [network.host('a', options), network.host('b', options)]
  network.link(a, b, { delay: 20, jitter: 3, rate: 20e6, loss: 0.003, queue: 60 })
  b.spawn('server', server(3_000_000))
  a.spawn('client', client('10.0.0.2'))
}

const faults = (network) => {
  const [a, b] = [network.host('a'), network.host('b')]
  const [west, east] = [network.router('west'), network.router('east')]
  network.link(a, west)
  network.link(west, east, { delay: 30, rate: 10e6, loss: 0.02 })
  network.link(east, b)
  network.computeRoutes()
  b.spawn('server', server(500_000))
  for (let i = 0; i < 5; i++) a.spawn(`client ${i}`, client('10.0.2.2'))
  const when = network.random.below(2000)
  network.at(when, () => network.partition([a], [b]))
  network.at(when + 4000, () => network.heal())
}

const digests = {
  'a noisy link': await digestOf(1, 200_000, noisy),
  'another seed': await digestOf(2, 200_000, noisy),
  'a partition': await digestOf(3, 60_000, faults),
}
for (const control of ['reno', 'cubic', 'bbr']) digests[control] = await digestOf(4, 60_000, transfer(control))
const ROWS =
  'connect three-queues half-close nagle retransmit congestion fragments multicast names ipv6 ethernet eintr ss replugged stuck-close-wait'
for (const row of ROWS.split(' ')) {
  const report = await runScenario(findScenario(row))
  digests[`lab ${row}`] = createHash('sha256').update(JSON.stringify(report)).digest('hex').slice(0, 16)
}
console.log(JSON.stringify(digests))
