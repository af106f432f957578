/**
 * Signals that ask a program to end, and its exit status when one interrupted it, as shells have it: 128 + the number.
 */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

type EndSignal = keyof typeof SIGNALS

/** The exit status of a program that a signal interrupted. */
export const exitStatusOf = (signal: EndSignal): number => SIGNALS[signal]

/** Waits from now on for the first signal that asks the program to end; a second one ends it at once. */
export class SignalWatch {
  /** Resolves with the signal. */
  readonly came: Promise<EndSignal>
  private resolve: (signal: EndSignal) => void = () => {}
  private readonly listener = (signal: NodeJS.Signals): void => {
    this.close()
    this.resolve(signal as EndSignal)
  }

  constructor() {
    this.came = new Promise((resolve) => {
      this.resolve = resolve
    })
    for (const signal of Object.keys(SIGNALS)) process.on(signal, this.listener)
  }

  /** Leaves signals to the system again. */
  close(): void {
    for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, this.listener)
  }
}
