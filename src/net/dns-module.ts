import {
  ADDRCONFIG,
  ALL,
  lookupFunction,
  lookupPromise,
  lookupServiceFunction,
  lookupServicePromise,
  ORDERS,
  type ResultOrder,
  V4MAPPED,
} from './dns-lookup.ts'
import {
  methodOf,
  queryWithCallback,
  queryWithPromise,
  RECORD_TYPES,
  type RecordType,
  ResolverCore,
  type ResolverOptions,
  readRecordType,
  settle,
} from './dns-resolver.ts'
import type { NodeDns } from './node-types.ts'
import type { Surroundings } from './platform.ts'
import { validateFunction, validateOneOf, validateString } from './validate.ts'

/** The codes of errors, as c-ares has them. */
const CODES = {
  NODATA: 'ENODATA',
  FORMERR: 'EFORMERR',
  SERVFAIL: 'ESERVFAIL',
  NOTFOUND: 'ENOTFOUND',
  NOTIMP: 'ENOTIMP',
  REFUSED: 'EREFUSED',
  BADQUERY: 'EBADQUERY',
  BADNAME: 'EBADNAME',
  BADFAMILY: 'EBADFAMILY',
  BADRESP: 'EBADRESP',
  CONNREFUSED: 'ECONNREFUSED',
  TIMEOUT: 'ETIMEOUT',
  EOF: 'EOF',
  FILE: 'EFILE',
  NOMEM: 'ENOMEM',
  DESTRUCTION: 'EDESTRUCTION',
  BADSTR: 'EBADSTR',
  BADFLAGS: 'EBADFLAGS',
  NONAME: 'ENONAME',
  BADHINTS: 'EBADHINTS',
  NOTINITIALIZED: 'ENOTINITIALIZED',
  LOADIPHLPAPI: 'ELOADIPHLPAPI',
  ADDRGETNETWORKPARAMS: 'EADDRGETNETWORKPARAMS',
  CANCELLED: 'ECANCELLED',
} as const

type Ask = (core: ResolverCore, type: RecordType, args: readonly unknown[]) => unknown

/** What a resolver has beside its questions. */
abstract class ResolverBase {
  readonly core: ResolverCore

  constructor(core: ResolverCore) {
    this.core = core
  }

  cancel(): void {
    this.core.cancel()
  }

  getServers(): string[] {
    return this.core.getServers()
  }

  setServers(servers: readonly string[]): void {
    this.core.setServers(servers)
  }

  setLocalAddress(ipv4: string, ipv6?: string): void {
    this.core.setLocalAddress(ipv4, ipv6)
  }
}

/** Gives a class of resolvers `resolve4` and its like. */
const addQuestions = (Class: { readonly prototype: object }, ask: Ask): void => {
  for (const type of RECORD_TYPES) {
    const name = methodOf(type)
    const method = {
      [name](this: { core: ResolverCore }, ...args: unknown[]) {
        return ask(this.core, type, args)
      },
    }
    Object.defineProperty(Class.prototype, name, { value: method[name], writable: true, configurable: true })
  }
}

const resolverClasses = (surroundings: Surroundings) => {
  class Resolver extends ResolverBase {
    constructor(options?: ResolverOptions | ResolverCore) {
      super(options instanceof ResolverCore ? options : new ResolverCore(surroundings, options))
    }

    resolve(name: unknown, type: unknown, ...rest: unknown[]): unknown {
      if (typeof type === 'function') return queryWithCallback(this.core, 'A', [name, type])
      return queryWithCallback(this.core, readRecordType(type), [name, ...rest.slice(0, 1)])
    }

    reverse(address: unknown, callback: unknown): unknown {
      validateString(address, 'name')
      validateFunction(callback, 'callback')
      this.core.reverse(address, callback as () => void)
      return {}
    }
  }
  addQuestions(Resolver, queryWithCallback)
  class PromiseResolver extends ResolverBase {
    constructor(options?: ResolverOptions | ResolverCore) {
      super(options instanceof ResolverCore ? options : new ResolverCore(surroundings, options))
    }

    resolve(name: unknown, type?: unknown): Promise<unknown> {
      return queryWithPromise(this.core, type === undefined ? 'A' : readRecordType(type), [name])
    }

    async reverse(address: unknown): Promise<unknown> {
      validateString(address, 'name')
      return settle((done) => this.core.reverse(address, done))
    }
  }
  Object.defineProperty(PromiseResolver, 'name', { value: 'Resolver' })
  addQuestions(PromiseResolver, queryWithPromise)
  return { Resolver, PromiseResolver }
}

const QUESTION_NAMES = [...RECORD_TYPES.map(methodOf), 'resolve', 'reverse']

type QuestionName =
  | 'resolve'
  | 'reverse'
  | 'resolve4'
  | 'resolve6'
  | `resolve${'Any' | 'Caa' | 'Cname' | 'Mx' | 'Naptr' | 'Ns' | 'Ptr' | 'Soa' | 'Srv' | 'Txt'}`

/** The methods of a resolver as functions. */
const functionsOf = <M>(resolver: object): Pick<M, QuestionName & keyof M> =>
  Object.fromEntries(
    QUESTION_NAMES.map((name) => {
      const method = (resolver as Record<string, (...args: unknown[]) => unknown>)[name]!
      return [name, method.bind(resolver)]
    }),
  ) as unknown as Pick<M, QuestionName & keyof M>

const CUSTOM_PROMISE = Symbol.for('nodejs.util.promisify.custom')

/** What `util.promisify` makes of a function. */
const withPromise = <F extends object>(callback: F, promise: object): F => {
  Object.defineProperty(callback, CUSTOM_PROMISE, { value: promise, configurable: true })
  return callback
}

/** The module `dns` of a program. */
export const dnsModule = (surroundings: Surroundings) => {
  let order: ResultOrder = 'verbatim'
  const getDefaultResultOrder = (): ResultOrder => order
  const { Resolver, PromiseResolver } = resolverClasses(surroundings)
  const core = new ResolverCore(surroundings)
  const shared = {
    ...CODES,
    getServers: (): string[] => core.getServers(),
    setServers: (servers: readonly string[]): void => core.setServers(servers, true),
    // Node's types do not know ipv6first everywhere.
    getDefaultResultOrder: getDefaultResultOrder as () => 'ipv4first' | 'verbatim',
    setDefaultResultOrder: (value: ResultOrder): void => {
      validateOneOf(value, 'dnsOrder', ORDERS)
      order = value
    },
  }
  const promises = {
    ...shared,
    ...functionsOf<NodeDns['promises']>(new PromiseResolver(core)),
    lookup: lookupPromise(surroundings, getDefaultResultOrder) as NodeDns['promises']['lookup'],
    lookupService: lookupServicePromise(surroundings),
    Resolver: PromiseResolver as unknown as NodeDns['promises']['Resolver'],
  }
  return {
    ...shared,
    ...functionsOf<NodeDns>(new Resolver(core)),
    ADDRCONFIG,
    ALL,
    V4MAPPED,
    // Node's types give these two a namespace, for `promisify`.
    lookup: withPromise(
      lookupFunction(surroundings, getDefaultResultOrder),
      promises.lookup,
    ) as unknown as NodeDns['lookup'],
    lookupService: withPromise(
      lookupServiceFunction(surroundings),
      promises.lookupService,
    ) as unknown as NodeDns['lookupService'],
    Resolver: Resolver as unknown as NodeDns['Resolver'],
    promises,
  }
}
