import { left, lines, right } from './format.ts'

/** One direction of a connection: what its sender has handed over, and where those bytes are now. */
export interface QueueView {
  /** Bytes of each send call, in order. */
  readonly sends: readonly number[]
  /** Written and not acknowledged; of these, sent already, where that is known. */
  readonly sendQ: number
  readonly inFlight?: number
  /** Arrived in order and not read. */
  readonly recvQ: number
  /** Read by the application. */
  readonly delivered: number
}

/** How queues are drawn. */
export interface QueueStyle {
  /** Columns of the text, at least 40; 80 unless given. */
  readonly width?: number
  /** Letters in place of shades. */
  readonly ascii?: boolean
}

const SHADES = ['█', '▒', '▓', '░'] as const
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** Columns of a row before its bar: the queue's name, and its bytes. */
const LABEL = 9
const COUNT = 10
const LEAST_WIDTH = 40

/** A run of bytes of one send. */
interface Piece {
  /** Which send it belongs to. */
  readonly send: number
  readonly bytes: number
}

/**
 * Draws the queues as bars, a row each, all on one scale, with the bytes of each send told apart; below them, which
 * send has which sign. A byte that has arrived and whose ACK has not is in SendQ and in RecvQ, as it is in truth.
 *
 *     SendQ          6500  ▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
 *     RecvQ          1500  ███████▒▒▒
 *     Delivered         0
 *     sends                █ 1000  ▒ 2000  ▓ 5000
 */
export const drawQueues = (view: QueueView, style: QueueStyle = {}): string => {
  const width = Math.max(LEAST_WIDTH, style.width ?? 80)
  const ascii = style.ascii ?? false
  const { sends, sendQ, recvQ, delivered, inFlight } = view
  const total = sends.reduce((sum, bytes) => sum + bytes, 0)
  const unacknowledged = Math.max(0, total - sendQ)
  const rows: [label: string, bytes: number, pieces: Piece[]][] = [
    ['SendQ', sendQ, cut(sends, unacknowledged, total)],
    ['RecvQ', recvQ, cut(sends, delivered, delivered + recvQ)],
    ['Delivered', delivered, cut(sends, 0, delivered)],
  ]
  if (inFlight !== undefined) {
    rows.splice(1, 0, ['in flight', inFlight, cut(sends, unacknowledged, unacknowledged + inFlight)])
  }
  const room = width - LABEL - COUNT - 2
  // What single cells leave is shared out, for all rows alike.
  const most = Math.max(...rows.map(([, , pieces]) => pieces.length))
  const scale = Math.max(0, room - most) / Math.max(1, total)
  const text = rows.map(([label, bytes, pieces]) => {
    const start = `${left(label, LABEL)}${right(bytes, COUNT)}`
    return bytes === 0 ? start : `${start}  ${bar(pieces, scale, room, ascii)}`
  })
  const legend = legendText(
    rows.flatMap(([, , pieces]) => pieces),
    sends,
    room,
    ascii,
  )
  if (legend !== '') text.push(`${left('sends', LABEL + COUNT)}  ${legend}`)
  return lines(text)
}

/** The bytes from `start` to `end` of all that was sent, by send. */
const cut = (sends: readonly number[], start: number, end: number): Piece[] => {
  const pieces: Piece[] = []
  let at = 0
  sends.forEach((size, send) => {
    const bytes = Math.min(end, at + size) - Math.max(start, at)
    if (bytes > 0) pieces.push({ send, bytes })
    at += size
  })
  return pieces
}

const signOf = (send: number, ascii: boolean): string =>
  ascii ? LETTERS[send % LETTERS.length]! : SHADES[send % SHADES.length]!

/** Each piece has a cell at least; where there are more pieces than cells, the rest is an ellipsis. */
const bar = (pieces: readonly Piece[], scale: number, room: number, ascii: boolean): string => {
  let text = ''
  let before = 0
  for (const { send, bytes } of pieces) {
    // Counted from the sum, so that rounding does not add up.
    const cells = 1 + Math.floor((before + bytes) * scale) - Math.floor(before * scale)
    text += signOf(send, ascii).repeat(cells)
    before += bytes
  }
  return text.length <= room ? text : text.slice(0, room - ellipsis(ascii).length) + ellipsis(ascii)
}

const ellipsis = (ascii: boolean): string => (ascii ? '..' : '…')

/** The sends that are still in a queue, or were delivered, as many as fit; the last ones are the most interesting. */
const legendText = (pieces: readonly Piece[], sends: readonly number[], room: number, ascii: boolean): string => {
  const shown = [...new Set(pieces.map(({ send }) => send))].sort((a, b) => b - a)
  const words: string[] = []
  let length = 0
  for (const send of shown) {
    const word = `${signOf(send, ascii)} ${sends[send]!}`
    length += word.length + 2
    if (length > room - 2) {
      words.unshift(ellipsis(ascii))
      break
    }
    words.unshift(word)
  }
  return words.join('  ')
}
