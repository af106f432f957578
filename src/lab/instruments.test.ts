import { describe, expect, it } from 'vitest'
import { bytesOf } from '../core/memory.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { fate, lastLine, lastLineAt } from './endings.ts'
import { forgeIcmpError, forgeSegment } from './forge.ts'
import { type Lab, runScenario } from './lab.ts'
import { acceptOne, connectTo, readAll, told } from './programs.ts'
import type { LabStep } from './report.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages } from './stage.ts'
import { table } from './table.ts'
import { LabText } from './text.ts'
import { LEAST_PATIENCE, patience } from './unplugged.ts'

/** What scenarios are made with. */

const scenario = (run: (lab: Lab) => Promise<void>): Scenario => ({
  name: 'test',
  group: 'C',
  title: 'A test',
  description: 'A test.',
  run,
})

/** Runs a scenario and gives its last step. */
const last = async (run: (lab: Lab) => Promise<void>): Promise<LabStep> =>
  (await runScenario(scenario(run))).steps.at(-1)!

describe('a host that loses power', () => {
  it('forgets everything, says nothing, and is shown without power', async () => {
    const step = await last(async (lab) => {
      const { client, server } = lab.pair()
      const reader = acceptOne(lab, server, 80, async (sys, fd) => {
        await readAll(sys, fd)
      })
      await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
      lab.spawn(client, 'client', async (sys) => {
        await connectTo(sys, '10.0.0.2', 80)
        await sys.sleep(1000)
      })
      await lab.until('connected', () => lab.state(server, 80) === 'ESTABLISHED')
      lab.powerOff(server)
      await lab.pass(1000, 'a second later')
      expect(lab.isDark(server)).toBe(true)
      expect(fate(lab, reader)).toBe('lost with its host')
      expect([server.sockets.sockets.size, server.ip.interfaces.length]).toEqual([0, 0])
      expect(lab.states(client)).toEqual(['ESTABLISHED'])
    })
    expect(step.segments).toEqual([])
    expect(step.views.map(({ host, text }) => [host, text.includes('no power')])).toEqual([
      ['client', false],
      ['server', true],
    ])
  })

  it('is there again with its name, links and addresses, and answers what it does not know with a RST', async () => {
    const report = await runScenario(
      scenario(async (lab) => {
        const { near, server } = await connectStages(lab)
        lab.watchQueues(near.sys.process.host, server, 5000, 'to server')
        lab.powerOff(server)
        const started = lab.powerOn(server)
        expect(started).not.toBe(server)
        expect([started.name, lab.isDark(started)]).toEqual(['server', false])
        expect(
          started.ip.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => String(address))),
        ).toContain('10.0.0.2')
        const read = begin(near, 'recv()', () => near.sys.recv(near.fd, new Uint8Array(1)))
        await ask(lab, near, 'send(10)', () => lab.send(near.sys, near.fd, 10))
        await lab.until('a RST', () => read.result !== null)
        expect(read.result).toBe('ECONNRESET')
        expect(() => lab.powerOn(started)).toThrow('server is running')
      }),
    )
    const { segments, views } = report.steps.at(-1)!
    expect(segments.slice(-2).map(({ from, text }) => [from, text.split(' ')[0]])).toEqual([
      ['client', 'PSH+ACK'],
      ['server', 'RST'],
    ])
    expect(views.every(({ text }) => !text.includes('no power'))).toBe(true)
  })

  it('loses what comes to it, and the ladder says so', async () => {
    const step = await last(async (lab) => {
      const { near, server } = await connectStages(lab)
      lab.powerOff(server)
      await ask(lab, near, 'send(10)', () => lab.send(near.sys, near.fd, 10))
      await lab.pass(100, 'lost')
    })
    expect(step.segments.map(({ from, lost, arrived }) => [from, lost, arrived]).at(-1)).toEqual(['client', true, null])
  })
})

