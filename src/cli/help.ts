import type { Command, HelpConfiguration, Option } from 'commander'

/** What `--help` prints, and what is said of a wrong command line: alike for all commands. */

/** A default is told where it says something: not for lists that are empty, nor for what is off. */
export const HELP: HelpConfiguration = {
  optionDescription: ({ description, defaultValue }: Option): string =>
    typeof defaultValue === 'string' ? `${description} (default: ${defaultValue})` : description,
}

/** Adds examples below a command's help, a line each. */
export const addExamples = (command: Command, ...lines: readonly string[]): Command =>
  command.addHelpText('after', `\nExample${lines.length === 1 ? '' : 's'}:\n${indent(lines.join('\n'))}`)

/** Two blanks in front of every line. */
export const indent = (text: string): string => text.replace(/^/gm, '  ')

/**
 * What commander has to say, in one line, with the command whose help tells more.
 * @param words the command line
 */
export const usageLine = (text: string, program: Command, words: readonly string[]): string => {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\.$/, '')
    .replace(/\n/g, ' ')
  return `netglass: ${said}: '${commandOf(program, words)} --help' tells more`
}

/** `netglass bench measure` for `bench measure --runs`. */
const commandOf = (program: Command, words: readonly string[]): string => {
  let command = program
  let name = program.name()
  for (const word of words) {
    const next = command.commands.find((candidate) => candidate.name() === word)
    if (next === undefined) break
    command = next
    name += ` ${word}`
  }
  return name
}
