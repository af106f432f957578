/**
 * A small assembler for WebAssembly: enough for functions over an imported memory. It takes the instructions by their
 * names in the specification, one after the other as a stack machine runs them, and gives the bytes of a module
 * (WebAssembly Core Specification 2.0, section 5). A program in it is source that can be read, not a binary.
 */

/** A function: all parameters are i32, and so is the result. */
export interface WasmFunction {
  readonly name: string
  /** Names of the parameters, and of the other locals with their types: what `$name` refers to. */
  readonly parameters: readonly string[]
  readonly locals: Readonly<Record<string, 'i32' | 'i64' | 'v128'>>
  readonly hasResult: boolean
  /** Instructions and their immediates, separated by white space. Memory instructions take an offset, a byte count. */
  readonly code: string
}

const TYPE = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const
const VOID = 0x40
/** Opcodes, those of 128-bit vectors above the prefix. */
const SIMD = 0xfd00
const OPCODE: Readonly<Record<string, number>> = {
  block: 0x02,
  loop: 0x03,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  'local.get': 0x20,
  'local.set': 0x21,
  'local.tee': 0x22,
  'i32.load8_u': 0x2d,
  'i32.load16_u': 0x2f,
  'i64.load32_u': 0x35,
  'i32.store8': 0x3a,
  'i32.store16': 0x3b,
  'i64.store32': 0x3e,
  'i32.const': 0x41,
  'i64.const': 0x42,
  'i32.le_s': 0x4c,
  'i32.gt_s': 0x4a,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.shl': 0x74,
  'i32.shr_u': 0x76,
  'i64.add': 0x7c,
  'i64.and': 0x83,
  'i64.shr_u': 0x88,
  'i32.wrap_i64': 0xa7,
  'i64.extend_i32_u': 0xad,
  'v128.load': SIMD | 0x00,
  'v128.store': SIMD | 0x0b,
  'i32x4.extract_lane': SIMD | 0x1b,
  'i32x4.extadd_pairwise_i16x8_u': SIMD | 0x7f,
  'i32x4.add': SIMD | 0xae,
}

/** The alignment that every memory instruction states is that of bytes: any offset will do. */
const UNALIGNED = 0

/** The bytes of a module that exports `functions` and imports its memory as `env.memory`. */
export const assemble = (functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> => {
  const types = functions.map(({ parameters, hasResult }) => [
    0x60,
    ...vector(parameters.map(() => [TYPE.i32])),
    ...vector(hasResult ? [[TYPE.i32]] : []),
  ])
  const memory = [...string('env'), ...string('memory'), 0x02, 0x00, 0x00]
  const exports = functions.map(({ name }, index) => [...string(name), 0x00, ...unsigned(index)])
  const bodies = functions.map((one) => {
    const body = functionBody(one)
    return [...unsigned(body.length), ...body]
  })
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(2, vector([memory])),
    ...section(3, vector(functions.map((_, index) => unsigned(index)))),
    ...section(7, vector(exports)),
    ...section(10, vector(bodies)),
  ])
}

/** @throws Error that names an instruction or local that there is not */
const functionBody = ({ name, parameters, locals, code }: WasmFunction): number[] => {
  const names = [...parameters, ...Object.keys(locals)]
  const declared = vector(Object.values(locals).map((type) => [1, TYPE[type]]))
  const words = code.split(/\s+/).filter((word) => word !== '')
  const bytes: number[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    const opcode = OPCODE[word]
    if (opcode === undefined) throw new Error(`${name}: there is no instruction ${word}`)
    bytes.push(...(opcode > 0xff ? [0xfd, ...unsigned(opcode & 0xff)] : [opcode]))
    if (word === 'block' || word === 'loop') bytes.push(VOID)
    else if (word.startsWith('local.')) {
      const index = names.indexOf(words[++at]!.slice(1))
      if (index < 0) throw new Error(`${name}: there is no local ${words[at]}`)
      bytes.push(...unsigned(index))
    } else if (word.endsWith('.const')) bytes.push(...signed(Number(words[++at])))
    else if (word.includes('load') || word.includes('store')) bytes.push(UNALIGNED, ...unsigned(Number(words[++at])))
    else if (word.startsWith('br') || word.endsWith('_lane')) bytes.push(...unsigned(Number(words[++at])))
  }
  return [...declared, ...bytes, OPCODE['end']!]
}

const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()]
const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content]
const string = (text: string): number[] => vector([...text].map((character) => [character.charCodeAt(0)]))

/** LEB128. */
const unsigned = (value: number): number[] => {
  const bytes: number[] = []
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
  return [...bytes, value]
}

const signed = (value: number): number[] => {
  const bytes: number[] = []
  // The last byte's second highest bit is the sign.
  for (; value < -0x40 || value > 0x3f; value >>= 7) bytes.push((value & 0x7f) | 0x80)
  return [...bytes, value & 0x7f]
}
