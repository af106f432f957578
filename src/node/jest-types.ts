import type { TestDeclaration } from './test-network.ts'

/** What `netglass/jest` exports: see `jest.cts`. */

export type { TestNetwork, TestNetworkOptions } from './test-network.ts'

/** Declares a test on a network of its own. Options are the network's; `timeout` is jest's, real milliseconds. */
export declare const testNetwork: TestDeclaration & { readonly only: TestDeclaration; readonly skip: TestDeclaration }
