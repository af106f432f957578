import { expect, test } from 'vitest'
import { TestNet } from './testing.ts'

test('two hosts on a cable', () => {
  const lab = new TestNet()
  const a = lab.host('a')
  const b = lab.host('b')
  lab.connect(a, 'eth0', b, 'eth0', { impairment: { delay: 5 } })
  a.add('eth0', '10.0.0.1/24')
  b.add('eth0', '10.0.0.2/24')
  const { events } = a.ping('10.0.0.2')
  lab.run(100)
  expect(events).toEqual([
    expect.objectContaining({ kind: 'reply', sequence: 1, time: 20_000, hopLimit: 64, bytes: 64 }),
  ])
  expect(a.drops).toEqual({})
  expect(lab.close()).toEqual({ frames: 0, timers: 0 })
})
