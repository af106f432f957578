import { describe, expect, it } from 'vitest'
import { type Frame, FrameChecksum } from '../../src/core/frame.ts'
import type { Sys } from '../../src/host/calls.ts'
import { ipv4Packet, naiveSum } from '../../src/ip/testing.ts'
import { Network } from '../../src/sim/network.ts'
import { codeOf, Pair } from '../../src/sim/testing.ts'
import * as C from '../../src/socket/constants.ts'
import { EtherType } from '../../src/wire/ethernet.ts'
import { parseTcpOptionList } from '../../src/wire/tcp-options.ts'
import { hex } from '../support/hex.ts'
import { established, inState, TcpBench } from '../support/tcp.ts'
import type { SegmentSpec } from '../support/tcp-wire.ts'

/**
 * Requirements of RFC 9293 that no script of packetdrill can show: what lies in the bytes of headers, in addresses, and
 * in what programs may ask for. docs/RFC.md lists all of them, with the scripts of the folder beside this.
 */

/** A segment of the peer with these bytes for its options, in front of the data. */
const withOptions = (s: TcpBench, spec: SegmentSpec, options: string): Frame => {
  const bytes = hex(options)
  expect(bytes.length % 4, 'whole words').toBe(0)
  const data = typeof spec.payload === 'string' ? spec.payload : ''
  const frame = s.build({ ...spec, payload: '\0'.repeat(bytes.length) + data })
  const { u8 } = s.world.memory
  const start = frame.network + (s.ipv6 ? 40 : 20)
  u8.set(bytes, start + 20)
  u8[start + 12] = ((20 + bytes.length) >>> 2) << 4
  frame.checksum = FrameChecksum.Good
  return frame
}

/** The IP packets that the host sends from now on, as bytes. */
const captured = (s: TcpBench): Uint8Array[] => {
  const packets: Uint8Array[] = []
  const { port } = s.interface
  const send = port.send.bind(port)
  port.send = (frame: Frame): void => {
    packets.push(s.world.memory.u8.slice(frame.start, frame.end))
    send(frame)
  }
  return packets
}

/**
 * The one's-complement sum of an IPv4 packet's TCP segment and its pseudo-header: 0xffff when the checksum is right.
 */
const sumOf = (packet: Uint8Array): number => {
  const segment = packet.subarray(20)
  const pseudo = new Uint8Array([...packet.subarray(12, 20), 0, 6, segment.length >>> 8, segment.length & 0xff])
  return naiveSum(new Uint8Array([...pseudo, ...segment, ...(segment.length % 2 === 1 ? [0] : [])]))
}

/** The options of an IPv4 packet's TCP header. */
const optionsOf = (packet: Uint8Array): Uint8Array => packet.slice(40, 20 + ((packet[32]! >>> 4) << 2))

