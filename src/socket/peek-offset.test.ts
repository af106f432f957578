import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import { Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

/** SO_PEEK_OFF (socket(7)): every value here is what Linux 6.18 gives for the same calls. */

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Two sockets of a kind that are connected: who sends, and who receives. */
const KINDS: Readonly<Record<string, (sys: Sys) => Promise<[number, number]>>> = {
  tcp: async (sys) => {
    const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
    sys.bind(listener, { address: '127.0.0.1', port: 5000 })
    sys.listen(listener, 1)
    const sender = sys.socket(C.AF_INET, C.SOCK_STREAM)
    await sys.connect(sender, { address: '127.0.0.1', port: 5000 })
    return [sender, await sys.accept(listener)]
  },
  udp: async (sys) => {
    const receiver = sys.socket(C.AF_INET, C.SOCK_DGRAM)
    sys.bind(receiver, { address: '127.0.0.1', port: 5000 })
    const sender = sys.socket(C.AF_INET, C.SOCK_DGRAM)
    await sys.connect(sender, { address: '127.0.0.1', port: 5000 })
    return [sender, receiver]
  },
  stream: async (sys) => sys.socketpair(C.AF_UNIX, C.SOCK_STREAM),
  dgram: async (sys) => sys.socketpair(C.AF_UNIX, C.SOCK_DGRAM),
  seqpacket: async (sys) => sys.socketpair(C.AF_UNIX, C.SOCK_SEQPACKET),
}

/** What there is to do with the receiver, in few letters. */
class Receiver {
  readonly sys: Sys
  readonly fd: number

  constructor(sys: Sys, fd: number) {
    this.sys = sys
    this.fd = fd
  }

  get offset(): number {
    return this.sys.getsockopt(this.fd, C.SOL_SOCKET, C.SO_PEEK_OFF) as number
  }

  set(offset: number): void {
    this.sys.setsockopt(this.fd, C.SOL_SOCKET, C.SO_PEEK_OFF, offset)
  }

  /** The text received, or the code of the error; and the offset then. */
  async receive(length: number, flags = 0): Promise<[string, number]> {
    const buffer = new Uint8Array(length)
    try {
      const count = await this.sys.recv(this.fd, buffer, length, flags | C.MSG_DONTWAIT)
      return [text(buffer.subarray(0, count)), this.offset]
    } catch (error) {
      return [(error as { code: string }).code, this.offset]
    }
  }

  peek(length: number): Promise<[string, number]> {
    return this.receive(length, C.MSG_PEEK)
  }

  async peekWhole(length: number): Promise<[number, number]> {
    const count = await this.sys.recv(this.fd, new Uint8Array(length), length, C.MSG_PEEK | C.MSG_TRUNC)
    return [count, this.offset]
  }
}

const withPair = async <T>(
  kind: string,
  body: (sys: Sys, sender: number, receiver: Receiver) => Promise<T>,
): Promise<T> => {
  const pair = new Pair()
  const result = await pair.alone(async (sys) => {
    const [sender, receiver] = await KINDS[kind]!(sys)
    return body(sys, sender, new Receiver(sys, receiver))
  })
  pair.network.close()
  return result
}

const isStream = (kind: string): boolean => kind === 'tcp' || kind === 'stream'

describe.each(Object.keys(KINDS))('%s', (kind) => {
  test('each look begins behind the last, and what is read is taken off', async () => {
    const seen = await withPair(kind, async (sys, sender, r) => {
      const before = r.offset
      r.set(0)
      await sys.send(sender, 'abcdef')
      await sys.send(sender, 'ghij')
      await sys.usleep(50_000)
      return [
        before,
        await r.peek(4),
        await r.peek(4),
        await r.peek(4),
        await r.peek(4),
        await r.receive(3),
        await r.peek(4),
      ]
    })
    const looks = isStream(kind)
      ? [
          ['abcd', 4],
          ['efgh', 8],
          ['ij', 10],
          ['EAGAIN', 10],
          ['abc', 7],
          ['EAGAIN', 7],
        ]
      : [
          ['abcd', 4],
          ['ef', 6],
          ['ghij', 10],
          ['EAGAIN', 10],
        ]
    if (kind === 'udp') looks.push(['abc', 7], ['EAGAIN', 7])
    // A datagram of the Unix domain goes with all its bytes.
    else if (!isStream(kind)) looks.push(['abc', 4], ['EAGAIN', 4])
    expect(seen).toEqual([-1, ...looks])
  })

  test('set anew, and off', async () => {
    const seen = await withPair(kind, async (sys, sender, r) => {
      await sys.send(sender, 'abcdef')
      await sys.usleep(50_000)
      r.set(1)
      const first = await r.peek(2)
      r.set(-7)
      const off = [await r.peek(2), await r.peek(2)]
      r.set(2)
      return [first, ...off, await r.peek(99), await r.receive(99), await r.peek(99)]
    })
    expect(seen).toEqual([
      ['bc', 3],
      ['ab', -7],
      ['ab', -7],
      ['cdef', 6],
      ['abcdef', 0],
      ['EAGAIN', 0],
    ])
  })

  test('the whole length, with MSG_TRUNC', async () => {
    const seen = await withPair(kind, async (sys, sender, r) => {
      r.set(0)
      await sys.send(sender, '0123456789')
      await sys.usleep(50_000)
      return [await r.peekWhole(4), ...(kind === 'udp' ? [] : [await r.peekWhole(4), await r.peekWhole(20)])]
    })
    if (kind === 'udp') expect(seen).toEqual([[10, 10]])
    else if (isStream(kind))
      expect(seen).toEqual([
        [4, 4],
        [4, 8],
        [2, 10],
      ])
    else
      expect(seen).toEqual([
        [10, 4],
        [6, 8],
        [2, 10],
      ])
  })

  test('a look beyond what there is waits for more', async () => {
    const seen = await withPair(kind, async (sys, sender, r) => {
      r.set(3)
      await sys.send(sender, 'abc')
      sys.fork(async (child) => {
        await child.sleep(1)
        await child.send(sender, 'def')
      })
      const buffer = new Uint8Array(9)
      const count = await sys.recv(r.fd, buffer, 9, C.MSG_PEEK)
      return [text(buffer.subarray(0, count)), r.offset, sys.now >= 1e6]
    })
    expect(seen).toEqual(['def', 6, true])
  })
})

test.each(['udp', 'dgram'])('%s: an empty datagram is looked at once', async (kind) => {
  const seen = await withPair(kind, async (sys, sender, r) => {
    r.set(0)
    await sys.send(sender, '')
    await sys.send(sender, 'xy')
    await sys.usleep(50_000)
    return [await r.peek(9), await r.peek(9), await r.peek(9), await r.receive(9), await r.receive(9), await r.peek(9)]
  })
  expect(seen).toEqual([
    ['', 0],
    ['xy', 2],
    ['EAGAIN', 2],
    ['', 2],
    ['xy', 0],
    ['EAGAIN', 0],
  ])
})

test('an end of the stream is met wherever the look begins', async () => {
  for (const kind of ['tcp', 'stream']) {
    const seen = await withPair(kind, async (sys, sender, r) => {
      await sys.send(sender, '0123456789')
      r.set(100)
      await sys.close(sender)
      await sys.usleep(50_000)
      const beyond = await r.peek(4)
      r.set(3)
      return [beyond, await r.peek(4), await r.receive(4)]
    })
    expect(seen).toEqual([
      ['', 100],
      ['3456', 7],
      ['0123', 3],
    ])
  }
})

test('who has it: TCP, UDP and the Unix domain, and connections from their listener', async () => {
  const pair = new Pair({ host: { sysctl: { 'net.ipv4.ping_group_range': '0 100' } } })
  const seen = await pair.alone(async (sys) => {
    const offset = (fd: number): unknown => {
      try {
        sys.setsockopt(fd, C.SOL_SOCKET, C.SO_PEEK_OFF, 3)
        return sys.getsockopt(fd, C.SOL_SOCKET, C.SO_PEEK_OFF)
      } catch (error) {
        return (error as { errno: number }).errno
      }
    }
    const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
    sys.bind(listener, { address: '127.0.0.1', port: 5000 })
    sys.listen(listener, 1)
    const own = offset(listener)
    await sys.connect(sys.socket(C.AF_INET, C.SOCK_STREAM), { address: '127.0.0.1', port: 5000 })
    const accepted = await sys.accept(listener)
    return [
      own,
      sys.getsockopt(accepted, C.SOL_SOCKET, C.SO_PEEK_OFF),
      offset(sys.socket(C.AF_INET6, C.SOCK_DGRAM)),
      offset(sys.socket(C.AF_INET, C.SOCK_RAW, C.IPPROTO_UDP)),
      offset(sys.socket(C.AF_INET, C.SOCK_DGRAM, C.IPPROTO_ICMP)),
    ]
  })
  expect(seen).toEqual([3, 3, 3, -Errno.EOPNOTSUPP, -Errno.EOPNOTSUPP])
  pair.network.close()
})
