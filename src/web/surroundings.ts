import type { NetContext } from '../net/context.ts'
import type { Asking, Scope } from '../net/platform.ts'

/** Promises keep their context by themselves. */
const scope: Scope = { runInAsyncScope: (body, self, ...args) => body.apply(self, args) }

export const webSurroundings = (current: () => NetContext): Asking => ({
  platform: { scope: () => scope },
  current,
})
