import { describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { drawChart } from './chart.ts'
import { busiest, SeriesRecorder, seriesCsv } from './series.ts'
import { ticks } from './svg.ts'
import { timeSequenceSvg } from './time-sequence.ts'

/** 5000 bytes from a to b; the second data segment is lost once. */
const recorded = async () => {
  const network = new Network()
  const [a, b] = [network.host('a'), network.host('b')]
  const { cable, a: near, b: far } = network.link(a, b, { delay: 10 })
  const recorder = new SeriesRecorder(network.world)
  recorder.watch(() => a, near.port)
  recorder.watch(() => b, far.port)
  let large = 0
  cable.aToB.filter = (frame) => (frame.end - frame.start > 200 && ++large === 2 ? 'drop' : 'pass')
  b.spawn('server', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 80 })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    while ((await sys.recv(fd, new Uint8Array(9000))) > 0);
  })
  a.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 80 })
    await sys.send(fd, new Uint8Array(5000))
    await sys.close(fd)
  })
  await network.run(2000)
  return recorder.series
}

describe('a series', () => {
  it('has every segment of both ends, counted from the ISN', async () => {
    const series = await recorded()
    expect(series.map(({ host, remote }) => [host, remote.split(':')[0]])).toEqual([
      ['a', '10.0.0.2'],
      ['b', '10.0.0.1'],
    ])
    const [syn, synAck, ack, first] = series[0]!.samples
    expect(syn).toMatchObject({
      at: 20_000,
      direction: 'out',
      flags: 'S',
      seq: 0,
      length: 0,
      ack: null,
      window: 64_240,
    })
    expect(synAck).toMatchObject({ direction: 'in', flags: 'S.', seq: 0, ack: 1, window: 65_160, sendWindow: 65_160 })
    expect(ack).toMatchObject({ direction: 'out', flags: '.', seq: 1, ack: 1, window: 64_256 })
    expect(first).toMatchObject({
      direction: 'out',
      seq: 1,
      length: 1448,
      inFlight: 1448,
      ssthresh: null,
      cwnd: 14_480,
    })
  })

  it('shows what is sent again, SACK blocks, and what ACKs leave in the queue', async () => {
    const { sender, receiver } = busiest(await recorded())!
    expect([sender.host, receiver?.host]).toEqual(['a', 'b'])
    const again = sender.samples.filter(
      ({ direction, seq, length }) => direction === 'out' && seq === 1449 && length > 0,
    )
    expect(again).toHaveLength(2)
    expect(sender.samples.flatMap(({ sacks }) => sacks)[0]).toEqual([2897, 4345])
    expect(sender.samples.at(-1)).toMatchObject({ inFlight: 0, sendQ: 0 })
    expect(receiver?.samples.some(({ recvQ }) => recvQ > 0)).toBe(true)
  })

  it('is written as CSV', async () => {
    const [line, syn] = seriesCsv((await recorded())[0]!).split('\r\n')
    expect(line).toBe(
      'time_s,direction,flags,seq,length,ack,window,cwnd,ssthresh,in_flight,send_window,sendq,recvq,srtt_ms,rto_ms,sacks',
    )
    expect(syn).toBe('0.020000,out,S,0,0,,64240,5240,,1,0,0,0,0.000,1000.000,')
  })

  it('is drawn: a bar for each segment, those sent again apart', async () => {
    const { sender, receiver } = busiest(await recorded())!
    const svg = timeSequenceSvg(sender, receiver, 'a < b & c')
    expect(svg).toContain('<title>a &lt; b &amp; c</title>')
    const bars = (colour: string) =>
      new RegExp(`<path d="([^"]*)" stroke="${colour}"[^"]*"?[0-9]*"?/>`).exec(svg)?.[1]?.match(/V/g)?.length
    expect(bars('#111111')).toBe(4)
    expect(bars('#d7191c')).toBe(1)
  })
})

describe('ticks', () => {
  it.each([
    [0, 100, 5, [0, 20, 40, 60, 80, 100]],
    [0.3, 1.1, 4, [0.4, 0.6, 0.8, 1]],
    [0, 1, 10, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]],
  ])('of %d to %d', (low, high, count, expected) => {
    expect(ticks(low, high, count).map((tick) => Number(tick.toFixed(6)))).toEqual(expected)
  })
})

describe('a chart', () => {
  it('shows the largest value of each column, and holds it', () => {
    const points = [
      [0, 0],
      [1, 10],
      [3, 4],
    ] as const
    expect(drawChart([{ name: 'x', sign: '*', points }], { width: 4, height: 3, unit: 's' }).split('\n')).toEqual([
      '   10 | **',
      '    5 |   *',
      '    0 |*',
      '      +----',
      '       0 s3 s',
      '       * x',
      '',
    ])
  })
})
