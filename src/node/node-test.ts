import base from 'node:test'
import { declaring, type TestDeclaration } from './test-network.ts'

/**
 * `netglass/node-test`: the `test` of `node:test`, with a network for each:
 * `test('reconnects', async ({ network }) => …)`.
 */

export { LeakError, type TestNetwork, type TestNetworkOptions } from './test-network.ts'

type Declare = Parameters<typeof declaring>[0]

const on = (api: unknown): TestDeclaration => declaring(api as Declare)

/** Declares a test on a network of its own. Options are the network's, and those of `node:test`. */
export const test: TestDeclaration & { readonly only: TestDeclaration; readonly skip: TestDeclaration } = Object.assign(
  on(base),
  { only: on(base.only), skip: on(base.skip) },
)

export const it: typeof test = test
