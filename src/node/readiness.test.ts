import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { PollWatch, systemCalls, ThreadWatch } from './readiness.ts'
import { type DescriptorWatch, loadSyscalls, O_CLOEXEC, O_NONBLOCK, O_RDWR, type Syscalls } from './syscalls.ts'

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Waits until `condition` holds, a second at most. */
const until = async (condition: () => boolean): Promise<void> => {
  const end = performance.now() + 1000
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
