import { MSG_MORE, SOL_TCP, TCP_CORK, TCP_NODELAY, TCP_QUICKACK } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages, type Stage, type Stages } from './stage.ts'
import { table } from './table.ts'

/** Section E: which segments leave when, for small writes. */

/** How a program writes. */
interface Way {
  readonly name: string
  readonly nodelay?: boolean
  /** Corked before the writes; uncorked after them, or never. */
  readonly cork?: 'uncorked' | 'forgotten'
  readonly more?: boolean
}

const WAYS: readonly Way[] = [
  { name: 'as it is (Nagle)' },
  { name: 'TCP_NODELAY', nodelay: true },
  { name: 'TCP_CORK, then off', cork: 'uncorked' },
  { name: 'TCP_CORK, forgotten', cork: 'forgotten' },
  { name: 'MSG_MORE but for the last', more: true },
]

const WRITES = 5
const SIZE = 100

const nagle: Scenario = {
  name: 'nagle',
  group: 'E',
  title: 'Small writes: Nagle, TCP_NODELAY, TCP_CORK, MSG_MORE, and the delayed ACK',
  description:
    "Nagle's rule: while something small is unacknowledged, nothing else that is small leaves. So five writes of 100 bytes become two segments, the second a round trip later. TCP_NODELAY sends each at once. TCP_CORK keeps what is not a full segment until it is taken off, or the retransmission time-out, 200 ms at the least, has passed; MSG_MORE does so for one call. Nagle's rule and the delayed ACK together cost 40 ms whenever a program writes twice and then waits for the answer.",
  async run(lab) {
    const rows = [['how', 'segments: bytes, and milliseconds after the first write']]
    const seen: string[][] = []
    for (const [index, way] of WAYS.entries()) {
      const stages = await connectStages(lab, { index: index + 1, reads: true })
      await measure(lab, stages)
      seen.push(await writes(lab, stages, way))
      rows.push([way.name, seen.at(-1)!.join(', ')])
      await lab.step(`Five writes of 100 bytes: ${way.name}`)
      stages.end()
    }
    lab.figure('Five writes of 100 bytes at once; a round trip takes 20 ms', table(rows))
    await lab.step('Side by side')
    lab.check('Nagle: the first at once, the rest with its ACK', seen[0], ['100 at 0', '400 at 20'])
    lab.check('TCP_NODELAY', seen[1], new Array(5).fill('100 at 0'))
    lab.check('TCP_CORK: all in one, when it is taken off', seen[2], ['500 at 0'])
    lab.check('TCP_CORK forgotten: after the RTO, 200 ms and the round trip', seen[3], ['500 at 220'])
    lab.check('MSG_MORE', seen[4], ['500 at 0'])
    await fullSegments(lab)
    await writeWriteRead(lab)
  },
}

/** Lets a round trip be measured, and quick ACKs be used up. */
const measure = async (lab: Lab, { near, far, sender }: Stages): Promise<void> => {
  await ask(lab, near, 'send(100)', () => near.sys.send(near.fd, new Uint8Array(100)))
  await lab.quietly(() => sender.cc.packetsOut === 0)
  far.sys.setsockopt(far.fd, SOL_TCP, TCP_QUICKACK, 1)
  await lab.quietly(() => false, 1000)
}

const writes = async (lab: Lab, { near, client, sender }: Stages, way: Way): Promise<string[]> => {
  const { sys, fd } = near
  if (way.nodelay) sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
  if (way.cork !== undefined) sys.setsockopt(fd, SOL_TCP, TCP_CORK, 1)
  const before = lab.segments(/./).length
  const since = lab.network.now
  await ask(lab, near, `${WRITES} sends`, async () => {
    for (let i = 1; i <= WRITES; i++) await lab.send(sys, fd, SIZE, way.more && i < WRITES ? MSG_MORE : 0)
    if (way.cork === 'uncorked') sys.setsockopt(fd, SOL_TCP, TCP_CORK, 0)
    return WRITES
  })
  await lab.quietly(() => sender.sendRing?.length === 0)
  return lab
    .segments(/./)
    .slice(before)
    .filter(({ from, text }) => from === client.name && text.includes('('))
    .map(({ at, text }) => `${/\((\d+)\)/.exec(text)![1]} at ${Math.round(at * 1000 - since)}`)
}

