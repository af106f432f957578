import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { PollWatch, systemCalls, ThreadWatch } from './readiness.ts'
import { openStreamWatch } from './stream-watch.ts'
import {
  type DescriptorWatch,
  loadSyscalls,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  type Reader,
  type Syscalls,
} from './syscalls.ts'

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Waits until `condition` holds, ten seconds at most. */
const until = async (condition: () => boolean): Promise<void> => {
  const end = performance.now() + 10_000
  while (!condition() && performance.now() < end) await sleep(1)
  expect(condition()).toBe(true)
}

describe.runIf(process.platform === 'linux')('watching a descriptor', () => {
  const buffer = new Uint8Array(0x1_0000)
  let directory: string
  let watches: DescriptorWatch[]

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'netglass-'))
    watches = []
  })

  afterEach(() => {
    for (const watch of watches) watch.close()
    rmSync(directory, { recursive: true })
  })

  /** A pipe that is its own other end. */
  const openPipe = (syscalls: Syscalls): number => {
    const path = join(directory, 'pipe')
    execFileSync('mkfifo', [path])
    const fd = syscalls.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
    expect(fd).toBeGreaterThan(2)
    return fd
  }

  describe.each([
    ['by the event loop', () => loadSyscalls((native, fd, ready) => new PollWatch(native, fd, ready))],
    ['by a thread', () => loadSyscalls((native, fd, ready) => new ThreadWatch(native, fd, ready))],
  ])('%s', (_how, load) => {
    test('says that there is something to read, as long as there is', async () => {
      const syscalls = load()
      const fd = openPipe(syscalls)
      const address = syscalls.addressOf(buffer)
      let times = 0
      let drained = 0
      watches.push(
        syscalls.watch(fd, () => {
          times++
          if (times < 3) return
          drained += syscalls.read(fd, address, buffer.length)
        }),
      )
      await sleep(10)
      expect(times).toBe(0)
      expect(syscalls.write(fd, address, 5)).toBe(5)
      await until(() => drained === 5)
      expect(times).toBe(3)
      await sleep(10)
      expect(times).toBe(3)
      syscalls.write(fd, address, 1)
      await until(() => drained === 6)
      watches[0]!.close()
      syscalls.close(fd)
    })

    test('says that there is room to write when that was asked for', async () => {
      const syscalls = load()
      const fd = openPipe(syscalls)
      let times = 0
      const watch = syscalls.watch(fd, () => {
        times++
        watch.setWritable(false)
      })
      watches.push(watch)
      await sleep(10)
      expect(times).toBe(0)
      watch.setWritable(true)
      await until(() => times === 1)
      await sleep(10)
      expect(times).toBe(1)
      watch.setWritable(true)
      await until(() => times === 2)
      watch.close()
      syscalls.close(fd)
    })

    test('says nothing after it was closed, not even what it was about to say', async () => {
      const syscalls = load()
      const fd = openPipe(syscalls)
      let times = 0
      const watch = syscalls.watch(fd, () => times++)
      syscalls.write(fd, syscalls.addressOf(buffer), 1)
      await new Promise(setImmediate)
      const before = times
      watch.close()
      watch.close()
      watch.setWritable(true)
      syscalls.close(fd)
      await sleep(20)
      expect(times).toBe(before)
    })

    test('can be closed by whom it calls', async () => {
      const syscalls = load()
      const fd = openPipe(syscalls)
      let times = 0
      const watch = syscalls.watch(fd, () => {
        times++
        watch.close()
        syscalls.close(fd)
      })
      syscalls.write(fd, syscalls.addressOf(buffer), 1)
      await until(() => times === 1)
      await sleep(20)
      expect(times).toBe(1)
    })

    test('what it brings about goes on at once: promises too', async () => {
      const syscalls = load()
      const fd = openPipe(syscalls)
      const order: string[] = []
      watches.push(
        syscalls.watch(fd, () => {
          if (order.length > 0) return
          syscalls.read(fd, syscalls.addressOf(buffer), buffer.length)
          void Promise.resolve().then(() => order.push('promise'))
          setImmediate(() => order.push('immediate'))
          order.push('ready')
        }),
      )
      syscalls.write(fd, syscalls.addressOf(buffer), 1)
      await until(() => order.length === 3)
      expect(order).toEqual(['ready', 'promise', 'immediate'])
      watches[0]!.close()
      syscalls.close(fd)
    })
  })

  describe('by a stream that reads', () => {
    /** Takes what was read, and has the next read go elsewhere. */
    class Taker implements Reader {
      readonly got: string[] = []
      into: Uint8Array
      onTook: (() => void) | null = null

      constructor(size = 100) {
        this.into = new Uint8Array(size)
      }

      took(length: number): void {
        this.got.push(String(Buffer.from(this.into.subarray(0, length))))
        this.into = new Uint8Array(this.into.length)
        this.onTook?.()
      }
    }

    const never = (): void => expect.unreachable()
    const write = (syscalls: Syscalls, fd: number, text: string): void => {
      const bytes = Buffer.from(text)
      expect(syscalls.write(fd, syscalls.addressOf(bytes), bytes.length)).toBe(bytes.length)
    }

    test('what there is comes at once, each time where it is wanted; promises go on', async () => {
      const syscalls = systemCalls()
      const fd = openPipe(syscalls)
      const taker = new Taker()
      watches.push(syscalls.watch(fd, never, taker))
      const order: string[] = []
      taker.onTook = () => {
        void Promise.resolve().then(() => order.push('promise'))
        setImmediate(() => order.push('immediate'))
      }
      await sleep(10)
      expect(taker.got).toEqual([])
      for (const text of ['one', 'two', 'three']) {
        write(syscalls, fd, text)
        await until(() => taker.got.at(-1) === text)
      }
      await until(() => order.length === 6)
      expect(taker.got).toEqual(['one', 'two', 'three'])
      expect(order.slice(0, 2)).toEqual(['promise', 'immediate'])
      watches[0]!.close()
      syscalls.close(fd)
    })

    test('while room to write is waited for, it reads nothing', async () => {
      const syscalls = systemCalls()
      const fd = openPipe(syscalls)
      const taker = new Taker()
      let times = 0
      const watch = syscalls.watch(fd, () => times++, taker)
      watches.push(watch)
      watch.setWritable(false)
      watch.setWritable(true)
      write(syscalls, fd, 'later')
      await until(() => times > 1)
      expect(taker.got).toEqual([])
      watch.setWritable(false)
      const before = times
      await until(() => taker.got.length === 1)
      await sleep(10)
      expect([taker.got, times]).toEqual([['later'], before])
      watch.close()
      syscalls.close(fd)
    })

    test('after an error others learn of it by reading', async () => {
      const syscalls = systemCalls()
      const fd = openPipe(syscalls)
      const taker = new Taker(4)
      // An eventfd does not give less than eight bytes.
      const counter = koffi.load(null).func('int eventfd(unsigned int value, int flags)')(1, O_NONBLOCK)
      let result = 0
      const watch = syscalls.watch(
        counter,
        () => {
          result = syscalls.read(counter, syscalls.addressOf(buffer), 4)
          watch.setWritable(true)
          watch.setWritable(false)
        },
        taker,
      )
      watches.push(watch)
      await until(() => result === -Errno.EINVAL)
      watch.close()
      result = 0
      await sleep(10)
      expect([result, taker.got]).toEqual([0, []])
      for (const each of [counter, fd]) syscalls.close(each)
    })

    test('can be closed by whom it calls, and says nothing after that; the descriptor stays open', async () => {
      const syscalls = systemCalls()
      const fd = openPipe(syscalls)
      const taker = new Taker()
      const watch = syscalls.watch(fd, never, taker)
      taker.onTook = () => watch.close()
      write(syscalls, fd, 'one')
      await until(() => taker.got.length === 1)
      watch.close()
      watch.setWritable(true)
      write(syscalls, fd, 'two')
      await sleep(10)
      expect(taker.got).toEqual(['one'])
      expect(syscalls.read(fd, syscalls.addressOf(buffer), 100)).toBe(3)
      expect(syscalls.close(fd)).toBe(0)
    })

    test('a descriptor that no stream takes is watched otherwise', () => {
      let watched = 0
      const other: DescriptorWatch = { setWritable: () => {}, close: () => {} }
      const syscalls = loadSyscalls((native, fd, ready, reader) => {
        const byStream = openStreamWatch(native, fd, ready, reader!, () => other)
        watched++
        return byStream ?? other
      })
      expect(syscalls.watch(-1, never, new Taker())).toBe(other)
      expect(watched).toBe(1)
    })
  })
})

test.runIf(process.platform === 'linux')('calls give the negated error number', () => {
  const syscalls = systemCalls()
  const byte = new Uint8Array(1)
  expect(syscalls.open('/nowhere/at/all', O_RDWR)).toBe(-Errno.ENOENT)
  expect(syscalls.close(-1)).toBe(-Errno.EBADF)
  expect(syscalls.read(-1, syscalls.addressOf(byte), 1)).toBe(-Errno.EBADF)
  expect(syscalls.write(-1, syscalls.addressOf(byte), 1)).toBe(-Errno.EBADF)
  expect(syscalls.ioctl(-1, 0, byte)).toBe(-Errno.EBADF)
  expect(syscalls.ioctlNumber(-1, 0, 0)).toBe(-Errno.EBADF)
  expect(syscalls.socket(-1, 0, 0)).toBe(-Errno.EAFNOSUPPORT)
  expect(syscalls.bind(-1, byte)).toBe(-Errno.EBADF)
  expect(syscalls.setsockopt(-1, 0, 0, byte)).toBe(-Errno.EBADF)
  expect(syscalls.send(-1, byte, 1, 0)).toBe(-Errno.EBADF)
  expect(syscalls.recv(-1, byte, 0)).toBe(-Errno.EBADF)
})
