import { SECOND } from '../core/clock.ts'
import type { ConnectionSeries, SeriesSample } from './series.ts'
import { type Panel, svgDocument } from './svg.ts'

/**
 * The time-sequence diagram of a connection as an SVG document, as tcptrace draws it: segments of the sender against
 * time, those sent again in another colour, what the receiver has acknowledged below them and its window above; then
 * the windows, the queues, and the round-trip time with the time-out, against the same time.
 */
export const timeSequenceSvg = (
  sender: ConnectionSeries,
  receiver: ConnectionSeries | null,
  title = `${sender.local} > ${sender.remote}`,
): string =>
  svgDocument(title, [segmentPanel(sender), windowPanel(sender), queuePanel(sender, receiver), timePanel(sender)])

type Point = readonly [at: number, value: number]

const points = (samples: readonly SeriesSample[], value: (sample: SeriesSample) => number | null): Point[] =>
  samples.flatMap((sample) => {
    const found = value(sample)
    return found === null ? [] : [[sample.at / SECOND, found] as const]
  })

const segmentPanel = ({ samples }: ConnectionSeries): Panel => {
  const sent = samples.filter(({ direction, length }) => direction === 'out' && length > 0)
  const heard = samples.filter(({ direction, ack }) => direction === 'in' && ack !== null)
  const bars = { first: [] as [number, number, number][], again: [] as [number, number, number][] }
  let highest = 0
  for (const { at, seq, length } of sent) {
    bars[seq < highest ? 'again' : 'first'].push([at / SECOND, seq, seq + length])
    highest = Math.max(highest, seq + length)
  }
  const sacked = heard.flatMap(({ at, sacks }) =>
    sacks.map(([from, to]): [number, number, number] => [at / SECOND, from, to]),
  )
  return {
    title: 'sequence number, bytes from the beginning',
    height: 420,
    lines: [
      { name: 'acknowledged', colour: '#1b8a3a', points: points(heard, ({ ack }) => ack) },
      {
        name: 'advertised window',
        colour: '#b58900',
        points: points(heard, ({ ack, window }) => ack! + window),
        isLimit: true,
      },
    ],
    bars: [
      { name: 'SACKed', colour: '#8e44ad', spans: sacked },
      { name: 'sent', colour: '#111111', spans: bars.first },
      { name: 'sent again', colour: '#d7191c', spans: bars.again, isBold: true },
    ],
  }
}

const windowPanel = ({ samples }: ConnectionSeries): Panel => ({
  title: 'windows, bytes',
  height: 170,
  lines: [
    { name: 'unacknowledged', colour: '#111111', points: points(samples, ({ inFlight }) => inFlight) },
    { name: 'congestion window', colour: '#2b6cb0', points: points(samples, ({ cwnd }) => cwnd) },
    { name: 'ssthresh', colour: '#999999', points: points(samples, ({ ssthresh }) => ssthresh), isLimit: true },
    {
      name: 'advertised window',
      colour: '#b58900',
      points: points(samples, ({ sendWindow }) => sendWindow),
      isLimit: true,
    },
  ],
})

const queuePanel = ({ samples }: ConnectionSeries, receiver: ConnectionSeries | null): Panel => ({
  title: 'queues, bytes',
  height: 130,
  lines: [
    { name: 'SendQ of the sender', colour: '#2b6cb0', points: points(samples, ({ sendQ }) => sendQ) },
    ...(receiver === null
      ? []
      : [{ name: 'RecvQ of the receiver', colour: '#d7191c', points: points(receiver.samples, ({ recvQ }) => recvQ) }]),
  ],
})

const timePanel = ({ samples }: ConnectionSeries): Panel => ({
  title: 'milliseconds',
  height: 130,
  lines: [
    {
      name: 'smoothed round-trip time',
      colour: '#1b8a3a',
      points: points(samples, ({ srtt }) => (srtt === 0 ? null : srtt / 1000)),
    },
    { name: 'retransmission time-out', colour: '#d7191c', points: points(samples, ({ rto }) => rto / 1000) },
  ],
})
