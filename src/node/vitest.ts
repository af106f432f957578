import { test as base } from 'vitest'
import { declaring, type TestDeclaration } from './test-network.ts'

/** `netglass/vitest`: vitest's `test`, with a network for each: `test('reconnects', async ({ network }) => …)`. */

export { LeakError, type TestNetwork, type TestNetworkOptions } from './test-network.ts'

type Declare = Parameters<typeof declaring>[0]

const on = (api: unknown): TestDeclaration => declaring(api as Declare)

/** Declares a test on a network of its own. Options are the network's, and vitest's. */
export const test: TestDeclaration & {
  readonly only: TestDeclaration
  readonly skip: TestDeclaration
  readonly fails: TestDeclaration
  skipIf(condition: unknown): TestDeclaration
  runIf(condition: unknown): TestDeclaration
} = Object.assign(on(base), {
  only: on(base.only),
  skip: on(base.skip),
  fails: on(base.fails),
  skipIf: (condition: unknown) => on(base.skipIf(condition)),
  runIf: (condition: unknown) => on(base.runIf(condition)),
})

export const it: typeof test = test
