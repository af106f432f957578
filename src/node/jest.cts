/**
 * `netglass/jest`: jest's `test`, with a network for each: `testNetwork('reconnects', async ({ network }) => …)`.
 *
 * Jest runs each file of tests in a sandbox with a global object and modules of its own, in which Node's own modules
 * are shared. So the package is loaded outside of it, once, and is told of the sandbox's global object.
 */

declare const module: { exports: unknown }
declare const __filename: string

type Body = (t?: unknown) => Promise<void>
interface Jest {
  (name: string, body: () => Promise<void>, timeout?: number): void
  readonly only: Jest
  readonly skip: Jest
}

const { runInThisContext } = process.getBuiltinModule('node:vm')
const { getBuiltinModule } = runInThisContext('process') as typeof process
const outside = getBuiltinModule('node:module').createRequire(__filename)
const { declaring } = outside('./test-network.js') as {
  declaring(declare: (name: string, options: { timeout?: number }, body: Body) => void, common: object): object
}

const declareWith = (choose: (jest: Jest) => Jest): object =>
  declaring(
    (name, { timeout }, body) => choose((globalThis as unknown as { test: Jest }).test)(name, () => body(), timeout),
    { sandboxes: [globalThis] },
  )

module.exports = {
  testNetwork: Object.assign(
    declareWith((jest) => jest),
    { only: declareWith(({ only }) => only), skip: declareWith(({ skip }) => skip) },
  ),
}
