import { expect, test } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { AF_INET, MSG_WAITALL, SOCK_STREAM } from '../socket/constants.ts'
import { Network } from './network.ts'

/** What the time is when a program, after `step`, has come to its next call. */
const timeAfter = async (step: () => Promise<unknown>): Promise<number> => {
  const network = new Network()
  const host = network.host('a')
  let seen = 0
  // Others keep the time moving meanwhile.
  host.spawn('clock', async (sys: Sys) => {
    for (let i = 0; i < 50; i++) await sys.usleep(100)
  })
  const program = host.spawn('program', async (sys) => {
    await sys.usleep(1000)
    await step()
    sys.getpid()
    seen = network.now
  })
  await network.runProcess(program)
  return seen
}

test('the time stands still while a program has microtasks left, or ticks of Node', async () => {
  const microtasks = async (): Promise<void> => {
    for (let i = 0; i < 1000; i++) await null
  }
  expect(await timeAfter(microtasks)).toBe(1)
  expect(await timeAfter(() => new Promise<void>((resolve) => process.nextTick(resolve)))).toBe(1)
  expect(
    await timeAfter(() => new Promise<void>((resolve) => process.nextTick(() => void microtasks().then(resolve)))),
  ).toBe(1)
})

test('a long run lets the platform have its turns', async () => {
  const network = new Network()
  let turns = 0
  let over = false
  const count = (): void => {
    turns++
    if (!over) setImmediate(count)
  }
  setImmediate(count)
  const program = network.host('a').spawn('a', async (sys) => {
    for (let i = 0; i < 1000; i++) await sys.usleep(1)
  })
  await network.runProcess(program)
  over = true
  expect(turns).toBeGreaterThan(10)
  expect(turns).toBeLessThan(100)
})

test('a receive that waits for all its bytes is one call, however many segments they come in', async () => {
  const network = new Network()
  const [a, b] = [network.host('a'), network.host('b')]
  network.link(a, b, { delay: 1, rate: 1e7 })
  let resumed = 0
  const server = b.spawn('server', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 1 })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    const before = b.onResume
    b.onResume = () => {
      resumed++
      before?.()
    }
    const call = sys.recv(fd, new Uint8Array(20_000), 20_000, MSG_WAITALL)
    expect(b.processes.get(sys.getpid())?.blocked.first?.reason).toBe('recv, 20000 bytes awaited')
    return (await call) === 20_000 ? 0 : 1
  })
  a.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 1 })
    await sys.send(fd, new Uint8Array(20_000))
  })
  expect(await network.runProcess(server)).toBe(0)
  expect(resumed).toBe(1)
})

test('a process that is killed while its receive is about to go on says no more', async () => {
  const network = new Network()
  const [a, b] = [network.host('a'), network.host('b')]
  network.link(a, b)
  let received = 0
  const server = b.spawn('server', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 1 })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    received = await sys.recv(fd, new Uint8Array(10))
  })
  a.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 1 })
    await sys.usleep(1000)
    await sys.send(fd, 'hello')
  })
  await network.runUntil(() => {
    // The call has been woken, in the turn that has just been: it waits no more and has not gone on.
    const isWoken = network.now >= 1 && server.blocked.first === null
    if (isWoken) network.kill(server)
    return isWoken
  })
  await network.run(1000)
  expect([received, server.status]).toEqual([0, 137])
  network.close()
  expect(network.world.frames.inUse).toBe(0)
})
