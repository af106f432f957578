import { assemble, type WasmFunction } from './wasm.ts'

/**
 * The two loops in which bulk transfer spends most of its time, the checksum and the copy that checksums, in
 * WebAssembly with 128-bit vectors; and a copy, which for few bytes takes less time to call than `copyWithin` does.
 * They run over the world's memory where it lies. Where there is no WebAssembly or it lacks vectors, or where they are
 * switched off to compare, `wire/checksum.ts` and `core/ring.ts` do the same without them.
 */
export interface Kernels {
  /** The partial Internet checksum of the bytes from `start` to `end`, as `sumBytes` has it. At most 512 KiB. */
  sum(start: number, end: number): number
  /** The same, while they are copied to `to`, which must not overlap them. */
  copySum(start: number, end: number, to: number): number
  /** Copies the bytes from `start` to `end` to `to`, which must not overlap them. */
  copy(start: number, end: number, to: number): void
}

/**
 * Adds 16 bytes at `offset` to two vectors of four sums each, eight 16-bit words at a time; stores them when copying.
 */
const sixteen = (copies: boolean, into: string, offset: number): string => `
  ${copies ? 'local.get $to' : ''}
  local.get $at v128.load ${offset}
  ${copies ? `local.tee $bytes v128.store ${offset} local.get $bytes` : ''}
  i32x4.extadd_pairwise_i16x8_u local.get ${into} i32x4.add local.set ${into}`

const advance = (copies: boolean, count: number): string => `
  local.get $at i32.const ${count} i32.add local.set $at
  ${copies ? `local.get $to i32.const ${count} i32.add local.set $to` : ''}`

/** Leaves the block around when fewer than `count` bytes are left. */
const leaveUnless = (count: number): string => `
  local.get $at local.get $end i32.const ${count} i32.sub i32.gt_s br_if 1`

/** Adds one number of `bytes` bytes to the sum; stores it when copying. */
const single = (copies: boolean, bytes: 1 | 2 | 4): string => {
  const load = { 1: 'i32.load8_u', 2: 'i32.load16_u', 4: 'i64.load32_u' }[bytes]
  const store = { 1: 'i32.store8', 2: 'i32.store16', 4: 'i64.store32' }[bytes]
  const widen = bytes === 4 ? '' : 'i64.extend_i32_u'
  return `
    ${copies ? `local.get $to local.get $at ${load} 0 ${store} 0` : ''}
    local.get $at ${load} 0 ${widen} local.get $sum i64.add local.set $sum`
}

const lane = (index: number): string => `
  local.get $a i32x4.extract_lane ${index} i64.extend_i32_u local.get $sum i64.add local.set $sum`

/** Folds the 32-bit sum on the stack once, the carries added back in. */
const FOLD = 'local.tee $folded i32.const 65535 i32.and local.get $folded i32.const 16 i32.shr_u i32.add'

const checksum = (name: keyof Kernels, copies: boolean): WasmFunction => ({
  name,
  parameters: copies ? ['at', 'end', 'to'] : ['at', 'end'],
  locals: { a: 'v128', b: 'v128', bytes: 'v128', sum: 'i64', folded: 'i32' },
  hasResult: true,
  code: `
    block loop ${leaveUnless(64)}
      ${sixteen(copies, '$a', 0)} ${sixteen(copies, '$b', 16)} ${sixteen(copies, '$a', 32)} ${sixteen(copies, '$b', 48)}
      ${advance(copies, 64)} br 0 end end
    block loop ${leaveUnless(16)} ${sixteen(copies, '$a', 0)} ${advance(copies, 16)} br 0 end end
    block loop ${leaveUnless(4)} ${single(copies, 4)} ${advance(copies, 4)} br 0 end end
    block loop ${leaveUnless(2)} ${single(copies, 2)} ${advance(copies, 2)} br 0 end end
    block loop ${leaveUnless(1)} ${single(copies, 1)} ${advance(copies, 1)} br 0 end end
    local.get $a local.get $b i32x4.add local.set $a ${[0, 1, 2, 3].map(lane).join(' ')}
    local.get $sum i64.const 65535 i64.and
    local.get $sum i64.const 16 i64.shr_u i64.const 65535 i64.and i64.add
    local.get $sum i64.const 32 i64.shr_u i64.add i32.wrap_i64
    ${FOLD} ${FOLD} local.set $folded
    local.get $folded i32.const 8 i32.shl i32.const 65280 i32.and local.get $folded i32.const 8 i32.shr_u i32.or`,
})

/** Copies 16 bytes at `offset`. */
const copySixteen = (offset: number): string => `local.get $to local.get $at v128.load ${offset} v128.store ${offset}`

/** Copies one number of `bytes` bytes. */
const copySingle = (bytes: 1 | 4): string =>
  `local.get $to local.get $at ${bytes === 4 ? 'i64.load32_u 0 i64.store32 0' : 'i32.load8_u 0 i32.store8 0'}`

const COPY: WasmFunction = {
  name: 'copy',
  parameters: ['at', 'end', 'to'],
  locals: {},
  hasResult: false,
  code: `
    block loop ${leaveUnless(64)}
      ${[0, 16, 32, 48].map(copySixteen).join(' ')} ${advance(true, 64)} br 0 end end
    block loop ${leaveUnless(16)} ${copySixteen(0)} ${advance(true, 16)} br 0 end end
    block loop ${leaveUnless(4)} ${copySingle(4)} ${advance(true, 4)} br 0 end end
    block loop ${leaveUnless(1)} ${copySingle(1)} ${advance(true, 1)} br 0 end end`,
}

/** The module, compiled once: null where that is not possible. It has no state; each memory gets an instance. */
const MODULE: WebAssembly.Module | null = (() => {
  try {
    return new WebAssembly.Module(assemble([checksum('sum', false), checksum('copySum', true), COPY]))
  } catch {
    return null
  }
})()

/** The kernels over `memory`, which may grow later; null where there are none. */
export const kernelsOver = (memory: WebAssembly.Memory): Kernels | null =>
  MODULE === null ? null : (new WebAssembly.Instance(MODULE, { env: { memory } }).exports as unknown as Kernels)
