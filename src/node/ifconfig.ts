import { writeFileSync } from 'node:fs'
import { Errno, errnoCode } from '../core/errno.ts'
import type { IpPrefix } from '../wire/address.ts'
import { DeviceError, describe } from './device-error.ts'
import {
  changeAddress,
  changeLink,
  type KernelAddress,
  type LinkState,
  NETLINK_ROUTE,
  type NetlinkMessage,
  NetlinkType,
  parseAddress,
  parseError,
  parseLink,
  parseMessages,
  requestAddresses,
  requestLink,
  requestLinks,
} from './netlink.ts'
import { systemCalls } from './readiness.ts'
import {
  AF_NETLINK,
  LITTLE_ENDIAN,
  SO_RCVTIMEO,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
  type Syscalls,
} from './syscalls.ts'

/** How long the kernel may take to answer, seconds. It does so before `send` returns. */
const ANSWER_SECONDS = 5
/** The kernel sends at most this much in one piece. */
const BUFFER = 0x1_0000
const SOL_NETLINK = 270
const NETLINK_EXT_ACK = 11
/** An error need not repeat the request. */
const NETLINK_CAP_ACK = 10

const one = (): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, 1, LITTLE_ENDIAN)
  return bytes
}

/**
 * The kernel's side of interfaces: what `ip link` and `ip addr` do, through rtnetlink. Calls do not wait: the kernel
 * answers at once. All throw a DeviceError whose message says what to do.
 */
export class KernelLinks {
  private readonly syscalls: Syscalls
  private readonly fd: number
  private readonly buffer = new Uint8Array(BUFFER)
  private sequence = 0
  private closed = false

  constructor(syscalls: Syscalls = systemCalls()) {
    this.syscalls = syscalls
    this.fd = openNetlink(syscalls, 0, 0)
    const time = new Uint8Array(16)
    new DataView(time.buffer).setUint32(LITTLE_ENDIAN ? 0 : 4, ANSWER_SECONDS, LITTLE_ENDIAN)
    syscalls.setsockopt(this.fd, SOL_SOCKET, SO_RCVTIMEO, time)
    // The kernel's own words for what is wrong; old kernels have none.
    syscalls.setsockopt(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, one())
    syscalls.setsockopt(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, one())
  }

  /** Every interface, in the order of their indexes. */
  links(): LinkState[] {
    const messages = this.ask(requestLinks(++this.sequence), 'list interfaces')
    return messages.map(parseLink).filter((link) => link !== undefined)
  }

  /** An interface by its name or index; undefined when there is none. */
  find(link: string | number): LinkState | undefined {
    const { errno, messages } = this.exchange(requestLink(++this.sequence, link))
    return errno === 0 && messages[0] !== undefined ? parseLink(messages[0]) : undefined
  }

  /** An interface that must be there. */
  get(link: string | number): LinkState {
    const state = this.find(link)
    if (state === undefined) throw new DeviceError('ENODEV', `there is no interface ${link}`)
    return state
  }

  /** Sets an interface up or down. */
  setUp(name: string, up: boolean): void {
    const { index } = this.get(name)
    this.ask(changeLink(++this.sequence, index, { up }), `set ${name} ${up ? 'up' : 'down'}`, [
      `ip link set ${name} ${up ? 'up' : 'down'}`,
    ])
  }

  /** Sets an interface's MTU, bytes. */
  setMtu(name: string, mtu: number): void {
    const { index } = this.get(name)
    this.ask(changeLink(++this.sequence, index, { mtu }), `set the MTU of ${name} to ${mtu}`, [
      `ip link set ${name} mtu ${mtu}`,
    ])
  }

  /** The addresses of an interface, or of all. */
  addresses(name?: string): KernelAddress[] {
    const index = name === undefined ? 0 : this.get(name).index
    const messages = this.ask(requestAddresses(++this.sequence), 'list addresses')
    return messages
      .map(parseAddress)
      .filter((address) => address !== undefined)
      .filter((address) => index === 0 || address.index === index)
  }

  /**
   * Gives an interface an address, which brings the route to its network. That it has it already is no error.
   * @param detect does IPv6 look for duplicates first? The address cannot be used meanwhile, a second or so
   * @returns whether it had it not before
   */
  addAddress(name: string, prefix: IpPrefix, detect = false): boolean {
    const { index } = this.get(name)
    const cidr = `${prefix.address}/${prefix.length}`
    const request = changeAddress(++this.sequence, index, prefix, true, detect)
    const { errno, text } = this.exchange(request)
    if (errno === Errno.EEXIST) return false
    if ((errno === Errno.EACCES || errno === Errno.EOPNOTSUPP) && !prefix.address.isIpv4) {
      throw new DeviceError(
        errnoCode(errno)!,
        `IPv6 is off on ${name}: 'sudo sysctl net.ipv6.conf.${name}.disable_ipv6=0' turns it on, if the kernel has it`,
      )
    }
    this.check(errno, text, `give ${name} the address ${cidr}`, [`ip addr replace ${cidr} dev ${name}`])
    return true
  }

  /** Takes an address from an interface. @throws DeviceError EADDRNOTAVAIL when it has it not */
  removeAddress(name: string, prefix: IpPrefix): void {
    const { index } = this.get(name)
    const cidr = `${prefix.address}/${prefix.length}`
    this.ask(changeAddress(++this.sequence, index, prefix, false), `take the address ${cidr} from ${name}`, [
      `ip addr del ${cidr} dev ${name}`,
    ])
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.syscalls.close(this.fd)
  }

