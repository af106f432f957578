import type { World } from '../core/world.ts'
import { Host, type HostOptions } from '../host/host.ts'
import type { Modules } from '../net/node-types.ts'

/** A host of Node programs: `net`, `dgram` and `dns` are those of a program on it, whoever calls them. */
export class NodeHost extends Host {
  private readonly makeModules: (host: NodeHost) => Modules
  private made: Modules | null = null

  constructor(world: World, name: string, options: HostOptions, makeModules: (host: NodeHost) => Modules) {
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

  private get modules(): Modules {
    this.made ??= this.makeModules(this)
    return this.made
  }
}
