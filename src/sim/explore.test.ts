import { expect, it } from 'vitest'
import { AF_INET, SOCK_DGRAM } from '../socket/constants.ts'
import { type Property, replaySeed, shortestCounterexample, trySeed } from './explore.ts'
import { Network } from './network.ts'
import { Recording } from './recording.ts'

/** A datagram that may get lost, and is expected to arrive all the same. */
const careless: Property = async (network) => {
  const [a, b] = [network.host('a'), network.host('b')]
  network.link(a, b, { loss: 0.3 })
  let arrived = 0
  b.spawn('server', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    sys.bind(fd, { address: '0.0.0.0', port: 7 })
    arrived = await sys.recv(fd, new Uint8Array(10))
  })
  a.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 7 })
    // Some run longer than others.
    await sys.sleep(network.random.below(3))
    for (let i = network.random.below(2); i >= 0; i--) await sys.send(fd, 'hello')
    sys.print('sent')
  })
  await network.run(10_000)
  if (arrived !== 5) throw new Error(`${arrived} bytes have arrived`)
}

it('finds the seeds for which a property does not hold, and the shortest run among them', async () => {
  const failures = []
  for (let seed = 1; seed <= 60; seed++) {
    const failure = await trySeed(careless, seed)
    if (failure !== null) failures.push(failure)
  }
  expect(failures.length).toBeGreaterThan(5)
  expect(failures.length).toBeLessThan(30)
  expect(failures[0]?.message).toBe('0 bytes have arrived')
  const runs = await Promise.all(failures.map(async ({ seed }) => (await replaySeed(careless, seed))!))
  const best = (await shortestCounterexample(careless, failures))!
  expect(best.timeline.length).toBe(Math.min(...runs.slice(0, 20).map(({ timeline }) => timeline.length)))
  expect(best.at).toBe(10_000)
  const lines = best.timeline.lines({ ascii: true })
  expect(lines).toHaveLength(best.timeline.length)
  expect(lines.some((line) => line.endsWith('lost'))).toBe(true)
  expect(lines.some((line) => line.endsWith('a: client: sent'))).toBe(true)
  // A section header block, whole.
  expect([...best.pcapng.subarray(0, 4)]).toEqual([0x0a, 0x0d, 0x0d, 0x0a])
  expect(best.timeline.lines({ most: 2 })).toHaveLength(lines.length > 2 ? 3 : 2)
})

it('says nothing of a property that holds', async () => {
  expect(await trySeed(() => 5, 1)).toBe(null)
  expect(await replaySeed(() => 5, 1)).toBe(null)
  expect(await shortestCounterexample(() => 5, [{ seed: 1, message: '', stack: '' }])).toBe(null)
})

it('what happens when a recording has ended, such as closing the network, is no part of its story', async () => {
  const network = new Network()
  const { timeline } = new Recording(network)
  const recording = new Recording(network)
  const [a, b] = [network.host('a'), network.host('b')]
  network.link(a, b)
  a.spawn('asks', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    for (const text of ['first', 'second']) {
      await sys.sendto(fd, text, undefined, 0, { address: '10.0.0.2', port: 7 })
      sys.print(text)
      await sys.usleep(10_000)
    }
  })
  await network.run(5)
  const file = recording.pcapng()
  const before = recording.timeline.lines()
  expect(before.filter((line) => line.endsWith('a: asks: first'))).toHaveLength(1)
  await network.run(50)
  expect(recording.timeline.lines()).toEqual(before)
  expect(recording.pcapng()).toEqual(file)
  expect(timeline.lines().filter((line) => line.endsWith('a: asks: second'))).toHaveLength(1)
  network.close()
})
