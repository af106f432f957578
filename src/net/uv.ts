import { Errno } from '../core/errno.ts'

/** libuv's numbers for what has no errno of its own. Others are negative `Errno`s, as on Linux. */
export const UV_EOF = -4095
export const UV_EAI_AGAIN = -3001
export const UV_EAI_FAMILY = -3005
export const UV_EAI_NONAME = -3008
export const UV_TCP_IPV6ONLY = 1
export const UV_UDP_IPV6ONLY = 1
export const UV_UDP_REUSEADDR = 4
export const UV_UDP_REUSEPORT = 8

export const ECANCELED = -Errno.ECANCELED
export const ENOTCONN = -Errno.ENOTCONN
export const ETIMEDOUT = -Errno.ETIMEDOUT