describe('the header (sections 3.1 and 3.2)', () => {
  it('MUST-2: every segment that is sent has a checksum over the pseudo-header, header and data', () => {
    const s = established()
    const packets = captured(s)
    s.send('odd')
    s.send('and even')
    s.receive({ flags: 'A', seq: 1, ack: 4 })
    s.shutdown()
    s.sent()
    expect(packets.map((packet) => packet.length - 40)).toEqual([3, 8, 0])
    expect(packets.map(sumOf)).toEqual([0xffff, 0xffff, 0xffff])
  })

  it('MUST-3: a segment with a wrong checksum is dropped, and counted', () => {
    const s = established()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abc', badChecksum: true })
    s.expectNothing()
    expect([s.read(), s.count('tcp.InCsumErrors'), s.dropped('tcp-checksum')]).toEqual(['', 1, 1])
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abc' })
    expect(s.read()).toBe('abc')
  })

  /** The MSS that a SYN with these options leaves us with. */
  const mssOf = (options: string): number => {
    const s = inState('LISTEN')
    s.deliver(withOptions(s, { flags: 'S', seq: 0 }, options))
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    return s.accept().snd.mss
  }

  it('MUST-4: end of list, no-operation and MSS are understood', () => {
    expect(mssOf('020403e8')).toBe(1000)
    expect(mssOf('01010101020403e8')).toBe(1000)
    // What is behind the end of the list is no option.
    expect(mssOf('00020403e8000000')).toBe(536)
  })

  it('MUST-64: options at any alignment', () => {
    for (const options of [
      '01020403e8010101',
      '0101020403e80101',
      '010101020403e800',
      '0303070204 03e800'.replace(' ', ''),
    ]) {
      expect(mssOf(options), options).toBe(1000)
    }
  })

  it('MUST-5: options in any segment: a SYN, an ACK, data, a FIN', () => {
    const s = inState('LISTEN')
    s.deliver(withOptions(s, { flags: 'S', seq: 0 }, 'fd04abcd020403e8'))
    s.sent()
    s.deliver(withOptions(s, { flags: 'A', seq: 1, ack: 1 }, '020403e8'))
    s.accept()
    s.deliver(withOptions(s, { flags: 'PA', seq: 1, ack: 1, payload: 'abc' }, 'fd04abcd'))
    s.deliver(withOptions(s, { flags: 'FA', seq: 4, ack: 1 }, '0101010101010100'))
    expect([s.read(), s.end, s.state]).toEqual(['abc', 'eof', 'CLOSE_WAIT'])
  })

  it('MUST-6 and MUST-68: options that are not known are passed over by their length', () => {
    expect(mssOf('fd06020402040101020403e8')).toBe(1000)
    const s = established()
    s.deliver(withOptions(s, { flags: 'PA', seq: 1, ack: 1, payload: 'abc' }, 'c80400004d02fe02'))
    expect(s.read()).toBe('abc')
  })

  it('MUST-7: an option length that cannot be is put up with: what is before it counts, the segment too', () => {
    for (const options of [
      '0200fd00',
      '02010101',
      'fd000000',
      'fdff0101',
      '01010102',
      '020403e8fd010000',
      '0101fd28',
    ]) {
      const s = established()
      s.deliver(withOptions(s, { flags: 'PA', seq: 1, ack: 1, payload: 'abc' }, options))
      expect([s.read(), s.state], options).toEqual(['abc', 'ESTABLISHED'])
    }
    expect(mssOf('020403e8fd000000')).toBe(1000)
  })

  it('MUST-68 and MUST-69: what is sent has options with lengths, and nothing but zeros behind their end', () => {
    const s = new TcpBench()
    const packets = captured(s)
    s.connect()
    s.sent()
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1000, sackPermitted: true, timestamps: { echo: s.lastTsVal } })
    s.receive({ flags: 'PA', seq: 4, ack: 1, payload: 'abc', timestamps: { echo: s.lastTsVal } })
    s.sent()
    expect(packets.length).toBeGreaterThanOrEqual(3)
    const names = packets.map((packet) => parseTcpOptionList(optionsOf(packet)))
    for (const list of names) {
      for (const option of list) {
        expect(['malformed', 'unknown']).not.toContain(option.name)
        if (option.name === 'eol') expect(option.padding.every((byte) => byte === 0)).toBe(true)
      }
    }
    expect(names[0]!.map(({ name }) => name)).toEqual(['mss', 'sackOk', 'timestamp', 'nop', 'wscale'])
    expect(names.at(-1)!.map(({ name }) => name)).toContain('sack')
  })

  it('MUST-67: the MSS that is announced fits what can be put together again, over every link', async () => {
    expect(mssAnnounced(1500)).toBe(1460)
    expect(mssAnnounced(9000)).toBe(8960)
    // The largest IPv4 packet is 65,535 bytes: MMS_R is 65,515.
    expect(mssAnnounced(65_535)).toBe(65_515 - 20)
    expect(mssAnnounced(65_536)).toBeLessThanOrEqual(65_515 - 20)
  })
})

const mssAnnounced = (mtu: number): number => {
  const s = new TcpBench({ mtu })
  s.connect()
  return s.sent()[0]!.mss
}

describe('initial sequence numbers (section 3.4.1)', () => {
  const between = (s: TcpBench, port: number): number => s.demux.layer.initialSequence(s.local, 8080, s.peer, port)

  it('MUST-8: follow a clock of 4 µs', () => {
    const s = new TcpBench()
    const first = between(s, 50_000)
    s.advance(4)
    expect((between(s, 50_000) - first) | 0).toBe(1)
    s.advance(1_000_000 - 4)
    expect((between(s, 50_000) - first) | 0).toBe(250_000)
  })

  it('MUST-9: nobody outside can tell the offset between two pairs: it depends on a secret', () => {
    const offset = (seed: number): number => {
      const s = new TcpBench({ seed })
      return (between(s, 50_000) - between(s, 50_001)) | 0
    }
    const offsets = new Set(Array.from({ length: 50 }, (_, seed) => offset(seed + 1)))
    expect(offsets.size).toBe(50)
    // The same host gives the same pair the same offset: it is a function of the pair.
    expect(offset(3)).toBe(offset(3))
  })
})

