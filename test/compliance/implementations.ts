import dgram from 'node:dgram'
import dns from 'node:dns'
import net from 'node:net'
import { SeededRandom } from '../../src/core/random.ts'
import { World } from '../../src/core/world.ts'
import { Host } from '../../src/host/host.ts'
import { createModules, type Modules } from '../../src/node/modules.ts'
import { program, runProgram } from '../../src/node/program.ts'
import { RealClock, RealTimeDriver } from '../../src/node/realtime.ts'

/** Something that a suite of assertions is run over. */
export interface Implementation {
  readonly name: string
  /** Runs `body` with the modules on a host that has nothing but loopback. */
  run<T>(body: (modules: Modules) => Promise<T>): Promise<T>
}

const onHost = async <T>(body: (host: Host) => Promise<T>): Promise<T> => {
  const world = new World(new RealClock(), new SeededRandom(1))
  const driver = new RealTimeDriver(world.loop).ref()
  try {
    return await body(new Host(world, 'here'))
  } finally {
    driver.close()
  }
}

/** Node's modules on the kernel, Node's modules over our handles, and our modules. */
export const implementations: readonly Implementation[] = [
  { name: 'node:net on the kernel', run: (body) => body({ net, dgram, dns }) },
  {
    name: 'node:net over our handles',
    run: (body) =>
      onHost(async (host) => {
        const context = program(host)
        try {
          return await runProgram(context, () => body({ net, dgram, dns }))
        } finally {
          context.close()
        }
      }),
  },
  {
    name: 'netglass/net',
    run: (body) =>
      onHost(async (host) => {
        const modules = createModules(host)
        try {
          return await body(modules)
        } finally {
          modules.close()
        }
      }),
  },
]
