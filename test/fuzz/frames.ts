import type { Random } from '../../src/core/random.ts'
import { type Kind, oneIn, pick } from './case.ts'
import { changedFrame, DESTINATIONS4, DESTINATIONS6, frame } from './frame-maker.ts'
import { FramePlay } from './frame-play.ts'

/**
 * Frames of every protocol, right, damaged or absurd, to a host with listeners, connections, datagram, raw and
 * multicast sockets on two interfaces and a VLAN, that forwards or does not.
 */

export interface FrameSetup {
  readonly seed: number
  readonly bsd: boolean
  /** The world's memory: so many times 64 KiB. */
  readonly pages: number
  readonly sysctl: Readonly<Record<string, number>>
  /** Does somebody answer the host when it asks for neighbours? */
  readonly answers: boolean
  readonly abrupt: boolean
}

export type FrameStep =
  | { readonly op: 'frame'; readonly on: number; readonly hex: string }
  | { readonly op: 'wait'; readonly time: number }
  | { readonly op: 'read' }
  | { readonly op: 'send'; readonly to: string; readonly length: number }
  | { readonly op: 'ping'; readonly to: string }
  | { readonly op: 'connect'; readonly to: string }
  | { readonly op: 'link'; readonly on: number; readonly up: boolean }
  | { readonly op: 'address'; readonly on: number; readonly prefix: string; readonly add: boolean }
  | { readonly op: 'group'; readonly group: string; readonly source: string | null; readonly join: boolean }

/** Settings that lead elsewhere, and the values that they get. */
const SYSCTLS: readonly (readonly [string, readonly number[]])[] = [
  ['net.ipv4.ip_forward', [1, 1, 1, 0]],
  ['net.ipv6.conf.all.forwarding', [1, 1, 0]],
  ['net.ipv6.conf.all.accept_ra', [0, 2]],
  ['net.ipv6.conf.all.dad_transmits', [0, 1]],
  ['net.ipv6.conf.all.accept_ra_rt_info_max_plen', [64]],
  ['net.ipv4.conf.all.rp_filter', [1, 2]],
  ['net.ipv4.conf.all.route_localnet', [1]],
  ['net.ipv4.conf.all.accept_local', [1]],
  ['net.ipv4.neigh.default.unres_qlen_bytes', [0, 3000]],
  ['net.ipv6.conf.all.keep_addr_on_down', [1]],
  ['net.ipv6.conf.all.addr_gen_mode', [2]],
  ['net.ipv4.conf.all.accept_redirects', [0, 1]],
  ['net.ipv4.conf.all.arp_ignore', [1, 2]],
  ['net.ipv4.conf.all.arp_announce', [1, 2]],
  ['net.ipv4.conf.all.arp_accept', [1]],
  ['net.ipv4.icmp_echo_ignore_broadcasts', [0]],
  ['net.ipv4.icmp_ratelimit', [0]],
  ['net.ipv4.ipfrag_high_thresh', [3000]],
  ['net.ipv6.ip6frag_high_thresh', [3000]],
  ['net.ipv4.neigh.default.gc_thresh3', [4]],
  ['net.ipv4.neigh.default.gc_thresh1', [1]],
  ['net.ipv6.conf.all.disable_ipv6', [1]],
  ['net.ipv4.tcp_syncookies', [2]],
  ['net.ipv4.tcp_ecn', [1]],
  ['net.ipv4.conf.all.force_igmp_version', [1, 2]],
  ['net.ipv6.conf.all.force_mld_version', [1]],
]

const ADDRESSES = [
  '10.9.0.77/24',
  '10.9.0.2/24',
  '172.16.0.1/16',
  'fd09::77/64',
  'fe80::77/64',
  'fd09::2/64',
  '10.9.0.3/32',
]
const GROUPS = ['239.1.2.3', '239.9.9.9', 'ff05::1:3', 'ff02::1234']

const step = (random: Random): FrameStep => {
  const what = random.below(60)
  if (what < 50) return { op: 'frame', on: oneIn(random, 10) ? 1 : 0, hex: frame(random) }
  if (what < 53)
    return {
      op: 'wait',
      time: pick(random, [1, 1000, 100_000, 1_500_000, 31_000_000, 100_000_000, random.below(5_000_000)]),
    }
  const to = pick(random, oneIn(random, 2) ? DESTINATIONS4 : DESTINATIONS6)
  switch (what) {
    case 53:
    case 54:
      return { op: 'read' }
    case 55:
      return {
        op: 'send',
        to: oneIn(random, 2) ? `10.9.0.${random.below(256)}` : to,
        length: pick(random, [0, 10, 1400, 3000, 60_000]),
      }
    case 56:
      return oneIn(random, 2) ? { op: 'ping', to } : { op: 'connect', to }
    case 57:
      return oneIn(random, 3)
        ? { op: 'link', on: random.below(2), up: !oneIn(random, 3) }
        : { op: 'address', on: random.below(2), prefix: pick(random, ADDRESSES), add: !oneIn(random, 3) }
    default:
      return {
        op: 'group',
        group: pick(random, GROUPS),
        source: oneIn(random, 3) ? '10.9.0.1' : null,
        join: !oneIn(random, 3),
      }
  }
}

export const frames: Kind<FrameSetup, FrameStep> = {
  name: 'frames',
  longest: 800,
  setup: (random) => ({
    seed: random.below(1_000_000),
    bsd: oneIn(random, 8),
    pages: pick(random, [16, 64, 64]),
    sysctl: Object.fromEntries(
      Array.from({ length: random.below(5) }, () => {
        const [name, values] = pick(random, SYSCTLS)
        return [name, pick(random, values)]
      }),
    ),
    answers: oneIn(random, 2),
    abrupt: oneIn(random, 2),
  }),
  step,
  tweak: (random, before) =>
    before.op === 'frame' ? { ...before, hex: changedFrame(random, before.hex) } : step(random),
  run(played, seen) {
    const play = new FramePlay(played.setup, seen)
    for (const [i, input] of played.steps.entries()) {
      seen.step = i
      play.take(input)
    }
    play.end()
  },
}