describe('OPEN (section 3.9.1.1)', () => {
  it('MUST-41: a passive open disturbs no connection, also where it fails', async () => {
    const pair = new Pair()
    const [seen] = await pair.run(
      [
        pair.a,
        async (sys) => {
          const first = listen(sys, 80)
          const fd = await sys.accept(first)
          await sys.close(first)
          // Nobody listens any more, and a connection has the port: one may listen again, but not twice.
          const second = sys.socket(C.AF_INET, C.SOCK_STREAM)
          sys.setsockopt(second, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
          sys.bind(second, { address: '0.0.0.0', port: 80 })
          sys.listen(second, 1)
          const third = sys.socket(C.AF_INET, C.SOCK_STREAM)
          const refused = await codeOf(() => sys.bind(third, { address: '0.0.0.0', port: 80 }))
          await sys.send(fd, 'still here')
          return [refused]
        },
      ],
      [pair.b, (sys) => readFrom(sys, { address: '10.0.0.1', port: 80 })],
    )
    expect(seen).toEqual(['EADDRINUSE'])
  })

  it('MUST-42: one may listen on a port from which a connection is being opened', async () => {
    const pair = new Pair()
    const result = await pair.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_STREAM | C.SOCK_NONBLOCK)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
      sys.bind(fd, { address: '10.0.0.1', port: 4000 })
      const begun = await codeOf(() => sys.connect(fd, { address: '10.0.0.77', port: 80 }))
      const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
      sys.setsockopt(listener, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
      sys.bind(listener, { address: '10.0.0.1', port: 4000 })
      const listening = sys.listen(listener, 5)
      const info = sys.getsockopt(fd, C.SOL_TCP, C.TCP_INFO) as { tcpi_state: number }
      return [begun, listening, info.tcpi_state]
    })
    // 2 is SYN_SENT.
    expect(result).toEqual(['EINPROGRESS', 0, 2])
  })

  /** A host with two addresses on a link, and one on another, all of which can reach 10.0.9.9. */
  const multihomed = (): { network: Network; ask: (bound: string | null, to: string) => Promise<string> } => {
    const network = new Network({ seed: 1 })
    const a = network.host('a')
    const [b, c] = [network.host('b'), network.host('c')]
    network.link(a, b, { addresses: [['10.0.1.1/24', '10.0.1.7/24'], '10.0.1.2/24'] })
    network.link(a, c, { addresses: ['10.0.2.1/24', '10.0.2.2/24'] })
    network.computeRoutes()
    for (const host of [b, c]) {
      host.spawn('server', async (sys) => {
        const listener = listen(sys, 80)
        for (;;) {
          const peer: { address?: string } = {}
          const fd = await sys.accept(listener, peer)
          await sys.send(fd, peer.address ?? '')
          await sys.close(fd)
        }
      })
    }
    return {
      network,
      ask: async (bound, address) => {
        let text = ''
        const client = a.spawn('client', async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
          if (bound !== null) sys.bind(fd, { address: bound, port: 0 })
          await sys.connect(fd, { address, port: 80 })
          const buffer = new Uint8Array(100)
          text = new TextDecoder().decode(buffer.subarray(0, await sys.recv(fd, buffer)))
        })
        await network.runProcess(client)
        return text
      },
    }
  }

  it('MUST-43: the application may choose the local address', async () => {
    const { ask } = multihomed()
    expect(await ask('10.0.1.7', '10.0.1.2')).toBe('10.0.1.7')
    expect(await ask('10.0.1.1', '10.0.1.2')).toBe('10.0.1.1')
  })

  it('MUST-44: where it does not, IP chooses one by the way that packets take', async () => {
    const { ask } = multihomed()
    expect(await ask(null, '10.0.1.2')).toBe('10.0.1.1')
    expect(await ask(null, '10.0.2.2')).toBe('10.0.2.1')
  })

  it('MUST-45: a connection keeps the address that it began with, whatever IP would choose later', () => {
    const s = established({ active: true })
    const packets = captured(s)
    const other = { address: s.local, length: 24 }
    s.send('one')
    s.interface.removeAddress(other.address)
    s.interface.addAddress({ address: s.peer, length: 32 })
    s.interface.removeAddress(s.peer)
    s.interface.addAddress(other)
    s.send('two')
    s.sent()
    const sources = new Set(packets.map((packet) => [...packet.subarray(12, 16)].join('.')))
    expect([...sources]).toEqual(['192.168.0.1'])
  })

  it('MUST-46: no connection to everybody or to a group is opened', async () => {
    const pair = new Pair()
    const codes = await pair.alone(async (sys) => {
      const found: unknown[] = []
      for (const address of ['255.255.255.255', '10.0.0.255', '239.1.2.3', '224.0.0.1']) {
        const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
        found.push(await codeOf(() => sys.connect(fd, { address, port: 80 })))
      }
      for (const address of ['ff02::1%eth0', 'ff05::7']) {
        const fd = sys.socket(C.AF_INET6, C.SOCK_STREAM)
        found.push(await codeOf(() => sys.connect(fd, { address, port: 80 })))
      }
      return found
    })
    expect(codes).toEqual(new Array(6).fill('ENETUNREACH'))
    expect(pair.a.ip.mib.tcp.OutSegs).toBe(0)
  })
})

