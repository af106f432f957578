import { parseIpAddress } from '../wire/address.ts'
import { invalidArgType, invalidArgValue, outOfRange, socketBadPort } from './errors.ts'

/** Checks of arguments, with Node's errors. Each throws for what it does not let pass. */

export function validateString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidArgType(name, 'string', value)
}

export function validateBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'boolean', value)
}

export function validateFunction(value: unknown, name: string): asserts value is (...args: never[]) => unknown {
  if (typeof value !== 'function') throw invalidArgType(name, 'function', value)
}

export function validateNumber(value: unknown, name: string, least?: number, most?: number): asserts value is number {
  if (typeof value !== 'number') throw invalidArgType(name, 'number', value)
  const isOut = (least !== undefined && value < least) || (most !== undefined && value > most)
  if (isOut || ((least !== undefined || most !== undefined) && Number.isNaN(value))) {
    const range = [least === undefined ? '' : `>= ${least}`, most === undefined ? '' : `<= ${most}`]
    throw outOfRange(name, range.filter((part) => part !== '').join(' && '), value)
  }
}

export function validateInteger(value: unknown, name: string, least: number, most: number): asserts value is number {
  if (typeof value !== 'number') throw invalidArgType(name, 'number', value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value)
}

export const validateInt32 = (value: unknown, name: string, least = -0x8000_0000, most = 0x7fff_ffff): void =>
  validateInteger(value, name, least, most)

export const validateUint32 = (value: unknown, name: string): void => {
  if (typeof value !== 'number') throw invalidArgType(name, 'number', value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < 0 || value > 0xffff_ffff) throw outOfRange(name, '>= 0 && <= 4294967295', value)
}

export function validateOneOf<T>(value: unknown, name: string, allowed: readonly T[]): asserts value is T {
  if (allowed.includes(value as T)) return
  const list = allowed.map((one) => (typeof one === 'string' ? `'${one}'` : String(one))).join(', ')
  throw invalidArgValue(name, value, `must be one of: ${list}`)
}

export const validateAbortSignal = (signal: unknown, name: string): void => {
  if (signal !== undefined && (typeof signal !== 'object' || signal === null || !('aborted' in signal)))
    throw invalidArgType(name, 'AbortSignal', signal)
}

/** @returns the port as a number */
export const validatePort = (port: unknown, name = 'Port', allowsZero = true): number => {
  const isGiven = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')
  const number = isGiven ? Number(port) : -1
  const fits = number === number >>> 0 && number <= 0xffff
  if (!fits || (number === 0 && !allowsZero)) throw socketBadPort(name, port, allowsZero)
  return number
}

/** 4 or 6 for the text of an address, which in IPv6 may have a zone; 0 for anything else. */
export const isIP = (value: unknown): 0 | 4 | 6 => {
  const text = String(value)
  const address = text.includes(':') ? text.replace(/%[0-9a-zA-Z.\-:]+$/, '') : text
  if (parseIpAddress(address) === undefined) return 0
  return text.includes(':') ? 6 : 4
}

export const isIPv4 = (value: unknown): boolean => isIP(value) === 4
export const isIPv6 = (value: unknown): boolean => isIP(value) === 6
