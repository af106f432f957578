/**
 * Something that went wrong and that the user can read in one line;
 * the program ends with exit code 1 unless it has its own.
 */
export class Failure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** The line for an error: its message, and for what is none of ours its stack too when `NETGLASS_DEBUG` is set. */
export const errorLine = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (process.env['NETGLASS_DEBUG'] !== undefined && error.stack !== undefined) return error.stack
  return error.message
}
