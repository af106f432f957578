/** What stands above a plot. */
export interface Heading {
  readonly title: string
  /** What else there is to know; empty where there is nothing. */
  readonly note: string
  /** Of the y axis. */
  readonly unit: string
}

/** A line of a plot: its name and its points, each with the standard deviation of its y where that is known. */
export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number, deviation?: number])[]
}

/** The x axis, which is logarithmic: powers of ten unless given. */
export interface LogAxis {
  readonly base: number
  readonly label: (x: number) => string
}

const TENS: LogAxis = { base: 10, label: (x) => x.toLocaleString('en') }

const WIDTH = 640
const HEIGHT = 320
const LEFT = 70
const RIGHT = 190
const TOP = 40
const BOTTOM = 50
const COLOURS = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e']
const FLOOR = HEIGHT - BOTTOM
/** How wide a character is, about, and how far apart labels are at least. */
const CHARACTER = 7
const GAP = 6

const text = (x: number, y: number, words: string, anchor = 'middle', more = ''): string =>
  `<text x="${x.toFixed(0)}" y="${y.toFixed(0)}" text-anchor="${anchor}"${more}>${words}</text>`

/** A scale from 0 to the least round number above all values, with lines across the field. */
const scale = (values: readonly number[], lines: string[]): ((y: number) => number) => {
  const most = roundUp(Math.max(...values))
  const yOf = (y: number): number => FLOOR - (y / most) * (FLOOR - TOP)
  for (let step = 0; step <= 4; step++) {
    const value = (most / 4) * step
    lines.push(`<path d="M${LEFT} ${yOf(value)}H${WIDTH - RIGHT}" stroke="#ddd"/>`)
    lines.push(text(LEFT - 6, yOf(value) + 4, value.toLocaleString('en'), 'end'))
  }
  return yOf
}

/** The upright line of a standard deviation, either way. Where it goes on above the field it has no end there. */
const errorBar = (x: number, low: number, high: number, colour: string): string =>
  `<path d="M${(x - 3).toFixed(1)} ${low.toFixed(1)}h6m-3 0V${Math.max(TOP, high).toFixed(1)}${high < TOP ? '' : 'm-3 0h6'}" stroke="${colour}" fill="none"/>`

const legend = (index: number, name: string): string =>
  text(WIDTH - RIGHT + 12, TOP + 14 + index * 18, name, 'start', ` fill="${COLOURS[index % COLOURS.length]}"`)

const svg = ({ title, note, unit }: Heading, lines: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>${title}, ${unit}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${lines.join('\n')}
${text(LEFT, TOP - 23, title, 'start', ' font-weight="bold"')}
${note === '' ? '' : text(LEFT, TOP - 8, note, 'start', ' font-size="11" fill="#555"')}
${text(LEFT - 6, TOP - 8, unit, 'end', ' fill="#555"')}
</svg>
`

/** An SVG with a logarithmic x axis and a linear y axis. */
export const plot = (heading: Heading, xTitle: string, series: readonly Series[], axis: LogAxis = TENS): string => {
  const points = series.flatMap((line) => line.points)
  const log = (x: number): number => Math.log(x) / Math.log(axis.base)
  // A power of the base comes out a hair beside its whole number.
  const lowest = Math.floor(log(Math.min(...points.map(([x]) => x))) + 1e-9)
  const highest = Math.ceil(log(Math.max(...points.map(([x]) => x))) - 1e-9)
  const xOf = (x: number): number => LEFT + ((log(x) - lowest) / (highest - lowest)) * (WIDTH - LEFT - RIGHT)
  const lines: string[] = []
  const powers = Array.from({ length: highest - lowest + 1 }, (_, i) => highest - i)
  const labels = powers.map((power) => axis.label(axis.base ** power))
  // The last has a label, and of those before it each so-manieth, as there is room.
  const widest = Math.max(...labels.map(({ length }) => length)) * CHARACTER + GAP
  const every = Math.ceil((widest * (highest - lowest)) / (WIDTH - LEFT - RIGHT))
  powers.forEach((power, i) => {
    const x = xOf(axis.base ** power)
    lines.push(`<path d="M${x.toFixed(1)} ${TOP}V${FLOOR}" stroke="#ddd"/>`)
    if (i % every === 0) lines.push(text(x, FLOOR + 18, labels[i]!))
  })
  const yOf = scale(
    points.map(([, y, deviation = 0]) => y + deviation),
    lines,
  )
  series.forEach(({ name, points: own }, index) => {
    const colour = COLOURS[index % COLOURS.length]!
    const way = own.map(([x, y]) => `${xOf(x).toFixed(1)} ${yOf(y).toFixed(1)}`).join('L')
    lines.push(`<path d="M${way}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    for (const [x, y, deviation = 0] of own) {
      lines.push(`<circle cx="${xOf(x).toFixed(1)}" cy="${yOf(y).toFixed(1)}" r="3" fill="${colour}"/>`)
      if (deviation > 0) lines.push(errorBar(xOf(x), yOf(Math.max(0, y - deviation)), yOf(y + deviation), colour))
    }
    lines.push(legend(index, name))
  })
  lines.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, xTitle))
  return svg(heading, lines)
}

/** A group of bars that stand side by side. */
export interface BarGroup {
  readonly name: string
  /** In the order of the names of `bars`. */
  readonly values: readonly { readonly mean: number; readonly deviation: number }[]
}

/** An SVG with a group of bars for each thing that is compared. @param names of the bars of each group */
export const bars = (heading: Heading, names: readonly string[], groups: readonly BarGroup[]): string => {
  const lines: string[] = []
  const yOf = scale(
    groups.flatMap(({ values }) => values.map(({ mean }) => mean)),
    lines,
  )
  const wide = (WIDTH - LEFT - RIGHT) / groups.length
  const bar = (wide * 0.8) / names.length
  groups.forEach(({ name, values }, group) => {
    const from = LEFT + group * wide
    values.forEach(({ mean, deviation }, index) => {
      const x = from + wide * 0.1 + index * bar
      const colour = COLOURS[index % COLOURS.length]!
      const height = FLOOR - yOf(mean)
      lines.push(
        `<rect x="${x.toFixed(1)}" y="${yOf(mean).toFixed(1)}" width="${bar.toFixed(1)}" height="${height.toFixed(1)}" fill="${colour}"/>`,
      )
      if (deviation > 0)
        lines.push(errorBar(x + bar / 2, yOf(Math.max(0, mean - deviation)), yOf(mean + deviation), '#333'))
    })
    lines.push(text(from + wide / 2, FLOOR + 18, name))
  })
  for (const [index, name] of names.entries()) lines.push(legend(index, name))
  return svg(heading, lines)
}

/** The least of 1, 2, 4 and 8 times a power of ten that is not below `value`. */
const roundUp = (value: number): number => {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([1, 2, 4, 8].find((factor) => factor * power >= value) ?? 10)
}
