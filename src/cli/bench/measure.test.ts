import { describe, expect, it } from 'vitest'
import { SERVER_DESIGNS } from '../../services/echo-designs.ts'
import { summarize } from '../../services/statistics.ts'
import { picture, tableText } from './measure.ts'
import * as ours from './measurements.ts'
import { OFFLOAD } from './pair.ts'
import { plot } from './plot.ts'

const curve = {
  name: 'pipe',
  title: 'Throughput of a pipe',
  xTitle: 'buffer',
  unit: 'Gbit/s',
  each: 'run' as const,
  without: null,
  points: [
    { x: 512, ours: summarize([1, 3]), kernel: summarize([4, 4]) },
    { x: 2048, ours: summarize([200, 200]), kernel: summarize([100, 100]) },
  ],
}

describe('what was measured', () => {
  it('is a table of means and deviations', () => {
    expect(tableText(curve, 2).split('\n')).toEqual([
      'Throughput of a pipe, Gbit/s: mean ± standard deviation of 2 runs',
      'buffer      netglass            kernel              netglass / kernel',
      '512 B       2.00 ± 1.41         4.00 ± 0.00         0.50',
      '2 KiB       200 ± 0.00          100 ± 0.00          2.00',
    ])
  })

  it('says what it is a mean of, and what is better; one value has no deviation', () => {
    const point = { x: 'fork', ours: summarize([2]), kernel: summarize([4]) }
    const table = { ...curve, title: 'Servers', unit: 'µs', each: 'client' as const, points: [point] }
    expect(tableText({ ...table, note: '50 clients', rival: 'memcpy' }, 5).split('\n')).toEqual([
      'Servers, µs, less is better: mean ± standard deviation of 1 client in 5 runs',
      '(50 clients)',
      'buffer      netglass            memcpy              netglass / memcpy',
      'fork        2.00                4.00                0.50',
    ])
  })

  it('says why the kernel is missing', () => {
    const alone = { ...curve, without: 'there is no C compiler', points: [{ ...curve.points[0]!, kernel: null }] }
    expect(tableText(alone, 1).split('\n').slice(1)).toEqual([
      "(the kernel's is missing: there is no C compiler)",
      'buffer      netglass            kernel              netglass / kernel',
      '512 B       2.00 ± 1.41         –                   –',
    ])
    expect(picture(alone)).not.toContain('>kernel<')
  })

  it('is drawn over powers of two, with deviations', () => {
    const svg = picture(curve)
    // 512 B to 2 KiB are two steps of 190 pixels; 200 of 200 is at the top.
    expect(svg.match(/<circle [^>]*>/g)).toEqual([
      '<circle cx="70.0" cy="267.7" r="3" fill="#1f77b4"/>',
      '<circle cx="450.0" cy="40.0" r="3" fill="#1f77b4"/>',
      '<circle cx="70.0" cy="265.4" r="3" fill="#d62728"/>',
      '<circle cx="450.0" cy="155.0" r="3" fill="#d62728"/>',
    ])
    expect(svg.match(/m-3 0h6/g)).toHaveLength(1)
    expect(svg).toContain('>1 KiB<')
  })

  it('has a label at the end of its axis, and before that as many as there is room for', () => {
    const points = Array.from({ length: 10 }, (_, i) => [1024 * 2 ** i, 1] as const)
    const label = (x: number): string => `${x / 1024} KiB`
    const svg = plot({ title: 'Throughput', note: '', unit: 'Gbit/s' }, 'buffer', [{ name: 'netglass', points }], {
      base: 2,
      label,
    })
    const labels = [...svg.matchAll(/x="(\d+)" y="288"[^>]*>([^<]*)</g)].map(([, x, text]) => [Number(x), text])
    expect(labels).toEqual([
      [450, '512 KiB'],
      [366, '128 KiB'],
      [281, '32 KiB'],
      [197, '8 KiB'],
      [112, '2 KiB'],
    ])
  })

  it('is drawn as bars where designs are compared', () => {
    const [first, second] = curve.points
    const svg = picture({
      ...curve,
      points: [
        { ...first!, x: 'fork' },
        { ...second!, x: 'epoll' },
      ],
    })
    expect(svg.match(/<rect x/g)).toHaveLength(4)
    expect(svg).toContain('>epoll<')
    // 2 ± 1.41 has both ends; 2 ± 20,000 goes on above the field.
    expect(svg.match(/m-3 0h6"/g)).toHaveLength(1)
    const wide = { ...first!, ours: { ...first!.ours, deviation: 20_000 } }
    const open = picture({ ...curve, points: [{ ...wide, x: 'fork' }] })
    expect(open).toContain('V40.0" stroke="#333"')
    expect(open).not.toMatch(/m-3 0h6"/)
  })
})

describe('measuring', () => {
  it('moves all bytes, through whatever way', async () => {
    expect(await ours.stream(1024, 100_000, null)).toBeGreaterThan(0)
    expect(await ours.stream(1024, 100_000, {})).toBeGreaterThan(0)
    expect(await ours.stream(1024, 100_000, OFFLOAD)).toBeGreaterThan(0)
    expect(await ours.pipe(1024, 100_000)).toBeGreaterThan(0)
    expect(ours.copy(64, 1000)).toBeGreaterThan(0)
  })

  it.each(SERVER_DESIGNS.map((design) => [design.name, design] as const))('asks a server: %s', async (_, design) => {
    const { connect, response, bytes } = await ours.servers(design, 5, 4, 100)
    expect([connect.length, response.length, bytes]).toEqual([5, 20, 2000])
  })
})
