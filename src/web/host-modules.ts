import type { NameTable } from '../net/lookup.ts'
import type { Modules } from '../net/node-types.ts'
import type { Web } from './web.ts'

/** How a program of a host sees names, and what it is called. */
export interface ModuleOptions {
  /** Its name in netstat -p and the like; `node` unless given, in a browser `page`. */
  readonly name?: string
  /** Names that the host knows, besides its own and localhost. */
  readonly names?: NameTable
  /** Told when the program begins to wait for something of the network, and when it does no more. */
  readonly onActive?: (isActive: boolean) => void
}

/** What a program of a host has, and what ends it. */
export interface HostModules extends Modules {
  /** Streams and fetch in the way of the web. */
  readonly web: Web
  /** Ends the program: what it has open is closed. */
  close(): void
}
