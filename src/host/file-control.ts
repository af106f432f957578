import { Errno } from '../core/errno.ts'
import * as C from '../socket/constants.ts'
import type { OpenFile } from '../socket/open-file.ts'
import type { FileTable } from './files.ts'

/** fcntl(2). @returns what the command gives, or a negative `Errno` */
export const fileControl = (
  files: FileTable,
  fd: number,
  file: OpenFile,
  command: number,
  argument: number,
): number => {
  switch (command) {
    case C.F_DUPFD:
    case C.F_DUPFD_CLOEXEC:
      if (argument < 0 || argument >= files.limit) return -Errno.EINVAL
      return files.add(file, argument, command === C.F_DUPFD_CLOEXEC)
    case C.F_GETFD:
      return files.isCloseOnExec(fd) ? C.FD_CLOEXEC : 0
    case C.F_SETFD:
      files.setCloseOnExec(fd, (argument & C.FD_CLOEXEC) !== 0)
      return 0
    case C.F_GETFL:
      return file.access | (file.nonBlocking ? C.O_NONBLOCK : 0) | (file.async ? C.O_ASYNC : 0)
    case C.F_SETFL:
      file.nonBlocking = (argument & C.O_NONBLOCK) !== 0
      file.setAsync((argument & C.O_ASYNC) !== 0)
      return 0
    case C.F_SETOWN:
      file.owner = argument
      return 0
    case C.F_GETOWN:
      return file.owner
    case C.F_GETPIPE_SZ:
      return file.capacity === 0 ? -Errno.EBADF : file.capacity
    default:
      return -Errno.EINVAL
  }
}
