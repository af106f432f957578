import { modules } from './modules.ts'

/** `netglass/dgram`: `node:dgram` over our stack, on the host of the program that calls. */
const { dgram } = modules
export default dgram
export const { createSocket, Socket } = dgram
