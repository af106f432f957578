import type { Host } from '../host/host.ts'
import type { Process, Program } from '../host/process.ts'
import { DatagramHandle, type DatagramOwner } from './datagram-handle.ts'
import { type EventPlatform, EventQueue } from './events.ts'
import { type LookupOrder, lookup, type NameTable, noNames, reverseLookup } from './lookup.ts'
import type { SocketHandle } from './socket-handle.ts'
import { StreamHandle, type StreamOwner } from './stream-handle.ts'

/** Descriptors that such a program may have. Node raises the limit that it finds to the most that it may. */
const FILE_LIMIT = 1_048_576

/** What a `StreamHandle` does for whoever has it, wherever its socket is. */
export type StreamTransport = Pick<
  StreamHandle,
  | 'adopt'
  | 'bind'
  | 'bytesRead'
  | 'bytesWritten'
  | 'close'
  | 'connect'
  | 'fd'
  | 'hasRef'
  | 'isClosing'
  | 'isReading'
  | 'lastWriteWasAsync'
  | 'listen'
  | 'localAddress'
  | 'origin'
  | 'peerAddress'
  | 'readStart'
  | 'readStop'
  | 'reset'
  | 'setKeepAlive'
  | 'setNoDelay'
  | 'setRef'
  | 'setReusePort'
  | 'setTypeOfService'
  | 'shutdown'
  | 'socket'
  | 'typeOfService'
  | 'useBuffer'
  | 'write'
  | 'writeQueueSize'
>

/** What a `DatagramHandle` does. */
export type DatagramTransport = Pick<
  DatagramHandle,
  | 'bind'
  | 'bufferSize'
  | 'close'
  | 'connect'
  | 'disconnect'
  | 'fd'
  | 'hasRef'
  | 'isClosing'
  | 'localAddress'
  | 'origin'
  | 'peerAddress'
  | 'receiveStart'
  | 'receiveStop'
  | 'send'
  | 'setBroadcast'
  | 'setMembership'
  | 'setMulticastInterface'
  | 'setMulticastLoopback'
  | 'setMulticastTtl'
  | 'setRef'
  | 'setSourceMembership'
  | 'setTtl'
  | 'socket'
>

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

  /** A stream of the program's. @param owner told of what happens to it */
  newStream(owner: StreamOwner): StreamTransport {
    return new StreamHandle(this, owner)
  }

  newDatagrams(owner: DatagramOwner): DatagramTransport {
    return new DatagramHandle(this, owner)
  }

  /** The addresses of a name that are known without asking anybody. */
  lookup(name: string, order: LookupOrder): string[] {
    return lookup(this.host, this.names, name, order)
  }

  /** The names of an address and of a port; where there is none, the address and the number. */
  reverseLookup(address: string, port: number): { name: string; service: string } {
    return reverseLookup(this.host, this.names, address, port)
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
