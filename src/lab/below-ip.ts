import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import { type Hop, type PingReply, ping, traceroute } from '../services/probe.ts'
import * as C from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import type { Lab } from './lab.ts'
import { outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section L: IP, both versions, over routers. */

/** Runs a program to its end: a step. @returns what it gives */
const ask = async <T>(lab: Lab, title: string, host: Host, body: (sys: Sys) => Promise<T>): Promise<T> => {
  let result: T | undefined
  const process = lab.spawn(host, 'client', async (sys) => {
    result = await body(sys)
  })
  await lab.until(title, () => !process.isAlive)
  return result as T
}

const replyText = (reply: PingReply | string | null): string =>
  reply === null
    ? 'no answer'
    : typeof reply === 'string'
      ? reply
      : `${reply.from} ttl ${reply.hopLimit} ${reply.time} ms`

const kindOf = (reply: PingReply | string | null): string =>
  reply === null ? 'nothing' : typeof reply === 'string' ? 'error' : 'answer'

const hopText = (hop: Hop | null): string => (hop === null ? '*' : `${hop.address} ${hop.time} ms`)

/** A host, three routers in a row, a host; 5 ms a link. */
const chain = (lab: Lab, mtu = 1500) => {
  const client = lab.host('client', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
  const routers = [1, 2, 3].map((number) => lab.router(`router-${number}`))
  const server = lab.host('server', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
  const hosts = [client, ...routers, server]
  for (const host of hosts) host.sysctl.set('net.ipv6.conf.all.dad_transmits', '0')
  const links = hosts.slice(1).map((host, i) =>
    lab.link(hosts[i]!, host, {
      delay: 5,
      ...(i === 2 ? { mtu } : {}),
      addresses: [
        [`10.0.${i}.1/24`, `2001:db8:${i}::1/64`],
        [`10.0.${i}.2/24`, `2001:db8:${i}::2/64`],
      ],
    }),
  )
  lab.network.computeRoutes()
  return { client, routers, server, links }
}

const ipv4: Scenario = {
  name: 'ipv4',
  group: 'L',
  title: 'IPv4 across three routers: ping, traceroute, and what routers say',
  description:
    'A packet has a TTL, which each router lessens by one; at 0 the router drops it and answers with "time exceeded". traceroute sends datagrams with TTL 1, 2, 3 … and so hears of each router; the destination answers "port unreachable". Routers choose by the longest prefix that fits. Where no route fits, they answer "network unreachable"; where nobody has the address, "host unreachable"; where a packet that may not be cut does not fit, "fragmentation needed".',
  async run(lab) {
    const { client, routers, links } = chain(lab, 1000)
    lab.show(routers[0]!, 'ip route')
    const replies = await ask(lab, 'ping the other end', client, async (sys) => {
      const found = await ping(sys, '10.0.3.2', { count: 3 })
      for (const reply of found) sys.print(replyText(reply))
      return found
    })
    lab.check('four links each way, three routers', replies.map(replyText), new Array(3).fill('10.0.3.2 ttl 61 40 ms'))
    lab.hide(routers[0]!)
    const hops = await ask(lab, 'traceroute', client, async (sys) => {
      const found = await traceroute(sys, '10.0.3.2')
      found.forEach((hop, index) => {
        sys.print(`${index + 1}  ${hopText(hop)}`)
      })
      return found
    })
    lab.check('hops', hops.map(hopText), ['10.0.0.2 10 ms', '10.0.1.2 20 ms', '10.0.2.2 30 ms', '10.0.3.2 40 ms'])
    const short = await ask(lab, 'ping with a TTL of 2', client, (sys) =>
      ping(sys, '10.0.3.2', { count: 1, hopLimit: 2 }),
    )
    lab.check('the second router says time exceeded (type 11)', short, ['type 11 code 0 from 10.0.1.2'])

    routers[0]!.ip.routes.add({
      prefix: prefix('10.0.3.128', 25),
      interface: links[0]!.b,
      gateway: prefix('10.0.0.1', 32).address,
    })
    const longest = routers[0]!.ip.resolve(prefix('10.0.3.200', 32).address)
    const shorter = routers[0]!.ip.resolve(prefix('10.0.3.2', 32).address)
    const via = (way: typeof longest) => (typeof way === 'number' ? '' : way.interface.name)
    await lab.step('Another route: 10.0.3.128/25 goes back to the client')
    lab.check('10.0.3.200 and 10.0.3.2 leave the first router by', [via(longest), via(shorter)], ['eth0', 'eth1'])
    const nowhere = await ask(lab, 'ping a network that the third router does not know', client, (sys) => {
      client.ip.routes.add({
        prefix: prefix('192.0.2.0', 24),
        interface: links[0]!.a,
        gateway: prefix('10.0.0.2', 32).address,
      })
      return ping(sys, '192.0.2.1', { count: 1 })
    })
    lab.check('the first router says network unreachable (type 3, code 0)', nowhere, ['type 3 code 0 from 10.0.0.2'])
    const nobody = await ask(lab, 'ping an address of the last network that nobody has', client, (sys) =>
      ping(sys, '10.0.3.77'),
    )
    const said = 'the third router asks who has it for three seconds, and says host unreachable (type 3, code 1)'
    lab.check(said, nobody, [null, null, null, 'type 3 code 1 from 10.0.2.2'])
    const large = await ask(lab, 'A datagram of 1,200 bytes that may not be cut', client, async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      sys.setsockopt(fd, C.SOL_IP, C.IP_MTU_DISCOVER, C.IP_PMTUDISC_DO)
      await sys.connect(fd, { address: '10.0.3.2', port: 9 })
      const first = await sys.send(fd, new Uint8Array(1200))
      await sys.usleep(100_000)
      const second = await outcome(() => sys.send(fd, new Uint8Array(1200)))
      return [first, second, sys.getsockopt(fd, C.SOL_IP, C.IP_MTU)]
    })
    lab.check('the first send(), the second one, and the path MTU', large, [1200, 'EMSGSIZE', 1000])
    lab.check('the second router said so', lab.segments(/fragmentation needed/)[0]?.from, 'router-2')
    const forwarded = routers.map(({ ip }) => ip.mib.ip.ForwDatagrams)
    lab.figure(
      'Counters of the routers',
      table([['router', 'forwarded'], ...forwarded.map((count, i) => [i + 1, count])]),
    )
    await lab.step('At the end')
    lab.check('the first router has forwarded more than the last', forwarded[0]! > forwarded[2]!, true)
  },
}

const prefix = (text: string, length: number) => ({ address: ip(text), length })

const ipv6: Scenario = {
  name: 'ipv6',
  group: 'L',
  title: 'IPv6: addresses that make themselves, neighbours, and packets too big',
  description:
    'A host is plugged into a router’s link. It makes a link-local address, asks whether somebody has it (duplicate address detection), asks for routers, and from the router’s prefix makes a global address (SLAAC). Neighbours are found by solicitation. Then ping and traceroute across three routers; the middle link carries 1,280 bytes, routers cut nothing: "packet too big", and the sender sends fragments.',
  async run(lab) {
    const router = lab.router('gateway')
    const fresh = lab.host('fresh')
    lab.link(router, fresh, { delay: 1, addresses: ['2001:db8:9::1/64', []] })
    router.ip.interfaceNamed('eth0')!.ndp.advertise({ prefixes: [{ prefix: prefix('2001:db8:9::', 64) }] })
    lab.show(fresh, 'ip -6 addr')
    const eth = fresh.ip.interfaceNamed('eth0')!
    const addresses = () => eth.addresses.filter(({ address }) => !address.isIpv4)
    await lab.pass(100, 'A tenth of a second after it was plugged in')
    lab.check(
      'its addresses are tentative',
      addresses().some((entry) => !entry.isUsable),
      true,
    )
    await lab.until('It has a global address', () =>
      addresses().some(({ address, isUsable }) => isUsable && !address.isLinkLocal),
    )
    const own = addresses().find(({ address }) => !address.isLinkLocal)!
    lab.check('of the router’s prefix', `${own.address}`.startsWith('2001:db8:9:'), true)
    lab.hide(fresh)
    const [reply] = await ask(lab, 'ping the router', fresh, (sys) => ping(sys, '2001:db8:9::1', { count: 1 }))
    lab.check('it answers', typeof reply === 'object' && reply !== null ? reply.from : reply, '2001:db8:9::1')
    lab.check('neighbours of the host', lab.toolOn(fresh, 'ip -6 neigh').includes('2001:db8:9::1'), true)

    const { client, links } = chain(lab, 1280)
    const replies = await ask(lab, 'ping across three routers', client, (sys) =>
      ping(sys, '2001:db8:3::2', { count: 2 }),
    )
    lab.check(
      'hop limit and time',
      replies.map((one) => (typeof one === 'object' && one !== null ? [one.hopLimit, one.time] : one)).at(-1),
      [61, 40],
    )
    const hops = await ask(lab, 'traceroute', client, (sys) => traceroute(sys, '2001:db8:3::2'))
    lab.note(hops.map((hop, index) => `${index + 1}: ${hopText(hop)}`).join('   '))
    lab.check(
      'hops',
      hops.map((hop) => hop?.address),
      ['2001:db8:0::2', '2001:db8:1::2', '2001:db8:2::2', '2001:db8:3::2'].map((text) => `${ip(text)}`),
    )
    const before = lab.segments(/packet too big/).length
    const big = await ask(
      lab,
      'ping with 1,400 bytes: the first is too big, then the first answer is; the third arrives',
      client,
      (sys) => ping(sys, '2001:db8:3::2', { count: 3, size: 1400 }),
    )
    lab.check('an error, nothing, an answer', big.map(kindOf), ['error', 'nothing', 'answer'])
    lab.check(
      '"packet too big" passed two links to the client and one to the server',
      lab.segments(/packet too big/).length - before,
      3,
    )
    const path = client.ip.paths.list().find(({ address }) => address === '2001:db8:3::2')
    lab.check('the path MTU', path?.mtu, 1280)
    lab.check('links of the chain', links.length, 4)
  },
}

export const ipScenarios: readonly Scenario[] = [ipv4, ipv6]
