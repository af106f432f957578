import type { NetContext } from '../net/context.ts'
import type { Asking, Scope } from '../net/platform.ts'

/** There are no asynchronous contexts to keep: promises keep theirs by themselves. */
export const scope: Scope = { runInAsyncScope: (body, self, ...args) => body.apply(self, args) }

export const webSurroundings = (current: () => NetContext): Asking => ({
  platform: { scope: () => scope },
  current,
})
