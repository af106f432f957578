import { describe, expect, it } from 'vitest'
import { established, type TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { CaState } from './congestion/state.ts'
import { SackReport } from './connection.ts'
import type { TcpSettings } from './settings.ts'

/** A connection over a link of 1500 bytes whose first segments have 512. */
const probing = (settings: Partial<TcpSettings> = {}): TcpBench =>
  established({
    mss: 1460,
    window: 60_000,
    rtt: ms(20),
    sack: true,
    settings: { tcp_mtu_probing: 2, tcp_base_mss: 512, initial_cwnd: 12, ...settings },
  })

const lengths = (s: TcpBench): number[] => s.sent().map(({ length }) => length)

describe('path MTU by probes (RFC 4821)', () => {
  it('begins with tcp_base_mss, tries the middle, and goes on with what arrives', () => {
    const s = probing()
    // A window update makes the size count.
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000 })
    s.send(4000)
    // (1500 + 552) / 2 is 1026 bytes of packet.
    expect(lengths(s)).toEqual([986, 512, 512, 512, 512, 512, 454])
    s.advance(ms(20))
    s.receive({ flags: 'A', seq: 1, ack: 4001, window: 61_000 })
    expect(s.count('tcpExt.TCPMTUPSuccess')).toBe(1)
    expect(s.connection.snd.mss).toBe(986)
    s.sent()
    s.send(2000)
    expect(lengths(s)).toEqual([986, 986, 28])
  })

  it('a probe that is lost is no congestion: it is sent again in pieces', () => {
    const s = probing()
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000 })
    s.send(4000)
    s.sent()
    const { cwnd } = s.connection.cc
    expect(cwnd).toBe(11)
    s.advance(ms(20))
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000, sack: [[987, 1499]] })
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000, sack: [[987, 2011]] })
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000, sack: [[987, 2523]] })
    expect(s.count('tcpExt.TCPMTUPFail')).toBe(1)
    expect(lengths(s)).toEqual([512, 474])
    expect(s.count('tcpExt.TCPSackRecovery')).toBe(0)
    expect(s.connection.cc.cwnd).toBe(12)
    s.receive({ flags: 'A', seq: 1, ack: 4001, window: 61_000 })
    expect(s.connection.snd.mss).toBe(512)
    s.sent()
    // Next time the middle between that and what it was before: (1025 + 552) / 2 = 788.
    s.send(4000)
    expect(lengths(s)[0]).toBe(748)
  })

  it('what is sent again meanwhile proves nothing: the ACK is that of the smaller segments (section 7.6.3)', () => {
    const s = probing()
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000 })
    s.send(4000)
    s.sent()
    s.advance(seconds(1))
    // The tail loss probe is the last segment; the time-out's is cut small.
    expect(s.sent().find(({ seq }) => seq === 1)?.length).toBe(512)
    s.receive({ flags: 'A', seq: 1, ack: 513, window: 61_000 })
    s.receive({ flags: 'A', seq: 1, ack: 4001, window: 61_000 })
    expect(s.count('tcpExt.TCPMTUPSuccess')).toBe(0)
    expect(s.connection.snd.mss).toBe(512)
  })

  it('a time-out while a probe is out is not taken for spurious: there is no F-RTO', () => {
    const s = probing({ tcp_early_retrans: 0 })
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 61_000 })
    s.send(4000)
    s.advance(ms(300))
    s.sent()
    expect(s.connection.cc.state).toBe(CaState.Loss)
    expect(s.connection.cc.frto).toBe(false)
  })

  it('does not begin while a duplicate is to be reported: the report would be cut off', () => {
    const s = probing()
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100, window: 61_000 })
    s.sent()
    const report = new SackReport()
    report.hasDuplicate = true
    s.connection.sacks = report
    s.send(4000)
    expect(lengths(s)[0]).not.toBe(986)
  })

  it('after time-outs in a row looks for a black hole (tcp_mtu_probing = 1)', () => {
    const s = established({ mss: 1460, window: 60_000, rtt: ms(20), settings: { tcp_mtu_probing: 1 } })
    s.send(1460)
    s.sent()
    const sizes: number[] = []
    while (s.clock.now() < seconds(60)) {
      s.advance(seconds(1))
      sizes.push(...lengths(s))
    }
    // The first three time-outs as usual; then tcp_base_mss, half of it, a quarter …
    expect([...new Set(sizes)]).toEqual([1460, 1024, 512, 256, 128, 64, 48].slice(0, new Set(sizes).size))
    expect(new Set(sizes).size).toBeGreaterThan(3)
  })

  it.each([
    [0, 1, true],
    [0, 2, true],
    [1, 0, false],
  ])(
    'tcp_mtu_probing %i when it was opened, %i since: time-outs in a row make it try less: %s',
    (first, then, tries) => {
      const s = established({ mss: 1460, window: 60_000, rtt: ms(20), settings: { tcp_mtu_probing: first } })
      s.settings.tcp_mtu_probing = then
      s.send(1460)
      const sizes: number[] = []
      while (s.clock.now() < seconds(60)) {
        s.advance(seconds(1))
        sizes.push(...lengths(s))
      }
      expect(sizes.includes(1024)).toBe(tries)
      expect(s.connection.mtuSearch?.isOn ?? false).toBe(tries)
    },
  )

  it('does nothing unless it is told to', () => {
    const s = probing({ tcp_mtu_probing: 0 })
    s.send(4000)
    expect(lengths(s)).toEqual([1460, 1460, 1080])
    expect(s.connection.mtuSearch).toBeNull()
  })
})
