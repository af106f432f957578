import { describe, expect, it } from 'vitest'
import { codeOf, Pair } from '../sim/testing.ts'
import * as C from '../socket/constants.ts'
import type { Sys } from './calls.ts'

const PORT = 8000
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7)

/** Runs `client` with a connected socket, beside a server that gives back all that it read. */
const withServer = async <T>(p: Pair, client: (sys: Sys, fd: number) => Promise<T>): Promise<[Uint8Array, T]> => {
  const results = await p.run<unknown>(
    [
      p.b,
      async (sys) => {
        const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
        sys.bind(listener, { address: '0.0.0.0', port: PORT })
        sys.listen(listener, 5)
        const fd = await sys.accept(listener)
        const all: number[] = []
        const buffer = new Uint8Array(65_536)
        for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer))
          all.push(...buffer.subarray(0, n))
        await sys.close(fd)
        return Uint8Array.from(all)
      },
    ],
    [
      p.a,
      async (sys) => {
        const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
        await sys.connect(fd, { address: '10.0.0.2', port: PORT })
        const result = await client(sys, fd)
        await sys.close(fd)
        return result
      },
    ],
  )
  return results as [Uint8Array, T]
}

describe('sendfile(2)', () => {
  it('sends a file, from an offset or from where it was read to', async () => {
    const p = new Pair()
    p.a.files.set('/data', bytes(300_000))
    const [received, told] = await withServer(p, async (sys, fd) => {
      const file = sys.open('/data')
      const offset = { value: 299_990 }
      const tail = await sys.sendfile(fd, file, offset, 100)
      const first = await sys.sendfile(fd, file, null, 5)
      const rest = await sys.sendfile(fd, file, null, 1_000_000)
      return [tail, offset.value, first, rest, await sys.sendfile(fd, file, null, 1)]
    })
    expect(told).toEqual([10, 300_000, 5, 299_995, 0])
    const data = bytes(300_000)
    expect(received.length).toBe(300_010)
    expect(received.subarray(0, 10)).toEqual(data.subarray(299_990))
    expect(received.subarray(10)).toEqual(data)
  })

  it('fails as on Linux', async () => {
    const p = new Pair()
    p.a.files.set('/data', bytes(10))
    const seen = await p.alone(async (sys) => {
      const file = sys.open('/data')
      const [reader, writer] = sys.pipe()
      return [
        await codeOf(() => sys.open('/nothing')),
        await codeOf(() => sys.open('/data', C.O_RDWR)),
        await codeOf(() => sys.sendfile(reader, file, null, 1)),
        await codeOf(() => sys.sendfile(writer, reader, null, 1)),
        await codeOf(() => sys.sendfile(writer, file, { value: -1 }, 1)),
        await codeOf(() => sys.sendfile(writer, 99, null, 1)),
        await codeOf(() => sys.write(file, 'x')),
      ]
    })
    expect(seen).toEqual(['ENOENT', 'EACCES', 'EBADF', 'EINVAL', 'EINVAL', 'EBADF', 'EBADF'])
  })
})

