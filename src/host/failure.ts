import { errnoCode, SystemError } from '../core/errno.ts'
import type { Sockaddr } from '../socket/address.ts'

/** The exception for a negative `Errno`. */
export const failure = (result: number, syscall: string, address?: Sockaddr): SystemError => {
  const endpoint: { address?: string; port?: number } = {}
  const where = address?.path ?? address?.address
  if (where !== undefined) endpoint.address = where
  if (address?.port !== undefined) endpoint.port = address.port
  return new SystemError(errnoCode(-result) ?? 'EIO', syscall, endpoint)
}

/** Passes a result on, or throws what a negative one stands for. */
export const check = (result: number, syscall: string, address?: Sockaddr): number => {
  if (result < 0) throw failure(result, syscall, address)
  return result
}

/** Thrown into a program that called exit(2), so that it unwinds; nobody else catches it. */
export class ProcessExit extends Error {
  readonly status: number

  constructor(status: number) {
    super(`exit(${status})`)
    this.status = status
  }
}
