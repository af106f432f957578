import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Memory } from './memory.ts'
import { Ring } from './ring.ts'

const MIB = 1024 * 1024

type Step =
  | { do: 'append' | 'appendFrom' | 'drop' | 'read' | 'extend'; count: number }
  | { do: 'place'; count: number; gap: number }
  | { do: 'forgetAhead' | 'clear' }

const size = fc.oneof({ weight: 6, arbitrary: fc.nat(60) }, { weight: 1, arbitrary: fc.nat(700) })
const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('append', 'appendFrom'), count: size }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('drop', 'read', 'extend'), count: size }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('place'), count: size, gap: size }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('forgetAhead', 'clear') }) },
  ) as fc.Arbitrary<Step>,
  { maxLength: 80 },
)

/** A queue as an array, with the bytes beyond its end as a sparse one. */
class Model {
  queued: number[] = []
  ahead: number[] = []

  extend(count: number): void {
    for (let i = 0; i < count; i++) this.queued.push(this.ahead[i]!)
    this.ahead.splice(0, count)
  }

  append(bytes: readonly number[]): void {
    this.place(bytes, 0)
    this.extend(bytes.length)
  }

  place(bytes: readonly number[], gap: number): void {
    for (let i = this.ahead.length; i < gap; i++) this.ahead[i] = -1
    for (let i = 0; i < bytes.length; i++) this.ahead[gap + i] = bytes[i]!
  }

  /** How many bytes right behind the end have been placed. */
  get contiguous(): number {
    const hole = this.ahead.indexOf(-1)
    return hole < 0 ? this.ahead.length : hole
  }
}

test('a ring is a queue: whatever is appended, placed, counted and dropped', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const memory = new Memory(4 * MIB)
      const scratch = memory.allocate(2048)
      const baseline = memory.used
      const ring = new Ring(memory)
      const model = new Model()
      let next = 0
      const fresh = (count: number): number[] => Array.from({ length: count }, () => (next = (next + 1) % 251))
      for (const step of list) run(step, { memory, scratch, ring, model, fresh })
      // Everything taken away leaves nothing owned.
      ring.forgetAhead()
      ring.drop(ring.length)
      expect([ring.length, ring.capacity, memory.used]).toEqual([0, 0, baseline])
    }),
    { numRuns: 300 },
  )
})

interface Run {
  memory: Memory
  scratch: number
  ring: Ring
  model: Model
  fresh: (count: number) => number[]
}

const run = (step: Step, { memory, scratch, ring, model, fresh }: Run): void => {
  switch (step.do) {
    case 'append': {
      const bytes = fresh(step.count)
      const padded = Uint8Array.from([7, ...bytes, 7])
      expect(ring.append(padded, 1, step.count)).toBe(true)
      model.append(bytes)
      break
    }
    case 'appendFrom': {
      const bytes = fresh(step.count)
      memory.u8.set(bytes, scratch)
      expect(ring.appendFrom(scratch, step.count)).toBe(true)
      model.append(bytes)
      break
    }
    case 'place': {
      const bytes = fresh(step.count)
      memory.u8.set(bytes, scratch)
      expect(ring.place(scratch, step.count, ring.length + step.gap)).toBe(true)
      model.place(bytes, step.gap)
      break
    }
    case 'extend': {
      const count = Math.min(step.count, model.contiguous)
      ring.extend(count)
      model.extend(count)
      break
    }
    case 'drop': {
      const count = Math.min(step.count, ring.length)
      ring.drop(count)
      model.queued.splice(0, count)
      break
    }
    case 'read': {
      const at = Math.min(step.count, ring.length)
      const count = ring.length - at
      const target = new Uint8Array(count + 1)
      ring.peek(target, 1, at, count)
      expect([...target]).toEqual([0, ...model.queued.slice(at)])
      break
    }
    case 'forgetAhead':
      ring.forgetAhead()
      model.ahead = []
      break
    case 'clear':
      ring.clear()
      model.ahead = []
      model.queued = []
  }
  expect(ring.length).toBe(model.queued.length)
  const copied = Math.min(2048, ring.length)
  ring.copyTo(scratch, 0, copied)
  expect([...memory.u8.subarray(scratch, scratch + copied)]).toEqual(model.queued.slice(0, copied))
  if (ring.length === 0 && model.ahead.length === 0) expect(ring.capacity).toBe(0)
  else if (ring.capacity > 0) expect(Number.isInteger(Math.log2(ring.capacity))).toBe(true)
}

