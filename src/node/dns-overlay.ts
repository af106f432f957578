import { AsyncResource } from 'node:async_hooks'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { askLookup, askService, lookupPromise, lookupServicePromise } from '../net/dns-lookup.ts'
import { isOnion } from '../net/dns-query.ts'
import { knownName, NOBODY } from '../net/dns-resolver.ts'
import { Handle } from '../net/events.ts'
import type { LookupOrder } from '../net/lookup.ts'
import type { Asking } from '../net/platform.ts'
import { parseIpAddress } from '../wire/address.ts'
import { binding, complete, type Methods, type NodeRequest } from './bindings.ts'
import { DnsRelay, type NameServer } from './dns-relay.ts'
import { type NodeContext, programs } from './programs.ts'

/** Node's names: `dns.lookup` and `dns.lookupService` ask our host; queries of `dns.resolve` go to no kernel. */

/** An answer on its way: no call's own turn tells it. */
class Answer extends Handle {
  private readonly request: NodeRequest
  private values: readonly unknown[]
  private ended: (() => void) | null = null

  constructor(context: NodeContext, request: NodeRequest, values: readonly unknown[]) {
    super(context.events)
    this.request = request
    this.values = values
    this.setWorking(true)
    this.events.post(this)
  }

  /** Is among those that may be cancelled until it is told. */
  among(pending: Set<Answer>): void {
    pending.add(this)
    this.ended = () => pending.delete(this)
  }

  cancel(): void {
    this.values = ['ECANCELLED']
  }

  handleEvents(): void {
    this.ended?.()
    this.setWorking(false)
    complete(this.request, ...this.values)
    this.events.afterCallback()
  }

  wake(): boolean {
    return false
  }
}

/** Puts `getaddrinfo`, `getnameinfo` and name servers of ours in front of Node's, for programs that have a host. */
export const overlayDns = (): void => {
  const cares = binding('cares_wrap')
  const { getaddrinfo, getnameinfo } = cares
  const orders = new Map<number | boolean | undefined, LookupOrder['order']>([
    [cares.DNS_ORDER_IPV4_FIRST, 'ipv4first'],
    [cares.DNS_ORDER_IPV6_FIRST, 'ipv6first'],
    // What Node before 20.18 says.
    [false, 'ipv4first'],
  ])
  cares.getaddrinfo = (request, name, family, hints, order) => {
    const context = programs.current
    if (context === null) return getaddrinfo(request, name, family, hints, order)
    if (context.kernel.hasName(name)) {
      learnFrom(request, name, context)
      return getaddrinfo(request, name, family, hints, order)
    }
    const question = { name, family: family as 0 | 4 | 6, hints, all: true, order: orders.get(order) ?? 'verbatim' }
    askLookup(
      askingFor(() => context),
      question,
      (answer) => {
        if ('error' in answer) complete(request, answer.error.errno)
        else
          complete(
            request,
            null,
            answer.addresses.map(({ address }) => address),
          )
      },
    )
    return 0
  }
  cares.getnameinfo = (request, address, port) => {
    const context = programs.current
    if (context === null) return getnameinfo(request, address, port)
    askService(
      askingFor(() => context),
      address,
      port,
      (answer) => {
        if ('error' in answer) complete(request, answer.error.errno)
        else complete(request, null, answer.hostname, answer.service)
      },
    )
    return 0
  }
  if (promisesLoaded()) overlayPromises()
  overlayQueries(cares.ChannelWrap)
}

/** Where the questions of a program are asked. */
const askingFor = (current: () => NodeContext): Asking => ({
  platform: { scope: (name) => new AsyncResource(name) },
  current,
})

/** Has Node loaded `dns.promises`? That is when it is first asked for, or a module imports `dns`. It keeps the native functions that it finds. */
const promisesLoaded = (): boolean =>
  (process as unknown as { moduleLoadList: readonly string[] }).moduleLoadList.includes(
    'NativeModule internal/dns/promises',
  )

/** `lookup` and `lookupService` of `dns.promises`, where it has kept the native ones. */
const overlayPromises = (): void => {
  const dns = createRequire(import.meta.url)('node:dns') as typeof import('node:dns')
  const { promises } = dns
  const { lookup, lookupService } = promises
  const asking = askingFor(() => programs.current!)
  const ownLookup = lookupPromise(asking, dns.getDefaultResultOrder)
  const ownService = lookupServicePromise(asking)
  Object.assign(promises, {
    lookup: (name: string, ...rest: []) => {
      const context = programs.current
      if (context === null) return lookup(name, ...rest)
      if (!context.kernel.hasName(String(name))) return ownLookup(name, ...rest)
      return lookup(name, ...rest).then((found) => {
        context.kernel.learn(
          name,
          [found].flat().map(({ address }) => address),
        )
        return found
      })
    },
    lookupService: (...args: [string, number]) =>
      programs.current === null ? lookupService(...args) : ownService(...args),
  })
  syncBuiltinESMExports()
}

