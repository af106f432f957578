import type { AddressInfo } from '../net/socket-handle.ts'

/**
 * What Node's own modules stand on: the classes and functions behind `net`, `dgram`, `dns` and `tls`. `process.binding`
 * gives the very objects that those modules use; the shapes here are what they expect of them in Node 20 and 22.
 */

/** A request object of Node's: what is called when it is done. */
export interface NodeRequest {
  oncomplete?: ((...args: never[]) => void) | undefined
}

/** Calls a request's `oncomplete`, if it still has one. */
export const complete = (request: NodeRequest, ...args: unknown[]): void => {
  const { oncomplete } = request as { oncomplete?: ((...args: unknown[]) => void) | undefined }
  if (typeof oncomplete === 'function') oncomplete.apply(request, args)
}

/** A TCP handle of Node's. */
export interface NativeTcp {
  onread: ((data?: ArrayBuffer) => unknown) | undefined
  onconnection?: ((status: number, client?: NativeTcp) => void) | null
  hasRef(): boolean
  close(callback?: () => void): void
}

/** A stream of libuv's over any descriptor that can be read: it was made for pipes. */
export interface NativePipe {
  onread: (() => Uint8Array | undefined) | undefined
  /** From now on the descriptor is its own. @returns 0 or a negated error number */
  open(fd: number): number
  /** Has it read there, and where `onread` says. */
  useUserBuffer(bytes: Uint8Array): void
  readStart(): number
  readStop(): number
  unref(): void
  close(): void
}

/** The methods of a class, as they are called: by name, on an instance. */
export type Methods = Record<string, (this: unknown, ...args: unknown[]) => unknown>

interface Constructor<T> {
  new (...args: never[]): T
  readonly prototype: T
}

/** Node's side of a stream that is written in JavaScript. */
export interface JsStream {
  onread: (data?: ArrayBuffer) => unknown
  onreadstart: () => number
  onreadstop: () => number
  onwrite: (request: object, chunks: Uint8Array[]) => number
  onshutdown: (request: object) => number
  isClosing: () => boolean
  finishWrite(request: object, status: number): void
  finishShutdown(request: object, status: number): void
  readBuffer(data: Uint8Array): void
  emitEOF(): void
}

/** A TLS session over a stream. */
export interface TlsWrap {
  onread: ((data?: ArrayBuffer) => unknown) | undefined
}

interface BindingTypes {
  tcp_wrap: { TCP: { new (type: number): NativeTcp; readonly prototype: NativeTcp }; constants: { SOCKET: number } }
  pipe_wrap: { Pipe: { new (type: number): NativePipe }; constants: { SOCKET: number } }
  udp_wrap: { UDP: Constructor<NativeUdp>; SendWrap: new () => object }
  stream_wrap: {
    streamBaseState: Int32Array
    kReadBytesOrError: number
    kArrayBufferOffset: number
    kBytesWritten: number
    kLastWriteWasAsync: number
  }
  js_stream: { JSStream: new () => JsStream }
  zlib: Partial<Record<'Zlib' | 'BrotliEncoder' | 'BrotliDecoder', Constructor<object>>>
  tls_wrap: { wrap: (stream: object, ...rest: unknown[]) => TlsWrap }
  cares_wrap: {
    getaddrinfo: (request: NodeRequest, name: string, family: number, hints: number, order: number | boolean) => number
    getnameinfo: (request: NodeRequest, address: string, port: number) => number
    ChannelWrap: new (timeout: number, tries: number) => object
    DNS_ORDER_IPV4_FIRST?: number
    DNS_ORDER_IPV6_FIRST?: number
  }
}

/** A UDP handle of Node's. */
export interface NativeUdp {
  onmessage?: (
    count: number,
    handle: NativeUdp,
    data: Uint8Array | undefined,
    from: (AddressInfo & { size?: number }) | undefined,
  ) => void
  hasRef(): boolean
  close(callback?: () => void): void
}

/** One of Node's internal modules. */
export const binding = <K extends keyof BindingTypes>(name: K): BindingTypes[K] =>
  (process as unknown as { binding(name: string): unknown }).binding(name) as BindingTypes[K]

/** A port, as native code makes one of whatever it is given: `socket.bind(callback)` gives it a function. */
export const toPort = (value: unknown): number => Number(value) & 0xffff

/** Runs what `process.nextTick` and promises have queued: what Node does after each of its own callbacks. */
export const runTicks = (process as unknown as { _tickCallback(): void })._tickCallback

/**
 * Puts methods in front of those that a class has or inherits.
 * @param ours one for each name: given the instance's own, it is to return what the call returns
 * @param find what an instance has become: `null` when it is Node's own
 */
export const overlay = <T>(
  prototype: object,
  find: (instance: object) => T | null,
  // biome-ignore lint/suspicious/noExplicitAny: each takes what the method of its name takes
  ours: Readonly<Record<string, (own: T, ...args: any[]) => unknown>>,
): void => {
  const methods = prototype as Methods
  for (const [name, method] of Object.entries(ours)) {
    const native = methods[name]
    // Not every version of Node has every method.
    if (native === undefined) continue
    methods[name] = function (this: unknown, ...args) {
      const own = find(this as object)
      // As many as it was given: native methods count them.
      return own === null ? native.apply(this, args) : method(own, ...args)
    }
  }
}

/** Puts getters in front of those that a class inherits. */
export const overlayGetters = <T>(
  prototype: object,
  find: (instance: object) => T | null,
  ours: Readonly<Record<string, (own: T) => unknown>>,
): void => {
  for (const [name, getter] of Object.entries(ours)) {
    const native = inherited(prototype, name)
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(this: object) {
        const own = find(this)
        if (own !== null) return getter(own)
        return native?.get === undefined ? native?.value : native.get.call(this)
      },
    })
  }
}

const inherited = (prototype: object, name: string): PropertyDescriptor | undefined => {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name)
    if (found !== undefined) return found
  }
  return undefined
}
