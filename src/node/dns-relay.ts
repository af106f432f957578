import type { DatagramTransport } from '../net/context.ts'
import type { DatagramOwner } from '../net/datagram-handle.ts'
import { binding, type NativeUdp } from './bindings.ts'
import type { NodeContext } from './programs.ts'
import { leaveToKernel } from './udp-overlay.ts'

/** A name server: family, address and port, as Node's resolver is told of it. */
export type NameServer = readonly [family: number, address: string, port: number]

interface RelayHandle extends NativeUdp {
  bind(address: string, port: number, flags: number): number
  getsockname(out: { port?: number }): number
  send(request: object, chunks: Uint8Array[], count: number, port: number, address: string, told: boolean): number
  recvStart(): number
  unref(): void
}

const LOOPBACK = '127.0.0.1'

/**
 * The way of Node's resolver, which is native code with sockets of the kernel's, to a name server in our network: what
 * it sends to a port of the kernel's loopback goes to the server by our UDP, and the answers back.
 */
export class DnsRelay implements DatagramOwner {
  /** The kernel's port. */
  readonly port: number
  private readonly kernelSide: RelayHandle
  private readonly ours: DatagramTransport
  private readonly server: NameServer
  /** Who has asked, by the identification of the question (RFC 1035 section 4.1.1). */
  private readonly askers = new Map<number, number>()

  constructor(context: NodeContext, server: NameServer) {
    this.server = server
    const family = server[0] === 6 ? 6 : 4
    this.ours = context.newDatagrams(this)
    this.ours.setRef(false)
    this.ours.bind(family, { address: family === 6 ? '::' : '0.0.0.0', port: 0 }, 0)
    this.ours.receiveStart()
    const { UDP } = binding('udp_wrap')
    const handle = new UDP() as RelayHandle
    leaveToKernel(handle)
    handle.bind(LOOPBACK, 0, 0)
    handle.onmessage = (_count, _handle, data, from) => {
      if (data !== undefined && from !== undefined) this.ask(data, from.port)
    }
    handle.recvStart()
    handle.unref()
    const name: { port?: number } = {}
    handle.getsockname(name)
    this.port = name.port ?? 0
    this.kernelSide = handle
  }

  private ask(question: Uint8Array, from: number): void {
    if (question.length < 2) return
    this.askers.set(identification(question), from)
    const [, address, port] = this.server
    this.ours.send([question], { address, port })
  }

  newBuffer(bytes: number): Uint8Array {
    return new Uint8Array(bytes)
  }

  onMessage(_count: number, data: Uint8Array | null): void {
    if (data === null || data.length < 2) return
    const asker = this.askers.get(identification(data))
    if (asker === undefined) return
    this.askers.delete(identification(data))
    const request = Object.assign(new (binding('udp_wrap').SendWrap)(), { list: [data] })
    this.kernelSide.send(request, [data], 1, asker, LOOPBACK, false)
  }

  onClosed(): void {}
}

const identification = (message: Uint8Array): number => (message[0]! << 8) | message[1]!