/** What the kernel's resolver finds for a name is the kernel's too. */
const learnFrom = (request: NodeRequest, name: string, { kernel }: NodeContext): void => {
  const { oncomplete } = request
  request.oncomplete = function (this: NodeRequest, ...args: unknown[]) {
    const [, addresses] = args
    if (Array.isArray(addresses)) kernel.learn(name, addresses as string[])
    oncomplete?.apply(this, args as never[])
  }
}

/** What a resolver is to one program. */
interface Resolver {
  /** Node's own, which does the work. */
  readonly native: object
  /** The name servers that it was told of; null for those of the host. */
  given: readonly NameServer[] | null
  /** The ways there, once they are needed. */
  relays: readonly DnsRelay[] | null
  /** What it is told without asking anybody. */
  readonly pending: Set<Answer>
}

/** c-ares' number for a resolver that cannot be told of other servers now. */
const ARES_PENDING = -1000
/** How long and how often one asks that nobody has told otherwise. */
const DEFAULTS = [-1, 4] as const

/** Queries go to the name servers that a resolver was told of, or that the program's host has; without any nobody answers. */
const overlayQueries = (Channel: new (timeout: number, tries: number) => object): void => {
  const prototype = Channel.prototype as Methods
  /** By the resolver and the program: all programs of the thread have one default resolver. */
  const resolvers = new WeakMap<object, WeakMap<NodeContext, Resolver>>()
  const {
    setServers: nativeSetServers,
    getServers: nativeGetServers,
    cancel: nativeCancel,
  } = prototype as Record<string, Methods[string]>
  const resolverOf = (channel: object, context: NodeContext): Resolver => {
    let known = resolvers.get(channel)
    let native = channel
    if (known === undefined) {
      known = new WeakMap()
      resolvers.set(channel, known)
    } else if (!known.has(context)) native = new Channel(...DEFAULTS)
    const resolver = known.get(context) ?? { native, given: null, relays: null, pending: new Set() }
    known.set(context, resolver)
    return resolver
  }
  prototype['setServers'] = function (this: unknown, servers) {
    const context = programs.current
    if (context === null) return nativeSetServers!.call(this, servers)
    const resolver = resolverOf(this as object, context)
    if (resolver.pending.size > 0) return ARES_PENDING
    const result = nativeSetServers!.call(resolver.native, servers)
    if (result === 0) Object.assign(resolver, { given: [...(servers as NameServer[])], relays: null })
    return result
  }
  prototype['getServers'] = function (this: unknown) {
    const context = programs.current
    if (context === null) return nativeGetServers!.call(this)
    const { given } = resolverOf(this as object, context)
    if (given === null && context.nameServers.length === 0) return NOBODY.map(({ address, port }) => [address, port])
    return (given ?? context.nameServers).map(([, address, port]) => [address, port])
  }
  prototype['cancel'] = function (this: unknown) {
    const context = programs.current
    if (context === null) return nativeCancel!.call(this)
    const { native, pending } = resolverOf(this as object, context)
    for (const answer of pending) answer.cancel()
    return nativeCancel!.call(native)
  }
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (!/^(query|getHostByAddr)/.test(name)) continue
    const native = prototype[name]!
    prototype[name] = function (this: unknown, request, ...rest) {
      const context = programs.current
      const asked = String(rest[0])
      if (context === null || context.kernel.hasName(asked)) return native.call(this, request, ...rest)
      const resolver = resolverOf(this as object, context)
      const address = name === 'getHostByAddr' ? parseIpAddress(asked) : undefined
      const known = address === undefined ? undefined : knownName(context, address)
      const servers = resolver.given ?? context.nameServers
      if (known !== undefined || servers.length === 0) {
        const failure = isOnion(asked) ? 'ENOTFOUND' : 'ECONNREFUSED'
        const values = known === undefined ? [failure] : [null, [known]]
        new Answer(context, request as NodeRequest, values).among(resolver.pending)
        return 0
      }
      if (resolver.relays === null) {
        resolver.relays = servers.map((server) => new DnsRelay(context, server))
        const ways = resolver.relays.map(({ port }) => [4, '127.0.0.1', port])
        nativeSetServers!.call(resolver.native, ways)
      }
      return native.call(resolver.native, request, ...rest)
    }
  }
}
