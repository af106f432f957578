import { AsyncResource } from 'node:async_hooks'
import { Errno, errnoCode, strerror } from '../core/errno.ts'
import type { DatagramTransport } from '../net/context.ts'
import type { DatagramOwner } from '../net/datagram-handle.ts'
import { asBuffer } from '../net/platform.ts'
import type { AddressInfo } from '../net/socket-handle.ts'
import { parseIpAddress } from '../wire/address.ts'
import { binding, type Methods, type NativeUdp, overlay, toPort } from './bindings.ts'
import { type NodeContext, programs } from './programs.ts'

/** Node's class of UDP handles, with sockets of ours under those that programs of ours bind. */

const OWN = Symbol('netglass')
type Marked = NativeUdp & { [OWN]?: VirtualUdp | null }

const { UDP } = binding('udp_wrap')
const prototype = UDP.prototype as unknown as Methods
const nativeClose = prototype['close']!

/** A UDP handle of Node's over a socket of ours. */
class VirtualUdp implements DatagramOwner {
  readonly native: NativeUdp
  readonly context: NodeContext
  readonly handle: DatagramTransport
  private readonly scope = new AsyncResource('NETGLASSUDP', { requireManualDestroy: true })
  private closeCallback: (() => void) | undefined

  constructor(native: NativeUdp, context: NodeContext) {
    this.native = native
    this.context = context
    this.handle = context.newDatagrams(this)
    this.handle.origin = programs.origins.get(native) ?? null
    if (!native.hasRef()) this.handle.setRef(false)
    // The class's own cannot be redefined.
    Object.defineProperty(native, 'fd', { configurable: true, get: () => this.handle.fd })
  }

  bind(family: 4 | 6, address: string, port: number, flags: number): number {
    return isFamily(address, family) ? this.handle.bind(family, { address, port }, flags) : -Errno.EINVAL
  }

  connect(family: 4 | 6, address: string, port: number): number {
    return isFamily(address, family) ? this.handle.connect({ address, port }) : -Errno.EINVAL
  }

  /** @returns bytes sent and 1, or a negative `Errno`: it is never done later */
  send(family: 4 | 6, chunks: readonly Uint8Array[], ...to: readonly unknown[]): number {
    // Either the peer of connect(2), or port and address.
    const [port, address] = to.length >= 3 ? (to as [number, string]) : []
    if (address !== undefined && !isFamily(address, family)) return -Errno.EINVAL
    const target = address === undefined ? null : { address, port: toPort(port) }
    const sent = this.handle.send(chunks, target)
    return sent < 0 ? sent : sent + 1
  }

  close(callback?: () => void): void {
    if (this.handle.isClosing) return
    this.closeCallback = callback
    this.handle.close()
  }

  newBuffer(bytes: number): Uint8Array {
    return Buffer.allocUnsafeSlow(bytes)
  }

  onMessage(count: number, data: Uint8Array | null, from: AddressInfo | null): void {
    const { native } = this
    const { onmessage } = native
    if (onmessage === undefined) return
    const buffer = data === null ? undefined : asBuffer({ Buffer }, data)
    this.scope.runInAsyncScope(onmessage, native, count, native, buffer, from ?? undefined)
  }

  onClosed(): void {
    this.scope.emitDestroy()
    nativeClose.call(this.native, this.closeCallback)
  }
}

const isFamily = (address: string, family: 4 | 6): boolean =>
  parseIpAddress(String(address).replace(/%.*$/, '')) !== undefined && address.includes(':') === (family === 6)

const virtualUdp = (handle: object): VirtualUdp | null => (handle as Marked)[OWN] ?? null

/** Makes a handle Node's own for good. */
export const leaveToKernel = (handle: object): void => {
  ;(handle as Marked)[OWN] = null
}

/** What a handle is, made ours now if a program of ours has it and it is not to be the kernel's. */
const decide = (handle: object, address: string, port: number): VirtualUdp | null => {
  const marked = handle as Marked
  if (marked[OWN] !== undefined) return marked[OWN]
  const context = programs.current
  if (context === null || context.kernel.hasEndpoint(address, port)) return null
  const own = new VirtualUdp(marked, context)
  marked[OWN] = own
  return own
}