describe('a step', () => {
  it('shows a figure once, between notes and tools', async () => {
    const steps: string[] = []
    await runScenario(
      scenario(async (lab) => {
        lab.figure(
          'A figure',
          table([
            ['a', 'bc'],
            ['def', 'g'],
          ]),
        )
        lab.note('A note.')
        await lab.step('one')
        await lab.step('two')
      }),
      { onStep: (step, report) => void steps.push(new LabText({ ascii: true }).step(step, report)) },
    )
    expect(steps[0]).toBe('\n[1] 0.000 s  one\n  A note.\n\n  A figure\n  a     bc\n  def   g\n')
    expect(steps[1]).toBe('\n[2] 0.000 s  two\n')
  })

  it('shows nothing of hosts that were left', async () => {
    const step = await last(async (lab) => {
      const stages = await connectStages(lab)
      lab.watchQueues(stages.client, stages.server, 5050)
      begin(stages.far, 'recv()', () => stages.far.sys.recv(stages.far.fd, new Uint8Array(1)))
      await lab.step('shown')
      expect(lab.report.steps.at(-1)?.queues).toHaveLength(2)
      expect(lab.report.steps.at(-1)?.waiting).toEqual([{ host: 'server', program: 'receiver', call: 'recv' }])
      lab.leave(stages.client, stages.server)
      await lab.step('not shown')
    })
    expect([step.views, step.queues, step.waiting]).toEqual([[], [], []])
  })

  it('tells sends apart by what was taken of them', async () => {
    await runScenario(
      scenario(async (lab) => {
        const { near, client, server } = await connectStages(lab, {
          sysctl: { 'net.ipv4.tcp_wmem': '4096 16384 16384' },
        })
        near.sys.ioctl(near.fd, 0x5421, 1)
        const { result } = await ask(lab, near, 'send(1000000)', () => lab.send(near.sys, near.fd, 1_000_000))
        expect(result).toBeLessThan(1_000_000)
        expect(lab.queues(client, server, 5050).sends).toEqual([result])
      }),
    )
  })
})

describe('the end of a program', () => {
  it('is its last own line, when it was printed, and what has become of it', async () => {
    await runScenario(
      scenario(async (lab) => {
        const host = lab.host('a')
        const done = lab.spawn(host, 'done', async (sys) => {
          await sys.sleep(1)
          await told(sys, 'socket()', () => sys.socket(99, 1))
        })
        const waits = lab.spawn(host, 'waits', (sys) => sys.sleep(100).then(() => undefined))
        await lab.quietly(() => false, 2000)
        expect([lastLine(done), lastLineAt(done), fate(lab, done)]).toEqual(['socket(): EAFNOSUPPORT', 1, 'has ended'])
        expect([lastLine(waits), lastLineAt(waits), fate(lab, waits)]).toEqual(['', -1, 'waits in sleep'])
        waits.signal(9)
        expect(fate(lab, waits)).toBe('ended by SIGKILL')
      }),
    )
  })
})

describe('forged packets', () => {
  const decoded = (packet: Uint8Array) => {
    const frame = new DecodedFrame()
    const reason = decodeFrame(frame, bytesOf(packet), 0, packet.length, 'ip')
    return { frame, reason }
  }
  const forged = forgeSegment({
    from: '10.0.0.1',
    to: '10.0.0.2',
    sourcePort: 1,
    destinationPort: 2,
    flags: TcpFlag.Rst,
    seq: -5,
    payload: new Uint8Array([1, 2, 3]),
  })

  it('are valid segments', () => {
    const { frame, reason } = decoded(forged)
    expect([
      reason,
      frame.layer,
      String(frame.ip.source),
      frame.tcp.seq,
      frame.payloadEnd - frame.payloadStart,
    ]).toEqual([0, 'tcp', '10.0.0.1', -5, 3])
  })

  it('are valid ICMP errors', () => {
    const { frame, reason } = decoded(forgeIcmpError('10.0.0.9', '10.0.0.1', 3, 4, 1000, forged))
    expect([reason, frame.layer, frame.icmp.mtu, frame.icmp.dataEnd - frame.icmp.dataStart]).toEqual([
      0,
      'icmp',
      1000,
      28,
    ])
  })
})

it('a sender is patient for 924.6 seconds at the least (RFC 9293 section 3.8.3)', () => {
  expect(LEAST_PATIENCE).toBe(924.6)
  expect(patience(0.1)).toBeCloseTo(924.6, 6)
  expect(patience(0.22)).toBeCloseTo(944.84, 6)
})
