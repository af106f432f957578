import { expect, test } from 'vitest'
import type { Sys } from '../host/calls.ts'
import type { Msghdr } from '../host/calls-message.ts'
import { SIGURG } from '../host/signals.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

/** MSG_OOB on stream sockets of the Unix domain: what Linux 6.18 does with the same calls. */

const decoder = new TextDecoder()

/** What each letter of a script does: it gives what the call gave. */
const run = async (script: string): Promise<unknown[]> => {
  const pair = new Pair()
  const seen = await pair.alone(async (sys: Sys) => {
    const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
    sys.fcntl(a, C.F_SETFL, C.O_NONBLOCK)
    sys.fcntl(b, C.F_SETFL, C.O_NONBLOCK)
    const receive = async (flags: number, length = 10): Promise<unknown> => {
      const buffer = new Uint8Array(length)
      const message: Msghdr = { msg_iov: [buffer] }
      const count = await codeOf(() => sys.recvmsg(b, message, flags))
      if (typeof count === 'string') return count
      return decoder.decode(buffer.subarray(0, count)) + ((message.msg_flags! & C.MSG_OOB) !== 0 ? '!' : '')
    }
    const results: unknown[] = []
    for (const [what, data = ''] of script.split(' ').map((step) => step.split(':'))) {
      if (what === 'send') await codeOf(() => sys.send(a, data))
      else if (what === 'urgent') await codeOf(() => sys.send(a, data, undefined, C.MSG_OOB))
      else if (what === 'read') results.push(await receive(0, data === '' ? 10 : Number(data)))
      else if (what === 'peek') results.push(await receive(C.MSG_PEEK))
      else if (what === 'oob') results.push(await receive(C.MSG_OOB, data === '' ? 10 : Number(data)))
      else if (what === 'peekoob') results.push(await receive(C.MSG_OOB | C.MSG_PEEK))
      else if (what === 'mark') results.push(sys.ioctl(b, C.SIOCATMARK))
      else if (what === 'waiting') results.push(sys.ioctl(b, C.FIONREAD))
      else if (what === 'inline') sys.setsockopt(b, C.SOL_SOCKET, C.SO_OOBINLINE, 1)
      else if (what === 'close') await sys.close(a)
      else if (what === 'shutdown') sys.shutdown(a, C.SHUT_WR)
      else if (what === 'poll') {
        const entry = { fd: b, events: C.POLLIN | C.POLLPRI, revents: 0 }
        await sys.poll([entry], 0)
        results.push(entry.revents)
      }
    }
    for (const fd of [a, b]) await codeOf(() => sys.close(fd))
    return results
  })
  expect(pair.close()).toEqual(NOTHING)
  return seen
}

const BOTH = C.POLLIN | C.POLLPRI
const NONE = 'EAGAIN'

test.each<[string, unknown[]]>([
  [
    'send:abc urgent:X poll mark waiting read mark poll waiting read oob read poll',
    [BOTH, 0, 4, 'abc', 1, BOTH, 1, NONE, 'EINVAL', NONE, 0],
  ],
  ['urgent:X poll mark waiting oob read mark', [BOTH, 1, 1, 'X!', NONE, 0]],
  ['urgent:hello poll waiting read mark oob read', [BOTH, 5, 'hell', 1, 'o!', NONE]],
  ['urgent:ab urgent:cd waiting read read mark oob read', [4, 'abc', NONE, 0, 'EINVAL', NONE]],
  ['send:ab urgent:X send:cd read mark read oob read mark', ['ab', 1, 'cd', 'EINVAL', NONE, 0]],
  ['inline send:ab urgent:X send:cd poll read mark oob read read mark', [BOTH, 'ab', 1, 'EINVAL', 'Xcd', NONE, 0]],
  [
    'send:ab urgent:X send:cd peek peekoob peekoob oob peek waiting read read',
    ['ab', 'X!', 'X!', 'X!', 'ab', 4, 'ab', 'cd'],
  ],
  ['oob send:ab oob mark', ['EINVAL', 'EINVAL', 0]],
  ['send:ab urgent:X close read oob read', ['ab', 'X!', '']],
  ['send:abc urgent:X send:def read:1 mark read:2 mark oob mark read', ['a', 0, 'bc', 1, 'X!', 1, 'def']],
  ['send:ab urgent:X oob waiting mark read mark waiting', ['X!', 2, 0, 'ab', 1, 0]],
  ['send:ab urgent:X oob send:cd mark read mark read', ['X!', 0, 'ab', 1, 'cd']],
  ['urgent:X oob:0 oob', ['!', 'EINVAL']],
  ['urgent:X read poll mark send:y read oob', [NONE, 0, 0, 'y', 'EINVAL']],
  ['urgent:X oob urgent:Y mark waiting read oob', ['X!', 1, 1, NONE, 'EINVAL']],
  ['urgent:X shutdown read oob read', ['', 'EINVAL', '']],
])('%s', async (script, expected) => {
  expect(await run(script)).toEqual(expected)
})

test('the owner gets SIGURG, a send without a byte fails, other kinds of sockets have none', async () => {
  const pair = new Pair()
  const seen = await pair.alone(async (sys: Sys) => {
    const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
    let signals = 0
    sys.signal(SIGURG, () => {
      signals++
    })
    sys.fcntl(b, C.F_SETOWN, sys.getpid())
    await sys.send(a, 'x', 1, C.MSG_OOB)
    const [c, d] = sys.socketpair(C.AF_UNIX, C.SOCK_SEQPACKET)
    const results = [
      await codeOf(() => sys.send(a, '', 0, C.MSG_OOB)),
      await codeOf(() => sys.send(c, 'x', 1, C.MSG_OOB)),
      await codeOf(() => sys.recv(d, new Uint8Array(1), 1, C.MSG_OOB)),
      await codeOf(async () => sys.ioctl(d, C.SIOCATMARK)),
    ]
    await sys.sleep(1)
    for (const fd of [a, b, c, d]) await sys.close(fd)
    return [results, signals]
  })
  expect(seen).toEqual([['EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP'], 1])
  expect(pair.close()).toEqual(NOTHING)
})
