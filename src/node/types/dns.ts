/** What `netglass/dns` is for a compiler: the types of `node:dns`. */
import * as dns from 'node:dns'

export default dns
export * from 'node:dns'