/** Fills in what `dgram` makes an exception of. */
const bufferSize = (own: VirtualUdp, size: number, isReceive: boolean, context: Record<string, unknown>): unknown => {
  // What does not fit into an int.
  const result = size > 0x7fff_ffff ? -Errno.EINVAL : own.handle.bufferSize(size, isReceive)
  if (result >= 0) return result
  context['errno'] = result
  context['code'] = errnoCode(-result)
  context['message'] = strerror(-result).toLowerCase()
  context['syscall'] = isReceive ? 'uv_recv_buffer_size' : 'uv_send_buffer_size'
  return undefined
}

/** Puts our methods in front of Node's. */
export const overlayUdp = (): void => {
  for (const [suffix, family] of [
    ['', 4],
    ['6', 6],
  ] as const) {
    const native = prototype[`bind${suffix}`]!
    prototype[`bind${suffix}`] = function (this: unknown, address, port, flags) {
      const own = decide(this as object, address as string, toPort(port))
      if (own === null) return native.call(this, address, port, flags)
      return own.bind(family, address as string, toPort(port), flags as number)
    }
    overlay(prototype, virtualUdp, {
      [`connect${suffix}`]: (own, address: string, port: number) => own.connect(family, address, port),
    })
    const nativeSend = prototype[`send${suffix}`]!
    // What it is given depends on whether the socket is connected.
    prototype[`send${suffix}`] = function (this: unknown, ...args) {
      const own = virtualUdp(this as object)
      if (own === null) return nativeSend.apply(this, args)
      const [, chunks, count, ...to] = args as [object, ArrayBufferView<ArrayBuffer>[], number, ...unknown[]]
      return own.send(family, chunks.slice(0, count).map(asBytes), ...to)
    }
  }
  const open = prototype['open']!
  prototype['open'] = function (this: unknown, fd) {
    ;(this as Marked)[OWN] = null
    return open.call(this, fd)
  }
  overlay(prototype, virtualUdp, {
    disconnect: (own) => own.handle.disconnect(),
    recvStart: (own) => own.handle.receiveStart(),
    recvStop: (own) => own.handle.receiveStop(),
    getsockname: (own, out: Partial<AddressInfo>) => own.handle.localAddress(out),
    getpeername: (own, out: Partial<AddressInfo>) => own.handle.peerAddress(out),
    setBroadcast: (own, on: number) => own.handle.setBroadcast(on !== 0),
    setTTL: (own, ttl: number) => own.handle.setTtl(ttl),
    setMulticastTTL: (own, ttl: number) => own.handle.setMulticastTtl(ttl),
    setMulticastLoopback: (own, on: number) => own.handle.setMulticastLoopback(on !== 0),
    setMulticastInterface: (own, address: string) => own.handle.setMulticastInterface(address),
    addMembership: (own, group: string, on?: string) => own.handle.setMembership(group, on ?? null, true),
    dropMembership: (own, group: string, on?: string) => own.handle.setMembership(group, on ?? null, false),
    addSourceSpecificMembership: (own, source: string, group: string, on?: string) =>
      own.handle.setSourceMembership(source, group, on ?? null, true),
    dropSourceSpecificMembership: (own, source: string, group: string, on?: string) =>
      own.handle.setSourceMembership(source, group, on ?? null, false),
    bufferSize,
    getSendQueueSize: () => 0,
    getSendQueueCount: () => 0,
    close: (own, callback?: () => void) => own.close(callback),
    ref: (own) => own.handle.setRef(true),
    unref: (own) => own.handle.setRef(false),
    hasRef: (own) => own.handle.hasRef && !own.handle.isClosing,
  })
}

const asBytes = (chunk: ArrayBufferView<ArrayBuffer> | string): Uint8Array => {
  if (typeof chunk === 'string') return Buffer.from(chunk)
  return chunk instanceof Uint8Array ? chunk : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}
