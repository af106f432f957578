/** What `netglass/net` is for a compiler: the types of `node:net`. */
import * as net from 'node:net'

export default net
export * from 'node:net'
