import type { FastPaths } from '../core/fast-paths.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import type { LinkFeatures } from './port.ts'

/** The features of a link, as far as they differ from its defaults. */
export type FeatureOptions = Partial<LinkFeatures>

/** Plain Ethernet. */
const ETHERNET: LinkFeatures = {
  medium: 'ethernet',
  mtu: 1500,
  maxSegmentedPacket: 0,
  checksumOffload: false,
  fcs: false,
}

/** The least that IPv4 allows (RFC 791 section 3.2), and the most that a frame of the pool holds: Linux's loopback. */
export const LEAST_MTU = 68
const MOST_MTU = 65_536

/**
 * Checks features and fills in what is not given.
 * @throws TypeError with one line that names the wrong field
 */
export const parseFeatures = (options: FeatureOptions, defaults: LinkFeatures = ETHERNET): LinkFeatures => {
  for (const field of Object.keys(options)) {
    if (!(field in ETHERNET)) throw new TypeError(`${field} is no option of a link`)
  }
  const medium = options.medium ?? defaults.medium
  const mtu = options.mtu ?? defaults.mtu
  const maxSegmentedPacket = options.maxSegmentedPacket ?? defaults.maxSegmentedPacket
  const checksumOffload = options.checksumOffload ?? defaults.checksumOffload
  const fcs = options.fcs ?? defaults.fcs
  if (medium !== 'ethernet' && medium !== 'ip') throw new TypeError(`medium must be 'ethernet' or 'ip', not ${medium}`)
  if (!Number.isInteger(mtu) || mtu < LEAST_MTU || mtu > MOST_MTU) {
    throw new TypeError(`mtu must be a whole number from ${LEAST_MTU} to ${MOST_MTU}, not ${mtu}`)
  }
  if (!Number.isInteger(maxSegmentedPacket) || maxSegmentedPacket < 0 || maxSegmentedPacket > MAX_PACKET) {
    throw new TypeError(`maxSegmentedPacket must be a whole number from 0 to ${MAX_PACKET}, not ${maxSegmentedPacket}`)
  }
  if (typeof checksumOffload !== 'boolean') throw new TypeError('checksumOffload must be true or false')
  if (typeof fcs !== 'boolean') throw new TypeError('fcs must be true or false')
  if (maxSegmentedPacket > 0 && !checksumOffload) throw new TypeError('maxSegmentedPacket needs checksumOffload')
  if (fcs && medium === 'ip') throw new TypeError('fcs needs an Ethernet link')
  return { medium, mtu, maxSegmentedPacket, checksumOffload, fcs }
}

/** `features`, but for the offloads that are turned off. */
export const featuresWith = (features: LinkFeatures, fast: FastPaths): LinkFeatures => ({
  ...features,
  maxSegmentedPacket: fast['segmentation-offload'] ? features.maxSegmentedPacket : 0,
  checksumOffload: features.checksumOffload && fast['checksum-offload'],
})
