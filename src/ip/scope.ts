import { ip } from '../wire/address.ts'

/** The interface-local scope of IPv6 multicast addresses (RFC 4291 section 2.7, RFC 7346). */
export const SCOPE_INTERFACE = 1

/** The scope of a multicast address, by its first word. */
export const multicastScope = (w0: number): number => (w0 >>> 16) & 0xf

/** Every node of a link, and every router (RFC 4291 section 2.7.1). */
export const ALL_NODES6 = ip('ff02::1')
export const ALL_ROUTERS6 = ip('ff02::2')