  /** Sends a request and gives the messages of its answer. */
  private ask(request: Uint8Array, action: string, commands: readonly string[] = []): NetlinkMessage[] {
    const { errno, text, messages } = this.exchange(request)
    this.check(errno, text, action, commands)
    return messages
  }

  private check(errno: number, text: string, action: string, commands: readonly string[]): void {
    if (errno === 0) return
    const code = errnoCode(errno) ?? 'EIO'
    if (errno === Errno.EPERM || errno === Errno.EACCES) {
      const remedy = commands.map((command) => `sudo ${command}`).join(' && ')
      throw new DeviceError(code, `no permission to ${action}: run '${remedy}', or this with sudo`)
    }
    throw new DeviceError(code, `cannot ${action}: ${text === '' ? describe(errno) : `${text} (${code})`}`)
  }

  /** Sends a request and reads its answer, in one message or many, to its end. */
  private exchange(request: Uint8Array): { errno: number; text: string; messages: NetlinkMessage[] } {
    const { syscalls, buffer, fd, sequence } = this
    const messages: NetlinkMessage[] = []
    const sent = syscalls.send(fd, request, request.length, 0)
    if (sent < 0) return { errno: -sent, text: '', messages }
    for (;;) {
      const length = syscalls.recv(fd, buffer, 0)
      if (length === -Errno.EINTR) continue
      if (length <= 0) return { errno: length === 0 ? Errno.EIO : -length, text: '', messages }
      // A copy: what is read from it is kept.
      for (const message of parseMessages(buffer.slice(0, length))) {
        if (message.sequence !== sequence) continue
        if (message.type === NetlinkType.Done) return { errno: 0, text: '', messages }
        if (message.type === NetlinkType.Error) return { ...parseError(message), messages }
        messages.push(message)
        if ((message.flags & NLM_F_MULTI) === 0) return { errno: 0, text: '', messages }
      }
    }
  }
}

const NLM_F_MULTI = 2

/**
 * Opens a netlink socket for interfaces and addresses.
 * @param type SOCK_NONBLOCK or 0
 * @param groups what it is told of unasked: RTMGRP_LINK, or nothing
 */
export const openNetlink = (syscalls: Syscalls, type: number, groups: number): number => {
  const fd = syscalls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | type, NETLINK_ROUTE)
  // struct sockaddr_nl: family, padding, port (the kernel chooses one), groups.
  const address = new Uint8Array(12)
  const view = new DataView(address.buffer)
  view.setUint16(0, AF_NETLINK, LITTLE_ENDIAN)
  view.setUint32(8, groups, LITTLE_ENDIAN)
  const result = fd < 0 ? fd : syscalls.bind(fd, address)
  if (result >= 0) return fd
  if (fd >= 0) syscalls.close(fd)
  throw new DeviceError(errnoCode(-result) ?? 'EIO', `cannot ask the kernel for its interfaces: ${describe(-result)}`)
}

/** What the kernel's side of a device shall be. */
export interface HostSide {
  /** The kernel's addresses, each with its network's prefix length. */
  readonly addresses?: readonly IpPrefix[]
  /** Bytes. */
  readonly mtu?: number
}

/**
 * Configures the kernel's side of device `name` and sets it up (`netglass up --host-ip`).
 * @returns the addresses that it had not before, for `removeHostAddresses`
 * @throws DeviceError; without permission it names every command that does the same. It has no address more then
 */
export const configureHostSide = (
  name: string,
  side: HostSide,
  syscalls: Syscalls = systemCalls(),
): readonly IpPrefix[] => {
  const links = new KernelLinks(syscalls)
  const added: IpPrefix[] = []
  try {
    if (side.mtu !== undefined && side.mtu !== links.get(name).mtu) links.setMtu(name, side.mtu)
    for (const prefix of side.addresses ?? []) if (links.addAddress(name, prefix)) added.push(prefix)
    if (!links.get(name).up) links.setUp(name, true)
    return added
  } catch (error) {
    removeAll(links, name, added)
    if (error instanceof DeviceError && error.code === 'EPERM') throw notAllowed(name, side)
    throw error
  } finally {
    links.close()
  }
}

/** Takes addresses from a device that was made to stay. That the device or an address has gone is no error. */
export const removeHostAddresses = (
  name: string,
  addresses: readonly IpPrefix[],
  syscalls: Syscalls = systemCalls(),
): void => {
  const links = new KernelLinks(syscalls)
  try {
    if (links.find(name) !== undefined) removeAll(links, name, addresses)
  } finally {
    links.close()
  }
}

const removeAll = (links: KernelLinks, name: string, addresses: readonly IpPrefix[]): void => {
  for (const prefix of addresses) {
    try {
      links.removeAddress(name, prefix)
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
    }
  }
}

/**
 * Has the kernel keep the IPv6 addresses of `name` when the interface is set down, as it keeps those of IPv4. Where
 * that is not possible they are lost then, as usual.
 */
export const keepAddresses = (name: string): void => {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/keep_addr_on_down`, '1')
  } catch {
    // No IPv6, or no permission: for the addresses to be given there must be, but they can be given by others.
  }
}

const notAllowed = (name: string, side: HostSide): DeviceError => {
  const commands = (side.addresses ?? []).map(
    ({ address, length }) => `ip addr replace ${address}/${length} dev ${name}`,
  )
  commands.push(`ip link set ${name} up${side.mtu === undefined ? '' : ` mtu ${side.mtu}`}`)
  const all = commands.map((command) => `sudo ${command}`).join(' && ')
  return new DeviceError('EPERM', `no permission to set up ${name}: run '${all}', or this with sudo`)
}
