import { seqGt, seqLt } from '../core/seq.ts'
import { Drop } from '../wire/drop.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { takeExpectedAck, takeExpectedHeader } from './ack.ts'
import { CaState } from './congestion/state.ts'
import { Feature, type TcpConnection } from './connection.ts'
import { acknowledge } from './delayed-ack.ts'
import { pushData } from './flow.ts'
import { receiveExpectedText } from './receive.ts'
import type { Segment } from './segment.ts'
import { TcpState } from './state.ts'
import { openWindow } from './window.ts'

/**
 * Header prediction (V. Jacobson, "4BSD Header Prediction", 1990; RFC 7323 appendix A): the segment that most likely
 * comes next on an established connection, the next data in order with an ACK that is the last one again or
 * acknowledges all there is, and no rare flag, option or state, goes a short way. It does what `receiveSegment` does
 * for it, by the same functions as far as they have anything to do; all else takes the general way.
 */

/** Not the segment that was expected: the general way has to deal with it. */
export const UNEXPECTED = -6

/** Takes in the segment that is expected. @returns as `receiveSegment` does, or `UNEXPECTED`, with nothing changed */
export const receiveExpected = (c: TcpConnection, segment: Segment): number => {
  const { rcv, snd, cc } = c
  const { ack, dataLength } = segment
  if (segment.seq !== rcv.nxt || (segment.flags & ~TcpFlag.Psh) !== TcpFlag.Ack || !expects(c, segment))
    return UNEXPECTED
  const { queue } = c
  if (ack === snd.una) {
    if (dataLength === 0 || (queue !== null && queue.length > 0)) return UNEXPECTED
    takeExpectedHeader(c, segment)
  } else {
    if (ack !== snd.nxt || !seqGt(ack, snd.una) || queue === null || queue.sentCount !== 1) return UNEXPECTED
    const record = queue.at(0)
    if (record.sacked !== 0 || !record.rated || record.marks !== 0) return UNEXPECTED
    if (cc.reneged || cc.timeoutStampMs !== 0) return UNEXPECTED
    takeExpectedAck(c, segment, queue)
  }
  c.segmentsIn += segment.segments
  let reason: number = Drop.none
  if (dataLength > 0) {
    c.dataSegmentsIn += segment.segments
    reason = receiveExpectedText(c, segment)
    if ((c.state as number) === TcpState.Closed) return reason
  }
  pushData(c)
  acknowledge(c, true)
  return reason
}

/** Is nothing rare about the connection, and none of the segment's options, its time stamp and its length? */
const expects = (c: TcpConnection, segment: Segment): boolean => {
  const { cc } = c
  const stamped = segment.hasTimestamps
  return (
    c.state === TcpState.Established &&
    (c.features & (Feature.Sack | Feature.Ecn)) === Feature.Sack &&
    c.isOrdinary &&
    c.reassembly === null &&
    cc.state === CaState.Open &&
    !cc.tlpActive &&
    c.control.control === undefined &&
    segment.sackCount === 0 &&
    stamped === c.has(Feature.Timestamps) &&
    (!stamped || !seqLt(segment.timestamp, c.rcv.tsRecent)) &&
    segment.dataLength <= openWindow(c) &&
    !c.layer.isOverLimit
  )
}
