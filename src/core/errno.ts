/**
 * Error numbers, with Linux's values and messages (`errno(3)`; asm-generic/errno.h gives the numbers), and the
 * exception that a failed socket call throws: the shape of Node's own system errors.
 */

const TABLE = {
  EPERM: [1, 'Operation not permitted'],
  ENOENT: [2, 'No such file or directory'],
  ESRCH: [3, 'No such process'],
  EINTR: [4, 'Interrupted system call'],
  EIO: [5, 'Input/output error'],
  ENXIO: [6, 'No such device or address'],
  E2BIG: [7, 'Argument list too long'],
  EBADF: [9, 'Bad file descriptor'],
  ECHILD: [10, 'No child processes'],
  EAGAIN: [11, 'Resource temporarily unavailable'],
  ENOMEM: [12, 'Cannot allocate memory'],
  EACCES: [13, 'Permission denied'],
  EFAULT: [14, 'Bad address'],
  EBUSY: [16, 'Device or resource busy'],
  EEXIST: [17, 'File exists'],
  ENODEV: [19, 'No such device'],
  ENOTDIR: [20, 'Not a directory'],
  EISDIR: [21, 'Is a directory'],
  EINVAL: [22, 'Invalid argument'],
  ENFILE: [23, 'Too many open files in system'],
  EMFILE: [24, 'Too many open files'],
  ENOTTY: [25, 'Inappropriate ioctl for device'],
  ENOSPC: [28, 'No space left on device'],
  ESPIPE: [29, 'Illegal seek'],
  EPIPE: [32, 'Broken pipe'],
  EDOM: [33, 'Numerical argument out of domain'],
  ERANGE: [34, 'Numerical result out of range'],
  EDEADLK: [35, 'Resource deadlock avoided'],
  ENAMETOOLONG: [36, 'File name too long'],
  ENOMSG: [42, 'No message of desired type'],
  ENOSYS: [38, 'Function not implemented'],
  ELOOP: [40, 'Too many levels of symbolic links'],
  ENODATA: [61, 'No data available'],
  ENONET: [64, 'Machine is not on the network'],
  EPROTO: [71, 'Protocol error'],
  EBADMSG: [74, 'Bad message'],
  EOVERFLOW: [75, 'Value too large for defined data type'],
  EUSERS: [87, 'Too many users'],
  ENOTSOCK: [88, 'Socket operation on non-socket'],
  EDESTADDRREQ: [89, 'Destination address required'],
  EMSGSIZE: [90, 'Message too long'],
  EPROTOTYPE: [91, 'Protocol wrong type for socket'],
  ENOPROTOOPT: [92, 'Protocol not available'],
  EPROTONOSUPPORT: [93, 'Protocol not supported'],
  ESOCKTNOSUPPORT: [94, 'Socket type not supported'],
  EOPNOTSUPP: [95, 'Operation not supported'],
  EPFNOSUPPORT: [96, 'Protocol family not supported'],
  EAFNOSUPPORT: [97, 'Address family not supported by protocol'],
  EADDRINUSE: [98, 'Address already in use'],
  EADDRNOTAVAIL: [99, 'Cannot assign requested address'],
  ENETDOWN: [100, 'Network is down'],
  ENETUNREACH: [101, 'Network is unreachable'],
  ENETRESET: [102, 'Network dropped connection on reset'],
  ECONNABORTED: [103, 'Software caused connection abort'],
  ECONNRESET: [104, 'Connection reset by peer'],
  ENOBUFS: [105, 'No buffer space available'],
  EISCONN: [106, 'Transport endpoint is already connected'],
  ENOTCONN: [107, 'Transport endpoint is not connected'],
  ESHUTDOWN: [108, 'Cannot send after transport endpoint shutdown'],
  ETOOMANYREFS: [109, 'Too many references: cannot splice'],
  ETIMEDOUT: [110, 'Connection timed out'],
  ECONNREFUSED: [111, 'Connection refused'],
  EHOSTDOWN: [112, 'Host is down'],
  EHOSTUNREACH: [113, 'No route to host'],
  EALREADY: [114, 'Operation already in progress'],
  EINPROGRESS: [115, 'Operation now in progress'],
  ECANCELED: [125, 'Operation canceled'],
} as const satisfies Record<string, readonly [number, string]>

/** The symbolic name of an error: `'ECONNREFUSED'`. */
export type ErrnoCode = keyof typeof TABLE

/** Linux's error numbers, by name. */
export const Errno = Object.fromEntries(Object.entries(TABLE).map(([code, [errno]]) => [code, errno])) as {
  readonly [C in ErrnoCode]: (typeof TABLE)[C][0]
}

const codes = new Map<number, ErrnoCode>(Object.entries(TABLE).map(([code, [errno]]) => [errno, code as ErrnoCode]))

/** The symbolic name of an error number (positive), or `undefined` for a number that is none. */
export const errnoCode = (errno: number): ErrnoCode | undefined => codes.get(errno)

/** The message that `strerror(3)` gives for an error number (positive). */
export const strerror = (errno: number): string => {
  const code = codes.get(errno)
  return code === undefined ? `Unknown error ${errno}` : TABLE[code][1]
}

/** What a failed call throws. As in Node, `errno` is the negated Linux number. */
export class SystemError extends Error {
  override readonly name = 'SystemError'
  readonly code: ErrnoCode
  readonly errno: number
  readonly syscall: string
  /** The address the call was about, where there was one. */
  declare readonly address?: string
  /** The port the call was about, where there was one. */
  declare readonly port?: number

  constructor(code: ErrnoCode, syscall: string, endpoint?: { address?: string; port?: number }) {
    const where =
      endpoint?.address === undefined
        ? ''
        : ` ${endpoint.address}${endpoint.port === undefined ? '' : `:${endpoint.port}`}`
    super(`${code}: ${TABLE[code][1]}, ${syscall}${where}`)
    this.code = code
    this.errno = -TABLE[code][0]
    this.syscall = syscall
    if (endpoint?.address !== undefined) this.address = endpoint.address
    if (endpoint?.port !== undefined) this.port = endpoint.port
  }
}
