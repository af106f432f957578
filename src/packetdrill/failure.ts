/** The host under test has not done what the script says. */
export class Mismatch extends Error {
  /** Line of the script. */
  readonly line: number
  /** What the script says, as it stands there; null where that does not help. */
  readonly expected: string | null
  /** What came, and when; null for nothing. */
  readonly actual: string | null

  constructor(line: number, message: string, expected: string | null = null, actual: string | null = null) {
    super(message)
    this.line = line
    this.expected = expected
    this.actual = actual
  }
}
