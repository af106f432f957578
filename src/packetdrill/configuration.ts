import type { Micros } from '../core/clock.ts'
import { type IpAddress, ip, parseIpAddress } from '../wire/address.ts'
import { ScriptError, type ScriptFlag, Unsupported } from './script.ts'

/**
 * What a run is set up with: addresses, ports and tolerances, from the options of the run and the flags of the script.
 */

export const IP_VERSIONS = ['ipv4', 'ipv4-mapped-ipv6', 'ipv6'] as const

/** Which addresses programs and packets have: mapped is an IPv6 socket that speaks IPv4. */
export type IpVersion = (typeof IP_VERSIONS)[number]

/** What a script is run with. */
export interface Configuration {
  readonly ipVersion: IpVersion
  /** Of the host under test, with its prefix length, and of the peer that the script plays. */
  readonly local: IpAddress
  readonly prefixLength: number
  readonly remote: IpAddress
  readonly bindPort: number
  readonly connectPort: number
  readonly mtu: number
  /** Inbound packets with more payload than this count as so many segments (GRO); 0 for as one. */
  readonly mss: number
  /** How far off a time may be: the greater of this and a share of the time since the event before. */
  readonly toleranceMicros: Micros
  readonly tolerancePercent: number
  /** Outbound packets are not added up: each must be of the length that the script says. */
  readonly strictSegments: boolean
  /** Unit of outbound timestamps, microseconds; 0 when their values are not compared. */
  readonly timestampTick: Micros
  /** Inbound timestamp echoes that answer no outbound value go by the difference to the first one. */
  readonly scaledEchoes: boolean
}

/** The address family of the packets. */
const packetVersion = ({ ipVersion }: Configuration): 4 | 6 => (ipVersion === 'ipv6' ? 6 : 4)

const IPV4: Configuration = {
  ipVersion: 'ipv4',
  local: ip('192.168.0.1'),
  prefixLength: 16,
  remote: ip('192.0.2.1'),
  bindPort: 8080,
  connectPort: 8080,
  mtu: 1500,
  mss: 0,
  toleranceMicros: 4000,
  tolerancePercent: 12.5,
  strictSegments: false,
  timestampTick: 0,
  scaledEchoes: false,
}

/** The suite's own defaults for a version: with an MTU of 1520 an IPv6 segment carries as much as an IPv4 one. */
const DEFAULTS: Readonly<Record<IpVersion, Configuration>> = {
  ipv4: IPV4,
  'ipv4-mapped-ipv6': { ...IPV4, ipVersion: 'ipv4-mapped-ipv6' },
  ipv6: {
    ...IPV4,
    ipVersion: 'ipv6',
    local: ip('fd3d:a0b:17d6::1'),
    prefixLength: 48,
    remote: ip('fd3d:fa7b:d17d::1'),
    mtu: 1520,
  },
}

/** The peer's address over IPv6 when nobody says anything. */
const TOOL_REMOTE = ip('2001:db8::1')

/** What stands for names in the suite's scripts, unless -D says otherwise. */
export const SUITE_DEFINITIONS: Readonly<Record<IpVersion, Readonly<Record<string, string>>>> = {
  ipv4: {
    TFO_COOKIE: '3021b9d889017eeb',
    CODE: 'host_unreachable',
    CMSG_LEVEL_IP: 'SOL_IP',
    CMSG_TYPE_RECVERR: 'IP_RECVERR',
  },
  'ipv4-mapped-ipv6': {
    TFO_COOKIE: '3021b9d889017eeb',
    CODE: 'host_unreachable',
    CMSG_LEVEL_IP: 'SOL_IPV6',
    CMSG_TYPE_RECVERR: 'IPV6_RECVERR',
  },
  ipv6: {
    TFO_COOKIE: 'c1d1e9742a47a9bc',
    CODE: 'address_unreachable',
    CMSG_LEVEL_IP: 'SOL_IPV6',
    CMSG_TYPE_RECVERR: 'IPV6_RECVERR',
  },
}

/** The address version that a script insists on; null when any will do. */
export const demandedVersion = (flags: readonly ScriptFlag[]): string | null =>
  flags.find(({ name }) => name === 'ip_version')?.value ?? null

/**
 * The configuration of a run: the version's defaults, and what flags change, the last of a name counting.
 * @throws ScriptError for flags that make no sense, Unsupported for those that are not known here
 */
export const configure = (ipVersion: IpVersion, flags: readonly ScriptFlag[]): Configuration => {
  let configuration = DEFAULTS[ipVersion]
  const names = flags.map(({ name }) => name)
  // A script with an address of its own is not set up for the suite's
  // peer, but for the one that the tool has by itself.
  if (ipVersion === 'ipv6' && names.includes('local_ip') && !names.includes('remote_ip')) {
    configuration = { ...configuration, remote: TOOL_REMOTE }
  }
  for (const flag of flags) configuration = { ...configuration, ...readFlag(flag, configuration) }
  return configuration
}

const readFlag = (flag: ScriptFlag, configuration: Configuration): Partial<Configuration> => {
  switch (flag.name) {
    case 'ip_version':
    case 'gateway_ip':
    case 'netmask_ip':
    case 'speed':
    case 'send_omit_free':
      // The interface has one route to everywhere, and no speed; buffers of calls are never freed.
      return {}
    case 'local_ip': {
      const address = addressOf(flag, configuration)
      return address === null ? {} : { local: address }
    }
    case 'remote_ip': {
      const address = addressOf(flag, configuration)
      return address === null ? {} : { remote: address }
    }
    case 'bind_port':
      return { bindPort: numberOf(flag) }
    case 'connect_port':
      return { connectPort: numberOf(flag) }
    case 'mtu':
      return { mtu: numberOf(flag) }
    case 'mss':
      return { mss: numberOf(flag) }
    case 'tolerance_usecs':
      return { toleranceMicros: numberOf(flag) }
    case 'tolerance_percent':
      return { tolerancePercent: numberOf(flag) }
    case 'tcp_ts_tick_usecs':
      return { timestampTick: numberOf(flag) }
    case 'tcp_ts_ecr_scaled':
      return { scaledEchoes: true }
    case 'strict_segments':
      return { strictSegments: true }
    default:
      throw new Unsupported(`--${flag.name}`)
  }
}

/** An address; null for one of the other family, which is meant for another run of the same script. */
const addressOf = ({ name, value }: ScriptFlag, configuration: Configuration): IpAddress | null => {
  const address = parseIpAddress((value ?? '').replace(/\/\d+$/, ''))
  if (address === undefined) throw new ScriptError(1, `--${name}=${value}: ${value} is no address`)
  return address.isIpv4 === (packetVersion(configuration) === 4) ? address : null
}

const numberOf = ({ name, value }: ScriptFlag): number => {
  const number = Number(value ?? Number.NaN)
  if (!(number >= 0)) throw new ScriptError(1, `--${name}=${value}: ${value} is no number`)
  return number
}
