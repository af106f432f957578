import { Timer, type TimerOwner } from '../core/timer.ts'
import { IPV6_ANY } from '../wire/address.ts'
import { Icmpv6Type } from '../wire/icmpv6.ts'
import { solicitedNode } from '../wire/ndp.ts'
import { AddressFlag, type InterfaceAddress } from './address.ts'
import { announceAddress, probeAddress } from './arp.ts'
import { sendNdp } from './ndp-send.ts'

/** RFC 5227 section 1.1, microseconds. */
const PROBE_WAIT = 1e6
const PROBE_COUNT = 3
const PROBE_MIN = 1e6
const PROBE_MAX = 2e6
const ANNOUNCE_WAIT = 2e6
const ANNOUNCE_COUNT = 2
const ANNOUNCE_INTERVAL = 2e6
const DEFEND_INTERVAL = 10e6

/**
 * Asks the link whether anybody has an address before it is used: by ARP probes (RFC 5227 section 2.1) or by neighbour
 * solicitations (RFC 4862 section 5.4). An IPv4 address is announced afterwards.
 */
export class DuplicateDetection implements TimerOwner {
  private readonly entry: InterfaceAddress
  private readonly timer = new Timer(this, 0)
  private probesLeft = 0
  private announcementsLeft = 0
  /** What the host knows its own probes by (RFC 7527). */
  private nonce = -1

  constructor(entry: InterfaceAddress) {
    this.entry = entry
  }

  /** Is it the nonce of a probe that this host has sent? */
  isOwnNonce(nonce: number): boolean {
    return nonce >= 0 && nonce === this.nonce
  }

  start(): void {
    const { entry } = this
    const { stack, settings } = entry.interface
    const v4 = entry.address.isIpv4
    this.probesLeft = v4 ? PROBE_COUNT : settings.dad_transmits
    this.announcementsLeft = v4 ? ANNOUNCE_COUNT : 0
    const spread = v4 ? PROBE_WAIT : Math.max(1, settings.router_solicitation_delay * 1e6)
    this.after(stack.random.below(spread))
  }

  stop(): void {
    this.entry.interface.stack.world.loop.timers.cancel(this.timer)
  }

  onTimer(): void {
    const { entry } = this
    const { interface: iface } = entry
    if (this.probesLeft > 0) {
      this.probesLeft--
      if (entry.address.isIpv4) {
        probeAddress(entry)
        const spread = iface.stack.random.below(PROBE_MAX - PROBE_MIN)
        this.after(this.probesLeft > 0 ? PROBE_MIN + spread : ANNOUNCE_WAIT)
      } else {
        this.solicit()
        this.after(iface.timing(6).retrans)
      }
      return
    }
    if (entry.isTentative) {
      entry.flags &= ~AddressFlag.Tentative
      iface.activate(entry)
    }
    if (this.announcementsLeft > 0) {
      this.announcementsLeft--
      announceAddress(entry)
      if (this.announcementsLeft > 0) this.after(ANNOUNCE_INTERVAL)
    }
  }

  private solicit(): void {
    const { interface: iface, address } = this.entry
    const { stack } = iface
    const message = stack.ndpOut
    message.clear()
    message.type = Icmpv6Type.NeighborSolicitation
    message.target = address
    this.nonce = (stack.random.next32() >>> 0) * 0x1_0000 + (stack.random.next32() >>> 16)
    message.nonce = this.nonce
    sendNdp(iface, IPV6_ANY, solicitedNode(address))
  }

  private after(time: number): void {
    const { loop } = this.entry.interface.stack.world
    loop.timers.schedule(this.timer, loop.now + time)
  }
}

/** Begins to check a new address, if it is to be checked. @returns whether it has to wait for that */
export const startDetection = (entry: InterfaceAddress): boolean => {
  const { interface: iface } = entry
  const { dad_transmits, accept_dad } = iface.settings
  if (!iface.hasNeighbours) return false
  if (entry.address.isIpv4) {
    if (!entry.defends) return false
  } else if ((entry.flags & AddressFlag.NoDad) !== 0 || dad_transmits === 0 || accept_dad === 0) return false
  entry.flags |= AddressFlag.Tentative
  entry.detection = new DuplicateDetection(entry)
  if (iface.isRunning) entry.detection.start()
  return true
}

/** Begins anew, when the link has come back. @returns false when nothing is to be checked any more */
export const restartDetection = (entry: InterfaceAddress): boolean => {
  if ((entry.flags & AddressFlag.DadFailed) !== 0) return true
  if (entry.detection === null) return startDetection(entry)
  entry.detection.stop()
  entry.detection.start()
  return true
}

/** Gives up checking. */
export const stopDetection = (entry: InterfaceAddress): void => {
  entry.detection?.stop()
}

/** Somebody else has an address that is being checked: it stays unused, or goes if a router gave it. */
export const duplicateFound = (entry: InterfaceAddress): void => {
  const { interface: iface } = entry
  entry.detection?.stop()
  entry.flags |= AddressFlag.DadFailed
  iface.stack.onAddressChange?.(entry, 'conflict')
  if (!entry.address.isIpv4) iface.ndp.duplicate(entry)
}

/**
 * Another host speaks from an address of this one: it is told once in ten seconds whose the address is; twice means
 * that one of the two has to go, and it is this host that gives way (RFC 5227 section 2.4 (b)).
 */
export const defendAddress = (entry: InterfaceAddress): void => {
  const { interface: iface } = entry
  if (!entry.defends || !entry.isUsable) return
  const { now } = iface.stack.world.loop
  if (now - entry.defended < DEFEND_INTERVAL) {
    iface.deactivate(entry)
    entry.flags |= AddressFlag.DadFailed
    iface.stack.onAddressChange?.(entry, 'conflict')
    return
  }
  entry.defended = now
  announceAddress(entry)
}
