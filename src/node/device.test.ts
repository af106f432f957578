import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { type DeviceOptions, openDevice } from './device.ts'
import { checkDeviceName, DeviceError, type Surroundings } from './device-error.ts'
import { NetlinkType } from './netlink.ts'
import { systemCalls } from './readiness.ts'
import { FakeKernel, ORDINARY } from './testing.ts'

const open = (kernel: FakeKernel, options: Partial<DeviceOptions> = {}, around: Partial<Surroundings> = {}) =>
  openDevice({ kind: 'tap', name: 'ng0', syscalls: kernel, surroundings: { ...ORDINARY, ...around }, ...options })

const failure = (action: () => unknown): DeviceError => {
  try {
    action()
  } catch (error) {
    if (error instanceof DeviceError) return error
    throw error
  }
  throw new Error('nothing went wrong')
}

const ROOT = { uid: 0, user: 'root' }
const TUNSETIFF = 'ioctl 400454ca'

describe('openDevice', () => {
  test('asks for a TAP device with virtio headers, and for all offloads', () => {
    const kernel = new FakeKernel()
    const device = open(kernel)
    expect(kernel.calls.filter((call) => call.startsWith('open') || call.startsWith('ioctl'))).toEqual([
      'open /dev/net/tun',
      // "ng0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
      'ioctl 400454ca 6e673000000000000000000000000000' + '0250',
      'ioctl 400454d8 0a000000',
      'ioctl 400454dc 01000000',
      'ioctl 400454d0 15',
    ])
    const offloads = { rx: true, gro: true, tx: true, tso: true }
    expect(device).toMatchObject({ kind: 'tap', name: 'ng0', offloads, state: { index: 7, mtu: 1500, up: false } })
    device.close()
    expect(kernel.descriptors.size).toBe(0)
  })

  test('asks for a plain TUN device', () => {
    const kernel = new FakeKernel()
    open(kernel, { kind: 'tun', offload: false }).close()
    expect(kernel.calls.filter((call) => call.startsWith('ioctl'))).toEqual([
      'ioctl 400454ca 6e673000000000000000000000000000' + '0110',
    ])
  })

  test('takes the name that the kernel chose', () => {
    const kernel = new FakeKernel()
    kernel.name = 'tap3'
    const options: DeviceOptions = { kind: 'tap', syscalls: kernel, surroundings: ORDINARY }
    const device = openDevice(options)
    expect(device.name).toBe('tap3')
    expect(kernel.calls).toContain('ioctl 400454ca 74617025640000000000000000000000' + '0250')
    device.close()
  })

  test('takes fewer offloads from a kernel that has fewer, and none from one without', () => {
    const kernel = new FakeKernel()
    kernel.failures.set('ioctl 400454d0 15', -Errno.EINVAL)
    open(kernel).close()
    expect(kernel.calls).toContain('ioctl 400454d0 7')
    kernel.failures.set('ioctl 400454d8 0a000000', -Errno.EINVAL)
    expect(failure(() => open(kernel)).message).toBe('the kernel has no segmentation offload for ng0: open it without')
    expect(kernel.descriptors.size).toBe(0)
  })

  test('sets the MTU where it differs', () => {
    const kernel = new FakeKernel()
    open(kernel, { mtu: 1500 }).close()
    expect(kernel.calls.some((call) => call.startsWith(`send ${NetlinkType.NewLink}`))).toBe(false)
    open(kernel, { mtu: 9000 }).close()
    expect(kernel.calls.filter((call) => call.startsWith(`send ${NetlinkType.NewLink}`))).toEqual([
      // index 7, no flags changed; IFLA_MTU 9000
      `send ${NetlinkType.NewLink} 000000000700000000000000000000000800040028230000`,
    ])
  })

  test.each<[string, number, Partial<Surroundings>, string]>([
    [
      'ENOENT',
      Errno.ENOENT,
      {},
      "/dev/net/tun is missing: run 'sudo modprobe tun'; in a container, start it with --device /dev/net/tun --cap-add NET_ADMIN",
    ],
    ['ENODEV', Errno.ENODEV, {}, "the kernel has not loaded its TUN/TAP driver: run 'sudo modprobe tun'"],
    [
      'EACCES',
      Errno.EACCES,
      {},
      "no permission to open /dev/net/tun: run this with sudo, or let everybody open it: 'sudo chmod 0666 /dev/net/tun'",
    ],
    [
      'EPERM',
      Errno.EPERM,
      ROOT,
      'no permission to open /dev/net/tun: in a container, start it with --device /dev/net/tun --cap-add NET_ADMIN',
    ],
    ['EMFILE', Errno.EMFILE, {}, 'cannot open /dev/net/tun: Too many open files (EMFILE)'],
  ])('/dev/net/tun: %s', (code, errno, around, message) => {
    const kernel = new FakeKernel()
    kernel.failures.set('open /dev/net/tun', -errno)
    expect(failure(() => open(kernel, {}, around))).toMatchObject({ code, message })
    expect(kernel.descriptors.size).toBe(0)
  })

  test.each<[string, number, Partial<Surroundings>, string]>([
    [
      'EPERM',
      Errno.EPERM,
      {},
      "no permission to use tap device ng0: run this with sudo, or once 'sudo ip tuntap add dev ng0 mode tap user alice'",
    ],
    [
      'EPERM',
      Errno.EPERM,
      ROOT,
      'no permission to use tap device ng0: in a container, start it with --device /dev/net/tun --cap-add NET_ADMIN',
    ],
    [
      'EBUSY',
      Errno.EBUSY,
      { holder: () => 'node (pid 4711)' },
      'device ng0 is in use by node (pid 4711): stop it or choose another name',
    ],
    [
      'EBUSY',
      Errno.EBUSY,
      {},
      'device ng0 is in use: \'sudo grep -l "iff:.*ng0" /proc/[0-9]*/fdinfo/*\' says by which process',
    ],
    ['EINVAL', Errno.EINVAL, {}, "ng0 exists and is no tap device: choose another name, or run 'sudo ip link del ng0'"],
    ['ENOMEM', Errno.ENOMEM, {}, 'cannot use tap device ng0: Cannot allocate memory (ENOMEM)'],
  ])('TUNSETIFF: %s', (code, errno, around, message) => {
    const kernel = new FakeKernel()
    kernel.failures.set(TUNSETIFF, -errno)
    expect(failure(() => open(kernel, {}, around))).toMatchObject({ code, message })
    expect(kernel.descriptors.size).toBe(0)
  })

  test('no permission to set the MTU', () => {
    const kernel = new FakeKernel()
    kernel.failures.set(`send ${NetlinkType.NewLink}`, -Errno.EPERM)
    expect(failure(() => open(kernel, { mtu: 9000 })).message).toBe(
      "no permission to set the MTU of ng0 to 9000: run 'sudo ip link set ng0 mtu 9000', or this with sudo",
    )
    expect(kernel.descriptors.size).toBe(0)
  })

  test('every error is one line', () => {
    for (const errno of Object.values(Errno)) {
      for (const call of ['open /dev/net/tun', TUNSETIFF, 'socket', 'bind']) {
        const kernel = new FakeKernel()
        kernel.failures.set(call, -errno)
        const { message, name } = failure(() => open(kernel))
        expect(name).toBe('DeviceError')
        expect(message).toMatch(/^[^\n]{10,160}$/)
        expect(kernel.descriptors.size).toBe(0)
      }
    }
  })
})

