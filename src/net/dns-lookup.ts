import { AddressInfoError, type EaiCode, getaddrinfo, getnameinfo, NI_NAMEREQD } from '../host/resolver.ts'
import { AF_INET, AF_INET6, AF_UNSPEC, SOCK_STREAM } from '../socket/constants.ts'
import { PendingAnswer } from './dns-pending.ts'
import type { LookupAddress, LookupOptions } from './dns-types.ts'
import { type CodedError, dnsException, invalidArgType, invalidArgValue, missingArgs } from './errors.ts'
import type { Asking, Surroundings } from './platform.ts'
import {
  isIP,
  validateBoolean,
  validateFunction,
  validateNumber,
  validateOneOf,
  validatePort,
  validateString,
} from './validate.ts'

/** `dns.lookup` and `dns.lookupService`: the host's names, then its resolver. */

export const ADDRCONFIG = 0x20
export const ALL = 0x10
export const V4MAPPED = 0x08

export type ResultOrder = 'ipv4first' | 'ipv6first' | 'verbatim'
export const ORDERS: readonly ResultOrder[] = ['verbatim', 'ipv4first', 'ipv6first']
const FAMILIES = [0, 4, 6] as const

/** What a call of `lookup` asks for. */
export interface LookupQuestion {
  readonly name: string
  readonly family: 0 | 4 | 6
  readonly hints: number
  readonly all: boolean
  readonly order: ResultOrder
}

/** Reads the arguments of `lookup`. @throws for what is wrong in them */
const readLookup = (name: unknown, options: unknown, order: ResultOrder): LookupQuestion => {
  if (name) validateString(name, 'hostname')
  const question = { name: name ? (name as string) : '', family: 0 as 0 | 4 | 6, hints: 0, all: false, order }
  if (typeof options === 'number') {
    validateOneOf(options, 'family', FAMILIES)
    return { ...question, family: options as 0 | 4 | 6 }
  }
  if (options !== undefined && typeof options !== 'object') {
    throw invalidArgType('options', ['integer', 'object'], options)
  }
  const { hints, family, all, verbatim, order: given } = (options ?? {}) as LookupOptions
  if (hints !== undefined && hints !== null) {
    validateNumber(hints, 'options.hints')
    question.hints = hints >>> 0
    if ((question.hints & ~(ADDRCONFIG | ALL | V4MAPPED)) !== 0) throw invalidArgValue('hints', question.hints)
  }
  if (family === 'IPv4') question.family = 4
  else if (family === 'IPv6') question.family = 6
  else if (family !== undefined && family !== null) {
    validateOneOf(family, 'options.family', FAMILIES as readonly number[])
    question.family = family as 0 | 4 | 6
  }
  if (all !== undefined && all !== null) {
    validateBoolean(all, 'options.all')
    question.all = all
  }
  if (verbatim !== undefined && verbatim !== null) {
    validateBoolean(verbatim, 'options.verbatim')
    question.order = verbatim ? 'verbatim' : 'ipv4first'
  }
  if (given !== undefined && given !== null) {
    validateOneOf(given, 'options.order', ORDERS)
    question.order = given
  }
  return question
}

/** libuv's numbers for what getaddrinfo(3) fails with; an unknown name is `ENOTFOUND`. */
const EAI: Readonly<Record<EaiCode, number>> = {
  EAI_ADDRFAMILY: -3000,
  EAI_AGAIN: -3001,
  EAI_BADFLAGS: -3002,
  EAI_FAIL: -3004,
  EAI_FAMILY: -3005,
  EAI_NODATA: -3007,
  EAI_NONAME: -3008,
  EAI_SERVICE: -3010,
  EAI_SOCKTYPE: -3011,
}

export type LookupAnswer = { readonly error: CodedError } | { readonly addresses: readonly LookupAddress[] }

const asAddress = (address: string): LookupAddress => ({ address, family: isIP(address) })

/** Finds the addresses of a name. @param done told in a turn of its own */
export const askLookup = (
  surroundings: Asking,
  question: LookupQuestion,
  done: (answer: LookupAnswer) => void,
): void => {
  const { name, family, hints, order } = question
  const pending = new PendingAnswer<LookupAnswer>(surroundings, done)
  const known = surroundings.current().lookup(name, { family, order })
  if (known.length > 0) {
    pending.settle({ addresses: known.map(asAddress) })
    return
  }
  const domain = family === 0 ? AF_UNSPEC : family === 4 ? AF_INET : AF_INET6
  pending.find(surroundings, async (sys) => {
    try {
      const wanted = { ai_family: domain, ai_flags: hints, ai_socktype: SOCK_STREAM }
      const found = await getaddrinfo(sys, name, null, wanted)
      return {
        addresses: inOrder(
          found.map(({ ai_addr }) => asAddress(ai_addr.address)),
          order,
        ),
      }
    } catch (error) {
      return { error: failureOf(error, 'getaddrinfo', name) }
    }
  })
}

