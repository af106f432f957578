import { chmodSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Where running stacks are found, and how one talks to them: lines of JSON over a Unix socket, one request or answer a
 * line, ended by a line feed.
 *
 *     {"id":1,"method":"netstat","params":{"all":true}}      a request; `id` is a number or a string of the client's
 *     {"id":1,"result":…}  or  {"id":1,"error":{"code":"ENOSYS","message":"…"}}
 *     {"id":2,"item":…} …  {"id":2,"end":true}               the answer of a method that streams
 *     {"id":2,"cancel":true}                                 the client has had enough of it; `end` follows
 *
 * What is no request is answered with `"id":null`, and the connection closed. Empty lines mean nothing.
 */

/** What goes wrong with a control socket: `message` is one line, ready to be printed. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  /** A name such as `'EADDRINUSE'`; of an error that a method reports, the method's. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** A running stack. */
export interface StackInfo {
  readonly name: string
  readonly pid: number
  readonly version: string
  /** When it began to listen, milliseconds since 1970. */
  readonly started: number
  /** The methods that it answers. */
  readonly methods: readonly string[]
}

/** The method that every stack answers, with a `StackInfo`. */
export const HELLO = 'hello'

/** The longest path of a Unix socket, bytes (`sun_path` without its end). */
const MAX_PATH = 107

/**
 * The directory of this user's stacks: `$XDG_RUNTIME_DIR/netglass` where that is the user's own, else `/run/netglass`
 * for root and a directory with the user's number among the temporary files for others.
 */
export const controlDirectory = (): string => {
  const uid = process.geteuid?.() ?? 0
  const { XDG_RUNTIME_DIR: runtime } = process.env
  if (runtime !== undefined && runtime !== '' && ownerOf(runtime) === uid) return join(runtime, 'netglass')
  return uid === 0 && ownerOf('/run') === 0 ? '/run/netglass' : join(tmpdir(), `netglass-${uid}`)
}

const ownerOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.uid ?? -1

/** Makes the directory, which nobody else may enter. @throws ControlError when it is another user's */
export const makeControlDirectory = (directory: string): void => {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ControlError(code ?? 'EIO', `cannot make ${directory} for the control socket: set XDG_RUNTIME_DIR`)
  }
  const entry = lstatSync(directory)
  if (!entry.isDirectory() || entry.uid !== (process.geteuid?.() ?? entry.uid)) {
    throw new ControlError('EACCES', `${directory} is not this user's directory: remove it, or set XDG_RUNTIME_DIR`)
  }
  if ((entry.mode & 0o077) !== 0) chmodSync(directory, 0o700)
}

/** The path of the socket of stack `name`. @throws ControlError when the name will not do */
export const controlPath = (directory: string, name: string): string => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new ControlError(
      'EINVAL',
      `stack name ${JSON.stringify(name)} is not valid: 1 to 64 letters, digits, '.', '_' and '-'`,
    )
  }
  return checkPath(join(directory, `${name}.sock`))
}

/** Refuses a path that is too long for a socket. */
export const checkPath = (path: string): string => {
  if (Buffer.byteLength(path) > MAX_PATH) {
    throw new ControlError('ENAMETOOLONG', `${path} is too long for a socket: set XDG_RUNTIME_DIR to a shorter path`)
  }
  return path
}
