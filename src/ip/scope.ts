/** The interface-local scope of IPv6 multicast addresses (RFC 4291 section 2.7, RFC 7346). */
export const SCOPE_INTERFACE = 1

/** The scope of a multicast address, by its first word. */
export const multicastScope = (w0: number): number => (w0 >>> 16) & 0xf

/** fe80::/10, by the first word. */
export const isLinkLocal6 = (w0: number): boolean => w0 >>> 22 === 0x3fa

/** ff00::/8, by the first word. */
export const isMulticast6 = (w0: number): boolean => w0 >>> 24 === 0xff

/** 224.0.0.0/4. */
export const isMulticast4 = (bits: number): boolean => bits >>> 28 === 0xe

/** 127.0.0.0/8. */
export const isLoopback4 = (bits: number): boolean => bits >>> 24 === 127