test('another system than Linux', () => {
  expect(failure(() => systemCalls('darwin')).message).toBe('TUN and TAP devices need Linux, and this is darwin')
  const around = { ...ORDINARY, platform: 'win32' }
  expect(failure(() => openDevice({ kind: 'tun', surroundings: around }))).toMatchObject({ code: 'ENOTSUP' })
})

describe('checkDeviceName', () => {
  test.each(['ng0', 'a', 'fifteen-bytes-x', 'ng%d', 'ähm'])('%s will do', (name) => {
    checkDeviceName(name)
  })

  test.each([
    ['sixteen-bytes-xy', "device name 'sixteen-bytes-xy' is too long: it may have 15 bytes"],
    ['äääääääää', "device name 'äääääääää' is too long: it may have 15 bytes"],
    ['', 'device name "" is not valid: it needs letters and digits'],
    ['.', 'device name "." is not valid: it needs letters and digits'],
    ['..', 'device name ".." is not valid: it needs letters and digits'],
    ['a b', 'device name "a b" is not valid: it needs letters and digits'],
    ['a/b', 'device name "a/b" is not valid: it needs letters and digits'],
    ['a:b', 'device name "a:b" is not valid: it needs letters and digits'],
    ['a\nb', 'device name "a\\nb" is not valid: it needs letters and digits'],
    ['a\0', 'device name "a\\u0000" is not valid: it needs letters and digits'],
    ['%d%d', "device name '%d%d' is not valid: at most one %d may stand in it"],
    ['%s', "device name '%s' is not valid: at most one %d may stand in it"],
  ])('%j will not', (name, message) => {
    expect(failure(() => checkDeviceName(name)).message).toBe(message)
  })
})
