import { modules } from './modules.ts'

/** `netglass/net`: `node:net` over our stack, on the host that was chosen. */
const { net } = modules
export default net
export const {
  BlockList,
  SocketAddress,
  connect,
  createConnection,
  createServer,
  isIP,
  isIPv4,
  isIPv6,
  Server,
  Socket,
  Stream,
  getDefaultAutoSelectFamily,
  setDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamilyAttemptTimeout,
} = net as typeof net & { readonly Stream: typeof net.Socket }
