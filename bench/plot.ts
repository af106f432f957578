/** A line of a plot: its name and its points. */
export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const WIDTH = 640
const HEIGHT = 320
const LEFT = 70
const RIGHT = 190
const TOP = 40
const BOTTOM = 50
const COLOURS = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e']

/** An SVG with a logarithmic x axis of powers of ten, and y from 0 to the least round number above all points. */
export const plot = (title: string, xTitle: string, yTitle: string, series: readonly Series[]): string => {
  const points = series.flatMap(({ points }) => points)
  const lowest = Math.floor(Math.log10(Math.min(...points.map(([x]) => x))))
  const highest = Math.ceil(Math.log10(Math.max(...points.map(([x]) => x))))
  const most = roundUp(Math.max(...points.map(([, y]) => y)))
  const xOf = (x: number): number => LEFT + ((Math.log10(x) - lowest) / (highest - lowest)) * (WIDTH - LEFT - RIGHT)
  const yOf = (y: number): number => HEIGHT - BOTTOM - (y / most) * (HEIGHT - TOP - BOTTOM)
  const text = (x: number, y: number, words: string, anchor = 'middle', more = ''): string =>
    `<text x="${x.toFixed(0)}" y="${y.toFixed(0)}" text-anchor="${anchor}"${more}>${words}</text>`
  const lines: string[] = []
  for (let power = lowest; power <= highest; power++) {
    const x = xOf(10 ** power)
    lines.push(`<path d="M${x} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`)
    lines.push(text(x, HEIGHT - BOTTOM + 18, (10 ** power).toLocaleString('en')))
  }
  for (let step = 0; step <= 4; step++) {
    const value = (most / 4) * step
    lines.push(`<path d="M${LEFT} ${yOf(value)}H${WIDTH - RIGHT}" stroke="#ddd"/>`)
    lines.push(text(LEFT - 6, yOf(value) + 4, value.toLocaleString('en'), 'end'))
  }
  series.forEach(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length]!
    const way = points.map(([x, y]) => `${xOf(x).toFixed(1)} ${yOf(y).toFixed(1)}`).join('L')
    lines.push(`<path d="M${way}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    for (const [x, y] of points) {
      lines.push(`<circle cx="${xOf(x).toFixed(1)}" cy="${yOf(y).toFixed(1)}" r="3" fill="${colour}"/>`)
    }
    lines.push(text(WIDTH - RIGHT + 12, TOP + 14 + index * 18, name, 'start', ` fill="${colour}"`))
  })
  lines.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, xTitle))
  lines.push(text(LEFT, TOP - 16, `${title}: ${yTitle}`, 'start', ' font-weight="bold"'))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>${title}: ${yTitle}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${lines.join('\n')}
</svg>
`
}

/** The least of 1, 2, 4 and 8 times a power of ten that is not below `value`. */
const roundUp = (value: number): number => {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([1, 2, 4, 8].find((factor) => factor * power >= value) ?? 10)
}
