import { Errno } from '../core/errno.ts'
import { BlockedCall, Wakeup } from './blocking.ts'
import type { CallContext } from './call-context.ts'
import { failure } from './failure.ts'

/** waitpid(2): waits until a child has ended. @param pid a child's, or -1 for any */
export const waitForChild = async (sys: CallContext, pid: number): Promise<{ pid: number; status: number }> => {
  sys.enter()
  const { process } = sys
  for (;;) {
    const candidates = [...process.children].filter((child) => pid === -1 || child.pid === pid)
    if (candidates.length === 0) throw failure(-Errno.ECHILD, 'waitpid')
    const ended = candidates.find((child) => !child.isAlive)
    if (ended !== undefined) {
      process.host.reap(ended)
      return { pid: ended.pid, status: ended.status! }
    }
    const call = new BlockedCall(process, 'waitpid')
    for (const child of candidates) void child.ended.then(() => call.resume(Wakeup.Ready))
    const why = await call.promise
    if (why === Wakeup.Interrupted) throw failure(-Errno.EINTR, 'waitpid')
  }
}
