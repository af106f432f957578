import { describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { ip } from './ip.ts'
import { lsof } from './lsof.ts'
import { netstat } from './netstat.ts'
import { nstat } from './nstat.ts'
import { type Snapshot, snapshot } from './snapshot.ts'
import type { TcpSnapshot } from './snapshot-types.ts'
import { ss } from './ss.ts'
import { build, type Machine, OurPair, type Pair } from './testing.ts'

const built = async (): Promise<OurPair> => {
  const pair = new OurPair()
  await build(pair)
  return pair
}

const tcpOf = (taken: Snapshot, local: number, remote: number): TcpSnapshot => {
  const found = taken.sockets.filter(
    (socket): socket is TcpSnapshot =>
      socket.protocol === 'tcp' && socket.local.port === local && socket.remote.port === remote,
  )
  expect(found).toHaveLength(1)
  return found[0]!
}

describe('a snapshot', () => {
  it('is plain data that JSON can carry', async () => {
    const { a, b } = await built()
    for (const { host } of [a, b]) {
      const taken = snapshot(host)
      expect(JSON.parse(JSON.stringify(taken))).toEqual(taken)
      expect(taken).toMatchObject({ version: 1, host: host.name })
      const again = JSON.parse(JSON.stringify(taken)) as Snapshot
      expect(netstat(again, ['-antope'])).toBe(netstat(taken, ['-antope']))
      expect(ss(again, ['-tanoime'])).toBe(ss(taken, ['-tanoime']))
    }
  })

  it('changes nothing', async () => {
    const watched = new OurPair()
    const look = (machine: Machine): Machine => ({
      call: async (name, ...args) => {
        for (const { host } of [watched.a, watched.b]) {
          const taken = snapshot(host)
          expect(snapshot(host)).toEqual(taken)
          netstat(taken, ['-antupe'])
          ss(taken, ['-aoime'])
          lsof(taken, ['-i'])
          nstat(taken, ['-az'])
          for (const object of ['addr', 'route', 'neigh']) ip(taken, ['-s', object])
          expect(snapshot(host)).toEqual(taken)
        }
        return await machine.call(name, ...args)
      },
    })
    const shown: Pair = {
      a: look(watched.a),
      b: look(watched.b),
      start: () => watched.start(),
      settle: () => watched.settle(),
      cut: () => watched.cut(),
    }
    await build(shown)
    const unwatched = await built()
    await Promise.all([watched.network.run(5000), unwatched.network.run(5000)])
    expect(snapshot(watched.a.host)).toEqual(snapshot(unwatched.a.host))
    expect(snapshot(watched.b.host)).toEqual(snapshot(unwatched.b.host))
    expect(watched.network.world.loop.timers.size).toBe(unwatched.network.world.loop.timers.size)
  })

  it('does not follow what happens later', async () => {
    const { a, network } = await built()
    const taken = snapshot(a.host)
    const text = JSON.stringify(taken)
    await network.run(10_000)
    expect(JSON.stringify(taken)).toBe(text)
    expect(JSON.stringify(snapshot(a.host))).not.toBe(text)
  })

  it('tells who has a socket', async () => {
    const { a, b } = await built()
    const client = tcpOf(snapshot(a.host), 40001, 17000)
    expect(client).toMatchObject({ kind: 'connection', owner: 'socket', family: 4, uid: 0 })
    expect(client.holders).toEqual([{ pid: 100, process: 'python3', uid: 0, fd: 4 }])
    expect(tcpOf(snapshot(a.host), 40008, 17000)).toMatchObject({ owner: 'nobody', inode: 0, holders: [] })
    expect(tcpOf(snapshot(b.host), 17005, 40030)).toMatchObject({ owner: 'accept queue', inode: 0, holders: [] })
    expect(tcpOf(snapshot(a.host), 40004, 17000)).toMatchObject({ kind: 'time-wait', owner: 'nobody' })
    expect(tcpOf(snapshot(a.host), 17010, 40013)).toMatchObject({ kind: 'half-open', state: 'SYN_RECV' })
  })

  it('tells queues, what is under way, and the directions that are over', async () => {
    const { a, b } = await built()
    expect(tcpOf(snapshot(a.host), 40001, 17000)).toMatchObject({ receiveQueue: 300, sendQueue: 500, inFlight: 500 })
    expect(tcpOf(snapshot(b.host), 17000, 40001)).toMatchObject({ receiveQueue: 1000, sendQueue: 0, inFlight: 0 })
    expect(tcpOf(snapshot(b.host), 17005, 0)).toMatchObject({ kind: 'listener', receiveQueue: 2, backlog: 10 })
    expect(tcpOf(snapshot(a.host), 17010, 0)).toMatchObject({ kind: 'listener', receiveQueue: 0, halfOpen: 1 })
    expect(tcpOf(snapshot(b.host), 17000, 40006)).toMatchObject({ state: 'FIN_WAIT2', shutdown: 2 })
    expect(tcpOf(snapshot(a.host), 40006, 17000)).toMatchObject({ state: 'CLOSE_WAIT', shutdown: 1 })
  })

  it('tells timers', async () => {
    const { a } = await built()
    const taken = snapshot(a.host)
    const timer = (port: number, remote: number) => tcpOf(taken, port, remote).timers[0]
    expect(timer(40001, 17000)?.kind).toBe('retransmit')
    expect(timer(40003, 17001)).toMatchObject({ kind: 'keepalive' })
    expect(timer(40003, 17001)!.left).toBeGreaterThan(7_190_000_000)
    expect(timer(40004, 17000)?.kind).toBe('time-wait')
    expect(timer(40004, 17000)!.left).toBeLessThanOrEqual(60_000_000)
    expect(timer(17010, 40013)?.kind).toBe('syn-ack')
    expect(timer(40020, 80)).toBeUndefined()
  })

  it('tells of datagram sockets', async () => {
    const { a, b } = await built()
    const of = (taken: Snapshot, port: number) =>
      taken.sockets.find((socket) => socket.protocol === 'udp' && socket.local.port === port)
    expect(of(snapshot(a.host), 40050)).toMatchObject({
      state: 'ESTABLISHED',
      remote: { address: '10.9.0.2', port: 17020 },
      receiveQueue: 0,
    })
    const waiting = of(snapshot(b.host), 17020)
    expect(waiting).toMatchObject({
      state: 'CLOSE',
      datagrams: 1,
      dataBytes: 100,
      remote: { address: '0.0.0.0', port: 0 },
    })
    expect((waiting as { receiveQueue: number }).receiveQueue).toBeGreaterThan(100)
    expect(of(snapshot(b.host), 17022)).toMatchObject({ family: 6, local: { address: 'fd09::2', port: 17022 } })
  })

  it('tells of processes and what they wait in', async () => {
    const network = new Network()
    const host = network.host('h', { sysctl: { 'net.ipv4.tcp_fin_timeout': 17 } })
    host.spawn('waiter', async (sys) => {
      const fd = sys.socket(2, 1)
      sys.listen(fd, 1)
      await sys.accept(fd)
    })
    await network.run(10)
    const taken = snapshot(host)
    expect(taken.processes).toEqual([
      { pid: 100, parent: 0, name: 'waiter', uid: 0, status: null, descriptors: 4, blocked: ['accept'] },
    ])
    expect(taken.sysctl['net.ipv4.tcp_fin_timeout']).toBe('17')
    expect(taken.time).toBe(10_000)
    expect(taken.interfaces.map(({ name }) => name)).toEqual(['lo'])
  })
})