const listen = (sys: Sys, port: number): number => {
  const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
  sys.setsockopt(listener, C.SOL_SOCKET, C.SO_REUSEADDR, 1)
  sys.bind(listener, { address: '0.0.0.0', port })
  sys.listen(listener, 5)
  return listener
}

const readFrom = async (sys: Sys, to: { address: string; port: number }): Promise<string[]> => {
  const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
  await sys.connect(fd, to)
  const buffer = new Uint8Array(100)
  const text = new TextDecoder().decode(buffer.subarray(0, await sys.recv(fd, buffer)))
  expect(text).toBe('still here')
  return [text]
}

describe('IP (section 3.9.2)', () => {
  /** The peer's segment in another IPv4 packet: with options, or between other addresses. */
  const inPacket = (
    s: TcpBench,
    spec: SegmentSpec,
    { options = '', from = '192.168.0.2', to = '192.168.0.1' }: { options?: string; from?: string; to?: string },
  ): void => {
    const built = s.build(spec)
    const { u8 } = s.world.memory
    const segment = u8.slice(built.network + 20, built.end)
    s.world.frames.release(built)
    new DataView(segment.buffer).setUint16(16, 0)
    const plain = ipv4Packet({ from, to, protocol: 6, payload: segment })
    new DataView(segment.buffer).setUint16(16, ~sumOf(plain) & 0xffff)
    const packet = ipv4Packet({ from, to, protocol: 6, options: hex(options), payload: segment })
    const frame = s.world.frames.allocate(packet.length)!
    frame.start = frame.transport
    frame.end = frame.start + packet.length
    s.world.memory.u8.set(packet, frame.start)
    frame.network = frame.start
    frame.etherType = EtherType.Ipv4
    s.deliver(frame)
  }

  it('MUST-50: IP options that mean nothing to TCP are passed over', () => {
    for (const options of ['01010100', '94040000', '0707040000000000', '4408050000000000', '88040001']) {
      const s = established()
      inPacket(s, { flags: 'PA', seq: 1, ack: 1, payload: 'abc' }, { options })
      expect(s.read(), options).toBe('abc')
    }
  })

  it('MUST-51, MUST-52 and MUST-53 are not followed: source routes are refused, both ways (RFC 7126 section 4.3)', async () => {
    const pair = new Pair()
    const code = await pair.alone((sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
      return codeOf(() => sys.setsockopt(fd, C.SOL_IP, C.IP_OPTIONS, { data: [0x83, 7, 4, 10, 0, 0, 2, 0] }))
    })
    expect(code).toBe('EINVAL')
    for (const options of ['830704c0a8000200', '890704c0a8000200']) {
      const s = inState('LISTEN')
      inPacket(s, { flags: 'S', seq: 0 }, { options })
      expect(s.sent()).toEqual([])
      expect(s.dropped('ipv4-source-route')).toBe(1)
    }
  })

  it('MUST-57: a SYN to everybody or to a group is dropped without a word', () => {
    for (const to of ['255.255.255.255', '192.168.0.255', '224.0.0.1']) {
      const s = inState('LISTEN')
      inPacket(s, { flags: 'S', seq: 0 }, { to })
      expect([s.sent(), s.demux.table.size, s.dropped('tcp-bad-address')], to).toEqual([[], 0, 1])
    }
  })

  it("MUST-63: a SYN from an address that can be nobody's is dropped without a word", () => {
    for (const from of ['255.255.255.255', '192.168.0.255', '224.0.0.1', '127.0.0.1', '0.0.0.0', '192.168.0.1']) {
      const s = inState('LISTEN')
      inPacket(s, { flags: 'S', seq: 0 }, { from })
      expect([s.sent(), s.demux.table.size], from).toEqual([[], 0])
      expect(s.dropped('ip-martian'), from).toBe(1)
    }
  })
})