/** What is a full segment is not small: Nagle's rule keeps back only the end. */
const fullSegments = async (lab: Lab): Promise<void> => {
  const stages = await connectStages(lab, { index: 8, reads: true })
  await measure(lab, stages)
  const { near, client, sender } = stages
  const before = lab.segments(/./).length
  const since = lab.network.now
  await ask(lab, near, 'send(100)', () => lab.send(near.sys, near.fd, 100))
  await ask(lab, near, 'send(3000)', () => lab.send(near.sys, near.fd, 3000))
  await lab.quietly(() => sender.sendRing?.length === 0)
  const sent = lab
    .segments(/./)
    .slice(before)
    .filter(({ from, text }) => from === client.name && text.includes('('))
  await lab.step('A small write and a large one: full segments leave at once, the end waits')
  lab.check(
    'bytes, and milliseconds',
    sent.map(({ at, text }) => `${/\((\d+)\)/.exec(text)![1]} at ${Math.round(at * 1000 - since)}`),
    ['100 at 0', '1448 at 0', '1448 at 0', '104 at 20'],
  )
  stages.end()
}

/** A question in two writes, and its answer: what the delayed ACK adds. */
const writeWriteRead = async (lab: Lab): Promise<void> => {
  const took: Record<string, number> = {}
  for (const [index, [name, together, nodelay]] of (
    [
      ['two writes', false, false],
      ['two writes, TCP_NODELAY', false, true],
      ['one write', true, false],
    ] as const
  ).entries()) {
    const stages = await connectStages(lab, { index: 20 + index })
    const { near, far } = stages
    if (nodelay) near.sys.setsockopt(near.fd, SOL_TCP, TCP_NODELAY, 1)
    const answers = begin(far, 'answers', () => answer(far))
    for (let i = 0; i < 4; i++) {
      const since = lab.network.now
      await ask(lab, near, `question ${i + 1}`, async () => {
        if (together) await near.sys.send(near.fd, new Uint8Array(200))
        else for (let part = 0; part < 2; part++) await near.sys.send(near.fd, new Uint8Array(100))
        return near.sys.recv(near.fd, new Uint8Array(200))
      })
      took[name] = lab.network.now - since
    }
    await lab.step(`A question of 200 bytes and its answer, over and over: ${name}`)
    lab.check('the answering program still runs', answers.result, null)
    stages.end()
  }
  lab.figure(
    'One question and its answer',
    table([['the question', 'takes'], ...Object.entries(took).map(([name, ms]) => [name, `${ms} ms`])]),
  )
  lab.note(
    'In two writes: the second half waits for the ACK of the first (Nagle), and that ACK waits for an answer to travel with (delayed ACK), which cannot come before the second half. After 40 ms the ACK leaves alone.',
  )
  await lab.step('What it costs')
  lab.check('two writes: the delay of the ACK, and two round trips', took['two writes'], 80)
  lab.check('two writes with TCP_NODELAY: a round trip', took['two writes, TCP_NODELAY'], 20)
  lab.check('one write: a round trip', took['one write'], 20)
}

/** Reads 200 bytes and answers them, for ever. */
const answer = async ({ sys, fd }: Stage): Promise<number> => {
  const buffer = new Uint8Array(200)
  for (let read = 0; ; read = 0) {
    while (read < 200) {
      const count = await sys.recv(fd, buffer, 200 - read)
      if (count === 0) return 0
      read += count
    }
    await sys.send(fd, buffer)
  }
}

export const nagleScenarios: readonly Scenario[] = [nagle]
