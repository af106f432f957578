import { expect, test } from 'vitest'
import { SendRecord } from '../send-queue.ts'
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
  expect(state).toEqual(fresh)
})
