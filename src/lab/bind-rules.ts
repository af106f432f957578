import type { Sys } from '../host/calls.ts'
import * as C from '../socket/constants.ts'
import { outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section G: who may bind what another has bound. */

const ADDRESSES: Readonly<Record<string, string>> = {
  '*': '0.0.0.0',
  A: '10.0.0.1',
  B: '10.0.0.3',
  '*6': '::',
  '*6 only': '::',
  A6: '2001:db8::1',
}

/** The first socket's address, the second one's, and whether they are in each other's way. */
const PAIRS: readonly (readonly [first: string, second: string, overlap: boolean])[] = [
  ['*', '*', true],
  ['*', 'A', true],
  ['A', '*', true],
  ['A', 'A', true],
  ['A', 'B', false],
  ['*', '*6', true],
  ['*', '*6 only', false],
  ['*6', 'A', true],
  ['A6', '*6', true],
  ['A6', '*', false],
]

type Sharing = 'neither' | 'REUSEADDR' | 'REUSEPORT'
const SHARING: readonly Sharing[] = ['neither', 'REUSEADDR', 'REUSEPORT']
const COMBINATIONS = SHARING.flatMap((first) => SHARING.map((second) => [first, second] as const))

/** What became of the first socket when the second one binds. */
const STATES = ['TCP, bound', 'TCP, listening', 'TCP, connected', 'TCP, in TIME_WAIT', 'UDP'] as const
type State = (typeof STATES)[number]

/**
 * The rule: addresses that overlap can be shared when both say so in
 * the same way; SO_REUSEADDR does not share a listener.
 */
const isAllowed = (state: State, overlap: boolean, first: Sharing, second: Sharing): boolean =>
  !overlap || (first === second && first !== 'neither' && !(state === 'TCP, listening' && first === 'REUSEADDR'))

const make = (sys: Sys, state: State, place: string, sharing: Sharing): number => {
  const isIpv6 = place.includes('6')
  const fd = sys.socket(isIpv6 ? C.AF_INET6 : C.AF_INET, state === 'UDP' ? C.SOCK_DGRAM : C.SOCK_STREAM)
  if (isIpv6) sys.setsockopt(fd, C.SOL_IPV6, C.IPV6_V6ONLY, Number(place === '*6 only'))
  if (sharing === 'REUSEADDR') sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
  if (sharing === 'REUSEPORT') sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEPORT, 1)
  return fd
}

/** Brings the first socket where the case wants it. @returns what has to be closed afterwards */
const bring = async (sys: Sys, state: State, fd: number, place: string, port: number): Promise<number[]> => {
  sys.bind(fd, { address: ADDRESSES[place]!, port })
  if (state === 'TCP, bound' || state === 'UDP') return [fd]
  sys.listen(fd, 1)
  if (state === 'TCP, listening') return [fd]
  // The listener goes; what it accepted stays, at the same address and port.
  const address = place === 'A6' ? '2001:db8::1' : '10.0.0.1'
  const client = sys.socket(place === 'A6' ? C.AF_INET6 : C.AF_INET, C.SOCK_STREAM)
  await sys.connect(client, { address, port })
  const connection = await sys.accept(fd)
  await sys.close(fd)
  if (state === 'TCP, connected') return [connection, client]
  await sys.close(connection)
  await sys.close(client)
  return []
}

/** Tries one case. @returns `yes`, or the error of bind(2) or listen(2) */
const attempt = async (
  sys: Sys,
  state: State,
  [first, second]: readonly [string, string, boolean],
  [firstSharing, secondSharing]: readonly [Sharing, Sharing],
  port: number,
): Promise<string> => {
  const one = make(sys, state, first, firstSharing)
  const open = await bring(sys, state, one, first, port)
  const two = make(sys, state, second, secondSharing)
  const result = await outcome(() => {
    sys.bind(two, { address: ADDRESSES[second]!, port })
    return state === 'TCP, listening' ? sys.listen(two, 1) : 0
  })
  for (const fd of [...open, two]) await sys.close(fd)
  return result === 0 ? 'yes' : `${result}`
}

const bindRules: Scenario = {
  name: 'bind-rules',
  group: 'G',
  title: 'Who may bind a port that another has: the whole table',
  description:
    'A host with the addresses A = 10.0.0.1, B = 10.0.0.3 and A6 = 2001:db8::1. One socket has a port; a second one binds the same port, on the same address, another one or the wildcard, each with SO_REUSEADDR, SO_REUSEPORT or neither. "*6" is the IPv6 wildcard, which takes IPv4 too, "*6 only" the one with IPV6_V6ONLY. Everything that is not allowed fails with EADDRINUSE. The figures are those of Linux 6.18, asked with the same calls.',
  async run(lab) {
    const host = lab.host('host', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
    const other = lab.host('other')
    lab.link(host, other, { addresses: [['10.0.0.1/24', '10.0.0.3/24', '2001:db8::1/64'], '10.0.0.9/24'] })
    let port = 20_000
    for (const state of STATES) {
      const wrong: string[] = []
      const rows: string[][] = [['first', 'second', ...COMBINATIONS.map(([a, b]) => `${short(a)}+${short(b)}`)]]
      const program = lab.spawn(host, 'binder', async (sys) => {
        for (const pair of PAIRS) {
          const row: string[] = [pair[0], pair[1]]
          for (const sharing of COMBINATIONS) {
            const result = await attempt(sys, state, pair, sharing, ++port)
            row.push(result === 'yes' ? 'yes' : '-')
            const expected = isAllowed(state, pair[2], ...sharing) ? 'yes' : 'EADDRINUSE'
            if (result !== expected) wrong.push(`${pair[0]} ${pair[1]} ${sharing}: ${result}`)
          }
          rows.push(row)
        }
      })
      await lab.quietly(() => !program.isAlive)
      lab.figure(`First socket: ${state}. May the second one bind?`, table(rows))
      await lab.step(state)
      lab.check(`${state}: of ${PAIRS.length * COMBINATIONS.length} cases, those that are not as on Linux`, wrong, [])
      const allowed = rows
        .slice(1)
        .flat()
        .filter((cell) => cell === 'yes').length
      lab.check(`${state}: cases that are allowed`, allowed, state === 'TCP, listening' ? 34 : 41)
    }
  },
}

const short = (sharing: Sharing): string => (sharing === 'neither' ? '0' : sharing === 'REUSEADDR' ? 'addr' : 'port')

export const bindScenarios: readonly Scenario[] = [bindRules]
