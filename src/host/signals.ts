/** Signals, with Linux's numbers, and what they do to a process that has not said otherwise (signal(7)). */
export const SIGHUP = 1
export const SIGINT = 2
export const SIGQUIT = 3
export const SIGABRT = 6
export const SIGKILL = 9
export const SIGUSR1 = 10
export const SIGSEGV = 11
export const SIGUSR2 = 12
export const SIGPIPE = 13
export const SIGALRM = 14
export const SIGTERM = 15
export const SIGCHLD = 17
export const SIGCONT = 18
export const SIGSTOP = 19
export const SIGURG = 23
export const SIGIO = 29

/** Default action, and no action. */
export const SIG_DFL = 'default'
export const SIG_IGN = 'ignore'
/** Calls that the signal interrupts begin anew. */
export const SA_RESTART = 0x1000_0000
/** The action is the default again once it was taken. */
export const SA_RESETHAND = 0x8000_0000

/** What a signal does. */
export type SignalHandler = typeof SIG_DFL | typeof SIG_IGN | ((signal: number) => void)

/** `struct sigaction`. */
export interface SigAction {
  sa_handler: SignalHandler
  sa_flags: number
}

const NAMES: Record<number, string> = {
  [SIGHUP]: 'SIGHUP',
  [SIGINT]: 'SIGINT',
  [SIGQUIT]: 'SIGQUIT',
  [SIGABRT]: 'SIGABRT',
  [SIGKILL]: 'SIGKILL',
  [SIGUSR1]: 'SIGUSR1',
  [SIGSEGV]: 'SIGSEGV',
  [SIGUSR2]: 'SIGUSR2',
  [SIGPIPE]: 'SIGPIPE',
  [SIGALRM]: 'SIGALRM',
  [SIGTERM]: 'SIGTERM',
  [SIGCHLD]: 'SIGCHLD',
  [SIGCONT]: 'SIGCONT',
  [SIGSTOP]: 'SIGSTOP',
  [SIGURG]: 'SIGURG',
  [SIGIO]: 'SIGIO',
}

/** The signal's name: `'SIGPIPE'`. */
export const signalName = (signal: number): string => NAMES[signal] ?? `signal ${signal}`

/** Is it a signal that this system knows? */
export const isSignal = (signal: number): boolean => NAMES[signal] !== undefined

/** Does it end a process that has not said otherwise? */
export const endsByDefault = (signal: number): boolean =>
  signal !== SIGCHLD && signal !== SIGCONT && signal !== SIGURG && signal !== SIGSTOP
