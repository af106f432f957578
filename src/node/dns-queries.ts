import { AsyncResource } from 'node:async_hooks'
import { Errno } from '../core/errno.ts'
import { isOnion } from '../net/dns-query.ts'
import { knownName, NOBODY, RECORD_TYPES, type RecordType, ResolverCore } from '../net/dns-resolver.ts'
import { type DnsServer, formatServer } from '../net/dns-servers.ts'
import type { CodedError } from '../net/errors.ts'
import { Handle } from '../net/events.ts'
import type { Asking } from '../net/platform.ts'
import { parseIpAddress } from '../wire/address.ts'
import { binding, complete, type Methods, type NodeRequest } from './bindings.ts'
import { DnsRelay, type NameServer } from './dns-relay.ts'
import { type NodeContext, programs } from './programs.ts'

/**
 * `dns.resolve` and its like: what Node's resolvers ask c-ares, in
 * native code, is asked of name servers in our network.
 */

/** Where the questions of a program are asked. */
export const askingFor = (current: () => NodeContext): Asking => ({
  platform: { scope: (name) => new AsyncResource(name) },
  current,
})

/** What a resolver of Node's is to one program. */
interface Resolver {
  readonly servers: readonly DnsServer[]
  /** @returns 0 or c-ares' number of what is wrong */
  setServers(servers: readonly NameServer[]): number
  setLocalAddress(...addresses: unknown[]): void
  cancel(): void
  /** @param method the native one's name @returns 0 or a negative `Errno` */
  ask(method: string, request: NodeRequest, name: string): number
}

/** c-ares' number for a resolver that cannot be told of other servers now. */
const ARES_PENDING = -1000

const TYPES = new Map(RECORD_TYPES.map((type) => [`query${type.charAt(0)}${type.slice(1).toLowerCase()}`, type]))

/** Asks by our own resolver. */
class OwnResolver implements Resolver {
  private readonly core: ResolverCore

  constructor(context: NodeContext, [timeout, tries]: Limits) {
    this.core = new ResolverCore(
      askingFor(() => context),
      { timeout, tries },
    )
  }

  get servers(): readonly DnsServer[] {
    return this.core.currentServers
  }

  setServers(servers: readonly NameServer[]): number {
    try {
      this.core.setServers(servers.map(([, address, port]) => formatServer({ address, port })))
    } catch {
      return ARES_PENDING
    }
    return 0
  }

  setLocalAddress(...addresses: unknown[]): void {
    this.core.setLocalAddress(addresses[0], addresses[1])
  }

  cancel(): void {
    this.core.cancel()
  }

  ask(method: string, request: NodeRequest, name: string): number {
    if (method === 'getHostByAddr') {
      if (parseIpAddress(name) === undefined) return -Errno.EINVAL
      this.core.reverse(name, (error, names) => complete(request, ...outcome(error, names)))
      return 0
    }
    const type = TYPES.get(method)
    if (type === undefined) return -Errno.ENOSYS
    this.core.query(type, name, { ttl: true }, (error, records) =>
      complete(request, ...(error === null ? told(type, records) : outcome(error, null))),
    )
    return 0
  }
}

const outcome = (error: CodedError | null, value: unknown): unknown[] => (error === null ? [null, value] : [error.code])

/** Records as native code tells them: of addresses the times to live come apart. */
const told = (type: RecordType, records: unknown): unknown[] => {
  if (type !== 'A' && type !== 'AAAA') return [null, records]
  const found = records as readonly { address: string; ttl: number }[]
  return [null, found.map(({ address }) => address), found.map(({ ttl }) => ttl)]
}

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

/** Has Node's own resolver ask by way of relays: in workers, whose host is in another thread. */
class RelayedResolver implements Resolver {
  private readonly context: NodeContext
  private readonly channel: object
  private readonly native: Methods
  /** The name servers that it was told of; null for those of the host. */
  private given: readonly NameServer[] | null = null
  /** The ways there, once they are needed. */
  private relays: readonly DnsRelay[] | null = null
  /** What it is told without asking anybody. */
  private readonly pending = new Set<Answer>()

  /** @param native the methods of Node's resolvers */
  constructor(context: NodeContext, channel: object, native: Methods) {
    this.context = context
    this.channel = channel
    this.native = native
  }

  get servers(): readonly DnsServer[] {
    if (this.given === null && this.context.nameServers.length === 0) return NOBODY
    return (this.given ?? this.context.nameServers).map(([, address, port]) => ({ address, port }))
  }

