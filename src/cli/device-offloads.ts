import type { DeviceOffloads } from '../node/device.ts'
import { Failure } from './failure.ts'

/** `-K tso off tx off`: a device's offloads, as `ethtool -K` takes them. */

const FEATURES: readonly (keyof DeviceOffloads)[] = ['rx', 'gro', 'tx', 'tso']

/** @throws Failure for a feature that is none, and for what is neither on nor off */
export const parseOffloads = (words: readonly string[] = []): Partial<DeviceOffloads> => {
  const offloads: { -readonly [Feature in keyof DeviceOffloads]?: boolean } = {}
  for (let i = 0; i < words.length; i += 2) {
    const [feature = '', value] = words.slice(i, i + 2)
    const known = FEATURES.find((name) => name === feature)
    if (known === undefined)
      throw new Failure(`-K ${feature}: there is no such feature; there are ${FEATURES.join(', ')}`)
    if (value !== 'on' && value !== 'off') throw new Failure(`-K ${feature}: say on or off behind it`)
    offloads[known] = value === 'on'
  }
  return offloads
}
