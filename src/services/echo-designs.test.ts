import { describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { SERVER_DESIGNS } from './echo-designs.ts'
import { dataRate, echoTester, type TesterFigures } from './echo-tester.ts'

const machines = () => {
  const network = new Network({ seed: 1 })
  const client = network.host('client')
  const server = network.host('server')
  network.link(client, server, { delay: 5 })
  return { network, client, server }
}

describe.each(SERVER_DESIGNS.map((design) => [design.name, design] as const))('an echo server: %s', (_, design) => {
  it('gives back what comes, however full the way back is', async () => {
    const { network, client, server } = machines()
    server.spawn('server', design.program({ port: 7 }))
    const total = 2_000_000
    const wrong: number[] = []
    const talker = client.spawn('talker', async (sys) => {
      await sys.usleep(1000)
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      await sys.connect(fd, { address: '10.0.0.2', port: 7 })
      const data = Uint8Array.from({ length: total }, (_, i) => (i * 7) ^ (i >> 8))
      const sent = sys.thread(() => sys.send(fd, data))
      // The server's answers have filled everything before the first is read.
      await sys.sleep(2)
      const buffer = new Uint8Array(10_000)
      for (let at = 0; at < total; ) {
        const count = await sys.recv(fd, buffer)
        for (let i = 0; i < count; i++) if (buffer[i] !== data[at + i]) wrong.push(at + i)
        at += count
      }
      await sent
      await sys.close(fd)
    })
    expect(await network.runProcess(talker, 60_000)).toBe(0)
    expect(wrong).toEqual([])
    network.close()
  })

  it('serves clients that come at once, and goes on after one that resets', async () => {
    const { network, client, server } = machines()
    server.spawn('server', design.program({ port: 7 }))
    const rude = client.spawn('rude', async (sys) => {
      await sys.usleep(1000)
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      await sys.connect(fd, { address: '10.0.0.2', port: 7 })
      await sys.send(fd, 'a')
      // Closed with an answer unread: a RST.
      await sys.sleep(1)
      await sys.close(fd)
    })
    await network.runProcess(rude, 10_000)
    const taken: TesterFigures[] = []
    const options = { address: '10.0.0.2', port: 7, clients: 6, requests: 3, size: 100 }
    const tester = client.spawn(
      'tester',
      echoTester(options, (figures) => taken.push(figures)),
    )
    expect(await network.runProcess(tester, 10_000)).toBe(0)
    const [figures] = taken
    expect(figures?.connect).toEqual(Array(6).fill(10_000))
    expect([figures?.latency.length, figures?.response.length, figures?.bytes]).toEqual([6, 18, 1800])
    expect(dataRate(figures!)).toBe((1800 * 8) / Math.max(...figures!.finished))
    network.close()
  })
})

it('children of the forking server leave no zombies', async () => {
  const { network, client, server } = machines()
  const fork = SERVER_DESIGNS.find(({ name }) => name === 'fork')!
  server.spawn('server', fork.program({ port: 7 }))
  const options = { address: '10.0.0.2', port: 7, clients: 5, requests: 1, size: 10 }
  await network.run(1)
  const tester = client.spawn(
    'tester',
    echoTester(options, () => {}),
  )
  await network.runProcess(tester, 10_000)
  await network.run(1000)
  expect([...server.processes.values()].map(({ name }) => name)).toEqual(['server'])
  network.close()
})
