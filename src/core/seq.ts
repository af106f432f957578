/**
 * Sequence-number arithmetic, modulo 2^32 (RFC 9293 section 3.4).
 *
 * A sequence number is kept as a signed 32-bit integer, the form in which V8 stores it without a heap object, and is
 * never compared with `<`: the difference of two numbers, folded to 32 bits, is positive when the first is ahead.
 */

/** `a - b` as a signed distance in bytes: negative when `a` lies before `b`. */
export const seqDiff = (a: number, b: number): number => (a - b) | 0

/** Is `a` before `b`? */
export const seqLt = (a: number, b: number): boolean => ((a - b) | 0) < 0

/** Is `a` before or at `b`? */
export const seqLeq = (a: number, b: number): boolean => ((a - b) | 0) <= 0

/** Is `a` after `b`? */
export const seqGt = (a: number, b: number): boolean => ((a - b) | 0) > 0

/** Is `a` after or at `b`? */
export const seqGeq = (a: number, b: number): boolean => ((a - b) | 0) >= 0
