/** What `netglass/dns/promises` is for a compiler: the types of `node:dns/promises`. */
import * as promises from 'node:dns/promises'

export default promises
export * from 'node:dns/promises'
