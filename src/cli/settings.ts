import { VirtualClock } from '../core/clock.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import { Failure } from './failure.ts'

/**
 * Reads what --set was given: settings by their Linux names.
 * @throws Failure for what is no setting, or a value that it does not take
 */
export const parseSettings = (texts: readonly string[]): (readonly [name: string, value: string])[] => {
  const { sysctl } = new Host(new World(new VirtualClock(), new SeededRandom(1)), 'settings')
  return texts.map((text) => {
    const equals = text.indexOf('=')
    if (equals <= 0) throw new Failure(`--set ${text}: write it as net.ipv4.tcp_sack=0`)
    const setting = [text.slice(0, equals).trim(), text.slice(equals + 1)] as const
    try {
      sysctl.set(...setting)
    } catch (error) {
      throw new Failure(`--set ${text}: ${(error as Error).message}`)
    }
    return setting
  })
}
