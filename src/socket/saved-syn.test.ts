import { expect, it } from 'vitest'
import { Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

/** What the server reads of the SYN, twice, and the port that it came from. */
const savedBy = async (mode: number, server: string): Promise<[Uint8Array, Uint8Array, number]> => {
  const p = new Pair({
    link: {
      delay: 1,
      addresses: [
        ['10.0.0.1/24', 'fd00::1/64'],
        ['10.0.0.2/24', 'fd00::2/64'],
      ],
    },
  })
  const family = server.includes(':') ? C.AF_INET6 : C.AF_INET
  const [found] = await p.run<unknown>(
    [
      p.b,
      async (sys) => {
        const listener = sys.socket(family, C.SOCK_STREAM)
        sys.setsockopt(listener, C.SOL_TCP, C.TCP_SAVE_SYN, mode)
        sys.bind(listener, { address: server, port: 80 })
        sys.listen(listener, 5)
        const fd = await sys.accept(listener)
        const read = () => sys.getsockopt(fd, C.SOL_TCP, C.TCP_SAVED_SYN)
        return [read(), read(), sys.getpeername(fd).port]
      },
    ],
    [
      p.a,
      async (sys) => {
        await sys.usleep(3_000_000)
        const fd = sys.socket(family, C.SOCK_STREAM)
        await sys.connect(fd, { address: server, port: 80 })
        await sys.usleep(1000)
      },
    ],
  )
  return found as [Uint8Array, Uint8Array, number]
}

it('tells the headers of the SYN, once', async () => {
  const [first, second, port] = await savedBy(1, '10.0.0.2')
  // IPv4, TCP with 20 bytes of options: MSS, SACK, time stamps, window scale.
  expect([first.length, first[0], first[9]]).toEqual([60, 0x45, 6])
  expect([...first.subarray(12, 20)]).toEqual([10, 0, 0, 1, 10, 0, 0, 2])
  expect([first[20]! * 256 + first[21]!, first[22]! * 256 + first[23]!, first[32], first[33]]).toEqual([
    port,
    80,
    0xa0,
    2,
  ])
  expect([...first.subarray(40, 44)]).toEqual([2, 4, 1460 >> 8, 1460 & 0xff])
  expect(second).toHaveLength(0)
})

it('tells that of IPv6, and the Ethernet header where it is asked for', async () => {
  const [first] = await savedBy(2, 'fd00::2')
  expect([first.length, first[12], first[13], first[14]! >> 4, first[14 + 6]]).toEqual([14 + 40 + 40, 0x86, 0xdd, 6, 6])
})

it('tells nothing unless it was asked to be kept', async () => {
  const [first] = await savedBy(0, '10.0.0.2')
  expect(first).toHaveLength(0)
})
