import type { Sys } from '../host/calls.ts'
import type { Host } from '../host/host.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, SO_REUSEADDR, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET } from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import { ETHERNET_HEADER } from '../wire/ethernet.ts'
import type { Lab } from './lab.ts'
import { outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section H: large datagrams, and datagrams for many. */

const PORT = 5050
const GROUP = '239.1.2.3'

/** Receives for ever, and notes what came. */
const listener =
  (name: string, heard: string[], join = '') =>
  async (sys: Sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    sys.bind(fd, { address: '0.0.0.0', port: PORT })
    if (join !== '')
      sys.setsockopt(fd, C.SOL_IP, C.IP_ADD_MEMBERSHIP, {
        imr_multiaddr: join,
        imr_address: '10.0.0.2',
      })
    const buffer = new Uint8Array(70_000)
    for (;;) {
      const count = await sys.recv(fd, buffer)
      const text = count > 100 ? `${count} bytes` : new TextDecoder().decode(buffer.subarray(0, count))
      heard.push(`${name}: ${text}`)
      sys.print(`recv(): ${text}`)
    }
  }

/** An IPv4 packet with part of a UDP datagram, as a raw socket with IP_HDRINCL takes it. */
const fragment = (id: number, offset: number, payload: Uint8Array, more: boolean): Uint8Array => {
  const packet = new Uint8Array(20 + payload.length)
  const view = new DataView(packet.buffer)
  packet[0] = 0x45
  view.setUint16(4, id)
  view.setUint16(6, (offset >>> 3) | (more ? 0x2000 : 0))
  packet[8] = 64
  packet[9] = C.IPPROTO_UDP
  packet.set([10, 0, 0, 1, 10, 0, 0, 2], 12)
  packet.set(payload, 20)
  return packet
}

/** A UDP datagram without a checksum. */
const datagram = (length: number): Uint8Array => {
  const bytes = new Uint8Array(8 + length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 4000)
  view.setUint16(2, PORT)
  view.setUint16(4, bytes.length)
  return bytes
}

const fragments: Scenario = {
  name: 'fragments',
  group: 'H',
  title: 'A datagram over the MTU: fragments, in any order, all or nothing',
  description:
    'A datagram of 4,000 bytes makes 4,008 bytes of UDP, which do not fit into an MTU of 1500: three fragments with one identification, at the offsets 0, 1480 and 2960, all but the last a multiple of 8 long. They are put together in any order. When one is lost, the others are thrown away after 30 seconds (ipfrag_time). Fragments that overlap are refused. 65,507 bytes are the most that a datagram can have.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const heard: string[] = []
    lab.spawn(server, 'reader', listener('reader', heard))
    const pieces: { id: number; offset: number; length: number; more: boolean }[] = []
    link.cable.a.taps.push({
      frame: (frame, outgoing) => {
        if (outgoing) pieces.push(pieceOf(client, frame.start + ETHERNET_HEADER, frame.end))
      },
    })
    const send = (length: number): Promise<number | string> =>
      new Promise((resolve) => {
        lab.spawn(client, 'writer', async (sys) => {
          const fd = sys.socket(AF_INET, SOCK_DGRAM)
          const result = await outcome(() =>
            sys.sendto(fd, new Uint8Array(length), length, 0, { address: '10.0.0.2', port: PORT }),
          )
          sys.print(`sendto() of ${length} bytes: ${result}`)
          resolve(result)
        })
      })
    void send(4000)
    await lab.until('4,000 bytes', () => heard.length === 1)
    lab.check(
      'offset and length of each fragment, and whether more follow',
      pieces.map(({ offset, length, more }) => [offset, length, more]),
      [
        [0, 1480, true],
        [1480, 1480, true],
        [2960, 1048, false],
      ],
    )
    lab.check('identifications', new Set(pieces.map(({ id }) => id)).size, 1)
    lab.check('the reader got', heard, ['reader: 4000 bytes'])

    pieces.length = 0
    void send(65_507)
    await lab.until('The largest datagram', () => heard.length === 2)
    lab.check('fragments', pieces.length, 45)
    lab.check('the reader got', heard[1], 'reader: 65507 bytes')
    let result: number | string = 0
    void send(65_508).then((code) => {
      result = code
    })
    await lab.until('One byte more', () => result !== 0)
    lab.check('sendto() failed with', result, 'EMSGSIZE')

    let left = 1
    link.cable.aToB.filter = () => (left-- === 1 ? 'drop' : 'pass')
    void send(4000)
    await lab.pass(1000, 'The first of three fragments is lost')
    lab.check('packets that wait for fragments', server.ip.reassembly.waitingOf(4), 1)
    await lab.pass(30_000, 'Thirty seconds later')
    lab.check('packets that wait for fragments', server.ip.reassembly.waitingOf(4), 0)
    const mib = () => server.ip.mib.ip
    lab.check('given up (ReasmTimeout)', mib().ReasmTimeout, 1)
    lab.check('the reader got nothing', heard.length, 2)

    const raw = (title: string, parts: readonly Uint8Array[]) => {
      lab.spawn(client, 'raw', async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_RAW, C.IPPROTO_RAW)
        for (const part of parts) await sys.sendto(fd, part, part.length, 0, { address: '10.0.0.2', port: 0 })
      })
      return lab.pass(100, title)
    }
    const whole = datagram(80)
    await raw('Fragments from the last to the first', [
      fragment(7, 64, whole.subarray(64), false),
      fragment(7, 32, whole.subarray(32, 64), true),
      fragment(7, 0, whole.subarray(0, 32), true),
    ])
    lab.check('the reader got', heard.length, 3)
    const failed = mib().ReasmFails
    await raw('The second overlaps the first', [
      fragment(8, 0, whole.subarray(0, 48), true),
      fragment(8, 32, whole.subarray(32), false),
    ])
    lab.check('the reader got nothing', heard.length, 3)
    lab.check('refused (ReasmFails)', mib().ReasmFails > failed, true)
  },
}