test('bytes that go round the end of the block', () => {
  const memory = new Memory(MIB)
  const scratch = memory.allocate(256)
  const expected = Array.from({ length: 150 }, (_, i) => (i + 200) % 256)
  for (const how of ['append', 'appendFrom', 'place'] as const) {
    const ring = new Ring(memory)
    ring.append(filled(256), 0, 200)
    ring.drop(200 - 1)
    memory.u8.set(expected, scratch)
    if (how === 'append') ring.append(Uint8Array.from(expected), 0, 150)
    else if (how === 'appendFrom') ring.appendFrom(scratch, 150)
    else {
      ring.place(scratch, 150, 1)
      ring.extend(150)
    }
    ring.drop(1)
    expect([ring.length, ring.capacity]).toEqual([150, 256])
    const target = new Uint8Array(152)
    ring.peek(target, 1, 0, 150)
    expect([...target]).toEqual([0, ...expected, 0])
    ring.peek(target.fill(0), 0, 100, 50)
    expect([...target.subarray(0, 51)]).toEqual([...expected.slice(100), 0])
    memory.u8.fill(0, scratch, scratch + 256)
    ring.copyTo(scratch, 10, 140)
    expect([...memory.u8.subarray(scratch, scratch + 141)]).toEqual([...expected.slice(10), 0])
    // Growing straightens them out.
    ring.append(filled(256), 0, 256)
    expect(ring.capacity).toBe(512)
    ring.peek(target, 0, 0, 150)
    expect([...target.subarray(0, 150)]).toEqual(expected)
  }
})

const filled = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i % 256)

test('an empty ring owns nothing; the first byte takes a block, the last gives it back', () => {
  const memory = new Memory(MIB)
  const ring = new Ring(memory)
  expect([ring.capacity, memory.used]).toEqual([0, 0])
  ring.append(filled(1), 0, 1)
  expect([ring.capacity, memory.used]).toEqual([256, 256])
  ring.append(filled(256), 0, 256)
  expect(ring.capacity).toBe(512)
  ring.drop(257)
  expect([ring.capacity, memory.used]).toEqual([0, 0])
})

test('bytes that arrive in order leave nothing behind once they are read', () => {
  const memory = new Memory(MIB)
  const segment = memory.allocate(1000)
  const baseline = memory.used
  const ring = new Ring(memory)
  for (let i = 0; i < 3; i++) {
    ring.appendFrom(segment, 1000)
    ring.drop(1000)
    expect([ring.capacity, memory.used]).toEqual([0, baseline])
  }
})

test('a byte ahead keeps the block; in-order bytes close the gap', () => {
  const memory = new Memory(MIB)
  const segment = memory.allocate(10)
  memory.u8.set([1, 2, 3, 4, 5, 6, 7, 8], segment)
  const baseline = memory.used
  const ring = new Ring(memory)
  ring.place(segment + 4, 4, 4)
  expect([ring.length, ring.capacity]).toEqual([0, 256])
  ring.appendFrom(segment, 4)
  ring.drop(4)
  expect(ring.capacity).toBe(256)
  ring.extend(4)
  ring.drop(4)
  expect(memory.used).toBe(baseline)
})

test('the block that was needed is remembered, half of it each time that less was', () => {
  const memory = new Memory(MIB)
  const ring = new Ring(memory)
  ring.append(filled(5000), 0, 5000)
  ring.drop(5000)
  const capacities: number[] = []
  for (let i = 0; i < 8; i++) {
    ring.append(filled(10), 0, 10)
    capacities.push(ring.capacity)
    ring.drop(10)
  }
  expect(capacities).toEqual([8192, 4096, 2048, 1024, 512, 256, 256, 256])
})

test('when memory is out nothing changes, and nothing is remembered', () => {
  const memory = new Memory(MIB)
  const ring = new Ring(memory)
  ring.append(filled(300), 0, 300)
  expect(ring.append(filled(2 * MIB), 0, 2 * MIB)).toBe(false)
  expect(ring.place(0, 10, 2 ** 31)).toBe(false)
  expect(ring.place(0, 10, 2 ** 32)).toBe(false)
  expect([ring.length, ring.capacity]).toEqual([300, 512])
  ring.drop(300)
  expect(ring.append(filled(10), 0, 10)).toBe(true)
  expect(ring.capacity).toBe(512)
})

test('a remembered size that cannot be had gives way to the size that is needed', () => {
  const memory = new Memory(MIB)
  const ring = new Ring(memory)
  ring.append(filled(700_000), 0, 700_000)
  ring.drop(700_000)
  memory.allocate(MIB / 2)
  expect(ring.append(filled(10), 0, 10)).toBe(true)
  expect(ring.capacity).toBe(256)
})
