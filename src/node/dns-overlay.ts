import { Handle } from '../net/events.ts'
import type { LookupOrder } from '../net/lookup.ts'
import { UV_EAI_NONAME } from '../net/uv.ts'
import { binding, complete, type Methods, type NodeRequest } from './bindings.ts'
import { DnsRelay, type NameServer } from './dns-relay.ts'
import { type NodeContext, programs } from './programs.ts'

/** Node's names: `dns.lookup` and `dns.lookupService` ask our host; queries of `dns.resolve` go to no kernel. */

/** An answer on its way: no call's own turn tells it. */
class Answer extends Handle {
  private readonly request: NodeRequest
  private readonly values: readonly unknown[]

  constructor(context: NodeContext, request: NodeRequest, values: readonly unknown[]) {
    super(context.events)
    this.request = request
    this.values = values
    this.setWorking(true)
    this.events.post(this)
  }

  handleEvents(): void {
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
    const wanted = { family: family as 0 | 4 | 6, order: orders.get(order) ?? 'verbatim' }
    const found = context.lookup(name, wanted)
    new Answer(context, request, found.length > 0 ? [null, found] : [UV_EAI_NONAME])
    return 0
  }
  cares.getnameinfo = (request, address, port) => {
    const context = programs.current
    if (context === null) return getnameinfo(request, address, port)
    const { name, service } = context.reverseLookup(address, port)
    new Answer(context, request, [null, name, service])
    return 0
  }
  overlayQueries(cares.ChannelWrap.prototype as unknown as Methods)
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

/** The name servers that a resolver was told of, and the ways there. */
interface Resolver {
  servers: readonly NameServer[]
  relays: readonly DnsRelay[] | null
}

/** Queries go to the name servers that a resolver was told of, or that the program has; without any nobody answers. */
const overlayQueries = (prototype: Methods): void => {
  const resolvers = new WeakMap<object, Resolver>()
  const nativeSetServers = prototype['setServers']!
  const nativeGetServers = prototype['getServers']!
  prototype['setServers'] = function (this: unknown, servers) {
    const result = nativeSetServers.call(this, servers)
    if (programs.current !== null && result === 0) {
      resolvers.set(this as object, { servers: [...(servers as NameServer[])], relays: null })
    }
    return result
  }
  prototype['getServers'] = function (this: unknown) {
    const known = resolvers.get(this as object)
    if (programs.current === null) return nativeGetServers.call(this)
    return (known?.servers ?? programs.current.nameServers).map(([, address, port]) => [address, port])
  }
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (!/^(query|getHostByAddr)/.test(name)) continue
    const native = prototype[name]!
    prototype[name] = function (this: unknown, request, ...rest) {
      const context = programs.current
      if (context === null || context.kernel.hasName(String(rest[0]))) return native.call(this, request, ...rest)
      const resolver = resolvers.get(this as object) ?? { servers: context.nameServers, relays: null }
      resolvers.set(this as object, resolver)
      if (resolver.servers.length === 0) {
        new Answer(context, request as NodeRequest, ['ECONNREFUSED'])
        return 0
      }
      if (resolver.relays === null) {
        resolver.relays = resolver.servers.map((server) => new DnsRelay(context, server))
        nativeSetServers.call(
          this,
          resolver.relays.map(({ port }) => [4, '127.0.0.1', port]),
        )
      }
      return native.call(this, request, ...rest)
    }
  }
}