  setServers(servers: readonly NameServer[]): number {
    if (this.pending.size > 0) return ARES_PENDING
    const result = this.call('setServers', servers) as number
    if (result === 0) {
      this.given = [...servers]
      this.relays = null
    }
    return result
  }

  setLocalAddress(): void {}

  cancel(): void {
    for (const answer of this.pending) answer.cancel()
    this.call('cancel')
  }

  ask(method: string, request: NodeRequest, name: string): number {
    const { context } = this
    const address = method === 'getHostByAddr' ? parseIpAddress(name) : undefined
    const known = address === undefined ? undefined : knownName(context, address)
    const servers = this.given ?? context.nameServers
    if (known !== undefined || servers.length === 0) {
      const failure = isOnion(name) ? 'ENOTFOUND' : 'ECONNREFUSED'
      new Answer(context, request, known === undefined ? [failure] : [null, [known]]).among(this.pending)
      return 0
    }
    if (this.relays === null) {
      this.relays = servers.map((server) => new DnsRelay(context, server))
      const ways = this.relays.map(({ port }) => [4, '127.0.0.1', port])
      this.call('setServers', ways)
    }
    return this.call(method, request, name) as number
  }

  private call(method: string, ...args: unknown[]): unknown {
    return this.native[method]!.apply(this.channel, args)
  }
}

/** How long a resolver asks, ms, and how often; and what one does that was told neither. */
type Limits = readonly [timeout: number, tries: number]
const DEFAULTS: Limits = [-1, 4]

/** The resolvers of programs, each by Node's: all programs of the thread share the one that nobody has made. */
class Resolvers {
  private readonly known = new WeakMap<object, WeakMap<NodeContext, Resolver>>()
  private readonly limits = new WeakMap<object, Limits>()
  private readonly native: Methods

  constructor(native: Methods) {
    this.native = native
  }

  /** Notes what a new one of Node's was told. */
  note(channel: object, limits: Limits): void {
    this.limits.set(channel, limits)
  }

  of(channel: object, context: NodeContext): Resolver {
    const before = this.known.get(channel)
    const own = before ?? new WeakMap<NodeContext, Resolver>()
    if (before === undefined) this.known.set(channel, own)
    let resolver = own.get(context)
    if (resolver === undefined) {
      resolver = context.hasHost
        ? new OwnResolver(context, this.limits.get(channel) ?? DEFAULTS)
        : new RelayedResolver(context, channel, this.native)
      own.set(context, resolver)
    }
    return resolver
  }
}

/** Puts our resolvers in front of Node's, for programs that have a host. */
export const overlayQueries = (): void => {
  const cares = binding('cares_wrap')
  const { ChannelWrap: Channel } = cares
  const prototype = Channel.prototype as Methods
  const native: Methods = Object.fromEntries(
    Object.getOwnPropertyNames(prototype).map((name) => [name, prototype[name]!]),
  )
  const resolvers = new Resolvers(native)
  cares.ChannelWrap = class ChannelWrap extends Channel {
    constructor(timeout: number, tries: number, ...rest: []) {
      super(timeout, tries, ...rest)
      resolvers.note(this, [timeout, tries])
    }
  }
  const overlay = (name: string, ours: (resolver: Resolver, ...args: unknown[]) => unknown): void => {
    prototype[name] = function (this: unknown, ...args) {
      const context = programs.current
      if (context === null || context.kernel.hasName(String(args[1]))) return native[name]!.apply(this, args)
      return ours(resolvers.of(this as object, context), ...args)
    }
  }
  overlay('getServers', ({ servers }) => servers.map(({ address, port }) => [address, port]))
  overlay('setServers', (resolver, servers) => resolver.setServers(servers as NameServer[]))
  overlay('cancel', (resolver) => resolver.cancel())
  const { setLocalAddress } = native
  prototype['setLocalAddress'] = function (this: unknown, ...addresses) {
    // It knows what is none.
    setLocalAddress!.apply(this, addresses)
    const context = programs.current
    if (context !== null) resolvers.of(this as object, context).setLocalAddress(...addresses)
  }
  for (const name of Object.keys(native).filter((name) => /^(query|getHostByAddr)/.test(name))) {
    overlay(name, (resolver, request, asked) => resolver.ask(name, request as NodeRequest, String(asked)))
  }
}
