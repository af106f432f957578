import { describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SO_LINGER, SOCK_STREAM, SOL_SOCKET, SOL_TCP, TCP_USER_TIMEOUT } from '../socket/constants.ts'
import { TcpConnection } from '../tcp/connection.ts'
import { TcpState } from '../tcp/state.ts'
import type { Sys } from './calls.ts'
import { SIGKILL } from './signals.ts'

/** A client that waits in some call, and a server that tells what it reads. */
const connected = (wait: (sys: Sys, fd: number) => Promise<unknown>) => {
  const network = new Network()
  const a = network.host('a')
  const b = network.host('b')
  const link = network.link(a, b, { delay: 10, rate: 1e6 })
  const read = { bytes: 0, ended: false }
  b.spawn('server', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 80 })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    const buffer = new Uint8Array(10_000)
    for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) read.bytes += n
    read.ended = true
    await sys.close(fd)
  })
  const client = a.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 80 })
    await wait(sys, fd)
  })
  return { network, link, a, client, read }
}

describe('a process that is killed', () => {
  it.each<[string, (sys: Sys, fd: number) => Promise<unknown>]>([
    ['recv', (sys, fd) => sys.recv(fd, new Uint8Array(1))],
    ['accept', (sys) => sys.accept(listening(sys))],
    ['poll', (sys, fd) => sys.poll([{ fd, events: 1, revents: 0 }], -1)],
  ])('closes its sockets, even while it waits in %s', async (_, wait) => {
    const { network, a, client, read } = connected(wait)
    await network.runUntil(() => client.blocked.first !== null && network.now > 100)
    client.signal(SIGKILL)
    expect(a.sockets.sockets.size).toBe(0)
    await network.run(1000)
    expect(read).toEqual({ bytes: 0, ended: true })
  })

  it('closes a socket whose close() it waits in, and what was sent arrives', async () => {
    const { network, a, client, read } = connected(async (sys, fd) => {
      sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, { l_onoff: 1, l_linger: 60 })
      await sys.send(fd, new Uint8Array(50_000))
      await sys.close(fd)
    })
    await network.runUntil(() => [...client.blocked].some(({ reason }) => reason === 'close, lingering'))
    client.signal(SIGKILL)
    expect(a.sockets.sockets.size).toBe(0)
    await network.run(10_000)
    expect(read).toEqual({ bytes: 50_000, ended: true })
  })
})

describe('send() that has to wait', () => {
  it('returns what was taken when the connection fails, and the next call the error', async () => {
    const said: (number | string)[] = []
    const { network, link, client } = connected(async (sys, fd) => {
      sys.setsockopt(fd, SOL_TCP, TCP_USER_TIMEOUT, 5000)
      said.push(await sys.send(fd, new Uint8Array(1_000_000)))
      said.push(await sys.recv(fd, new Uint8Array(1)).catch((error: { code: string }) => error.code))
    })
    await network.run(500)
    link.cable.setDown(true)
    await network.runUntil(() => !client.isAlive, 60_000)
    expect(said[0]).toBeGreaterThan(10_000)
    expect(said[0]).toBeLessThan(1_000_000)
    expect(said[1]).toBe('ETIMEDOUT')
  })
})

const listening = (sys: Sys): number => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  sys.listen(fd, 1)
  return fd
}

it('a host that is closed makes nothing for connections that end with it', async () => {
  const { network, a, client } = connected((sys) => sys.waitForSignal())
  await network.runUntil(() => client.blocked.first !== null && network.now > 100)
  const { tcp, sockets } = a.sockets
  const connections = tcp.table.entries().filter((entry) => entry instanceof TcpConnection)
  expect(connections.map(({ state }) => state)).toEqual([TcpState.Established])
  a.close()
  expect(connections.map(({ state, queue }) => [state, queue])).toEqual([[TcpState.Closed, null]])
  expect([sockets.size, tcp.table.entries().length, client.status]).toEqual([0, 0, 137])
})

it('no part of a program that has ended fails for a call that it still makes', async () => {
  const network = new Network({ seed: 1 })
  const reached: string[] = []
  const server = network.host('a').spawn('server', async (sys) => {
    const part = async (call: () => Promise<number>): Promise<void> => {
      await sys.usleep(10)
      server.signal(SIGKILL)
      reached.push('before')
      await call()
      reached.push('after')
    }
    void part(() => sys.close(3))
    void part(() => sys.send(3, 'x'))
    void part(() => sys.recv(3, new Uint8Array(1)))
    await sys.waitForSignal()
  })
  await network.run(100)
  expect([server.status, reached]).toEqual([137, ['before', 'before', 'before']])
})
