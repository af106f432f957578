/** Below so many bytes a loop is faster than a view made for one copy. */
const SHORT = 64

/** Copies `count` bytes of `source` from `at` into the world's memory. */
export const copyIn = (u8: Uint8Array, to: number, source: Uint8Array, at: number, count: number): void => {
  if (count <= SHORT) for (let i = 0; i < count; i++) u8[to + i] = source[at + i]!
  else if (count === source.length) u8.set(source, to)
  else u8.set(source.subarray(at, at + count), to)
}

/** Copies `count` bytes of the world's memory from `at` into `target`. */
export const copyOut = (u8: Uint8Array, at: number, target: Uint8Array, to: number, count: number): void => {
  if (count <= SHORT) for (let i = 0; i < count; i++) target[to + i] = u8[at + i]!
  else target.set(u8.subarray(at, at + count), to)
}
