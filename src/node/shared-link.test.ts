import { afterEach, describe, expect, it } from 'vitest'
import { FrameChecksum } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { Drop } from '../wire/drop.ts'
import { RealClock, RealTimeDriver } from './realtime.ts'
import { SharedPort, type SharedPortOptions, sharedLink } from './shared-link.ts'
import { SharedRing, sharedRingSize } from './shared-ring.ts'

/** Two worlds, as two threads would have them; that they share one here changes nothing for the link. */

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const world = (): World => new World(new RealClock(), new SeededRandom(1))

const machine = (port: SharedPort, its: World, address: string): Host => {
  const driver = new RealTimeDriver(its.loop).ref()
  const host = new Host(its, address)
  host.addInterface('eth0', port, [`${address}/24`])
  closing.push(() => {
    host.close()
    port.close()
    driver.close()
  })
  return host
}

const machines = (capacity = 0x4_0000, options: SharedPortOptions = {}): [Host, Host, SharedPort, SharedPort] => {
  const link = sharedLink(capacity)
  const [a, b] = [world(), world()]
  const ports = [new SharedPort(a, link, 0, options), new SharedPort(b, link, 1, options)] as const
  return [machine(ports[0], a, '10.0.0.1'), machine(ports[1], b, '10.0.0.2'), ...ports]
}

describe('a ring in shared memory', () => {
  const CAPACITY = 0x4_0000
  const ring = (): { source: World; target: World; writer: SharedRing; reader: SharedRing } => {
    const buffer = new SharedArrayBuffer(sharedRingSize(CAPACITY))
    const end = (): SharedRing => new SharedRing(buffer, 0, sharedRingSize(CAPACITY))
    return { source: world(), target: world(), writer: end(), reader: end() }
  }

  const put = ({ source, writer }: ReturnType<typeof ring>, bytes: number[], shift = 0): boolean => {
    const frame = source.frames.allocate(bytes.length)!
    frame.start += shift
    frame.end = frame.start + bytes.length
    source.memory.u8.set(bytes, frame.start)
    frame.network = frame.start
    frame.transport = frame.start + 20
    frame.segmentSize = 1448
    frame.checksum = FrameChecksum.Partial
    frame.etherType = 0x0800
    const written = writer.write(source, frame)
    source.frames.release(frame)
    return written
  }

  it('carries bytes and marks', () => {
    const all = ring()
    expect(all.reader.isEmpty).toBe(true)
    expect(put(all, [1, 2, 3, 4, 5])).toBe(true)
    const frame = all.reader.read(all.target)
    if (frame === null || frame === 'no memory') throw new Error('nothing came')
    expect([...all.target.memory.u8.subarray(frame.start, frame.end)]).toEqual([1, 2, 3, 4, 5])
    const { network, transport, start, segmentSize, checksum, etherType } = frame
    expect([network - start, transport - start, segmentSize, checksum, etherType]).toEqual([
      0,
      20,
      1448,
      FrameChecksum.Partial,
      0x0800,
    ])
    expect(start % 4).toBe(0)
    expect(all.reader.read(all.target)).toBe(null)
    expect(all.target.frames.inUse).toBe(1)
  })

  it('goes round many times, without a record cut or lost, and is full when it is full', () => {
    const all = ring()
    let [sent, got, full] = [0, 0, 0]
    const size = (index: number): number => 1 + ((index * 7919) % 40_000)
    while (got < 500) {
      while (put(all, [sent & 255, ...new Uint8Array(size(sent) - 1).fill((sent * 3) & 255)])) sent++
      full++
      for (let k = 0; k < 3 && got < sent; k++, got++) {
        const frame = all.reader.read(all.target)
        if (frame === null || frame === 'no memory') throw new Error(`${got} is missing`)
        const { u8 } = all.target.memory
        expect(frame.end - frame.start).toBe(size(got))
        expect(u8[frame.start]).toBe(got & 255)
        if (size(got) > 1) expect(u8[frame.end - 1]).toBe((got * 3) & 255)
        all.target.frames.release(frame)
      }
    }
    expect(full).toBeGreaterThan(100)
    expect([all.source.frames.inUse, all.target.frames.inUse]).toEqual([0, 0])
  })

  it('takes a power of two only', () => {
    expect(() => sharedLink(300_000)).toThrow('a ring of 300000 bytes: it takes a power of two, from 262,144 on')
    expect(() => sharedLink(0x1_0000)).toThrow(RangeError)
  })
})

describe('a link between two worlds', () => {
  it.each([
    ['segments of 64 KB', {}],
    ['frames of Ethernet', { features: { medium: 'ethernet', maxSegmentedPacket: 0, checksumOffload: false } }],
  ] as const)('carries connections: %s', async (_, options) => {
    const [client, server, a, b] = machines(0x4_0000, options)
    const total = 5_000_000
    const sink = server.spawn('sink', async (sys) => {
      const listener = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(listener, { address: '0.0.0.0', port: 5 })
      sys.listen(listener, 1)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(50_000)
      let wrong = 0
      let at = 0
      for (let count = await sys.recv(fd, buffer); count > 0; count = await sys.recv(fd, buffer)) {
        for (let i = 0; i < count; i++, at++) if (buffer[i] !== at % 251) wrong++
      }
      await sys.close(fd)
      return wrong === 0 && at === total ? 0 : 1
    })
    client.spawn('source', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      await sys.connect(fd, { address: '10.0.0.2', port: 5 })
      await sys.send(
        fd,
        Uint8Array.from({ length: total }, (_, i) => i % 251),
      )
      await sys.close(fd)
    })
    expect(await sink.ended).toBe(0)
    expect([...a.drops, ...b.drops].every((count) => count === 0)).toBe(true)
  })

  it('drops by name what is too large, and all when it is closed', () => {
    const its = world()
    const port = new SharedPort(its, sharedLink(0x4_0000), 0)
    const send = (bytes: number): void => {
      const frame = its.frames.allocate(bytes)!
      frame.end = frame.start + bytes
      port.send(frame)
    }
    send(1501)
    expect(port.drops[Drop['link-mtu']]).toBe(1)
    send(1500)
    port.close()
    send(100)
    expect(port.drops[Drop['link-down']]).toBe(1)
    expect([its.frames.inUse, port.carrier]).toEqual([0, false])
  })

  it('keeps what the other end has no room for, up to a length', () => {
    const its = world()
    const port = new SharedPort(its, sharedLink(0x4_0000), 0, { queueLength: 10 })
    // Nobody reads: 172 frames fit into the ring, ten wait.
    for (let i = 0; i < 200; i++) {
      const frame = its.frames.allocate(1500)!
      frame.end = frame.start + 1500
      port.send(frame)
      its.loop.turn()
    }
    expect(port.drops[Drop['link-queue-full']]).toBe(200 - 172 - 10)
    expect(its.frames.inUse).toBe(10)
    port.close()
  })
})