describe('splice(2)', () => {
  it('moves bytes from a file through a pipe into a socket, and back out of a socket', async () => {
    const p = new Pair()
    p.a.files.set('/data', bytes(200_000))
    const [received, told] = await withServer(p, async (sys, fd) => {
      const file = sys.open('/data')
      const [reader, writer] = sys.pipe()
      const moved: number[] = []
      for (;;) {
        const n = await sys.splice(file, null, writer, null, 1_000_000)
        if (n === 0) return moved
        for (let left = n; left > 0; ) left -= await sys.splice(reader, null, fd, null, left, C.SPLICE_F_MORE)
        moved.push(n)
      }
    })
    expect(told).toEqual([65_536, 65_536, 65_536, 3392])
    expect(received).toEqual(bytes(200_000))
  })

  it('stops at the urgent byte, and does not move it (google/packetdrill, tcp_splice_loop_test)', async () => {
    const p = new Pair()
    const [, seen] = await p.run<unknown>(
      [
        p.a,
        async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
          await sys.connect(fd, { address: '10.0.0.2', port: PORT })
          await sys.send(fd, 'abc!', undefined, C.MSG_OOB)
          await sys.sleep(1)
        },
      ],
      [
        p.b,
        async (sys) => {
          const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
          sys.bind(listener, { address: '0.0.0.0', port: PORT })
          sys.listen(listener, 5)
          const fd = await sys.accept(listener)
          const [reader, writer] = sys.pipe()
          await sys.sleep(0.5)
          const counts = [await sys.splice(fd, null, writer, null, 99), await sys.splice(fd, null, writer, null, 1)]
          const buffer = new Uint8Array(10)
          const n = await sys.read(reader, buffer)
          return [...counts, text(buffer.subarray(0, n))]
        },
      ],
    )
    expect(seen).toEqual([3, 0, 'abc'])
  })

  it('waits for the pipe, unless told not to; needs one', async () => {
    const p = new Pair()
    const seen = await p.alone(async (sys) => {
      const [reader, writer] = sys.pipe()
      const [otherReader, otherWriter] = sys.pipe()
      const results: unknown[] = [
        await codeOf(() => sys.splice(reader, null, otherWriter, null, 10, C.SPLICE_F_NONBLOCK)),
        await codeOf(() => sys.splice(reader, { value: 0 }, otherWriter, null, 10)),
        await codeOf(() => sys.splice(writer, null, otherWriter, null, 10)),
        await codeOf(() => sys.splice(sys.socket(C.AF_INET, C.SOCK_STREAM), null, sys.open('/f'), null, 10)),
        await codeOf(() => sys.splice(reader, null, otherWriter, null, 10, 64)),
      ]
      const moving = sys.splice(reader, null, otherWriter, null, 10)
      await sys.sleep(1)
      await sys.write(writer, 'hello')
      results.push(await moving)
      const buffer = new Uint8Array(10)
      results.push(await sys.read(otherReader, buffer))
      await sys.close(writer)
      results.push(await sys.splice(reader, null, otherWriter, null, 10))
      return results
    })
    expect(seen).toEqual(['EAGAIN', 'ESPIPE', 'EBADF', 'ENOENT', 'EINVAL', 5, 5, 0])
  })

  it('takes a byte out of a pipe once, however many splice from it', async () => {
    const p = new Pair()
    const [received, told] = await withServer(p, async (sys, fd) => {
      const [reader, writer] = sys.pipe()
      const moves = [1, 2, 3].map(() => sys.splice(reader, null, fd, null, 10))
      await sys.sleep(1)
      await sys.write(writer, 'hello')
      await sys.sleep(1)
      await sys.write(writer, 'you')
      await sys.sleep(1)
      const here = sys.ioctl(reader, C.FIONREAD)
      await sys.close(writer)
      return [...(await Promise.all(moves)), here]
    })
    expect(text(received)).toBe('helloyou')
    expect(told.toSorted()).toEqual([0, 0, 3, 5])
  })

  it('loses nothing and doubles nothing when others read the pipe while it waits for room in the socket', async () => {
    const p = new Pair()
    const data = bytes(60_000)
    const [, told] = await p.run<unknown>(
      [
        p.b,
        async (sys) => {
          const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
          sys.bind(listener, { address: '0.0.0.0', port: PORT })
          sys.listen(listener, 5)
          const fd = await sys.accept(listener)
          await sys.sleep(10)
          const buffer = new Uint8Array(65_536)
          while ((await sys.recv(fd, buffer)) > 0) {}
        },
      ],
      [
        p.a,
        async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
          await sys.connect(fd, { address: '10.0.0.2', port: PORT })
          // The socket is filled.
          const filler = new Uint8Array(1_000_000)
          for (let quiet = false; !quiet; ) {
            while ((await codeOf(() => sys.send(fd, filler, undefined, C.MSG_DONTWAIT))) !== 'EAGAIN') {}
            await sys.sleep(1)
            quiet = (await codeOf(() => sys.send(fd, filler, undefined, C.MSG_DONTWAIT))) === 'EAGAIN'
          }
          const [reader, writer] = sys.pipe()
          await sys.write(writer, data)
          const moving = sys.splice(reader, null, fd, null, 60_000)
          await sys.sleep(0.1)
          const stolen = await sys.read(reader, new Uint8Array(50_000))
          return [stolen, await moving, sys.ioctl(reader, C.FIONREAD)]
        },
      ],
    )
    expect(told).toEqual([50_000, 10_000, 0])
  })

  it('loses nothing when others fill the pipe while it waits for the socket', async () => {
    const p = new Pair()
    const [, told] = await p.run<unknown>(
      [
        p.b,
        async (sys) => {
          const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
          sys.bind(listener, { address: '0.0.0.0', port: PORT })
          sys.listen(listener, 5)
          const fd = await sys.accept(listener)
          await sys.sleep(1)
          await sys.send(fd, 'hello')
        },
      ],
      [
        p.a,
        async (sys) => {
          const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
          await sys.connect(fd, { address: '10.0.0.2', port: PORT })
          const [reader, writer] = sys.pipe()
          const moving = sys.splice(fd, null, writer, null, 100)
          await sys.sleep(0.5)
          await sys.write(writer, new Uint8Array(65_534))
          await sys.sleep(1)
          const buffer = new Uint8Array(70_000)
          const first = await sys.read(reader, buffer)
          const moved = await moving
          const rest = await sys.read(reader, buffer.subarray(first))
          return [first + rest, moved, text(buffer).replaceAll('\0', '')]
        },
      ],
    )
    expect(told).toEqual([65_539, 5, 'hello'])
  })
})
