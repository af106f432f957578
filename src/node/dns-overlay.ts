import { createRequire, syncBuiltinESMExports } from 'node:module'
import { askLookup, askService, lookupPromise, lookupServicePromise } from '../net/dns-lookup.ts'
import type { LookupOrder } from '../net/lookup.ts'
import { binding, complete, type NodeRequest } from './bindings.ts'
import { askingFor, overlayQueries } from './dns-queries.ts'
import { type NodeContext, programs } from './programs.ts'

/** Node's names: `dns.lookup` and `dns.lookupService` ask our host; queries of `dns.resolve` go to no kernel. */

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
  overlayQueries()
}

/**
 * Has Node loaded `dns.promises`? That is when it is first asked for, or
 * a module imports `dns`. It keeps the native functions that it finds.
 */
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
