import type { Host } from '../host/host.ts'
import type { NameTable } from '../net/lookup.ts'
import { noNames } from '../net/lookup.ts'
import { overlayDns } from './dns-overlay.ts'
import { overlayHttp } from './http-overlay.ts'
import { overlayHttp2 } from './http2-overlay.ts'
import { KernelList } from './kernel-list.ts'
import { overlayOs } from './os-overlay.ts'
import { NodeContext, programs } from './programs.ts'
import { overlayTcp } from './tcp-overlay.ts'
import { overlayTls } from './tls-overlay.ts'
import { overlayUdp } from './udp-overlay.ts'
import { overlayWorkers } from './worker/workers.ts'

/** How a program is to see the network. */
export interface ProgramOptions {
  /** Its name in netstat -p and the like; `node` unless given. */
  readonly name?: string
  /** Names that the host knows, besides its own and localhost. */
  readonly names?: NameTable
  /** What goes to the kernel's own stack: `127.0.0.1:5432`, `10.0.0.0/8`, `:6379`, `db.example`, `*`. */
  readonly kernel?: readonly string[]
  /** Told when the program begins to wait for something of the network, and when it does no more. */
  readonly onActive?: (isActive: boolean) => void
}

const KEY = Symbol.for('netglass.installed')

/** Puts our stack under Node's net, dgram, dns and tls, for programs that have a host. Doing it twice does nothing. */
export const install = (): void => {
  const shared = globalThis as { [KEY]?: boolean }
  if (shared[KEY] === true) return
  shared[KEY] = true
  overlayTcp()
  overlayUdp()
  overlayDns()
  overlayTls()
  overlayHttp()
  overlayHttp2()
  overlayOs()
}

/** Makes a program of a host, for `runProgram` and `useProgram`. */
export const program = (host: Host, options: ProgramOptions = {}): NodeContext => {
  install()
  return new NodeContext(host, options.name ?? 'node', {
    names: options.names ?? noNames,
    kernel: new KernelList(options.kernel),
    ...(options.onActive === undefined ? {} : { onActive: options.onActive }),
  })
}

/** Gives the whole thread a program's view of the network. */
export const useProgram = (context: NodeContext | null): void => {
  if (context !== null) overlayWorkers()
  programs.own = context
}

/** Runs `body`, and everything that it causes, with a program's view of the network. */
export const runProgram = <T>(context: NodeContext, body: () => T): T => programs.run(context, body)
