import { askLookup } from '../net/dns-lookup.ts'
import type { Asking } from '../net/platform.ts'
import { isIP, validatePort } from '../net/validate.ts'
import { Fetcher } from './fetch.ts'
import { HttpServer, type ServeHandler, type ServeOptions } from './serve.ts'
import { Listener, Socket } from './socket.ts'

/** Where to connect: `host:port` or its parts. */
export type SocketAddress = string | { readonly hostname: string; readonly port: number }

export interface SocketOptions {
  /** May it still be written to when the other side has ended? False unless given. */
  readonly allowHalfOpen?: boolean
  /** There is no TLS. */
  readonly secureTransport?: 'off'
}

export interface ListenOptions {
  readonly port: number
  /** `::` unless given, which is IPv4's, too. */
  readonly hostname?: string
}

/** The functions of a program. */
export interface Web {
  /** Connects (Sockets API of WinterTC, as Cloudflare's `connect`). @throws TypeError for what is no address */
  connect(address: SocketAddress, options?: SocketOptions): Socket
  /** Listens (as `Deno.listen`). @throws TypeError when the address cannot be had */
  listen(options: ListenOptions): Listener
  /** As the platform's `fetch`, over HTTP/1.1 in the network. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>
  /** Answers requests (as `Deno.serve`). */
  serve(handler: ServeHandler): HttpServer
  serve(options: ServeOptions, handler: ServeHandler): HttpServer
}

const readAddress = (address: SocketAddress): { hostname: string; port: number } => {
  if (typeof address !== 'string') return { hostname: address.hostname, port: validatePort(address.port, 'port') }
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]+)$/.exec(address) ?? []
  const hostname = bracketed ?? plain
  if (hostname === undefined) throw new TypeError(`${address} is no address: write host:port, or [::1]:port`)
  return { hostname, port: validatePort(port, 'port') }
}

export const makeWeb = (surroundings: Asking): Web => {
  /** One for each program. */
  const fetchers = new WeakMap<object, Fetcher>()

  const connect = (address: SocketAddress, { allowHalfOpen = false, secureTransport = 'off' }: SocketOptions = {}) => {
    if (secureTransport !== 'off') throw new TypeError("secureTransport must be 'off': there is no TLS")
    const { hostname, port } = readAddress(address)
    const socket = new Socket(surroundings.current(), allowHalfOpen)
    if (isIP(hostname) !== 0) {
      socket.connectTo(hostname, port)
      return socket
    }
    askLookup(surroundings, { name: hostname, family: 0, hints: 0, all: true, order: 'verbatim' }, (answer) => {
      if ('error' in answer) socket.refuse(answer.error)
      else socket.connectTo(answer.addresses[0]!.address, port)
    })
    return socket
  }

  const listen = ({ hostname = '::', port }: ListenOptions): Listener =>
    new Listener(surroundings.current(), hostname, validatePort(port, 'port'))

  const fetch = (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const context = surroundings.current()
    let fetcher = fetchers.get(context)
    if (fetcher === undefined) {
      fetcher = new Fetcher(context, async (hostname, port) => {
        const socket = connect({ hostname, port })
        await socket.opened
        return socket
      })
      fetchers.set(context, fetcher)
    }
    return fetcher.fetch(input, init)
  }

  const serve = (first: ServeHandler | ServeOptions, second?: ServeHandler): HttpServer => {
    const options = typeof first === 'function' ? {} : first
    const handler = typeof first === 'function' ? first : second
    if (handler === undefined) throw new TypeError('serve wants a function that answers requests')
    return new HttpServer(listen({ port: 80, ...options }), handler, options)
  }
  return { connect, listen, fetch, serve }
}
