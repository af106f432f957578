import { prototypeOf } from './callable.ts'
import type { NetContext } from './context.ts'
import { dgramModule } from './dgram-module.ts'
import { DgramSocket } from './dgram-socket.ts'
import { dnsModule } from './dns-module.ts'
import type { LookupFunction } from './dns-types.ts'
import { netModule } from './net-module.ts'
import { NetServer } from './net-server.ts'
import { NetSocket } from './net-socket.ts'
import type { Modules } from './node-types.ts'
import type { Platform, Surroundings } from './platform.ts'

/** A maker of modules: what it makes shares its classes' prototypes, so that `instanceof` holds between programs. */
export type ModuleMaker = (current: () => NetContext) => Modules

/** Milliseconds that Node gives one address before it tries the next. */
const ATTEMPT_TIMEOUT = 250

/** @param platform what streams and events come from */
export const moduleMaker = (platform: Platform): ModuleMaker => {
  const prototypes = {
    socket: prototypeOf(NetSocket, platform.Duplex),
    server: prototypeOf(NetServer, platform.EventEmitter),
  }
  const dgramPrototype = prototypeOf(DgramSocket, platform.EventEmitter)
  return (current) => {
    const dns = {} as Modules['dns']
    const surroundings: Surroundings = {
      platform,
      current,
      dns: dns as unknown as { lookup: LookupFunction },
      autoSelectFamily: { enabled: true, timeout: ATTEMPT_TIMEOUT },
    }
    Object.assign(dns, dnsModule(surroundings) satisfies Modules['dns'])
    return {
      net: netModule(surroundings, prototypes),
      dgram: dgramModule(surroundings, dgramPrototype),
      dns,
    }
  }
}
