import { SystemError } from '../../src/core/errno.ts'
import type { Sys } from '../../src/host/calls.ts'
import { SIG_IGN, SIGHUP, SIGPIPE, SIGUSR1 } from '../../src/host/signals.ts'
import { AF_INET, SO_RCVTIMEO, SOCK_STREAM, SOL_SOCKET } from '../../src/socket/constants.ts'

/** A server that behaves, so that there are always connections to be had: it reads some, answers some, and closes. */
export const anchor = async (sys: Sys): Promise<void> => {
  for (const signal of [SIGPIPE, SIGHUP, SIGUSR1]) sys.signal(signal, SIG_IGN)
  const listener = sys.socket(AF_INET, SOCK_STREAM)
  sys.bind(listener, { address: '0.0.0.0', port: 80 })
  sys.listen(listener, 16)
  for (;;) {
    const fd = await sys.accept(listener)
    void sys.thread(async () => {
      sys.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, { tv_sec: 1, tv_usec: 0 })
      try {
        for (let i = 0; i < 3; i++) {
          const count = await sys.recv(fd, new Uint8Array(2000))
          if (count === 0) break
          await sys.send(fd, new Uint8Array(count))
        }
      } catch (error) {
        if (!(error instanceof SystemError)) throw error
      }
      await sys.close(fd)
    })
  }
}
