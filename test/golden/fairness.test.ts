import { describe, expect, it } from 'vitest'
import { contest } from '../../bench/fairness.ts'

const LATE = { apart: 3, settle: 30, measured: 60 }

describe('flows that share a bottleneck', { timeout: 120_000 }, () => {
  it.each([
    [10, 40],
    [20, 100],
  ])('two of CUBIC within 10 %% of evenly: %d Mbit/s, %d ms', async (rate, rtt) => {
    const [[first, second], used] = await contest({ controls: ['cubic', 'cubic'], rate, rtt, ...LATE })
    expect(Math.abs(first! - second!)).toBeLessThan(10)
    expect(used).toBeGreaterThan(90)
  })

  it('two of BBR within 10 % of evenly', async () => {
    const [[first, second], used] = await contest({ controls: ['bbr', 'bbr'], rate: 10, rtt: 40, ...LATE })
    expect(Math.abs(first! - second!)).toBeLessThan(10)
    expect(used).toBeGreaterThan(90)
  })

  it('CUBIC beside Reno: no more than Reno would take where the window is small (RFC 9438 section 4.3)', async () => {
    const [[cubic, reno]] = await contest({ controls: ['cubic', 'reno'], rate: 10, rtt: 20, ...LATE })
    expect(cubic).toBeLessThan(60)
    expect(reno).toBeGreaterThan(40)
  })

  it('and more where Reno leaves it unused (section 5.1)', async () => {
    const [[cubic, reno], used] = await contest({ controls: ['cubic', 'reno'], rate: 50, rtt: 100, ...LATE })
    expect(cubic).toBeGreaterThan(60)
    expect(reno).toBeGreaterThan(15)
    expect(used).toBeGreaterThan(90)
  })
})
