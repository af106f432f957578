import type { Micros } from '../core/clock.ts'
import { hexByte } from '../inspect/format.ts'
import type { TcpOptionSpec } from './script.ts'

/** Packets as scripts write them. */

/** A TCP segment in a script's terms, whole. */
export interface SegmentText {
  readonly flags: string
  readonly seq: number
  readonly length: number
  readonly ack: number | null
  readonly window: number | null
  readonly urgent: number
  readonly options: readonly TcpOptionSpec[] | null
}

/** `P. 1:1001(1000) ack 1 win 256 <nop,nop,TS val 100 ecr 200>`. */
export const formatSegment = (segment: SegmentText): string => {
  const { flags, seq, length, ack, window, urgent, options } = segment
  let text = `${flags === '' ? '-' : flags} ${seq >>> 0}:${(seq + length) >>> 0}(${length})`
  if (ack !== null) text += ` ack ${ack >>> 0}`
  if (window !== null) text += ` win ${window}`
  if (urgent !== 0) text += ` urg ${urgent}`
  if (options === null) text += ' <...>'
  else if (options.length > 0) text += ` <${formatOptions(options)}>`
  return text
}

/** `mss 1460,sackOK,TS val 1 ecr 0`. */
export const formatOptions = (options: readonly TcpOptionSpec[]): string => options.map(formatOption).join(',')

const formatOption = ({ name, values, blob }: TcpOptionSpec): string => {
  const [first = 0, second = 0] = values
  switch (name) {
    case 'mss':
    case 'wscale':
      return `${name} ${first}`
    case 'TS':
      return `TS val ${first >>> 0} ecr ${second >>> 0}`
    case 'sack': {
      const blocks: string[] = []
      for (let i = 0; i < values.length; i += 2) blocks.push(`${values[i]! >>> 0}:${values[i + 1]! >>> 0}`)
      return `sack ${blocks.join(' ')}`
    }
    default:
      return blob === null || blob.length === 0 ? name : `${name} ${hex(blob)}`
  }
}

/** Bytes in hexadecimal, without anything between them. */
const hex = (bytes: Uint8Array): string => Array.from(bytes, hexByte).join('')

/** Flags in the order in which scripts write them: `FP.`. */
export const sortFlags = (flags: string): string => [...'SFRPUEWA.'].filter((flag) => flags.includes(flag)).join('')

/** A time of the script, in seconds with six digits. */
export const formatTime = (time: Micros): string => (time / 1e6).toFixed(6)
