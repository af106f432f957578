import { expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import type { Msghdr } from '../host/calls-message.ts'
import { codeOf, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

const PORT = 8000
const EPOCH = 1_767_225_600
const SIZE = 10_000

/** A server that reads everything, on a path whose round trip is 100 ms, and a client that is connected to it. */
const withClient = async <T>(client: (sys: Sys, fd: number, p: Pair) => Promise<T>, delay = 50): Promise<T> => {
  const p = new Pair({ link: { delay } })
  const [, result] = await p.run<unknown>(
    [
      p.b,
      async (sys) => {
        const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
        sys.bind(listener, { address: '0.0.0.0', port: PORT })
        sys.listen(listener, 5)
        const fd = await sys.accept(listener)
        const buffer = new Uint8Array(SIZE)
        while ((await sys.recv(fd, buffer)) > 0);
        await sys.close(fd)
      },
    ],
    [
      p.a,
      async (sys) => {
        const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
        await sys.connect(fd, { address: '10.0.0.2', port: PORT })
        const result = await client(sys, fd, p)
        await sys.close(fd)
        return result
      },
    ],
  )
  return result as T
}

/** Takes one message off the error queue. */
const notice = async (sys: Sys, fd: number): Promise<Msghdr | string> => {
  const message: Msghdr = { msg_iov: [new Uint8Array(0)], msg_controllen: 500 }
  const result = await codeOf(() => sys.recvmsg(fd, message, C.MSG_ERRQUEUE))
  return typeof result === 'string' ? result : message
}

/** What a zero-copy notice says: the first and the last send it is about. */
const range = (message: Msghdr | string): unknown => {
  if (typeof message === 'string') return message
  const [{ cmsg_level, cmsg_type, data } = { cmsg_level: 0, cmsg_type: 0, data: 0 }] = message.msg_control ?? []
  expect([cmsg_level, cmsg_type]).toEqual([C.SOL_IP, C.IP_RECVERR])
  expect(message.msg_flags).toBe(C.MSG_ERRQUEUE)
  const error = data as { ee_origin: number; ee_code: number; ee_info: number; ee_data: number }
  expect([error.ee_origin, error.ee_code]).toEqual([C.SO_EE_ORIGIN_ZEROCOPY, C.SO_EE_CODE_ZEROCOPY_COPIED])
  return [error.ee_info, error.ee_data]
}

it('MSG_ZEROCOPY: a notice for every send, when it is acknowledged, those in a row in one', async () => {
  const seen = await withClient(async (sys, fd) => {
    await sys.send(fd, 'without the option', undefined, C.MSG_ZEROCOPY)
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_ZEROCOPY, 1)
    await sys.send(fd, new Uint8Array(4000), undefined, C.MSG_ZEROCOPY)
    const early = range(await notice(sys, fd))
    const fds = [{ fd, events: C.POLLIN, revents: 0 }]
    await sys.poll(fds, -1)
    const first = range(await notice(sys, fd))
    for (let i = 0; i < 3; i++) await sys.send(fd, 'x', undefined, C.MSG_ZEROCOPY)
    await sys.send(fd, 'not this')
    await sys.sleep(1)
    return [early, fds[0]!.revents, first, range(await notice(sys, fd)), range(await notice(sys, fd))]
  })
  expect(seen).toEqual(['EAGAIN', C.POLLERR, [0, 0], [1, 3], 'EAGAIN'])
})

it('MSG_ZEROCOPY: a blocking send that has to wait is one send', async () => {
  const seen = await withClient(async (sys, fd) => {
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_ZEROCOPY, 1)
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_SNDBUF, 10_000)
    await sys.send(fd, new Uint8Array(200_000), undefined, C.MSG_ZEROCOPY)
    const early = range(await notice(sys, fd))
    await sys.sleep(1)
    return [early, range(await notice(sys, fd)), range(await notice(sys, fd))]
  })
  expect(seen).toEqual(['EAGAIN', [0, 0], 'EAGAIN'])
})

const TX =
  C.SOF_TIMESTAMPING_TX_SCHED |
  C.SOF_TIMESTAMPING_TX_SOFTWARE |
  C.SOF_TIMESTAMPING_TX_ACK |
  C.SOF_TIMESTAMPING_SOFTWARE |
  C.SOF_TIMESTAMPING_OPT_ID

/** What a time stamp says: the stage, the byte, and when, milliseconds since the world began. */
const stampOf = (message: Msghdr | string): unknown => {
  if (typeof message === 'string') return message
  const [time, error] = message.msg_control as unknown as [{ cmsg_type: number; data: object }, { data: object }]
  expect(time.cmsg_type).toBe(C.SCM_TIMESTAMPING)
  expect(message.msg_flags).toBe(C.MSG_ERRQUEUE | C.MSG_TRUNC)
  const { ts } = time.data as { ts: { tv_sec: number; tv_nsec: number }[] }
  const { ee_errno, ee_origin, ee_info, ee_data } = error.data as Record<string, number>
  expect([ee_errno, ee_origin]).toEqual([42, C.SO_EE_ORIGIN_TIMESTAMPING])
  return [ee_info, ee_data, (ts[0]!.tv_sec - EPOCH) * 1000 + ts[0]!.tv_nsec / 1e6]
}

