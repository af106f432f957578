import { describe, expect, it } from 'vitest'
import { sink, source } from '../../../bench/grid.ts'
import { established, type TcpBench } from '../../../test/support/tcp.ts'
import { type Micros, ms } from '../../core/clock.ts'
import { Network } from '../../sim/network.ts'
import { LINUX, type TcpPersonality } from '../settings.ts'

const PLUS: TcpPersonality = { ...LINUX, slowStartExit: 'hystart++' }

const sending = (control: string): TcpBench => {
  const options = { mss: 1000, rtt: ms(40), windowScale: 7, window: 30_000, sendBuffer: 4_000_000 }
  const s = established({ ...options, settings: { personality: PLUS } })
  s.connection.control = s.demux.layer.congestionControls.find(control)!
  s.connection.ownCongestionState()
  s.send(2_000_000)
  return s
}

/** One round trip that takes so long: one ACK for each segment that is out. @returns the window after it */
const round = (s: TcpBench, delay: Micros): number => {
  const sent = s.sent()
  s.advance(delay)
  for (const { seq, length } of sent) s.receive({ flags: 'A', seq: 1, ack: seq + length, window: 30_000 })
  return s.connection.cc.cwnd
}

describe.each(['reno', 'cubic'])('HyStart++ (RFC 9406) with %s', (control) => {
  it('doubles the window while the delay stays, and counts an ACK as eight segments at most (section 4.2)', () => {
    const s = sending(control)
    expect([round(s, ms(40)), round(s, ms(41)), round(s, ms(43))]).toEqual([20, 40, 80])
    const sent = s.sent()
    s.advance(ms(40))
    s.receive({ flags: 'A', seq: 1, ack: sent[19]!.seq + 1000, window: 30_000 })
    expect(s.connection.cc.cwnd).toBe(88)
  })

  it('grows by a quarter once the delay is an eighth more, and ends after five round trips', () => {
    const s = sending(control)
    expect([round(s, ms(40)), round(s, ms(40))]).toEqual([20, 40])
    // 40 ms / 8 = 5 ms more: seen with the eighth of 40 ACKs, so that 33 count a quarter.
    expect(round(s, ms(45))).toBe(40 + 7 + 8)
    expect([round(s, ms(46)), round(s, ms(47)), round(s, ms(48)), round(s, ms(48))]).toEqual([69, 86, 107, 134])
    expect(s.connection.cc.ssthresh).toBe(0x7fff_ffff)
    round(s, ms(48))
    expect(s.connection.cc.ssthresh).toBe(134)
    expect(s.connection.cc.cwnd).toBeLessThan(145)
    expect(s.count('tcpExt.TCPHystartDelayDetect')).toBe(1)
  })

  it('goes back to slow start when the delay falls below where it began', () => {
    const s = sending(control)
    round(s, ms(40))
    round(s, ms(40))
    expect(round(s, ms(46))).toBe(55)
    // The eighth ACK of the next round trip takes it back: two for the seven before it, and 48.
    const window = round(s, ms(41))
    expect(window).toBe(55 + 2 + 48)
    expect(round(s, ms(41))).toBe(2 * window)
  })

  it('says nothing of a growth of less than 4 ms', () => {
    const s = sending(control)
    for (const delay of [10, 13, 16, 19]) round(s, ms(delay))
    expect(s.connection.cc.cwnd).toBe(160)
  })
})

it('overflows the path by less than slow start that waits for a loss', async () => {
  const losses = async (slowStartExit: TcpPersonality['slowStartExit']): Promise<number> => {
    const network = new Network()
    const sysctl = { 'net.ipv4.tcp_rmem': '4096 6000000 6000000', 'net.ipv4.tcp_wmem': '4096 6000000 6000000' }
    const [a, b] = [network.host('a', { sysctl }), network.host('b', { sysctl })]
    a.tcpSettings.personality = { ...LINUX, slowStartExit }
    const link = network.link(a, b, { delay: 25 })
    link.cable.aToB.impair({ delay: 25, rate: 20e6, queue: 300 })
    b.spawn(
      'sink',
      sink(5001, () => {}),
    )
    a.spawn('source', source('10.0.0.2', 5001, 'reno'))
    await network.run(2000)
    network.close()
    return a.ip.mib.tcp.RetransSegs
  }
  const [plus, none] = [await losses('hystart++'), await losses('none')]
  expect(none).toBeGreaterThan(300)
  expect(plus).toBeLessThan(none / 3)
})
