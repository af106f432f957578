/**
 * Our capture files as tshark, capinfos and editcap of Wireshark read them, and theirs as we do. Needs those programs:
 * `apt-get install -y tshark`.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FrameChecksum } from '../../src/core/frame.ts'
import { SeededRandom } from '../../src/core/random.ts'
import { Cable } from '../../src/link/cable.ts'
import { Capture } from '../../src/link/capture.ts'
import { LoopbackPort } from '../../src/link/loopback.ts'
import { readCapture } from '../../src/link/pcap.ts'
import { PcapngWriter } from '../../src/link/pcapng.ts'
import { Recorder, TestWorld, tcpFrame } from '../../src/link/testing.ts'
import { ip } from '../../src/wire/address.ts'
import { makeCapture } from '../support/capture-maker.ts'

let directory = ''
let file = ''
let bytes: Uint8Array = new Uint8Array(0)

/** What a program printed. It must have succeeded and complained of nothing; that it runs as root does not count. */
const run = (program: string, ...args: string[]): string => {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  const complaints = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Running as user "root"'))
  expect(complaints).toEqual([])
  expect(status).toBe(0)
  return stdout
}

const CHECK = ['tcp', 'ip'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`])

/** Fields of every packet, as tshark has them. */
const fields = (path: string, ...names: string[]): string[][] =>
  run('tshark', '-n', '-r', path, ...CHECK, '-T', 'fields', ...names.flatMap((name) => ['-e', name]))
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => line.split('\t'))

/** A cable with checksum and segmentation offload, a bare IP link and loopback, and something on each. */
const captureAll = (): Uint8Array => {
  const world = new TestWorld()
  const chunks: Uint8Array[] = []
  const capture = new Capture(world, (chunk) => chunks.push(chunk), {
    application: 'netglass interop',
    os: 'none',
    hardware: 'virtual',
    comment: (frame, _, outgoing) => (outgoing ? `handed over with ${frame.end - frame.start} bytes` : null),
  })
  const cable = new Cable(world, 'cable', {
    checksumOffload: true,
    maxSegmentedPacket: 65_535,
    impairment: { delay: 1.2345 },
  })
  const tunnel = new Cable(world, 'tunnel', { medium: 'ip' })
  const lo = new LoopbackPort(world, 'lo')
  for (const port of [cable.a, cable.b, tunnel.b, lo]) port.user = new Recorder(world)
  capture.add(cable.a, 'eth0', { description: 'host a', mac: 0x0200_0000_0001, speed: 10e9 })
  capture.add(cable.b, 'eth1')
  capture.add(tunnel.a, 'tun0')
  capture.add(lo, 'lo')
  capture.names([
    [ip('10.0.0.1'), 'alice.test'],
    [ip('2001:db8::2'), 'bob.test'],
  ])
  const partial = { checksum: FrameChecksum.Partial, timestamps: true }
  world.runUntil(1000.5)
  cable.a.send(tcpFrame(world, { ...partial, payload: 100 }))
  cable.a.send(tcpFrame(world, { ...partial, payload: 1, version: 6 }))
  cable.a.send(tcpFrame(world, { ...partial, payload: 20_000, segmentSize: 1448 }))
  cable.a.send(tcpFrame(world, { ...partial, payload: 77, vlan: true }))
  tunnel.a.send(tcpFrame(world, { ...partial, payload: 50, medium: 'ip' }))
  tunnel.a.send(tcpFrame(world, { ...partial, payload: 50, medium: 'ip', version: 6 }))
  lo.send(tcpFrame(world, { ...partial, payload: 60, medium: 'ip' }))
  lo.send(tcpFrame(world, { ...partial, payload: 60, medium: 'ip', version: 6 }))
  world.runOut()
  capture.close()
  expect(capture.packets).toBe(12)
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netglass-pcapng-'))
  file = join(directory, 'ours.pcapng')
  bytes = captureAll()
  writeFileSync(file, bytes)
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('tshark reads our files', () => {
  test('times, interfaces, lengths, comments', () => {
    const seen = fields(file, 'frame.time_epoch', 'frame.interface_name', 'frame.len', 'frame.comment')
    const sent = (name: string, length: number) => [
      '1767225600.001000500',
      name,
      String(length),
      `handed over with ${length} bytes`,
    ]
    expect(seen).toEqual([
      sent('eth0', 166),
      sent('eth0', 87),
      sent('eth0', 20_066),
      sent('eth0', 147),
      sent('tun0', 102),
      sent('tun0', 122),
      ['1767225600.001000500', 'lo', '126', ''],
      ['1767225600.001000500', 'lo', '146', ''],
      ['1767225600.002235000', 'eth1', '166', ''],
      ['1767225600.002235000', 'eth1', '87', ''],
      ['1767225600.002235000', 'eth1', '20066', ''],
      ['1767225600.002235000', 'eth1', '147', ''],
    ])
  })

  test('every checksum is good and nothing is malformed', () => {
    const seen = fields(file, 'tcp.checksum.status', 'ip.checksum.status', '_ws.malformed', 'tcp.len')
    // 1 is good; IPv6 has no header checksum.
    expect(seen.map(([tcp]) => tcp)).toEqual(new Array(12).fill('1'))
    expect(seen.map(([, header]) => header)).toEqual(['1', '', '1', '1', '1', '', '1', '', '1', '', '1', '1'])
    expect(seen.map(([, , malformed]) => malformed)).toEqual(new Array(12).fill(''))
    expect(seen.map((line) => Number(line[3]))).toEqual([100, 1, 20_000, 77, 50, 50, 60, 60, 100, 1, 20_000, 77])
  })

  test('directions', () => {
    // The lowest two bits of the packet's flags: 1 inbound, 2 outbound.
    const seen = fields(file, 'frame.packet_flags').map(([flags]) => Number(flags))
    expect(seen).toEqual([2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1])
  })

  test('names', () => {
    const hosts = run('tshark', '-r', file, '-q', '-z', 'hosts')
    expect(hosts).toMatch(/^10\.0\.0\.1\s+alice\.test$/m)
    expect(hosts).toMatch(/^2001:db8::2\s+bob\.test$/m)
  })

  test('capinfos: the header, the interfaces and their counters', () => {
    const infos = run('capinfos', '-M', file)
    for (const line of [
      /^File type: .*pcapng$/m,
      /^Number of packets: +12$/m,
      /^Capture hardware: +virtual$/m,
      /^Capture oper-sys: +none$/m,
      /^Capture application: +netglass interop$/m,
      /^Number of interfaces in file: 4$/m,
      /Name = eth0\n\s+Description = host a\n/,
      /Speed = 10000000000\n/,
      /Encapsulation = Raw IP /,
      /Time precision = nanoseconds \(9\)/,
    ]) {
      expect(infos).toMatch(line)
    }
    expect(infos.match(/Number of stat entries = 1\n/g)?.length).toBe(4)
  })
})

describe('we read the files of editcap', () => {
  const ours = () => readCapture(bytes)

  test('pcapng, written again: the same packets', () => {
    const again = join(directory, 'again.pcapng')
    run('editcap', '-F', 'pcapng', file, again)
    const theirs = readCapture(readFileSync(again))
    expect(theirs.error).toBe(null)
    expect(theirs.interfaces).toEqual(ours().interfaces)
    expect(theirs.packets.map(({ data, ...rest }) => [[...data], rest])).toEqual(
      ours().packets.map(({ data, ...rest }) => [[...data], rest]),
    )
  })

  test.each([
    ['pcap', 1000n],
    ['nsecpcap', 1n],
  ])('%s', (format, unit) => {
    const only = join(directory, 'ethernet.pcapng')
    const converted = join(directory, `ours.${format}`)
    // The old format has one kind of link header a file: leave out the packets of the bare IP link.
    run('tshark', '-n', '-r', file, '-Y', 'frame.interface_name != "tun0"', '-w', only)
    run('editcap', '-F', format, '-T', 'ether', only, converted)
    const theirs = readCapture(readFileSync(converted))
    expect(theirs).toMatchObject({ format: 'pcap', error: null })
    expect(theirs.packets.map(({ timeNs, data }) => [timeNs, [...data]])).toEqual(
      ours()
        .packets.filter((p) => p.interface !== 2)
        .map(({ timeNs, data }) => [(timeNs / unit) * unit, [...data]]),
    )
  })
})

describe('files of every make', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])('number %i: what tshark reads of it', (seed) => {
    const made = makeCapture(new SeededRandom(seed))
    const path = join(directory, 'made')
    writeFileSync(path, made.file)
    const { error, packets } = readCapture(made.file)
    const theirs = fields(path, 'frame.time_epoch', 'frame.len', 'frame.cap_len', 'frame.comment')
    expect(error).toBe(null)
    expect(
      packets.map(({ timeNs, originalLength, data, comment }) => [
        // What has no time has none there.
        timeNs === 0n ? '' : `${timeNs / 10n ** 9n}.${String(timeNs % 10n ** 9n).padStart(9, '0')}`,
        String(originalLength),
        String(data.length),
        comment ?? '',
      ]),
    ).toEqual(theirs.filter((line) => line.length > 1))
  })

  test('written again by us, tshark reads the same', () => {
    for (const seed of [21, 22, 23]) {
      const { interfaces, packets } = readCapture(makeCapture(new SeededRandom(seed)).file)
      const path = join(directory, 'copy.pcapng')
      const chunks: Uint8Array[] = []
      const writer = new PcapngWriter((chunk) => chunks.push(chunk), { epoch: 0 })
      for (const { linkType, snaplen } of interfaces) writer.addInterface({ name: 'x', linkType, snaplen })
      for (const packet of packets) writer.copy(packet.interface, packet)
      writer.flush()
      writeFileSync(path, Buffer.concat(chunks))
      const seen = fields(path, 'frame.len', 'frame.comment').filter((line) => line.length > 1)
      expect(seen).toEqual(packets.map(({ originalLength, comment }) => [String(originalLength), comment ?? '']))
    }
  })
})