it('SO_TIMESTAMPING: when the last byte of a send was scheduled, sent and acknowledged', async () => {
  const seen = await withClient(async (sys, fd) => {
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, TX)
    const start = sys.now / 1000
    await sys.send(fd, new Uint8Array(3000))
    await sys.sleep(0.01)
    await sys.send(fd, 'abc')
    await sys.sleep(1)
    const stamps: unknown[] = []
    for (let i = 0; i < 7; i++) {
      const stamp = stampOf(await notice(sys, fd))
      stamps.push(Array.isArray(stamp) ? [stamp[0], stamp[1], stamp[2] - start] : stamp)
    }
    return stamps
  })
  const { SCM_TSTAMP_SCHED, SCM_TSTAMP_SND, SCM_TSTAMP_ACK } = C
  expect(seen).toEqual([
    [SCM_TSTAMP_SCHED, 2999, 0],
    [SCM_TSTAMP_SND, 2999, 0],
    // Nagle's rule keeps the second back until the first is acknowledged.
    [SCM_TSTAMP_ACK, 2999, 100],
    [SCM_TSTAMP_SCHED, 3002, 100],
    [SCM_TSTAMP_SND, 3002, 100],
    [SCM_TSTAMP_ACK, 3002, 200],
    'EAGAIN',
  ])
})

it('SO_TIMESTAMPING: bytes are counted from the option on; a socket that is not connected has none', async () => {
  const p = new Pair()
  const seen = await p.alone(async (sys) => {
    const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
    const set = (value: number): Promise<number | string> =>
      codeOf(() => sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, value))
    return [await set(TX), await set(1 << 20), await set(16), sys.getsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING)]
  })
  expect(seen).toEqual(['EINVAL', 'EINVAL', 0, 16])
})

it('TCP_INQ and the times of arrival come with recvmsg(2)', async () => {
  const p = new Pair({ link: { delay: 10 } })
  const [, seen] = await p.run<unknown>(
    [
      p.a,
      async (sys) => {
        const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
        await sys.connect(fd, { address: '10.0.0.2', port: PORT })
        await sys.send(fd, 'abcdef')
        await sys.sleep(0.1)
        await sys.send(fd, 'ghi')
        await sys.close(fd)
      },
    ],
    [
      p.b,
      async (sys) => {
        const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
        sys.setsockopt(listener, C.SOL_SOCKET, C.SO_TIMESTAMPNS, 1)
        sys.bind(listener, { address: '0.0.0.0', port: PORT })
        sys.listen(listener, 5)
        const fd = await sys.accept(listener)
        sys.setsockopt(fd, C.SOL_TCP, C.TCP_INQ, 1)
        await sys.sleep(1)
        const told: unknown[] = []
        let first = 0
        for (let i = 0; i < 4; i++) {
          const message: Msghdr = { msg_iov: [new Uint8Array(4)], msg_controllen: 100 }
          const count = await sys.recvmsg(fd, message)
          const control = message.msg_control!.map(({ cmsg_type, data }) => {
            if (typeof data === 'number') return data
            const { tv_sec, tv_nsec } = data as { tv_sec: number; tv_nsec: number }
            const at = tv_sec * 1000 + tv_nsec / 1e6
            first ||= at
            return [cmsg_type, at - first]
          })
          told.push([count, ...control])
        }
        return told
      },
    ],
  )
  expect(seen).toEqual([
    // Six bytes and three, and the end of file.
    [4, [C.SCM_TIMESTAMPNS, 0], 6],
    [4, [C.SCM_TIMESTAMPNS, 100], 2],
    [1, [C.SCM_TIMESTAMPNS, 100], 1],
    [0],
  ])
})

it('SO_TIMESTAMPING: a control message asks for stages of one send in place of the option', async () => {
  const seen = await withClient(async (sys, fd) => {
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, TX & ~C.SOF_TIMESTAMPING_TX_SCHED)
    const send = (data: number): Promise<number | string> => {
      const message = { cmsg_level: C.SOL_SOCKET, cmsg_type: C.SO_TIMESTAMPING, data }
      return codeOf(() => sys.sendmsg(fd, { msg_iov: ['abc'], msg_control: [message] }))
    }
    const results = [
      await send(C.SOF_TIMESTAMPING_TX_SCHED),
      await send(C.SOF_TIMESTAMPING_RX_SOFTWARE),
      await send(0),
      await send(C.SOF_TIMESTAMPING_TX_ACK),
    ]
    await sys.sleep(1)
    const stamps: unknown[] = []
    for (let i = 0; i < 3; i++) {
      const stamp = stampOf(await notice(sys, fd))
      stamps.push(Array.isArray(stamp) ? stamp.slice(0, 2) : stamp)
    }
    return [results, stamps]
  })
  expect(seen).toEqual([
    [3, 'EINVAL', 3, 3],
    [[1, 2], [2, 8], 'EAGAIN'],
  ])
})
