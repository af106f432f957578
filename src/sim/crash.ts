import type { Frame } from '../core/frame.ts'
import type { InterfaceOptions, NetworkInterface } from '../ip/interface.ts'
import type { LinkPort, LinkUser } from '../link/port.ts'

/** Where and how a host was plugged in. */
export class Plug {
  readonly name: string
  readonly port: LinkPort
  readonly addresses: readonly string[]
  readonly options: InterfaceOptions

  constructor(iface: NetworkInterface) {
    this.name = iface.name
    this.port = iface.port
    this.addresses = iface.addresses
      .filter(({ address }) => !address.isLinkLocal)
      .map(({ address, length }) => `${address}/${length}`)
    this.options = { mac: iface.mac, mtu: iface.mtu }
  }
}

/** What is plugged in where a host has no power. */
export class Silence implements LinkUser {
  private readonly unheard: (frame: Frame) => void

  /** @param unheard takes what arrives */
  constructor(unheard: (frame: Frame) => void) {
    this.unheard = unheard
  }

  receive(frame: Frame): void {
    this.unheard(frame)
  }

  carrierChanged(): void {}
}
