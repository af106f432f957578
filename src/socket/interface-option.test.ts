import { expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { codeOf, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

/** SO_BINDTOIFINDEX and SO_COOKIE: values are what Linux 6.18 gives for the same calls. */

test('an interface by its number, as by its name', async () => {
  const pair = new Pair()
  const seen = await pair.alone(async (sys) => {
    const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
    const get = (name: number): unknown => sys.getsockopt(fd, C.SOL_SOCKET, name)
    const set = (index: number): Promise<unknown> =>
      codeOf(async () => sys.setsockopt(fd, C.SOL_SOCKET, C.SO_BINDTOIFINDEX, index))
    return [
      get(C.SO_BINDTOIFINDEX),
      await set(1),
      get(C.SO_BINDTOIFINDEX),
      get(C.SO_BINDTODEVICE),
      await set(99),
      await set(-1),
      get(C.SO_BINDTOIFINDEX),
      await set(0),
      get(C.SO_BINDTODEVICE),
    ]
  })
  expect(seen).toEqual([0, 0, 1, 'lo', 'ENODEV', 'EINVAL', 1, 0, ''])
  pair.network.close()
})

test('a socket has a number that no other has, and that cannot be set', async () => {
  const pair = new Pair()
  const [one, again, other, problem] = await pair.alone(async (sys) => {
    const [a, b] = [sys.socket(C.AF_INET, C.SOCK_STREAM), sys.socket(C.AF_UNIX, C.SOCK_DGRAM)]
    const cookie = (fd: number): number => sys.getsockopt(fd, C.SOL_SOCKET, C.SO_COOKIE) as number
    return [cookie(a), cookie(a), cookie(b), await codeOf(async () => sys.setsockopt(a, C.SOL_SOCKET, C.SO_COOKIE, 1))]
  })
  expect(one).toBe(again)
  expect(one).not.toBe(other)
  expect([one, other].every((cookie) => Number.isInteger(cookie) && Number(cookie) > 0)).toBe(true)
  expect(problem).toBe('ENOPROTOOPT')
  expect(Errno.ENOPROTOOPT).toBe(92)
  pair.network.close()
})
