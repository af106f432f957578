import type { Sys } from '../host/calls.ts'
import { SIGURG } from '../host/signals.ts'
import {
  F_SETOWN,
  MSG_DONTWAIT,
  MSG_OOB,
  POLLIN,
  POLLPRI,
  SIOCATMARK,
  SO_OOBINLINE,
  SOL_SOCKET,
} from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { pollNames } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { ask, connectStages, type Stages } from './stage.ts'

/** Section E: the urgent mark, and the one byte that goes with it. */

const text = (bytes: Uint8Array, count: unknown): string =>
  typeof count === 'number' ? new TextDecoder().decode(bytes.subarray(0, count)) : String(count)

const urgent: Scenario = {
  name: 'urgent',
  group: 'E',
  title: 'Urgent data: one byte, a mark in the stream, POLLPRI and SIGURG',
  description:
    'send(MSG_OOB) marks its last byte as urgent; the segments before it say so already (URG and the urgent pointer). The receiver gets SIGURG, poll() says POLLPRI, and recv(MSG_OOB) fetches the byte ahead of all that was sent before it. An ordinary recv() stops at the mark, where SIOCATMARK says 1, and leaves the byte out. With SO_OOBINLINE the byte stays where it was in the stream. There is only one: a second urgent byte takes the place of the first.',
  async run(lab) {
    await outOfBand(lab)
    await inline(lab)
    await second(lab)
  },
}

/** Sends "abc", then "X" as urgent, then "def". */
const sendAll = async (lab: Lab, stages: Stages, bytes = 'abcXdef'): Promise<void> => {
  const { near, client } = stages
  const encode = (part: string) => new TextEncoder().encode(part)
  const mark = bytes.indexOf('X')
  await ask(lab, near, `send("${bytes.slice(0, mark)}")`, () =>
    lab.send(near.sys, near.fd, encode(bytes.slice(0, mark))),
  )
  await ask(lab, near, 'send("X", MSG_OOB)', () => lab.send(near.sys, near.fd, encode('X'), MSG_OOB))
  await ask(lab, near, `send("${bytes.slice(mark + 1)}")`, () =>
    lab.send(near.sys, near.fd, encode(bytes.slice(mark + 1))),
  )
  await lab.quietly(() => lab.connection(client, 5050)?.sendRing?.length === 0)
}

const poll = async (sys: Sys, fd: number): Promise<string> => {
  const entry = { fd, events: POLLIN | POLLPRI, revents: 0 }
  await sys.poll([entry], 0)
  return pollNames(entry.revents)
}

const outOfBand = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { show: 'netstat -ant' })
  const { far } = stages
  const { sys, fd } = far
  const signals: number[] = []
  sys.signal(SIGURG, (signal) => {
    signals.push(signal)
    sys.print('SIGURG')
  })
  sys.fcntl(fd, F_SETOWN, sys.getpid())
  await sendAll(lab, stages)
  await lab.step('"abc", "X" with MSG_OOB, and "def" have arrived')
  const marked = lab.segments(/URG/)
  lab.check('segments with URG', marked.length, 1)
  lab.check('SIGURG came', signals, [SIGURG])
  lab.check('poll() says', (await ask(lab, far, 'poll()', () => poll(sys, fd))).result, 'POLLIN|POLLPRI')
  const buffer = new Uint8Array(100)
  const oob = await ask(lab, far, 'recv(1, MSG_OOB)', () => sys.recv(fd, buffer, 1, MSG_OOB))
  lab.check('recv(MSG_OOB), ahead of "abc"', text(buffer, oob.result), 'X')
  const before = await ask(lab, far, 'recv(100)', () => sys.recv(fd, buffer))
  lab.check('recv() stops at the mark', text(buffer, before.result), 'abc')
  lab.check('SIOCATMARK', sys.ioctl(fd, SIOCATMARK), 1)
  const again = await ask(lab, far, 'recv(1, MSG_OOB)', () => sys.recv(fd, buffer, 1, MSG_OOB))
  lab.check('there is no second urgent byte', again.result, 'EINVAL')
  const after = await ask(lab, far, 'recv(100)', () => sys.recv(fd, buffer))
  lab.check('the next recv(): what came behind the mark', text(buffer, after.result), 'def')
  lab.check('SIOCATMARK', sys.ioctl(fd, SIOCATMARK), 0)
  await lab.step('The byte is read ahead of the stream, and is not in it')
  stages.end()
}

const inline = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 1, show: 'netstat -ant' })
  const { far } = stages
  const { sys, fd } = far
  sys.setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, 1)
  await sendAll(lab, stages)
  const buffer = new Uint8Array(100)
  const oob = await ask(lab, far, 'recv(1, MSG_OOB)', () => sys.recv(fd, buffer, 1, MSG_OOB))
  const parts: string[] = []
  for (let i = 0; i < 2; i++) {
    const { result } = await ask(lab, far, 'recv(100)', () => sys.recv(fd, buffer, 100, MSG_DONTWAIT))
    parts.push(text(buffer, result))
  }
  await lab.step('SO_OOBINLINE: the byte stays in the stream')
  lab.check('recv(MSG_OOB)', oob.result, 'EINVAL')
  lab.check('two calls of recv(): it stops before the mark all the same', parts, ['abc', 'Xdef'])
  stages.end()
}

const second = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 2, show: 'netstat -ant' })
  const { far } = stages
  const { sys, fd } = far
  await sendAll(lab, stages, 'aX')
  await sendAll(lab, stages, 'bX')
  const buffer = new Uint8Array(100)
  const oob = await ask(lab, far, 'recv(1, MSG_OOB)', () => sys.recv(fd, buffer, 1, MSG_OOB))
  const rest = await ask(lab, far, 'recv(100)', () => sys.recv(fd, buffer, 100, MSG_DONTWAIT))
  await lab.step('A second urgent byte, before the first was read')
  lab.check('recv(MSG_OOB): one byte', oob.result, 1)
  lab.check('the first one has become an ordinary byte of the stream', text(buffer, rest.result), 'aXb')
  stages.end()
}

export const urgentScenarios: readonly Scenario[] = [urgent]
