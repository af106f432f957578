/** What `netglass/dgram` is for a compiler: the types of `node:dgram`. */
import * as dgram from 'node:dgram'

export default dgram
export * from 'node:dgram'
