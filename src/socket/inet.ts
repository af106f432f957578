import { Errno } from '../core/errno.ts'
import { packFlags } from '../core/flags.ts'
import type { Destination } from '../ip/destination.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { IPV4_LOOPBACK, type IpAddress } from '../wire/address.ts'
import { anyAddress, checkFamily, type Endpoint, hasScope, readSockaddr, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import { getIpOption, getIpv6Option, IpOptions, setIpOption, setIpv6Option } from './ip-options.ts'
import type { SocketLayer } from './layer.ts'
import type { PortClaim } from './ports.ts'
import { INET_FLAGS, Socket, TCP_FLAGS } from './socket.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'

/** A socket of the Internet families: what TCP, UDP, raw and ping sockets have in common, which is their addresses. */
export abstract class InetSocket extends Socket implements PortClaim {
  /** The address that it was bound to; unspecified for none. */
  boundAddress: IpAddress
  /** The port that it has or last had; 0 for none. */
  localPort = 0
  declare v6only: boolean
  /** IP_FREEBIND and IP_TRANSPARENT: addresses may be bound that the host does not have. */
  declare freeBind: boolean
  /** IP_BIND_ADDRESS_NO_PORT. */
  declare bindAddressNoPort: boolean
  /** Options at IPPROTO_IP and IPPROTO_IPV6. Not to be written: see `ownIpOptions`. */
  ipOptions: IpOptions
  declare private hasOwnIpOptions: boolean
  /** Was the port asked for by number? Then it stays the socket's as long as the socket lives. */
  declare portIsFixed: boolean

  static {
    const names = ['v6only', 'freeBind', 'bindAddressNoPort', 'hasOwnIpOptions', 'portIsFixed']
    packFlags(InetSocket.prototype, names, INET_FLAGS, TCP_FLAGS)
  }

  constructor(layer: SocketLayer, domain: number, type: number, protocol: number) {
    super(layer, domain, type, protocol)
    this.v6only = domain === C.AF_INET6 && layer.settings.bindv6only !== 0
    this.boundAddress = anyAddress(this.family)
    this.ipOptions = this.family === 4 ? layer.defaultIpOptions : layer.defaultIpOptions6
    if (layer.ip.settings.ip_no_pmtu_disc !== 0) this.ownIpOptions().pathMtuDiscovery = C.IP_PMTUDISC_DONT
  }

  get isTimeWait(): boolean {
    return false
  }

  /** The local address as it is now: the one bound, or the one that the connection has. */
  abstract get local(): IpAddress

  /** Has it a port now? */
  abstract get isNumbered(): boolean
  /** The path MTU to its peer, bytes; 0 without a peer. */
  abstract get pathMtu(): number

  /** `ipOptions`, made this socket's own so that they may be written. */
  ownIpOptions(): IpOptions {
    if (!this.hasOwnIpOptions) this.ipOptions = Object.assign(new IpOptions(), this.ipOptions)
    this.hasOwnIpOptions = true
    return this.ipOptions
  }

  /** `ipOptions` or `v6only` were set: what rests below has to follow. @returns 0 or a negative `Errno` */
  abstract ipOptionsChanged(): number

  override setOption(level: number, name: number, value: OptionValue): number {
    if (level === C.SOL_IP) return setIpOption(this, name, value)
    if (level === C.SOL_IPV6 && this.family === 6) return setIpv6Option(this, name, value)
    return super.setOption(level, name, value)
  }

  override getOption(level: number, name: number): OptionValue | OptionFailure {
    if (level === C.SOL_IP) return getIpOption(this, name)
    if (level === C.SOL_IPV6 && this.family === 6) return getIpv6Option(this, name)
    if (level !== C.SOL_SOCKET && this.family === 6) return { errno: Errno.ENOPROTOOPT }
    return super.getOption(level, name)
  }

  protected override inheritOptions(from: InetSocket): void {
    super.inheritOptions(from)
    this.v6only = from.v6only
    this.freeBind = from.freeBind
    this.boundAddress = from.boundAddress
    this.ipOptions = from.ipOptions
    from.hasOwnIpOptions = false
  }

  /** Reads an address that a program gave. @returns the endpoint, or a negative `Errno` */
  protected readEndpoint(given: Sockaddr): Endpoint | number {
    return readSockaddr(given, this.family, (zone) => this.layer.zoneIndex(zone))
  }

  /** As `readEndpoint`, and checks the family. */
  protected readOwnEndpoint(given: Sockaddr): Endpoint | number {
    const endpoint = this.readEndpoint(given)
    if (typeof endpoint === 'number') return endpoint
    const problem = checkFamily(endpoint, this.family)
    return problem === 0 ? endpoint : problem
  }

  /**
   * What bind(2) asks before it takes a port, in Linux's order.
   * @param isBusy is the socket bound already, or in a state in which it cannot be?
   * @returns the endpoint, or a negative `Errno`
   */
  protected checkBind(given: Sockaddr, isBusy: boolean): Endpoint | number {
    const endpoint = this.readEndpoint(given)
    if (typeof endpoint === 'number') return endpoint
    const { address, port, said } = endpoint
    const any4 = this.family === 4 && said === C.AF_UNSPEC && address.isUnspecified
    const problem = any4 ? 0 : checkFamily(endpoint, this.family)
    if (problem !== 0) return problem
    const { ip_unprivileged_port_start } = this.layer.settings
    const isPrivileged = port > 0 && port < ip_unprivileged_port_start && this.uid !== 0
    if (this.family === 4) {
      if (!this.mayBindIpv4(address)) return -Errno.EADDRNOTAVAIL
      if (isPrivileged) return -Errno.EACCES
      return isBusy ? -Errno.EINVAL : endpoint
    }
    if (address.isMulticast && !address.isIpv4 && this.isStream) return -Errno.EINVAL
    if (isPrivileged) return -Errno.EACCES
    if (isBusy) return -Errno.EINVAL
    const refused = this.checkIpv6Address(endpoint)
    return refused === 0 ? endpoint : refused
  }

  /** Any address of the host, the wildcard, a group or a broadcast address may be bound. */
  private mayBindIpv4(address: IpAddress): boolean {
    if (address.isUnspecified || address.isMulticast || address.isLimitedBroadcast || this.mayBindForeign) return true
    const { w0, w1, w2, w3 } = address
    return this.layer.ip.routes.lookupLocal(w0, w1, w2, w3, null) !== null
  }

  private get mayBindForeign(): boolean {
    return this.freeBind || this.layer.settings.ip_nonlocal_bind !== 0
  }

  private checkIpv6Address({ address, scope }: Endpoint): number {
    if (address.isIpv4) {
      if (this.v6only) return -Errno.EINVAL
      return this.mayBindIpv4(address) ? 0 : -Errno.EADDRNOTAVAIL
    }
    if (address.isUnspecified) return 0
    if (hasScope(address) && scope === 0 && this.boundInterface === null) return -Errno.EINVAL
    const { ip } = this.layer
    let iface: NetworkInterface | null = this.boundInterface
    if (hasScope(address) && scope !== 0) {
      iface = ip.interfaceAt(scope)
      if (iface === null) return -Errno.ENODEV
    }
    if (address.isMulticast || this.mayBindForeign) return 0
    if (iface !== null) return iface.findAddress(address)?.isUsable === true ? 0 : -Errno.EADDRNOTAVAIL
    return ip.isLocal(address) ? 0 : -Errno.EADDRNOTAVAIL
  }

  /**
   * Takes the address that bind(2) gave, and a port for it.
   * @param take takes the port; null when it cannot be had, and all is as before
   */
  protected bindTo<T>(endpoint: Endpoint, take: (port: number) => T | null): T | null {
    const { boundAddress, boundInterface, v6only } = this
    this.noteBound(endpoint)
    const taken = take(endpoint.port)
    if (taken !== null) return taken
    this.boundAddress = boundAddress
    this.boundInterface = boundInterface
    this.v6only = v6only
    return null
  }

  /** Notes the address that bind(2) gave. */
  protected noteBound({ address, scope }: Endpoint): void {
    this.boundAddress = address
    if (hasScope(address) && scope !== 0) this.boundInterface = this.layer.ip.interfaceAt(scope)
    // What is bound to one IPv6 address has nothing to do with IPv4.
    if (this.family === 6 && !address.isUnspecified && !address.isIpv4) this.v6only = true
  }

  /**
   * The way to a peer, from the address that is bound, if one is.
   * @returns a negative `Errno` where connect(2) fails: for a link-local address without its link, another family …
   */
  protected resolveRemote(endpoint: Endpoint): Destination | number {
    const { ip } = this.layer
    const bound = this.local
    let { address } = endpoint
    const speaksIpv4 = this.family === 6 && bound.isIpv4
    // The wildcard stands for this host.
    if (speaksIpv4 && address.isUnspecified) address = IPV4_LOOPBACK
    if (this.family === 6 && address.isIpv4 && this.v6only) return -Errno.ENETUNREACH
    const scope = this.scopeOf(endpoint)
    if (typeof scope === 'number') return scope
    if (bound.isUnspecified || bound.isMulticast) {
      const way = ip.resolve(address, null, scope)
      return speaksIpv4 && !address.isIpv4 && typeof way !== 'number' ? -Errno.EAFNOSUPPORT : way
    }
    if (bound.isIpv4 === address.isIpv4) return ip.resolve(address, bound, scope)
    return address.isIpv4 ? -Errno.ENETUNREACH : -Errno.EAFNOSUPPORT
  }

  /**
   * The interface that a destination's scope, or the socket itself, names.
   * @returns it, null for any, or -EINVAL: a link-local address without a link, or with another than the socket's
   */
  protected scopeOf({ address, scope }: Endpoint): NetworkInterface | null | number {
    if (!hasScope(address)) return this.boundInterface
    if (scope !== 0) {
      const named = this.layer.ip.interfaceAt(scope)
      if (named === null || (this.boundInterface !== null && this.boundInterface !== named)) return -Errno.EINVAL
      return named
    }
    return this.boundInterface ?? -Errno.EINVAL
  }
}
