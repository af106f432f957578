import { describe, expect, test } from 'vitest'
import { buildNetwork, type NetworkFile } from './network-file.ts'

const hosts = { a: {}, b: {} }

describe('a network file', () => {
  test('names, addresses and what lies between', () => {
    const { network, addressesOf, nameOf } = buildNetwork({
      seed: 7,
      hosts: { a: {}, r: { router: true }, b: { sysctl: { 'net.ipv4.tcp_sack': 0 } } },
      links: [{ between: ['a', 'r'], delay: 5 }, { between: ['r', 'b'] }],
      names: { 'DB.example': ['10.9.9.9', 'fd00::9'] },
    })
    expect(network.seed).toBe(7)
    expect(network.host('b').sysctl.get('net.ipv4.tcp_sack')).toBe('0')
    expect(addressesOf('db.example')).toEqual(['10.9.9.9', 'fd00::9'])
    expect(nameOf(addressesOf('b')![0]!)).toBe('b')
    expect(
      network
        .host('a')
        .ip.routes.list(4)
        .some(({ gateway }) => gateway !== null),
    ).toBe(true)
    network.close()
  })

  test.each<[unknown, string]>([
    [[], 'a network is a JSON object with "hosts" and "links"'],
    [{ host: {} }, 'a network has no "host": it may have seed, hosts, links, names'],
    [{ hosts: 3 }, '"hosts" names them: {"hosts": {"a": {}, "b": {}}}'],
    [{ hosts, seed: 'x' }, '"seed" is a whole number from 0 on'],
    [{ hosts: { a: null } }, 'the host a is an object, like {} or {"router": true}'],
    [{ hosts: { a: { ruoter: true } } }, 'the host a has no "ruoter": it may have sysctl, router, run'],
    [{ hosts: { a: { sysctl: { tcp_sack: 1 } } } }, 'the host a: there is no setting tcp_sack, but net.ipv4.tcp_sack'],
    [{ hosts, links: {} }, '"links" is a list: {"links": [{"between": ["a", "b"]}]}'],
    [{ hosts, links: [['a', 'b']] }, 'a link has two ends: {"between": ["a", "b"]}'],
    [{ hosts, links: [{ between: ['a', 'c'] }] }, 'a link ends at c, which is no host'],
    [
      { hosts, links: [{ between: ['a', 'b'], loss: 2 }] },
      'the link between a and b: impairment.loss must be a fraction from 0 to 1, not 2',
    ],
    [{ hosts, names: { db: 'nowhere' } }, 'the name db has no address nowhere: write one like 10.0.0.2'],
  ])('%j', (file, message) => {
    expect(() => buildNetwork(file as NetworkFile)).toThrow(new TypeError(message))
  })
})
