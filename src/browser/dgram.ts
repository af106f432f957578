import { modules } from './modules.ts'

/** `netglass/dgram`: `node:dgram` over our stack, on the host that was chosen. */
const { dgram } = modules
export default dgram
export const { createSocket, Socket } = dgram
