import { expect, test } from 'vitest'
import type { TcpConnection } from '../connection.ts'
import { SendRecord } from '../send-queue.ts'
import { cubic } from './cubic.ts'
import { CongestionState } from './state.ts'

/** Changes every field of an object, and of the objects in it. */
const disturb = (object: object): void => {
  for (const [name, value] of Object.entries(object)) {
    if (typeof value === 'number') Object.assign(object, { [name]: value + 7 })
    else if (typeof value === 'boolean') Object.assign(object, { [name]: !value })
    else if (value === null) Object.assign(object, { [name]: new SendRecord() })
    else disturb(value as object)
  }
}

test('a congestion state that is used again is as a new one: nothing of the last connection is in it', () => {
  const state = new CongestionState(10, 3)
  const fresh = new CongestionState(4, 5)
  disturb(state)
  for (const name of Object.keys(fresh) as (keyof CongestionState)[]) expect(state[name], name).not.toEqual(fresh[name])
  state.reset(4, 5)
  // What the congestion control has begins anew with it.
  state.private_ = null
  expect(state).toEqual(fresh)
})

test("CUBIC's state that is used again is as a new one", () => {
  const cc = new CongestionState(10, 3)
  const c = { cc, layer: { loop: { now32: 4711 } }, snd: { nxt: 815 } } as unknown as TcpConnection
  cubic.init(c)
  const state = cc.private_!
  const fresh = { ...state }
  disturb(state)
  expect(Object.entries(state).filter(([name, value]) => value === fresh[name as keyof typeof fresh])).toEqual([])
  cc.reset(4, 5)
  cubic.init(c)
  expect(cc.private_).toBe(state)
  expect({ ...state }).toEqual(fresh)
})