/** What the resolver's exceptions are in Node's words. */
const failureOf = (error: unknown, syscall: string, what: string): CodedError => {
  const code = error instanceof AddressInfoError ? error.code : 'EAI_FAIL'
  const isUnknown = code === 'EAI_NONAME' || code === 'EAI_NODATA'
  return Object.assign(dnsException(isUnknown ? 'ENOTFOUND' : code, syscall, what), { errno: EAI[code] })
}

const inOrder = (addresses: readonly LookupAddress[], order: ResultOrder): readonly LookupAddress[] => {
  if (order === 'verbatim') return addresses
  const first = order === 'ipv4first' ? 4 : 6
  return [...addresses.filter(({ family }) => family === first), ...addresses.filter(({ family }) => family !== first)]
}

/** `dns.lookup` of a program. */
export const lookupFunction = (surroundings: Surroundings, defaultOrder: () => ResultOrder) =>
  function lookup(...args: unknown[]): object {
    const [name, given] = args
    const callback = typeof given === 'function' ? given : args[2]
    const options = typeof given === 'function' ? undefined : given
    if (name) validateString(name, 'hostname')
    validateFunction(callback, 'callback')
    const done = callback as (error: CodedError | null, ...values: unknown[]) => void
    const question = readLookup(name, options, defaultOrder())
    const { nextTick } = surroundings.platform
    const family = isIP(question.name)
    if (question.name === '') {
      if (question.all) nextTick(done, null, [])
      else nextTick(done, null, null, question.family === 6 ? 6 : 4)
    } else if (family !== 0) {
      if (question.all) nextTick(done, null, [{ address: question.name, family }])
      else nextTick(done, null, question.name, family)
    } else {
      askLookup(surroundings, question, (answer) => {
        if ('error' in answer) done(answer.error)
        else if (question.all) done(null, answer.addresses)
        else done(null, answer.addresses[0]!.address, question.family || answer.addresses[0]!.family)
      })
    }
    return {}
  }

/** `dns.promises.lookup` of a program. What is wrong with the arguments is thrown, not rejected. */
export const lookupPromise = (surroundings: Asking, defaultOrder: () => ResultOrder) =>
  function lookup(name: unknown, options?: unknown): Promise<unknown> {
    const question = readLookup(name, options, defaultOrder())
    const family = isIP(question.name)
    if (question.name === '') {
      return Promise.resolve(question.all ? [] : { address: null, family: question.family === 6 ? 6 : 4 })
    }
    if (family !== 0) {
      const found = { address: question.name, family }
      return Promise.resolve(question.all ? [found] : found)
    }
    return new Promise((resolve, reject) => {
      askLookup(surroundings, question, (answer) => {
        if ('error' in answer) reject(answer.error)
        else resolve(question.all ? answer.addresses : answer.addresses[0])
      })
    })
  }

export interface ServiceNames {
  readonly hostname: string
  readonly service: string
}

export type ServiceAnswer = { readonly error: CodedError } | ServiceNames

const readService = (address: unknown, port: unknown): [address: string, port: number] => {
  if (isIP(address) === 0) throw invalidArgValue('address', address)
  return [address as string, validatePort(port)]
}

/** getnameinfo(3) with NI_NAMEREQD. @param done told in a turn of its own */
export const askService = (
  surroundings: Asking,
  address: string,
  port: number,
  done: (answer: ServiceAnswer) => void,
): void => {
  const pending = new PendingAnswer(surroundings, done)
  const { name, service } = surroundings.current().reverseLookup(address, port)
  if (name !== address) {
    pending.settle({ hostname: name, service })
    return
  }
  pending.find(surroundings, async (sys) => {
    try {
      const found = await getnameinfo(sys, { address, port }, NI_NAMEREQD)
      return { hostname: found.host, service: found.service }
    } catch (error) {
      return { error: failureOf(error, 'getnameinfo', address) }
    }
  })
}

/** `dns.lookupService` of a program. */
export const lookupServiceFunction = (surroundings: Surroundings) =>
  function lookupService(...args: unknown[]): object {
    if (args.length !== 3) throw missingArgs('address', 'port', 'callback')
    const [address, port] = readService(args[0], args[1])
    const [, , callback] = args
    validateFunction(callback, 'callback')
    const done = callback as (error: CodedError | null, hostname?: string, service?: string) => void
    askService(surroundings, address, port, (answer) => {
      if ('error' in answer) done(answer.error)
      else done(null, answer.hostname, answer.service)
    })
    return {}
  }

/** `dns.promises.lookupService` of a program. */
export const lookupServicePromise = (surroundings: Asking) =>
  function lookupService(...args: unknown[]): Promise<ServiceNames> {
    if (args.length !== 2) throw missingArgs('address', 'port')
    const [address, port] = readService(args[0], args[1])
    return new Promise((resolve, reject) => {
      askService(surroundings, address, port, (answer) => {
        if ('error' in answer) reject(answer.error)
        else resolve(answer)
      })
    })
  }
