import type { World } from '../core/world.ts'
import { Host, type HostOptions } from '../host/host.ts'
import type { Modules } from '../net/node-types.ts'
import type { Web } from '../web/web.ts'

/** A host of Node programs: `net`, `dgram` and `dns` are those of a program on it, whoever calls them. */
export class NodeHost extends Host {
  private readonly makeModules: (host: NodeHost) => Modules & { readonly web: Web }
  private made: (Modules & { readonly web: Web }) | null = null

  constructor(world: World, name: string, options: HostOptions, makeModules: NodeHost['makeModules']) {
    super(world, name, options)
    this.makeModules = makeModules
  }

  get net(): Modules['net'] {
    return this.modules.net
  }

  get dgram(): Modules['dgram'] {
    return this.modules.dgram
  }

  get dns(): Modules['dns'] {
    return this.modules.dns
  }

  /** `connect`, `listen`, `fetch` and `serve` in the way of the web. */
  get web(): Web {
    return this.modules.web
  }

  private get modules(): Modules & { readonly web: Web } {
    this.made ??= this.makeModules(this)
    return this.made
  }
}
