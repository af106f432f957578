import { lines } from './format.ts'

/** A quantity over time: each value holds until the next. */
export interface ChartLine {
  readonly name: string
  /** One character. */
  readonly sign: string
  /** Time and value, in the order of time. */
  readonly points: readonly (readonly [at: number, value: number])[]
}

/** How a chart is drawn. */
export interface ChartStyle {
  /** Columns and rows of the field, without labels; 72 and 16 unless given. */
  readonly width?: number
  readonly height?: number
  /** The unit of time, behind the numbers of the axis: `s`. */
  readonly unit?: string
}

/**
 * Draws quantities over time with characters, on one scale from 0 to the largest value. A column shows the largest
 * value of its time; where lines meet, the later one of the list is seen.
 *
 *     14480 |      ***
 *           |   ***
 *         0 |***------
 *           0 s     1 s
 */
export const drawChart = (chartLines: readonly ChartLine[], style: ChartStyle = {}): string => {
  const width = style.width ?? 72
  const height = style.height ?? 16
  const all = chartLines.flatMap(({ points }) => points)
  const start = Math.min(...all.map(([at]) => at))
  const end = Math.max(...all.map(([at]) => at))
  const most = Math.max(1, ...all.map(([, value]) => value))
  const field = Array.from({ length: height }, () => new Array<string>(width).fill(' '))
  for (const { sign, points } of chartLines) {
    columns(points, start, end, width).forEach((value, column) => {
      if (value === null) return
      const row = height - 1 - Math.round((Math.min(value, most) / most) * (height - 1))
      field[row]![column] = sign
    })
  }
  const label = Math.max(String(Math.round(most)).length, 5)
  const text = field.map((row, index) => {
    const value = Math.round((most * (height - 1 - index)) / (height - 1))
    const isLabelled = index === 0 || index === height - 1 || index === Math.floor(height / 2)
    return `${(isLabelled ? String(value) : '').padStart(label)} |${row.join('').trimEnd()}`
  })
  const unit = style.unit === undefined ? '' : ` ${style.unit}`
  const [first, last] = [`${short(start)}${unit}`, `${short(end)}${unit}`]
  text.push(`${' '.repeat(label + 1)}+${'-'.repeat(width)}`)
  text.push(`${' '.repeat(label + 2)}${first}${last.padStart(width - first.length)}`)
  text.push(`${' '.repeat(label + 2)}${chartLines.map(({ name, sign }) => `${sign} ${name}`).join('   ')}`)
  return lines(text)
}

/** The largest value in each column; where none falls into one, the value that holds; null before the first. */
const columns = (points: ChartLine['points'], start: number, end: number, width: number): (number | null)[] => {
  const values = new Array<number | null>(width).fill(null)
  for (const [at, value] of points) {
    const column = Math.min(width - 1, Math.floor(((at - start) / Math.max(end - start, Number.MIN_VALUE)) * width))
    values[column] = Math.max(values[column] ?? 0, value)
  }
  let at = 0
  let held: number | null = null
  return values.map((value, column) => {
    const edge = start + ((column + 1) / width) * (end - start)
    while (at < points.length && (points[at]![0] < edge || column === width - 1)) held = points[at++]![1]
    return value ?? held
  })
}

const short = (value: number): string => String(Math.round(value * 1000) / 1000)
