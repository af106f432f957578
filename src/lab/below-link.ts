import type { Host } from '../host/host.ts'
import { ping } from '../services/probe.ts'
import type { NetworkLink } from '../sim/network.ts'
import * as C from '../socket/constants.ts'
import { formatIpv4, formatMac, ip } from '../wire/address.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'
import { dropName } from '../wire/drop.ts'
import { etherTypeName, readMac } from '../wire/ethernet.ts'
import { datagramName } from '../wire/udp.ts'
import type { Lab } from './lab.ts'
import { outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section L: frames, and what interfaces count. */

/** What was seen of a frame. */
interface Seen {
  readonly at: number
  readonly text: string
}

/** Notes the frames that pass one end of a link, as they lie on it. */
const watch = (lab: Lab, link: NetworkLink, host: Host): Seen[] => {
  const seen: Seen[] = []
  const decoded = new DecodedFrame()
  link.cable.a.taps.push({
    frame: (frame, outgoing) => {
      const { memory } = host.world
      decodeFrame(decoded, memory, frame.start, frame.end, 'ethernet')
      const mac = (at: number): string => formatMac(readMac(memory, at))
      const { arp, udp, layer, ethernet } = decoded
      if (layer !== 'arp' && layer !== 'icmp' && layer !== 'udp') return
      const tag = ethernet.tags > 0 ? `vlan ${ethernet.vlan.id}, ` : ''
      const what =
        layer === 'arp'
          ? arpText(arp.operation, formatIpv4(arp.senderIp), formatIpv4(arp.targetIp))
          : layer === 'udp'
            ? datagramName(udp)
            : layer
      const ends = `${mac(frame.start + 6)} > ${mac(frame.start)}`
      seen.push({ at: lab.network.now, text: `${outgoing ? 'out' : 'in'} ${ends} ${tag}${what}` })
    },
  })
  return seen
}

const arpText = (operation: number, sender: string, target: string): string =>
  operation === 1 ? `ARP who has ${target}, tell ${sender}` : `ARP ${sender} is here`

/** Two hosts whose neighbours nobody has made known to them. */
const strangers = (lab: Lab, fcs = false) => {
  const client = lab.host('client')
  const server = lab.host('server')
  const link = lab.network.link(client, server, { delay: 1, fcs, addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
  return { client, server, link, seen: watch(lab, link, client) }
}

const ethernet: Scenario = {
  name: 'ethernet',
  group: 'L',
  title: 'Frames: addresses, EtherType, FCS, VLANs, and ARP that finds neighbours',
  description:
    'The first packet to a neighbour waits for ARP: a broadcast asks who has the address, and the answer is kept. After some time it is stale; the next use confirms it by a question to that host alone. A host that is not there is asked for three times. A second host that claims an address is noticed. A tagged frame (802.1Q) belongs to a subinterface. A frame with a wrong check sequence is thrown away.',
  async run(lab) {
    const { client, server, link, seen } = strangers(lab, true)
    const echo = async (address: string): Promise<unknown> => {
      let result: unknown
      const process = lab.spawn(client, 'ping', async (sys) => {
        const [reply] = await ping(sys, address, { count: 1 })
        result = typeof reply === 'object' && reply !== null ? 'answer' : reply
      })
      await lab.quietly(() => !process.isAlive)
      return result
    }
    const show = (title: string, from: number): Promise<void> => {
      lab.figure(
        'Frames at the client',
        seen
          .slice(from)
          .map(({ at, text }) => `${at.toFixed(3).padStart(10)} ms  ${text}`)
          .join('\n'),
      )
      return lab.step(title)
    }
    lab.show(client, 'ip neigh')
    lab.check('ping', await echo('10.0.0.2'), 'answer')
    await show('The first packet', 0)
    const kinds = (from = 0) => seen.slice(from).map(({ text }) => text.split(' ').slice(4).join(' '))
    lab.check('frames', kinds(), ['ARP who has 10.0.0.2, tell 10.0.0.1', 'ARP 10.0.0.2 is here', 'icmp', 'icmp'])
    lab.check('the question goes to everybody', seen[0]!.text.includes('> ff:ff:ff:ff:ff:ff'), true)
    lab.check('the neighbour is', lab.toolOn(client, 'ip neigh').trim().split(' ').at(-1), 'REACHABLE')
    let from = seen.length
    await echo('10.0.0.2')
    await show('The second one', from)
    lab.check('frames', kinds(from), ['icmp', 'icmp'])
    await lab.pass(60_000, 'A minute later')
    lab.check('the neighbour is', lab.toolOn(client, 'ip neigh').trim().split(' ').at(-1), 'STALE')
    from = seen.length
    await echo('10.0.0.2')
    await lab.quietly(() => false, 6000)
    await show('Used again: five seconds later it is asked whether it is there', from)
    const probes = seen
      .slice(from)
      .filter(({ text }) => text.startsWith('out') && text.includes('ARP who has 10.0.0.2'))
    lab.check(
      'questions, and do they go to that host alone',
      [probes.length, probes.every(({ text }) => !text.includes('ff:ff:ff'))],
      [1, true],
    )
    from = seen.length
    lab.check('ping a host that is not there', await echo('10.0.0.77'), null)
    await lab.quietly(() => false, 3000)
    await show('Nobody has 10.0.0.77', from)
    lab.check(
      'questions, a second apart',
      seen.slice(from).filter(({ text }) => text.includes('who has 10.0.0.77')).length,
      3,
    )

    const address = { address: ip('10.0.0.50'), length: 24 }
    client.ip.interfaceNamed('eth0')!.addAddress(address, { probe: true })
    from = seen.length
    await lab.quietly(() => client.ip.isLocal(address.address))
    await lab.quietly(() => false, 3000)
    await show('The client takes 10.0.0.50: it asks first, and then announces', from)
    lab.check(
      'probes, from no address',
      seen.slice(from).filter(({ text }) => text.includes('who has 10.0.0.50, tell 0.0.0.0')).length,
      3,
    )
    const conflicts: string[] = []
    server.ip.onAddressChange = (entry, change) => {
      if (change === 'conflict') conflicts.push(`${entry.address}`)
    }
    server.ip.interfaceNamed('eth0')!.addAddress(address, { probe: true })
    await lab.pass(10_000, 'The server wants 10.0.0.50, too')
    lab.check('it has found that somebody has it', conflicts, ['10.0.0.50'])
    lab.check('so it does not use it', server.ip.isLocal(address.address), false)

    const left = client.ip.addVlan(link.a, 5)
    left.addAddress({ address: ip('10.5.0.1'), length: 24 })
    server.ip.addVlan(link.b, 5).addAddress({ address: ip('10.5.0.2'), length: 24 })
    from = seen.length
    lab.check('ping over VLAN 5', await echo('10.5.0.2'), 'answer')
    await show('A subinterface: every frame is tagged', from)
    lab.check(
      'frames with the tag, of all',
      seen.slice(from).filter(({ text }) => text.includes('vlan 5')).length,
      seen.length - from,
    )
    const storage = lab.spawn(client, 'storage', async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      await sys.sendto(fd, 'read', 4, 0, { address: '10.0.0.2', port: 4791 })
    })
    await lab.quietly(() => !storage.isAlive)
    link.cable.bToA.impair({ delay: 1, corrupt: 1 })
    from = client.ip.interfaceNamed('eth0')!.statistics.rxErrors
    await echo('10.0.0.2')
    await lab.step('Every frame from the server is damaged')
    lab.check('errors counted', client.ip.interfaceNamed('eth0')!.statistics.rxErrors > from, true)

    const types = [0x0800, 0x0806, 0x8100, 0x86dd, 0x8906, 0x8914, 0x8915].map((type) => [
      `0x${type.toString(16).padStart(4, '0')}`,
      etherTypeName(type),
    ])
    lab.figure('EtherTypes by name', table(types))
    await lab.step('What the decoder knows')
    lab.check(
      'names',
      types.map(([, name]) => name),
      ['IPv4', 'ARP', '802.1Q', 'IPv6', 'FCoE', 'FIP', 'RoCE'],
    )
    lab.check('a datagram to port 4791', seen.filter(({ text }) => text.endsWith(' RoCEv2')).length, 1)
  },
}

const counters: Scenario = {
  name: 'counters',
  group: 'L',
  title: 'What interfaces count: errors, drops, overruns; a ring and a backlog that overflow',
  description:
    'A server needs 100 microseconds for a packet; they come every 10. Its receive ring takes 256 frames, then it overflows: the frames are gone, and counted. On the loopback the same is netdev_max_backlog. A damaged frame is an error. `netstat -i` shows all of it.',
  async run(lab) {
    const client = lab.host('client')
    const server = lab.host('server')
    const link = lab.link(client, server, { delay: 1, fcs: true })
    lab.show(server, 'netstat -i')
    const flood = (host: Host, address: string, count: number): Promise<void> => {
      const process = lab.spawn(host, 'flood', async (sys) => {
        const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
        for (let i = 0; i < count; i++) {
          await outcome(() => sys.sendto(fd, 'x', 1, C.MSG_DONTWAIT, { address, port: 9 }))
          if (i % 10 === 9) await sys.usleep(100)
        }
      })
      return lab.quietly(() => !process.isAlive).then(() => {})
    }
    const sink = lab.spawn(server, 'sink', async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      sys.bind(fd, { address: '0.0.0.0', port: 9 })
      for (;;) await sys.recv(fd, new Uint8Array(100))
    })
    const eth = server.ip.interfaceNamed('eth0')!
    const { statistics } = eth
    await flood(client, '10.0.0.2', 100)
    await lab.pass(100, '100 datagrams, and a server that has time')
    lab.check('received, dropped', [statistics.rxPackets, statistics.rxDropped], [100, 0])
    server.ip.processor.packetTime = 100
    eth.ringSize = 256
    await flood(client, '10.0.0.2', 1000)
    await lab.pass(1000, '1,000 datagrams, ten in a hundred microseconds, and a server that needs as long for one')
    const lost = statistics.rxOverruns
    lab.check('all of them came to the interface', statistics.rxPackets, 1100)
    lab.check('overruns: the ring was full', lost > 500 && lost < 800, true)
    lab.check('datagrams that the program got', server.ip.mib.udp.InDatagrams, 1100 - lost)
    lab.check(
      'RX-OVR of netstat -i',
      lab.toolOn(server, 'netstat -i').match(/^eth0 +\d+ +\d+ +\d+ +\d+ +(\d+)/m)?.[1],
      `${lost}`,
    )

    server.sysctl.set('net.core.netdev_max_backlog', '50')
    const before = server.ip.processor.dropped
    await flood(server, '127.0.0.1', 1000)
    await lab.pass(1000, '1,000 datagrams to itself, with netdev_max_backlog = 50')
    lab.check('dropped by the backlog', server.ip.processor.dropped - before > 500, true)

    server.ip.processor.packetTime = 0
    link.cable.aToB.impair({ delay: 1, corrupt: 1 })
    const errors = statistics.rxErrors
    await flood(client, '10.0.0.2', 20)
    await lab.pass(100, '20 frames that are damaged on the way')
    lab.check('errors', statistics.rxErrors - errors, 20)
    lab.note(`The reasons why packets were dropped: ${reasons(server).join(', ')}`)
    await lab.step('At the end')
    sink.exit(0)
  },
}

/** Why a host has dropped packets, and how many. */
const reasons = (host: Host): string[] =>
  [...host.ip.mib.drops].flatMap((count, reason) => (count > 0 ? [`${dropName(reason)} ${count}`] : []))

export const linkScenarios: readonly Scenario[] = [ethernet, counters]
