import { ping } from '../services/probe.ts'
import { connectTo, outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section N: settings by their Linux names. */

/** What the catalogue names. */
const NAMES: readonly string[] = [
  ...['somaxconn', 'netdev_max_backlog', 'rmem_default', 'rmem_max', 'wmem_default', 'wmem_max'].map(
    (name) => `net.core.${name}`,
  ),
  ...[
    'ip_forward',
    'ip_local_port_range',
    'ip_default_ttl',
    'ipfrag_time',
    'tcp_mem',
    'tcp_rmem',
    'tcp_wmem',
    'tcp_moderate_rcvbuf',
    'tcp_retries1',
    'tcp_retries2',
    'tcp_syn_retries',
    'tcp_synack_retries',
    'tcp_max_syn_backlog',
    'tcp_syncookies',
    'tcp_abort_on_overflow',
    'tcp_fin_timeout',
    'tcp_window_scaling',
    'tcp_sack',
    'tcp_dsack',
    'tcp_timestamps',
    'tcp_ecn',
    'tcp_tw_reuse',
    'tcp_keepalive_time',
    'tcp_keepalive_intvl',
    'tcp_keepalive_probes',
    'tcp_orphan_retries',
    'tcp_congestion_control',
    'tcp_slow_start_after_idle',
    'tcp_fastopen',
    'tcp_challenge_ack_limit',
  ].map((name) => `net.ipv4.${name}`),
]

/** Another value than a setting has, which it takes. */
const otherValue = (name: string, value: string): string => {
  if (name.endsWith('congestion_control')) return value === 'reno' ? 'cubic' : 'reno'
  const numbers = value.split(/\s+/).map(Number)
  // Ranges stay ranges.
  if (numbers.length > 1) return numbers.map((number) => number + 1).join('\t')
  return numbers[0] === 1 ? '0' : numbers[0] === 0 ? '1' : `${numbers[0]! - 1}`
}

const settings: Scenario = {
  name: 'settings',
  group: 'N',
  title: 'Settings by their Linux names, read and written while the stack runs',
  description:
    'Every setting that the catalogue names is read, set to another value, read again and set back. A name that is not there and a value that makes no sense are refused in one line. Then what two of them do: the TTL of packets, and the number of SYNs.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const { sysctl } = client
    const rows: string[][] = [['setting', 'value', 'another']]
    const stuck: string[] = []
    for (const name of NAMES.filter((known) => sysctl.names.includes(known))) {
      const before = sysctl.get(name)
      const other = otherValue(name, before)
      const result = await outcome(() => sysctl.set(name, other))
      const after = sysctl.get(name)
      rows.push([name, before.replaceAll('\t', ' '), after.replaceAll('\t', ' ')])
      if (typeof result === 'string' || after !== other) stuck.push(`${name}: ${other} is ${after}`)
      sysctl.set(name, before)
      if (sysctl.get(name) !== before) stuck.push(`${name} is not set back`)
    }
    lab.figure('sysctl', table(rows))
    await lab.step('Every setting of the catalogue, read, written and set back')
    lab.check(
      'settings that the catalogue names and this stack has not',
      NAMES.filter((name) => !sysctl.names.includes(name)),
      [],
    )
    lab.check('those that did not take another value, or did not go back', stuck, [])
    lab.note(`This stack has ${sysctl.names.length} settings in all.`)
    const refused = [
      await outcome(() => sysctl.set('net.ipv4.nonsense', '1')),
      await outcome(() => sysctl.set('net.ipv4.tcp_rmem', '1 2')),
      await outcome(() => sysctl.set('net.ipv4.tcp_congestion_control', 'nonsense')),
      await outcome(() => sysctl.set('net.ipv4.tcp_retries2', 'many')),
    ].map(String)
    for (const line of refused) lab.note(line)
    await lab.step('What is refused')
    lab.check(
      'each with one line',
      refused.map((line) => line.length > 20 && !line.includes('\n')),
      [true, true, true, true],
    )
    lab.check('tcp_rmem is as it was', sysctl.get('net.ipv4.tcp_rmem'), server.sysctl.get('net.ipv4.tcp_rmem'))

    const limits: unknown[] = []
    const pinger = lab.spawn(client, 'ping', async (sys) => {
      for (const ttl of ['64', '17']) {
        server.sysctl.set('net.ipv4.ip_default_ttl', ttl)
        const [reply] = await ping(sys, '10.0.0.2', { count: 1 })
        limits.push(typeof reply === 'object' && reply !== null ? reply.hopLimit : reply)
      }
    })
    await lab.until('ip_default_ttl: 64, then 17', () => !pinger.isAlive)
    lab.check('TTL of the answers', limits, [64, 17])

    client.sysctl.set('net.ipv4.tcp_syn_retries', '2')
    let code: unknown = ''
    const start = lab.network.now
    const program = lab.spawn(client, 'client', async (sys) => {
      code = await outcome(() => connectTo(sys, '10.0.0.2', 80))
    })
    lab.lose(link.cable.aToB)
    await lab.until('tcp_syn_retries = 2, and every SYN is lost', () => !program.isAlive)
    lab.check('connect() failed with, after seconds', [code, (lab.network.now - start) / 1000], ['ETIMEDOUT', 7])
    lab.check('SYNs', lab.segments(/^SYN/).length, 3)
    lab.check('the stack has more settings than the catalogue names', sysctl.names.length > NAMES.length, true)
  },
}

export const settingScenarios: readonly Scenario[] = [settings]
