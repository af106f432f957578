import { web } from './modules.ts'

/** `netglass/web`: streams, `fetch` and `serve` over our stack, of the host that was chosen. */
export type { HttpServer, ServeHandler, ServeInfo, ServeOptions } from '../web/serve.ts'
export type { Listener, NetAddr, Socket, SocketInfo } from '../web/socket.ts'
export type { ListenOptions, SocketAddress, SocketOptions, Web } from '../web/web.ts'
export const { connect, listen, fetch, serve } = web
