import { expect, it } from 'vitest'
import { Errno, SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import { Network } from '../sim/network.ts'
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN } from './constants.ts'

/** Has `epfd` watch `fd`. @returns 0, or the code of the error */
const watch = (sys: Sys, epfd: number, fd: number): number | string => {
  try {
    return sys.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, { events: EPOLLIN, data: fd })
  } catch (error) {
    return (error as SystemError).code
  }
}

/** As many instances, each of which watches the next. @returns the first, and what the last call gave */
const chain = (sys: Sys, length: number): [first: number, result: number | string] => {
  const instances = Array.from({ length }, () => sys.epoll_create1())
  let result: number | string = 0
  for (const [i, instance] of instances.entries()) if (i > 0) result = watch(sys, instances[i - 1]!, instance)
  return [instances[0]!, result]
}

/** What the program sees: Linux 6.18 says the same. */
const run = async (program: (sys: Sys) => unknown): Promise<unknown> => {
  const network = new Network()
  let result: unknown
  await network.runProcess(
    network.host('a').spawn('program', (sys) => {
      result = program(sys)
    }),
  )
  network.close()
  return result
}

it('watches itself through no more than five instances in a row', async () => {
  expect(await run((sys) => [5, 6].map((length) => chain(sys, length)[1]))).toEqual([0, 'ELOOP'])
  expect(
    await run((sys) => {
      const [a, b] = [sys.epoll_create1(), sys.epoll_create1()]
      return [watch(sys, a, b), watch(sys, b, a), watch(sys, a, a)]
    }),
  ).toEqual([0, 'ELOOP', 'EINVAL'])
})

it('is still watched when one of two descriptors under which it was is taken out', async () => {
  const results = await run((sys) =>
    [3, 4].map((length) => {
      const [outer, inner] = [sys.epoll_create1(), sys.epoll_create1()]
      const copy = sys.dup(inner)
      watch(sys, outer, inner)
      watch(sys, outer, copy)
      sys.epoll_ctl(outer, EPOLL_CTL_DEL, copy)
      return watch(sys, inner, chain(sys, length)[0])
    }),
  )
  expect(results).toEqual([0, 'ELOOP'])
})

it('watches nothing that cannot be waited for', async () => {
  const failing = (sys: Sys): unknown => {
    try {
      return sys.epoll_ctl(sys.epoll_create1(), EPOLL_CTL_ADD, 0, { events: EPOLLIN, data: 0 })
    } catch (error) {
      return error instanceof SystemError ? error.errno : error
    }
  }
  expect(await run(failing)).toBe(-Errno.EPERM)
})
