import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { TestNet } from './testing.ts'

const pair = (impairment = {}) => {
  const lab = new TestNet()
  const a = lab.host('a')
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0', { impairment })
  a.add('eth0', '10.0.0.1/24')
  b.add('eth0', '10.0.0.2/24')
  return { lab, a, b, cable }
}

describe('ping', () => {
  test('round-trip times over a cable: the first waits for ARP too', () => {
    const { lab, a } = pair({ delay: 5 })
    const { ping, events } = a.ping('10.0.0.2', { count: 3 })
    lab.run(5000)
    const reply = { kind: 'reply', hopLimit: 64, bytes: 64, duplicate: false }
    expect(events).toMatchObject([
      { ...reply, sequence: 1, time: 20_000 },
      { ...reply, sequence: 2, time: 10_000 },
      { ...reply, sequence: 3, time: 10_000 },
    ])
    expect([ping.sent, ping.received, ping.minimum, ping.maximum, ping.isRunning]).toEqual([
      3,
      3,
      10_000,
      20_000,
      false,
    ])
    expect(ping.mean).toBeCloseTo(13_333.3, 0)
    expect(ping.deviation).toBeCloseTo(4714, 0)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('requests go at their interval, each waits for its own time', () => {
    const { lab, a, cable } = pair({ delay: 1 })
    a.ping('10.0.0.2')
    lab.run(100)
    cable.bToA.filter = () => 'drop'
    const done: number[] = []
    const began = lab.world.loop.now
    const { events } = a.ping('10.0.0.2', {
      count: 2,
      interval: 300,
      timeout: 700,
      onDone: () => done.push(lab.world.loop.now - began),
    })
    lab.run(699)
    expect(events).toEqual([])
    lab.run(1)
    expect(events).toEqual([{ kind: 'timeout', sequence: 1 }])
    lab.run(301)
    expect(events[1]).toEqual({ kind: 'timeout', sequence: 2 })
    expect(done).toEqual([1_000_000])
  })

  test('an answer that comes twice is a duplicate, one that comes too late is none', () => {
    const { lab, a, b, cable } = pair()
    a.ping('10.0.0.2')
    lab.run(100)
    cable.bToA.impair({ duplicate: 1 })
    const { ping, events } = a.ping('10.0.0.2', { count: 2, interval: 100 })
    lab.run(50)
    expect(events.map((event) => event.kind === 'reply' && [event.sequence, event.duplicate])).toEqual([
      [1, false],
      [1, true],
    ])
    lab.run(1000)
    expect([ping.received, ping.duplicates]).toEqual([2, 1])
    cable.bToA.impair({ delay: 2000 })
    const late = a.ping('10.0.0.2')
    lab.run(5000)
    expect(late.events).toEqual([{ kind: 'timeout', sequence: 1 }])
    expect(b.mib.icmp.OutEchoReps).toBe(4)
  })

  test("what cannot be sent is told at once; others' identifiers do not mix", () => {
    const { lab, a } = pair()
    expect(a.ping('192.0.2.1').events).toEqual([{ kind: 'unsent', sequence: 1, errno: Errno.ENETUNREACH }])
    const first = a.ping('10.0.0.2', { identifier: 7 })
    const second = a.ping('10.0.0.2', { identifier: 7 })
    expect([first.ping.isRunning, second.ping.isRunning]).toEqual([true, false])
    lab.run(10)
    expect([first.events.length, second.events.length]).toEqual([1, 0])
  })

  test('stopped, it hears nothing more', () => {
    const { lab, a } = pair({ delay: 5 })
    const { ping, events } = a.ping('10.0.0.2', { count: 100 })
    lab.run(2500)
    ping.stop()
    lab.run(10_000)
    expect(events.length).toBe(3)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a stack that closes ends its pings', () => {
    const { lab, a } = pair()
    const { ping } = a.ping('10.0.0.2', { count: 100 })
    lab.run(2500)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
    expect(ping.isRunning).toBe(false)
  })
})

test('the same seed gives the same bytes at the same times, another seed others', () => {
  const record = (seed: number): string => {
    const lab = new TestNet(seed)
    const a = lab.host6('a')
    const b = lab.host6('b')
    const cable = lab.connect(a, 'eth0', b, 'eth0', { impairment: { delay: 3, jitter: 2, loss: 0.1 } })
    a.add('eth0', '10.0.0.1/24')
    b.add('eth0', '10.0.0.2/24')
    const wire = lab.sniff(cable.a)
    a.ping('10.0.0.2', { count: 20, interval: 50 })
    lab.run(20_000)
    return wire.seen.map(({ time, bytes }) => `${time} ${bytes}`).join('\n')
  }
  expect(record(5)).toBe(record(5))
  expect(record(5)).not.toBe(record(6))
})
