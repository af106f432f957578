import type { Random } from '../../src/core/random.ts'
import { type Kind, oneIn, pick } from './case.ts'
import { PARSERS, type ParserName, SEEDS } from './file-parsers.ts'
import { fromHex, toHex } from './frame-maker.ts'

/** Texts and files for everything that reads what people and other programs write. */

export interface FileStep {
  readonly of: ParserName
  /** The file, as text; or its bytes as hexadecimal digits. */
  readonly text?: string
  readonly hex?: string
}

/** Texts are changed by their words, and what lies between them. */
const WORD = /\w+|\s+|[^\w\s]/g

const INTERESTING = [
  '',
  '0',
  '-1',
  '1',
  '65535',
  '65536',
  '4294967296',
  '1e9',
  '1e400',
  '0x10',
  '\0',
  '"',
  "'",
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  '<',
  '>',
  '...',
  '+',
  '-',
  '*',
  '/',
  '!',
  '&',
  '|',
  '~',
  '=',
  ':',
  ',',
  ';',
  '#',
  '`',
  '\\',
  '\n',
  ' ',
  '%{',
  '}%',
  'é',
  '\ud800',
  'null',
  'true',
  '__proto__',
  'constructor',
]

const changedText = (random: Random, text: string, others: readonly string[]): string => {
  const words = text.match(WORD) ?? []
  for (let left = 1 + random.below(5); left > 0; left--) {
    const at = random.below(words.length + 1)
    switch (random.below(6)) {
      case 0:
        words.splice(at, 1 + random.below(3))
        break
      case 1:
        words.splice(at, 0, ...words.slice(at, at + 1 + random.below(6)))
        break
      case 2:
        words.splice(at, random.below(2), pick(random, INTERESTING))
        break
      case 3: {
        const from = pick(random, others).match(WORD) ?? []
        const start = random.below(from.length + 1)
        words.splice(at, random.below(2), ...from.slice(start, start + 1 + random.below(8)))
        break
      }
      case 4: {
        const other = random.below(words.length + 1)
        if (at < words.length && other < words.length) [words[at], words[other]] = [words[other]!, words[at]!]
        break
      }
      default: {
        const word = words[at]
        if (word === undefined || word.length === 0) break
        const place = random.below(word.length)
        words[at] = word.slice(0, place) + String.fromCharCode(32 + random.below(96)) + word.slice(place + 1)
      }
    }
  }
  return words.join('').slice(0, 5000)
}

const changedBytes = (random: Random, given: Uint8Array, others: readonly string[]): Uint8Array => {
  let bytes = given
  for (let left = 1 + random.below(5); left > 0; left--) {
    const at = random.below(bytes.length + 1)
    switch (random.below(7)) {
      case 0:
        bytes = bytes.slice(0, at)
        break
      case 1: {
        const other = fromHex(pick(random, others))
        bytes = new Uint8Array([...bytes.slice(0, at), ...other.slice(random.below(other.length + 1))]).slice(0, 4000)
        break
      }
      case 2:
        bytes = bytes.slice()
        bytes.copyWithin(at, random.below(bytes.length + 1), random.below(bytes.length + 1))
        break
      default:
        if (at >= bytes.length) break
        bytes = bytes.slice()
        bytes[at] = oneIn(random, 2)
          ? bytes[at]! ^ (1 << random.below(8))
          : pick(random, [0, 1, 0x7f, 0x80, 0xc0, 0xff, random.below(256)])
    }
  }
  return bytes
}

const change = (random: Random, { of, text, hex }: FileStep): FileStep => {
  const seeds = SEEDS[of]
  if (hex !== undefined) return { of, hex: toHex(changedBytes(random, fromHex(hex), seeds)) }
  return { of, text: changedText(random, text ?? '', seeds) }
}

/** Parsers that are slow have a small share. */
const NAMES = (Object.keys(PARSERS) as ParserName[]).flatMap((name) =>
  new Array<ParserName>(PARSERS[name].share).fill(name),
)

const step = (random: Random): FileStep => {
  const of = pick(random, NAMES)
  const seed = pick(random, SEEDS[of])
  return change(random, PARSERS[of].isBinary ? { of, hex: seed } : { of, text: seed })
}

export const files: Kind<null, FileStep> = {
  name: 'files',
  longest: 40,
  setup: () => null,
  step,
  tweak: change,
  async run({ steps }, seen) {
    for (const [i, { of, text, hex }] of steps.entries()) {
      seen.step = i
      const outcome = await PARSERS[of].read(hex === undefined ? (text ?? '') : fromHex(hex))
      seen.reach(`${of} ${outcome}`)
    }
  },
}
