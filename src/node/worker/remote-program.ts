import type { MessagePort } from 'node:worker_threads'
import { SeededRandom } from '../../core/random.ts'
import { World } from '../../core/world.ts'
import { Host } from '../../host/host.ts'
import type { DatagramTransport, StreamTransport } from '../../net/context.ts'
import type { DatagramOwner } from '../../net/datagram-handle.ts'
import { type LookupOrder, noNames } from '../../net/lookup.ts'
import type { StreamOwner } from '../../net/stream-handle.ts'
import type { NameServer } from '../dns-relay.ts'
import { KernelList } from '../kernel-list.ts'
import { install } from '../program.ts'
import { NodeContext } from '../programs.ts'
import { RealClock, RealTimeDriver } from '../realtime.ts'
import type { Answers } from './protocol.ts'
import { HostLink, RemoteDatagrams, RemoteStream } from './remote.ts'

/** What a worker's program is told of the host's. */
export interface RemoteConfiguration {
  readonly nameServers: readonly NameServer[]
  readonly kernel: readonly string[]
}

/** The program of a worker: its sockets are those of a host in another thread. */
class RemoteProgram extends NodeContext {
  private readonly link: HostLink
  private readonly servers: readonly NameServer[]

  /** @param host a stand-in of this thread's, for its timers */
  constructor(host: Host, link: HostLink, { nameServers, kernel }: RemoteConfiguration) {
    super(host, 'worker', {
      names: noNames,
      kernel: new KernelList(kernel),
      onActive: (isActive) => {
        if (isActive) link.port.ref()
        else link.port.unref()
      },
    })
    this.link = link
    this.servers = nameServers
  }

  override get hasHost(): boolean {
    return false
  }

  override get nameServers(): readonly NameServer[] {
    return this.servers
  }

  override newStream(owner: StreamOwner): StreamTransport {
    return new RemoteStream(this.link, this.events, owner)
  }

  override newDatagrams(owner: DatagramOwner): DatagramTransport {
    return new RemoteDatagrams(this.link, this.events, owner)
  }

  override lookup(name: string, order: LookupOrder): string[] {
    return this.link.ask(0, 'lookup', [name, order]) as string[]
  }

  override reverseLookup(address: string, port: number): { name: string; service: string } {
    return this.link.ask(0, 'reverseLookup', [address, port]) as { name: string; service: string }
  }

  /** Passes a worker of this worker's on. */
  override serveWorker(port: MessagePort, shared: SharedArrayBuffer, onEnded: () => void): void {
    const id = this.link.noteWorker(onEnded)
    this.link.post({ target: 0, method: 'worker', args: [id, port, shared], waits: false }, [port])
  }
}

/** Makes the program of this thread, a worker. */
export const remoteProgram = (port: MessagePort, answers: Answers, configuration: RemoteConfiguration): NodeContext => {
  install()
  const world = new World(new RealClock(), new SeededRandom(1))
  new RealTimeDriver(world.loop)
  return new RemoteProgram(new Host(world, 'worker'), new HostLink(port, answers), configuration)
}
