import { expect, it } from 'vitest'
import { NOTHING, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

it.each([
  [C.SO_RCVBUFFORCE, C.SO_SNDBUFFORCE],
  [C.SO_RCVBUF, C.SO_SNDBUF],
])('the largest queues that can be asked for (%i, %i) are two gigabytes, and can be used', async (receive, send) => {
  const most = 0x7fff_ffff
  const p = new Pair({ host: { sysctl: { 'net.core.rmem_max': most, 'net.core.wmem_max': most } } })
  const found = await p.run<unknown>(
    [
      p.b,
      async (sys) => {
        const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
        sys.setsockopt(listener, C.SOL_SOCKET, receive, most)
        sys.bind(listener, { address: '0.0.0.0', port: 7 })
        sys.listen(listener, 1)
        const fd = await sys.accept(listener)
        const buffer = new Uint8Array(10_000)
        let count = 0
        for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) count += n
        return [sys.getsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUF), count]
      },
    ],
    [
      p.a,
      async (sys) => {
        await sys.usleep(1000)
        const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
        sys.setsockopt(fd, C.SOL_SOCKET, send, most)
        await sys.connect(fd, { address: '10.0.0.2', port: 7 })
        const count = await sys.send(fd, new Uint8Array(300_000))
        const datagrams = sys.socket(C.AF_INET, C.SOCK_DGRAM)
        sys.setsockopt(datagrams, C.SOL_SOCKET, receive, most)
        await sys.close(fd)
        return [sys.getsockopt(fd + 1, C.SOL_SOCKET, C.SO_RCVBUF), count]
      },
    ],
  )
  expect(found).toEqual([
    [most - 1, 300_000],
    [most - 1, 300_000],
  ])
  expect(p.close()).toEqual(NOTHING)
})
