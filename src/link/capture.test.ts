import { describe, expect, test } from 'vitest'
import { FrameChecksum } from '../core/frame.ts'
import { ip } from '../wire/address.ts'
import { Cable } from './cable.ts'
import { Capture, type CaptureOptions } from './capture.ts'
import { LoopbackPort } from './loopback.ts'
import { type CaptureFile, readCapture } from './pcap.ts'
import { LinkType } from './pcapng.ts'
import { cableTest, Recorder, sendNumbered, TestWorld, tcpFrame } from './testing.ts'

/** A capture whose file is read back when it is closed. */
const capturing = (world: TestWorld, options: CaptureOptions = {}) => {
  const chunks: Uint8Array[] = []
  const capture = new Capture(world, (chunk) => chunks.push(chunk), options)
  const file = (): CaptureFile => readCapture(Uint8Array.from(chunks.flatMap((chunk) => [...chunk])))
  const close = (): CaptureFile => {
    capture.close()
    return file()
  }
  return { capture, chunks, file, close }
}

const EPOCH_NS = 1_767_225_600_000_000_000n

describe('Capture', () => {
  test('writes what passes each port, when, and which way', () => {
    const s = cableTest({ impairment: { delay: 1.5 } })
    const { capture, close } = capturing(s.world, { application: 'test', os: 'none', hardware: 'paper' })
    capture.add(s.cable.a, 'a0', { description: 'left', mac: 0x0200_0000_0001, speed: 1e9 })
    capture.add(s.cable.b, 'b0')
    capture.names([[ip('10.0.0.1'), 'alice']])
    s.world.runUntil(10)
    sendNumbered(s, 1, 64)
    s.world.runUntil(20)
    s.cable.b.send(s.world.numbered(7, 80))
    s.world.runOut()
    const file = close()
    expect(file).toMatchObject({ error: null, application: 'test', os: 'none', hardware: 'paper' })
    expect(file.interfaces).toEqual([
      { linkType: LinkType.Ethernet, snaplen: 262_144, name: 'a0', description: 'left' },
      { linkType: LinkType.Ethernet, snaplen: 262_144, name: 'b0', description: null },
    ])
    expect(file.names).toEqual([{ address: ip('10.0.0.1'), names: ['alice'] }])
    expect(file.packets.map((p) => [p.interface, p.timeNs - EPOCH_NS, p.direction, p.originalLength])).toEqual([
      [0, 10_000n, 'out', 64],
      [1, 20_000n, 'out', 80],
      [1, 1_510_000n, 'in', 64],
      [0, 1_520_000n, 'in', 80],
    ])
    expect([...file.packets[0]!.data]).toEqual([...s.received.arrivals[0]!.bytes])
    expect([...file.packets[3]!.data]).toEqual([...s.back.arrivals[0]!.bytes])
  })

  test('leaves the ports when it is closed, and only then', () => {
    const s = cableTest()
    const { capture, close } = capturing(s.world)
    const other = capturing(s.world)
    capture.add(s.cable.a, 'a0')
    other.capture.add(s.cable.a, 'a0')
    sendNumbered(s, 1)
    expect(close().packets.length).toBe(1)
    expect(s.cable.a.taps.length).toBe(1)
    capture.close()
    capture.add(s.cable.a, 'late')
    sendNumbered(s, 1)
    expect(other.close().packets.length).toBe(2)
    expect(s.cable.a.taps.length).toBe(0)
    expect(capture.isOver).toBe(true)
  })

  test('keeps at most snaplen bytes of each', () => {
    const s = cableTest()
    const { capture, close } = capturing(s.world, { snaplen: 20 })
    capture.add(s.cable.a, 'a0')
    sendNumbered(s, 1, 64)
    const file = close()
    expect(file.interfaces[0]!.snaplen).toBe(20)
    expect([file.packets[0]!.data.length, file.packets[0]!.originalLength]).toEqual([20, 64])
  })

  test('stops at its limit, and counts what it did not write', () => {
    const s = cableTest()
    const { capture, chunks } = capturing(s.world, { limit: 3 })
    capture.add(s.cable.a, 'a0')
    sendNumbered(s, 2)
    expect(capture.isOver).toBe(false)
    sendNumbered(s, 3)
    expect([capture.isOver, capture.packets]).toEqual([true, 3])
    capture.close()
    // The last block is the interface's statistics: received 5, dropped 2, delivered 3.
    const block = chunks.at(-1)!.slice(-88)
    const view = new DataView(block.buffer)
    expect([
      view.getUint32(0, true),
      view.getUint32(48, true),
      view.getUint32(60, true),
      view.getUint32(72, true),
    ]).toEqual([5, 5, 2, 3])
  })

  test('comments come from whoever knows', () => {
    const s = cableTest()
    const { capture, close } = capturing(s.world, {
      comment: (frame, port, outgoing) => {
        const number = s.world.memory.view.getUint32(frame.end - 4)
        return number === 1 ? null : `${port === s.cable.a ? 'a' : 'b'} ${outgoing ? 'sent' : 'got'} ${number}`
      },
    })
    capture.add(s.cable.a, 'a0')
    capture.add(s.cable.b, 'b0')
    sendNumbered(s, 2)
    s.world.runOut()
    expect(close().packets.map(({ comment }) => comment)).toEqual(['a sent 0', null, 'b got 0', null])
  })

  test.each([
    [4, FrameChecksum.Partial],
    [6, FrameChecksum.Partial],
    [4, FrameChecksum.Good],
  ] as const)(
    'a checksum left to the link is right in the file and untouched in the frame: IPv%i, mark %i',
    (version, checksum) => {
      const s = cableTest({ checksumOffload: true })
      const { capture, close } = capturing(s.world)
      capture.add(s.cable.a, 'a0')
      const frame = tcpFrame(s.world, { version, payload: 333, checksum })
      const before = s.world.bytesOf(frame)
      s.cable.a.send(frame)
      s.world.runOut()
      expect(s.received.arrivals[0]!.bytes).toEqual(before)
      // What a link without offload makes of the same frame.
      const plain = cableTest()
      plain.cable.a.send(tcpFrame(plain.world, { version, payload: 333, checksum: FrameChecksum.Partial }))
      plain.world.runOut()
      expect([...close().packets[0]!.data]).toEqual([...plain.received.arrivals[0]!.bytes])
    },
  )

  test('a snaplen of 0 keeps all, and what is no number of bytes is refused', () => {
    const s = cableTest()
    expect(capturing(s.world, { snaplen: 0 }).capture.snaplen).toBe(262_144)
    for (const snaplen of [-1, 0.5, Number.NaN]) {
      expect(() => capturing(s.world, { snaplen })).toThrow(`snaplen: ${snaplen} is no number of bytes`)
    }
  })

  test('a checksum beyond the snaplen is left alone', () => {
    const s = cableTest({ checksumOffload: true })
    const { capture, close } = capturing(s.world, { snaplen: 51 })
    capture.add(s.cable.a, 'a0')
    const frame = tcpFrame(s.world, { payload: 10, checksum: FrameChecksum.Partial })
    const before = [...s.world.bytesOf(frame)]
    s.cable.a.send(frame)
    const file = close()
    expect([...file.packets[0]!.data]).toEqual(before.slice(0, 51))
    expect(file.error).toBe(null)
  })

  test('loopback is shown behind an Ethernet header of zeros, other IP links as they are', () => {
    const world = new TestWorld()
    const lo = new LoopbackPort(world, 'lo')
    const cable = new Cable(world, 'tun', { medium: 'ip' })
    lo.user = new Recorder(world)
    cable.b.user = new Recorder(world)
    const { capture, close } = capturing(world)
    capture.add(lo, 'lo')
    capture.add(cable.a, 'tun0')
    const options = { medium: 'ip', payload: 9, checksum: FrameChecksum.Partial } as const
    const packets = ([4, 6] as const).map((version) => {
      lo.send(tcpFrame(world, { ...options, version }))
      const frame = tcpFrame(world, { ...options, version })
      cable.a.send(frame)
      return version
    })
    world.runOut()
    const file = close()
    expect(packets).toEqual([4, 6])
    expect(file.interfaces.map(({ linkType }) => linkType)).toEqual([LinkType.Ethernet, LinkType.Raw])
    const raw = file.packets.filter((p) => p.interface === 1).map(({ data }) => [...data])
    const looped = file.packets.filter((p) => p.interface === 0)
    expect(looped.map(({ data }) => [...data])).toEqual([
      [...new Array(12).fill(0), 0x08, 0x00, ...raw[0]!],
      [...new Array(12).fill(0), 0x86, 0xdd, ...raw[1]!],
    ])
    expect(looped.map(({ originalLength }) => originalLength)).toEqual([20 + 20 + 9 + 14, 40 + 20 + 9 + 14])
    expect(looped[0]!.direction).toBe('in')
  })

  test('a header of zeros is cut by the snaplen too', () => {
    const world = new TestWorld()
    const lo = new LoopbackPort(world, 'lo')
    lo.user = new Recorder(world)
    const { capture, close } = capturing(world, { snaplen: 10 })
    capture.add(lo, 'lo')
    lo.send(tcpFrame(world, { medium: 'ip' }))
    world.runOut()
    expect(close()).toMatchObject({ error: null, packets: [{ data: new Uint8Array(10), direction: 'in' }] })
  })

  test('for those who watch, every packet at once', () => {
    const s = cableTest()
    const { capture, file } = capturing(s.world, { immediate: true })
    capture.add(s.cable.a, 'a0')
    expect(file().interfaces.length).toBe(1)
    for (let i = 1; i <= 3; i++) {
      sendNumbered(s, 1)
      expect(file().packets.length).toBe(i)
    }
    capture.close()
  })

  test('a sink that fails ends the capture, not the traffic', () => {
    const s = cableTest()
    const full = new Error('no space left on device')
    const capture = new Capture(
      s.world,
      () => {
        throw full
      },
      { immediate: true },
    )
    capture.add(s.cable.a, 'a0')
    sendNumbered(s, 3)
    s.world.runOut()
    expect([capture.error, capture.isOver, capture.packets]).toEqual([full, true, 0])
    expect(s.received.numbers).toEqual([0, 1, 2])
    capture.close()
    expect(s.cable.a.taps).toEqual([])
  })
})
