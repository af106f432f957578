import { expect, test } from 'vitest'
import { IP_SETTING_NAMES, IP_SYSCTLS, interfaceSettings, ipSettings } from './settings.ts'

test('the defaults are those of Linux', () => {
  const settings = ipSettings()
  const expected: Record<string, number> = {
    'net.ipv4.ip_forward': 0,
    'net.ipv4.ip_default_ttl': 64,
    'net.ipv4.ipfrag_time': 30,
    'net.ipv4.ipfrag_high_thresh': 4_194_304,
    'net.ipv6.ip6frag_time': 60,
    'net.ipv4.route.min_pmtu': 552,
    'net.ipv4.route.mtu_expires': 600,
    'net.ipv4.icmp_ratelimit': 1000,
    'net.ipv6.icmp.ratelimit': 100,
    'net.ipv4.icmp_ratemask': 6168,
    'net.ipv4.icmp_msgs_per_sec': 1000,
    'net.ipv4.icmp_echo_ignore_broadcasts': 1,
    'net.ipv4.neigh.default.gc_thresh3': 1024,
    'net.ipv4.neigh.default.unres_qlen_bytes': 212_992,
    'net.ipv4.neigh.default.base_reachable_time_ms': 30_000,
    'net.ipv6.conf.all.dad_transmits': 1,
    'net.ipv6.conf.default.accept_ra': 1,
    'net.core.netdev_max_backlog': 1000,
    'net.ipv4.igmp_max_memberships': 20,
  }
  for (const [name, value] of Object.entries(expected)) {
    expect([name, settings[IP_SYSCTLS[name]!.field]]).toEqual([name, value])
  }
})

test('every name leads to a field, whose default is in range', () => {
  const settings = ipSettings()
  for (const [name, { field, min, max }] of Object.entries(IP_SYSCTLS)) {
    expect(typeof settings[field], name).toBe('number')
    expect(settings[field], name).toBeGreaterThanOrEqual(min)
    expect(settings[field], name).toBeLessThanOrEqual(max)
  }
  const named = new Set(Object.values(IP_SYSCTLS).map(({ field }) => field))
  expect(IP_SETTING_NAMES.filter((field) => !named.has(field))).toEqual([])
})

test('overrides replace defaults', () => {
  const settings = ipSettings({ ip_forward: 1 })
  expect([settings.ip_forward, settings.ip_default_ttl]).toEqual([1, 64])
})

test("an interface's are the host's until they are set, and then concern no other", () => {
  const host = ipSettings({ ip_forward: 1 })
  const [first, second] = [interfaceSettings(host), interfaceSettings(host)]
  expect([first.ip_forward, first.rp_filter]).toEqual([1, 0])
  first.rp_filter = 2
  host.ip_forward = 0
  expect([host.rp_filter, first.rp_filter, second.rp_filter, first.ip_forward]).toEqual([0, 2, 0, 0])
  first.ip_forward = 0
  host.ip_forward = 1
  expect([host.ip_forward, first.ip_forward, second.ip_forward]).toEqual([1, 0, 1])
})