const pieceOf = (
  host: Host,
  network: number,
  end: number,
): { id: number; offset: number; length: number; more: boolean } => {
  const { view } = host.world.memory
  const word = view.getUint16(network + 6)
  return {
    id: view.getUint16(network + 4),
    offset: (word & 0x1fff) * 8,
    length: end - network - 20,
    more: (word & 0x2000) !== 0,
  }
}

const broadcast: Scenario = {
  name: 'broadcast',
  group: 'H',
  title: 'Broadcast: everybody on the link, and only with SO_BROADCAST',
  description:
    'sendto() to 10.0.0.255 or 255.255.255.255 fails with EACCES until SO_BROADCAST is set: nobody should disturb a whole network by mistake. Then every host of the link receives it, and on each every socket that has the port.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    lab.show(server, 'netstat -anu')
    const heard: string[] = []
    for (const name of ['first', 'second']) lab.spawn(server, name, listener(name, heard))
    // As on Linux 255.255.255.255 needs a route, too.
    client.ip.routes.add({ prefix: { address: ip('0.0.0.0'), length: 0 }, interface: link.a })
    const results: unknown[] = []
    const writer = lab.spawn(client, 'writer', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_DGRAM)
      for (const option of [0, 1]) {
        sys.setsockopt(fd, SOL_SOCKET, C.SO_BROADCAST, option)
        for (const address of ['10.0.0.255', '255.255.255.255']) {
          results.push(await outcome(() => sys.sendto(fd, `to ${address}`, undefined, 0, { address, port: PORT })))
          sys.print(`SO_BROADCAST ${option}, to ${address}: ${results.at(-1)}`)
        }
      }
    })
    await lab.until('Without the option, and with it', () => !writer.isAlive && heard.length === 4)
    lab.check('sendto() gave', results, ['EACCES', 'EACCES', 13, 18])
    lab.check('who heard what', [...heard].sort(), [
      'first: to 10.0.0.255',
      'first: to 255.255.255.255',
      'second: to 10.0.0.255',
      'second: to 255.255.255.255',
    ])
  },
}

const groupReports = (lab: Lab) => (frame: string) => lab.segments(new RegExp(frame)).length

const multicast: Scenario = {
  name: 'multicast',
  group: 'H',
  title: 'Multicast: who has joined a group gets a copy, each of two processes on one host',
  description: `Two processes of the server join ${GROUP} on port ${PORT}; a third has the port and has not joined. The server’s first join makes an IGMP report; the second one none, as the host is in the group already. A datagram to the group passes the wire once, and each member gets a copy. When the last one leaves, the host says so by IGMP.`,
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    lab.show(server, 'netstat -gn')
    const igmp: string[] = []
    link.cable.b.taps.push({
      frame: (frame, outgoing) => {
        const { u8 } = server.world.memory
        const at = frame.start + ETHERNET_HEADER
        if (!outgoing || u8[at + 9] !== C.IPPROTO_IGMP) return
        // Version 3: the record's type says join or leave (RFC 3376 section 4.2.12).
        igmp.push(RECORDS[u8[at + (u8[at]! & 0xf) * 4 + 8]!] ?? 'other')
      },
    })
    const heard: string[] = []
    const members = ['first', 'second'].map((name) => lab.spawn(server, name, listener(name, heard, GROUP)))
    await lab.pass(2000, 'Two processes join the group')
    lab.check('IGMP: joins reported, each twice for safety', igmp.filter((kind) => kind === 'join').length, 2)
    const groups = () =>
      server.ip.interfaces
        .find(({ name }) => name === 'eth0')!
        .groups.list()
        .map(({ group }) => `${group}`)
    lab.check('the host is in the group', groups().includes(GROUP), true)
    const publish = (text: string) =>
      lab.spawn(client, 'publisher', async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_DGRAM)
        sys.setsockopt(fd, C.SOL_IP, C.IP_MULTICAST_TTL, 4)
        sys.setsockopt(fd, C.SOL_IP, C.IP_MULTICAST_IF, { imr_address: '10.0.0.1' })
        await sys.sendto(fd, text, undefined, 0, { address: GROUP, port: PORT })
      })
    const before = groupReports(lab)('UDP')
    publish('news')
    await lab.pass(100, 'A datagram to the group')
    lab.check('packets on the wire', groupReports(lab)('UDP') - before, 1)
    lab.check('who heard it', [...heard].sort(), ['first: news', 'second: news'])
    members[0]!.exit(0)
    publish('more')
    await lab.pass(2000, 'One process has ended')
    lab.check('who heard it', heard.slice(2), ['second: more'])
    lab.check('the host is in the group', groups().includes(GROUP), true)
    members[1]!.exit(0)
    await lab.pass(2000, 'The other one, too')
    lab.check('the host is in the group', groups().includes(GROUP), false)
    lab.check('IGMP: that nobody is left', igmp.filter((kind) => kind === 'leave').length, 2)
  },
}

const RECORDS: Readonly<Record<number, string>> = { 3: 'leave', 4: 'join' }

export const manyScenarios: readonly Scenario[] = [fragments, broadcast, multicast]
