/** Panels of lines and bars over one axis of time, as an SVG document that stands by itself. */

/** A quantity: each value holds until the next. */
export interface PlotLine {
  readonly name: string
  readonly colour: string
  readonly points: readonly (readonly [at: number, value: number])[]
  /** A limit may lie far above all else: it is drawn as far as it fits, dashed, and does not set the scale. */
  readonly isLimit?: boolean
}

/** Spans of values, each at a time. */
export interface PlotBars {
  readonly name: string
  readonly colour: string
  readonly spans: readonly (readonly [at: number, from: number, to: number])[]
  /** Few that matter: drawn so that they are seen among many others. */
  readonly isBold?: boolean
}

export interface Panel {
  readonly title: string
  /** Of the field, in pixels. */
  readonly height: number
  readonly lines: readonly PlotLine[]
  readonly bars?: readonly PlotBars[]
}

const WIDTH = 1200
const LEFT = 96
const RIGHT = 24
const TOP = 56
const GAP = 58
const FIELD = WIDTH - LEFT - RIGHT
/** A limit lifts the scale by so much at most. */
const LIMIT_ROOM = 1.6

/** Where a value lies in the picture. */
interface Scale {
  x(at: number): number
  y(value: number): number
}

/** @param title of the picture, above the panels. Times are in seconds. */
export const svgDocument = (title: string, panels: readonly Panel[]): string => {
  const times = panels.flatMap(({ lines, bars }) => [
    ...lines.flatMap(({ points }) => points.map(([at]) => at)),
    ...(bars ?? []).flatMap(({ spans }) => spans.map(([at]) => at)),
  ])
  const start = extreme(times, Math.min)
  const end = Math.max(extreme(times, Math.max), start + 1e-6)
  const parts: string[] = []
  let top = TOP
  for (const panel of panels) {
    parts.push(drawPanel(panel, top, start, end))
    top += panel.height + GAP
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${top}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="16" fill="#111111">${escaped(title)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

const drawPanel = (panel: Panel, top: number, start: number, end: number): string => {
  const { lines, bars = [], height } = panel
  const most = largest(panel)
  const bottom = top + height
  const scale: Scale = {
    x: (at) => LEFT + ((at - start) / (end - start)) * FIELD,
    y: (value) => bottom - (value / most) * height,
  }
  const clip = `field${top}`
  return [
    `<clipPath id="${clip}"><rect x="${LEFT}" y="${top}" width="${FIELD}" height="${height}"/></clipPath>`,
    grid(scale, top, bottom, start, end, most),
    `<text x="${LEFT}" y="${top - 8}" fill="#444444">${escaped(panel.title)}</text>`,
    legend([...bars, ...lines], top - 8),
    `<g clip-path="url(#${clip})" fill="none">`,
    ...lines.map((line) => drawLine(line, scale)),
    ...bars.map((set) => drawBars(set, scale)),
    '</g>',
  ].join('\n')
}

/** The value at the top of a panel. */
const largest = ({ lines, bars = [] }: Panel): number => {
  const of = (isLimit: boolean): number[] =>
    lines
      .filter((line) => (line.isLimit ?? false) === isLimit)
      .flatMap(({ points }) => points.map(([, value]) => value))
  const values = [...of(false), ...bars.flatMap(({ spans }) => spans.map(([, , to]) => to))]
  const most = Math.max(1, extreme(values, Math.max))
  const limit = extreme(of(true), Math.max)
  return Math.max(most * 1.05, Math.min(limit * 1.05, most * LIMIT_ROOM))
}

/** The least or greatest of many, which may be too many for one call; 0 of none. */
const extreme = (values: readonly number[], pick: (a: number, b: number) => number): number =>
  values.length === 0 ? 0 : values.reduce((best, value) => pick(best, value))

const grid = (scale: Scale, top: number, bottom: number, start: number, end: number, most: number): string => {
  const parts = [
    `<rect x="${LEFT}" y="${top}" width="${FIELD}" height="${bottom - top}" fill="#fcfcfc" stroke="#cccccc"/>`,
  ]
  for (const value of ticks(0, most, 5)) {
    const y = scale.y(value)
    parts.push(`<path d="M${LEFT} ${px(y)}H${WIDTH - RIGHT}" stroke="#e5e5e5"/>`)
    parts.push(`<text x="${LEFT - 8}" y="${px(y + 4)}" text-anchor="end" fill="#444444">${plain(value)}</text>`)
  }
  for (const at of ticks(start, end, 10)) {
    const x = scale.x(at)
    parts.push(`<path d="M${px(x)} ${top}V${bottom}" stroke="#e5e5e5"/>`)
    parts.push(`<text x="${px(x)}" y="${bottom + 16}" text-anchor="middle" fill="#444444">${plain(at)} s</text>`)
  }
  return parts.join('\n')
}

/** The signs of a panel, from the right. */
const legend = (entries: readonly { name: string; colour: string }[], y: number): string => {
  const parts: string[] = []
  let x = WIDTH - RIGHT
  for (const { name, colour } of [...entries].reverse()) {
    x -= name.length * 6.6 + 34
    parts.push(`<rect x="${px(x)}" y="${y - 8}" width="12" height="8" fill="${colour}"/>`)
    parts.push(`<text x="${px(x + 17)}" y="${y}" fill="#444444">${escaped(name)}</text>`)
  }
  return parts.join('\n')
}

/** Steps: across, then up or down. */
const drawLine = ({ points, colour, isLimit = false }: PlotLine, scale: Scale): string => {
  if (points.length === 0) return ''
  const [first, ...rest] = points
  const path = [`M${px(scale.x(first![0]))} ${px(scale.y(first![1]))}`]
  for (const [at, value] of rest) path.push(`H${px(scale.x(at))}V${px(scale.y(value))}`)
  const dash = isLimit ? ' stroke-dasharray="5 3"' : ''
  return `<path d="${path.join('')}" stroke="${colour}" stroke-width="1.3"${dash}/>`
}

/** Each span with a small cross-bar at its ends, so that one of no height is seen. */
const drawBars = ({ spans, colour, isBold = false }: PlotBars, scale: Scale): string => {
  const path = spans.map(([at, from, to]) => {
    const x = scale.x(at)
    const [low, high] = [px(scale.y(from)), px(scale.y(to))]
    return `M${px(x - 2)} ${low}h4M${px(x)} ${low}V${high}M${px(x - 2)} ${high}h4`
  })
  const width = isBold ? ' stroke-width="3"' : ''
  return path.length === 0 ? '' : `<path d="${path.join('')}" stroke="${colour}"${width}/>`
}

/** Round numbers from `low` to `high`, about `count` of them. */
export const ticks = (low: number, high: number, count: number): number[] => {
  const rough = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!
  const first = Math.ceil(low / step)
  const last = Math.floor(high / step)
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
}

const plain = (value: number): string => String(Number(value.toPrecision(10)))

const px = (value: number): string => String(Math.round(value * 100) / 100)

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
