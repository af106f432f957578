import { afterEach, expect, test } from 'vitest'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { RealClock, RealTimeDriver } from './realtime.ts'

let driver: RealTimeDriver | null = null

afterEach(() => driver?.close())

test('a program whose calls have waited runs on', async () => {
  const world = new World(new RealClock(), new SeededRandom(1))
  driver = new RealTimeDriver(world.loop)
  const host = new Host(world, 'page')
  const at = { address: '127.0.0.1', port: 80 }
  const server = host.spawn('server', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, at)
    sys.listen(listener, 5)
    const fd = await sys.accept(listener)
    const buffer = new Uint8Array(10)
    await sys.send(fd, buffer, await sys.recv(fd, buffer))
  })
  let answer = 0
  const client = host.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, at)
    await sys.send(fd, 'hello')
    answer = await sys.recv(fd, new Uint8Array(10))
  })
  expect(await Promise.all([server.ended, client.ended])).toEqual([0, 0])
  expect(answer).toBe(5)
})
