import { expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { mergeSnapshots } from './merge.ts'
import { type Snapshot, snapshot } from './snapshot.ts'

const listening = async () => {
  const network = new Network({ seed: 1 })
  const shards = ['one', 'two'].map((name) => network.host(name))
  network.link(shards[0]!, shards[1]!)
  for (const host of shards) {
    host.spawn('server', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(fd, { address: '0.0.0.0', port: 80 })
      sys.listen(fd, 5)
      sys.fork(async (child) => {
        await child.waitForSignal()
      })
      await sys.accept(fd)
      await sys.waitForSignal()
    })
  }
  shards[1]!.spawn('client', async (sys) => {
    await sys.connect(sys.socket(AF_INET, SOCK_STREAM), { address: '10.0.0.1', port: 80 })
    await sys.waitForSignal()
  })
  await network.run(1000)
  return shards.map((host) => snapshot(host))
}

it('each neighbour is shown once', async () => {
  const [one, two] = await listening()
  const addresses = (shards: Snapshot[]) => mergeSnapshots(shards).neighbours.map(({ address }) => address)
  expect(addresses([one!, two!])).toEqual(['10.0.0.2', '10.0.0.1'])
  expect(addresses([one!, one!])).toEqual(['10.0.0.2'])
})

it('the shards of a host are shown as one host', async () => {
  const shards = await listening()
  const [one, two] = shards
  const whole = mergeSnapshots(shards)
  expect(whole.host).toBe('one')
  expect(whole.sockets.map(({ protocol, state }) => [protocol, state])).toEqual([
    ['tcp', 'LISTEN'],
    ['tcp', 'LISTEN'],
    ['tcp', 'ESTABLISHED'],
    ['tcp', 'ESTABLISHED'],
  ])
  const pids = whole.processes.map(({ pid }) => pid)
  expect(new Set(pids).size).toBe(one!.processes.length + two!.processes.length)
  for (const { parent } of whole.processes) expect(parent === 0 || pids.includes(parent)).toBe(true)
  for (const { holders } of whole.sockets) for (const { pid } of holders) expect(pids).toContain(pid)
  const inodes = whole.sockets.flatMap((socket) => socket.inode)
  expect(new Set(inodes).size).toBe(4)
  expect(whole.counters.Tcp['InSegs']).toBe(one!.counters.Tcp['InSegs']! + two!.counters.Tcp['InSegs']!)
  expect(whole.counters.Tcp['ActiveOpens']).toBe(1)
  expect(whole.counters.Tcp['RtoMin']).toBe(200)
  expect(whole.counters.Ip['DefaultTTL']).toBe(64)
  const packets = (of: typeof whole): number => of.interfaces.find(({ name }) => name === 'eth0')!.statistics.rxPackets
  expect(packets(whole)).toBe(packets(one!) + packets(two!))
})

it('one alone is as it was', async () => {
  const [one] = await listening()
  expect(mergeSnapshots([one!])).toEqual(one)
  expect(() => mergeSnapshots([])).toThrow(RangeError)
})
