import { Unsupported } from './script.ts'

/** The part of the shell's language in which scripts write their commands. */

/** One command of a pipeline. */
export interface ShellCommand {
  readonly words: readonly string[]
  /** Where `>` sends its output; null for nowhere in particular. */
  readonly output: string | null
}

/** Commands whose output feeds the next. The text's status is that of the last pipeline that was run. */
export interface Pipeline {
  readonly commands: readonly ShellCommand[]
  /** What stands between it and the one before: `||` runs it if that failed, `&&` if it did not. */
  readonly after: ';' | '&&' | '||'
  /** Does one follow that is run if this one fails? */
  readonly hasAlternative: boolean
}

const TOKEN =
  /(?<space>[ \t]+|\\\n)|(?<comment>#[^\n]*)|(?<end>\n|;|&&|\|\|)|(?<pipe>\|)|(?<redirect>(?:\d|&)?>(?:&\d)?)|(?<word>(?:"(?:\\[\s\S]|[^"\\])*"|'[^']*'|\$\(\((?:[^()]|\([^()]*\))*\)\)|\$\{\w+\}|\\(?!\n)|[^\s;&|<>"'\\])+)/y

/** Reads commands. @throws Unsupported for what is not known here */
export const parseShell = (text: string): Pipeline[] => {
  const pipelines: Pipeline[] = []
  let commands: ShellCommand[] = []
  let after: Pipeline['after'] = ';'
  let words: string[] = []
  let output: string | null = null
  let redirecting = false
  const endCommand = (): void => {
    if (words.length > 0) commands.push({ words, output })
    words = []
    output = null
  }
  const endPipeline = (end: string): void => {
    endCommand()
    // A line may be broken behind && and ||.
    if (commands.length === 0) return
    pipelines.push({ commands, after, hasAlternative: end === '||' })
    commands = []
    after = end === '&&' || end === '||' ? end : ';'
  }
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (match === null) throw new Unsupported(`the shell command ${JSON.stringify(text.slice(at).split('\n')[0])}`)
    const { end, pipe, redirect, word } = match.groups!
    if (end !== undefined) endPipeline(end)
    else if (pipe !== undefined) endCommand()
    else if (redirect !== undefined) redirecting = !redirect.includes('>&')
    else if (word !== undefined) {
      if (redirecting) output = expand(word)
      else words.push(expand(word))
      redirecting = false
    }
  }
  endPipeline(';')
  return pipelines
}

/** Takes quotes away and puts values in place of `$((…))`. */
const expand = (word: string): string =>
  word.replace(
    /"((?:\\[\s\S]|[^"\\])*)"|'([^']*)'|\$\(\(((?:[^()]|\([^()]*\))*)\)\)/g,
    (whole, double, single, sum) => {
      if (single !== undefined) return single
      if (sum !== undefined) return String(product(sum))
      return double?.includes('$((') ? expand(double) : (double ?? whole)
    },
  )

/** The arithmetic that scripts do: products of numbers. */
const product = (text: string): number => {
  const factors = text
    .replace(/[()\s]/g, '')
    .split('*')
    .map(Number)
  if (factors.some(Number.isNaN)) throw new Unsupported(`the shell arithmetic ${text}`)
  return factors.reduce((a, b) => a * b, 1)
}
