/**
 * Command lines as getopt_long(3) reads them: `-ant`, `-p 5`, `-p5`, `--tcp`, `--family=inet`, `--`, options after
 * operands. A long option may be cut short where that is unambiguous.
 */

/** A command line that a printer does not understand; `message` is what the tool says to standard error. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The options that a tool knows. */
export interface OptionSpec {
  /** As getopt(3) writes them: letters, each followed by a colon when it takes a value. */
  readonly short: string
  /** Long names, and the letter or name that each stands for; a colon behind the name when it takes a value. */
  readonly long?: Readonly<Record<string, string>>
}

/** One option as it was given. */
export interface GivenOption {
  /** A letter, or the name that a long option stands for. */
  readonly name: string
  /** Empty when it takes none. */
  readonly value: string
}

/** A command line, taken apart. */
export interface ParsedOptions {
  readonly options: readonly GivenOption[]
  readonly operands: readonly string[]
}

/**
 * Takes a command line apart.
 * @param tool whose name begins the message
 * @param untilOperand stop at the first operand, as tools do whose operands have options of their own
 * @throws UsageError for an option that is not known, lacks its value or has one too many
 */
export const parseOptions = (
  tool: string,
  spec: OptionSpec,
  args: readonly string[],
  untilOperand = false,
): ParsedOptions => {
  const options: GivenOption[] = []
  const operands: string[] = []
  const rest = [...args]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--' || (untilOperand && (word === '-' || !word.startsWith('-')))) {
      operands.push(...(word === '--' ? [] : [word]), ...rest)
      break
    }
    if (word.startsWith('--')) options.push(longOption(tool, spec, word.slice(2), rest))
    else if (word.startsWith('-') && word !== '-') shortOptions(tool, spec, word.slice(1), rest, options)
    else operands.push(word)
  }
  return { options, operands }
}

const shortOptions = (
  tool: string,
  spec: OptionSpec,
  letters: string,
  rest: string[],
  options: GivenOption[],
): void => {
  for (let i = 0; i < letters.length; i++) {
    const name = letters[i]!
    const at = name === ':' ? -1 : spec.short.indexOf(name)
    if (at < 0) throw new UsageError(`${tool}: invalid option -- '${name}'`)
    if (spec.short[at + 1] !== ':') {
      options.push({ name, value: '' })
      continue
    }
    const value = i + 1 < letters.length ? letters.slice(i + 1) : rest.shift()
    if (value === undefined) throw new UsageError(`${tool}: option requires an argument -- '${name}'`)
    options.push({ name, value })
    return
  }
}

const longOption = (tool: string, spec: OptionSpec, text: string, rest: string[]): GivenOption => {
  const equals = text.indexOf('=')
  const given = equals < 0 ? text : text.slice(0, equals)
  const names = Object.keys(spec.long ?? {})
  const bare = (name: string): string => name.replace(/:$/, '')
  const exact = names.filter((name) => bare(name) === given)
  const found = exact.length > 0 ? exact : names.filter((name) => name.startsWith(given))
  if (found.length === 0) throw new UsageError(`${tool}: unrecognized option '--${given}'`)
  if (new Set(found.map((name) => spec.long![name])).size > 1) {
    const candidates = found.map((name) => ` '--${bare(name)}'`).join('')
    throw new UsageError(`${tool}: option '--${given}' is ambiguous; possibilities:${candidates}`)
  }
  const key = found[0]!
  const name = spec.long![key]!
  if (!key.endsWith(':')) {
    if (equals >= 0) throw new UsageError(`${tool}: option '--${bare(key)}' doesn't allow an argument`)
    return { name, value: '' }
  }
  const value = equals >= 0 ? text.slice(equals + 1) : rest.shift()
  if (value === undefined) throw new UsageError(`${tool}: option '--${bare(key)}' requires an argument`)
  return { name, value }
}
