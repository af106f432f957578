import type { Host } from '../host/host.ts'
import type { Process, Program } from '../host/process.ts'
import { type EventPlatform, EventQueue } from './events.ts'
import { type NameTable, noNames } from './lookup.ts'
import type { SocketHandle } from './socket-handle.ts'

/** Descriptors that such a program may have. Node raises the limit that it finds to the most that it may. */
const FILE_LIMIT = 1_048_576

/** A program with Node's view of the network: the host that it runs on, and its process there. */
export class NetContext {
  readonly host: Host
  readonly process: Process
  readonly events: EventQueue
  /** Names that are known without asking anybody. */
  readonly names: NameTable
  /** Those with a socket. */
  readonly handles = new Set<SocketHandle>()

  private readonly helpers = new Set<Process>()

  /** @param name of the program, for netstat -p and the like */
  constructor(host: Host, name: string, platform: EventPlatform, names: NameTable = noNames) {
    this.host = host
    this.names = names
    this.events = new EventQueue(platform)
    // It ends when `close` says so.
    this.process = host.spawn(name, () => new Promise(() => {}))
    this.process.files.limit = FILE_LIMIT
  }

  /** Starts a process that does something for the program, and ends with it. */
  spawnHelper(program: Program): Process {
    const helper = this.host.spawn(this.process.name, program)
    this.helpers.add(helper)
    void helper.ended.then(() => this.helpers.delete(helper))
    return helper
  }

  /** Ends the process: what it has open is closed, and streams that are read come to their end. */
  close(): void {
    this.process.exit(0)
    for (const helper of this.helpers) helper.exit(0)
    for (const handle of [...this.handles]) handle.hangUp()
    this.events.isEnded = true
  }
}
