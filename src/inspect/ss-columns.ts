/**
 * The columns of ss: as wide as their contents, and on a terminal broken into lines and spread over its width.
 */

interface Column {
  readonly header: string
  /** What stands between it and the column before. */
  readonly delimiter: string
  readonly align: 'left' | 'right'
}

/** Places of the columns. */
export const SsColumn = {
  Netid: 0,
  State: 1,
  RecvQ: 2,
  SendQ: 3,
  Local: 4,
  LocalPort: 5,
  Peer: 6,
  PeerPort: 7,
  Process: 8,
  Extended: 9,
} as const

const COLUMNS: readonly Column[] = [
  { header: 'Netid', delimiter: '', align: 'left' },
  { header: 'State', delimiter: ' ', align: 'left' },
  { header: 'Recv-Q', delimiter: ' ', align: 'left' },
  { header: 'Send-Q', delimiter: ' ', align: 'left' },
  { header: 'Local Address:', delimiter: ' ', align: 'right' },
  { header: 'Port', delimiter: '', align: 'left' },
  { header: 'Peer Address:', delimiter: ' ', align: 'right' },
  { header: 'Port', delimiter: '', align: 'left' },
  { header: 'Process', delimiter: '', align: 'left' },
  { header: '', delimiter: '', align: 'left' },
]

/** A row: the cells from Netid to Process. */
export type SsRow = readonly string[]

export interface SsTable {
  readonly rows: readonly SsRow[]
  readonly header: boolean
  /** Which columns are left out, of Netid and State. */
  readonly hidden: ReadonlySet<number>
  /** The terminal's width; null for none. */
  readonly columns: number | null
}

/** The table as text. A cell may hold line breaks: its length counts as if it did not. */
export const renderSs = ({ rows, header, hidden, columns }: SsTable): string => {
  const all = header ? [COLUMNS.map((column) => column.header), ...rows] : rows
  if (all.length === 0) return ''
  const shown = COLUMNS.map((_, place) => place).filter((place) => !hidden.has(place))
  const widths = measure(all, shown, rows.length > 0)
  if (columns !== null) spread(widths, shown, columns)
  return all.map((row) => `${renderRow(row, shown, widths)}\n`).join('')
}

/**
 * The width of each column, with the delimiter before it.
 * @param isOpen the last cell of the last row is not counted: ss measures a cell when it goes on to the next one
 */
const measure = (all: readonly SsRow[], shown: readonly number[], isOpen: boolean): number[] => {
  const widths: number[] = new Array(COLUMNS.length).fill(0)
  let first = true
  for (const place of shown) {
    let longest = 0
    all.forEach((row, index) => {
      if (isOpen && place === SsColumn.Process && index === all.length - 1) return
      longest = Math.max(longest, utf8Length(row[place] ?? ''))
    })
    widths[place] = !first && longest > 0 ? longest + COLUMNS[place]!.delimiter.length : longest
    if (widths[place] !== 0) first = false
  }
  return widths
}

const encoder = new TextEncoder()
/** Lengths are counted in bytes. */
const utf8Length = (text: string): number => encoder.encode(text).length

/** Breaks columns into lines that fit the screen, and spreads each line's columns over it. */
const spread = (widths: number[], shown: readonly number[], screen: number): void => {
  for (const place of shown) widths[place] = Math.min(widths[place]!, screen)
  const filled = shown.filter((place) => widths[place]! > 0)
  let lineStart = 0
  while (lineStart < filled.length) {
    let end = lineStart
    let length = 0
    while (end < filled.length && (end === lineStart || length + widths[filled[end]!]! <= screen)) {
      length += widths[filled[end]!]!
      end++
      if (length === screen) break
    }
    const count = end - lineStart
    const spacing = Math.floor((screen - length) / count)
    let remainder = (screen - length) % count
    // What is left over goes to the columns on the right.
    for (let i = end - 1; i >= lineStart; i--) {
      widths[filled[i]!]! += spacing + (remainder > 0 ? 1 : 0)
      remainder--
    }
    lineStart = end
  }
}

const renderRow = (row: SsRow, shown: readonly number[], widths: readonly number[]): string => {
  let text = ''
  shown.forEach((place, index) => {
    const { align, delimiter } = COLUMNS[place]!
    const cell = row[place] ?? ''
    const before = index === 0 ? '' : delimiter
    const padding = ' '.repeat(Math.max(0, widths[place]! - before.length - utf8Length(cell)))
    text += before + (align === 'right' ? padding + cell : cell + padding)
  })
  return text
}
