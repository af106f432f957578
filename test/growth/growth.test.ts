import { afterAll, describe, expect, test } from 'vitest'
import { connected, listening, settle } from '../../src/cli/bench/direct.ts'
import { benchPair } from '../../src/cli/bench/pair.ts'
import { type FastPath, fastPaths } from '../../src/core/fast-paths.ts'
import { SeededRandom } from '../../src/core/random.ts'
import { Timer, TimerWheel } from '../../src/core/timer.ts'
import { net, TestNet } from '../../src/ip/testing.ts'
import { type Claimant, ListenerTable } from '../../src/socket/listener-table.ts'
import { Reassembly } from '../../src/tcp/reassembly.ts'
import { IpAddress, ip } from '../../src/wire/address.ts'
import { IpHeader } from '../../src/wire/ip.ts'
import { OperationCounter } from '../support/operations.ts'

/** What things cost when there are many of them: blocks of code run for each, which must not grow with their number. */

const counter = new OperationCounter()
afterAll(() => counter.close())

/** Operations for each of `times` runs of `body`. */
const each = (times: number, body: (index: number) => void): number =>
  counter.count(() => {
    for (let i = 0; i < times; i++) body(i)
  }) / times

describe('connections', () => {
  const message = new Uint8Array(64)
  const buffer = new Uint8Array(64)

  /** What it costs, with `count` open, to set one up, and to carry a message over an old one and back. */
  const costs = (count: number, without: readonly FastPath[] = []): { setup: number; message: number } => {
    const pair = benchPair({ fast: fastPaths(without) }, false)
    const listener = listening(pair)
    const [client, server] = connected(pair, listener)
    for (let i = 1; i < count; i++) connected(pair, listener)
    // The clock stands still in the stack's eyes: no timer fires while operations are counted.
    const setup = each(50, () => connected(pair, listener))
    const echo = (): void => {
      client.send(message, 0, 64, 0, null)
      settle(pair)
      expect(server.receive(buffer, 0, 64, 0, null)).toBe(64)
      server.send(message, 0, 64, 0, null)
      settle(pair)
      expect(client.receive(buffer, 0, 64, 0, null)).toBe(64)
    }
    each(20, echo)
    return { setup, message: each(50, echo) }
  }

  test('one among 5,000 costs what one among ten does', () => {
    const few = costs(10)
    const many = costs(5000)
    expect(few.message).toBeGreaterThan(200)
    expect(many.message / few.message).toBeLessThan(1.1)
    expect(many.setup / few.setup).toBeLessThan(1.25)
  })

  test('a message there and back is what header prediction expects', () => {
    const ratio = costs(10).message / costs(10, ['header-prediction']).message
    expect(ratio).toBeLessThan(0.85)
  })
})

test('a segment among 10,000 ranges out of order costs no more than halving does', () => {
  const cost = (ranges: number): number => {
    const random = new SeededRandom(1)
    const reassembly = new Reassembly()
    for (let i = 0; i < ranges; i++) reassembly.insert(i * 1000, i * 1000 + 100)
    return each(500, () => {
      const start = random.below(ranges) * 1000
      reassembly.overlaps(start + 500, start + 600)
      // A range of its own in a gap, and away with the gap behind it.
      reassembly.insert(start + 500, start + 600)
      reassembly.insert(start + 600, start + 1000)
    })
  }
  const few = cost(1)
  expect(few).toBeGreaterThan(20)
  expect(cost(10_000) - few).toBeLessThan(3 * 4 * Math.log2(10_000))
})

describe('timers', () => {
  const owner = { onTimer: () => {} }
  const wheelOf = (count: number): TimerWheel => {
    const random = new SeededRandom(1)
    const wheel = new TimerWheel()
    for (let i = 0; i < count; i++) wheel.schedule(new Timer(owner, 0), 1e6 + random.below(1e9))
    return wheel
  }

  test('setting, moving and cancelling one costs the same among ten and among 100,000', () => {
    const cost = (count: number): number => {
      const wheel = wheelOf(count)
      const random = new SeededRandom(2)
      return each(200, () => {
        const timer = new Timer(owner, 0)
        const at = 1e6 + random.below(1e9)
        wheel.schedule(timer, at)
        wheel.schedule(timer, at + 5e6)
        wheel.schedule(timer, at / 2)
        wheel.cancel(timer)
      })
    }
    const few = cost(10)
    expect(few).toBeGreaterThan(20)
    expect(cost(100_000) / few).toBeLessThan(1.1)
  })

  test('firing them all costs each as much', () => {
    const cost = (count: number): number => {
      const wheel = wheelOf(count)
      return (
        counter.count(() => {
          while (wheel.size > 0) wheel.fire(wheel.nextWake())
        }) / count
      )
    }
    expect(cost(100_000) / cost(1000)).toBeLessThan(1.2)
  })
})

test('a look-up among 10,000 routes takes as many steps as the longest prefix has bits, at most', () => {
  const cost = (routes: number): number => {
    const lab = new TestNet()
    const host = lab.host('a')
    lab.connect(host, 'eth0', lab.host('b'), 'eth0')
    host.add('eth0', '10.0.0.1/24')
    const eth0 = host.iface('eth0')
    for (let i = 0; i < routes; i++) {
      host.routes.add({ prefix: net(`20.${i >> 8}.${i & 0xff}.0/24`), interface: eth0 })
    }
    const random = new SeededRandom(1)
    return each(200, () => {
      const i = random.below(routes)
      const { w0, w1, w2, w3 } = ip(`20.${i >> 8}.${i & 0xff}.9`)
      expect(host.routes.lookup(w0, w1, w2, w3, null)).not.toBeNull()
    })
  }
  const few = cost(1)
  expect(cost(10_000) - few).toBeLessThan(4 * 32)
})

test('a listener among 10,000 is found as fast as one alone', () => {
  const any = new IpAddress(0, 0, 0xffff, 0)
  const cost = (listeners: number): number => {
    const table = new ListenerTable<Claimant>(7)
    const terms = { local: any, family: 4, v6only: false, boundInterface: null, reusePort: false, uid: 0 } as const
    for (let i = 0; i < listeners; i++) table.add({ ...terms, localPort: 1 + i })
    const header = new IpHeader()
    header.version = 4
    header.destination = ip('10.0.0.1')
    const random = new SeededRandom(1)
    return each(500, () => {
      const port = 1 + random.below(listeners)
      expect(table.find(header, port, null, 0)!.localPort).toBe(port)
    })
  }
  const few = cost(1)
  expect(few).toBeGreaterThan(5)
  // The table is half full at most: two or three places are looked at where nothing is, one or two where something is.
  expect(cost(10_000) / few).toBeLessThan(2)
})
