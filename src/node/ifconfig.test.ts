import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { parseIpPrefix } from '../wire/address.ts'
import { configureHostSide, KernelLinks, removeHostAddresses } from './ifconfig.ts'
import { NetlinkType } from './netlink.ts'
import { errorMessage, FakeKernel, linkMessage } from './testing.ts'

const prefix = (text: string) => parseIpPrefix(text)!

const messageOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`
  }
  return 'nothing went wrong'
}

/** What was sent to set something, without the header of netlink. */
const changes = (kernel: FakeKernel): string[] =>
  kernel.calls.filter((call) => call.startsWith('send') && !call.startsWith(`send ${NetlinkType.GetLink} `))

describe('configureHostSide', () => {
  test('sets the MTU, then addresses, then up; and closes its socket', () => {
    const kernel = new FakeKernel()
    configureHostSide('ng0', { mtu: 9000, addresses: [prefix('10.77.0.1/24'), prefix('fd77::1/64')] }, kernel)
    expect(changes(kernel).map((call) => call.split(' ')[1])).toEqual(['16', '20', '20', '16'])
    expect(changes(kernel)[3]).toBe('send 16 00000000070000000100000001000000')
    expect(kernel.descriptors.size).toBe(0)
  })

  test('tells which addresses are new, and takes them away again', () => {
    const kernel = new FakeKernel()
    const addresses = [prefix('10.77.0.1/24'), prefix('fd77::1/64')]
    expect(configureHostSide('ng0', { addresses }, kernel)).toEqual(addresses)
    const from = kernel.calls.length
    removeHostAddresses('ng0', addresses, kernel)
    expect(
      kernel.calls
        .slice(from)
        .filter((call) => call.startsWith('send'))
        .map((call) => call.split(' ')[1]),
    ).toEqual(['18', '18', '21', '18', '21'])
    expect(kernel.descriptors.size).toBe(0)
    kernel.failures.set('send 20', -Errno.EEXIST)
    expect(configureHostSide('ng0', { addresses }, kernel)).toEqual([])
    kernel.failures.set(`send ${NetlinkType.GetLink}`, -Errno.ENODEV)
    removeHostAddresses('ng0', addresses, kernel)
    expect(kernel.descriptors.size).toBe(0)
  })

  test('what fails leaves no address', () => {
    const kernel = new FakeKernel()
    kernel.failures.set('send 16', -Errno.EPERM)
    expect(messageOf(() => configureHostSide('ng0', { addresses: [prefix('10.77.0.1/24')] }, kernel))).toMatch(/^EPERM/)
    expect(changes(kernel).map((call) => call.split(' ')[1])).toEqual(['20', '16', '21'])
  })

  test('leaves alone what is as it should be', () => {
    const kernel = new FakeKernel()
    kernel.up = true
    configureHostSide('ng0', { mtu: 1500 }, kernel)
    expect(changes(kernel)).toEqual([])
  })

  test('no permission: all commands that do the same', () => {
    const kernel = new FakeKernel()
    kernel.failures.set('send 20', -Errno.EPERM)
    const side = { addresses: [prefix('10.77.0.1/24'), prefix('fd77::1/64')], mtu: 1400 }
    expect(messageOf(() => configureHostSide('ng0', side, kernel))).toBe(
      "EPERM: no permission to set up ng0: run 'sudo ip addr replace 10.77.0.1/24 dev ng0 && " +
        "sudo ip addr replace fd77::1/64 dev ng0 && sudo ip link set ng0 up mtu 1400', or this with sudo",
    )
    expect(kernel.descriptors.size).toBe(0)
  })

  test('no such interface', () => {
    const kernel = new FakeKernel()
    kernel.failures.set(`send ${NetlinkType.GetLink}`, -Errno.ENODEV)
    expect(messageOf(() => configureHostSide('ng0', {}, kernel))).toBe('ENODEV: there is no interface ng0')
    expect(kernel.descriptors.size).toBe(0)
  })
})

describe('KernelLinks', () => {
  test.each<[string, number, (links: KernelLinks) => void, string]>([
    [
      'IPv6 off',
      Errno.EACCES,
      (links) => links.addAddress('ng0', prefix('fd77::1/64')),
      "EACCES: IPv6 is off on ng0: 'sudo sysctl net.ipv6.conf.ng0.disable_ipv6=0' turns it on, if the kernel has it",
    ],
    [
      'add without permission',
      Errno.EPERM,
      (links) => links.addAddress('ng0', prefix('10.77.0.1/24')),
      "EPERM: no permission to give ng0 the address 10.77.0.1/24: run 'sudo ip addr replace 10.77.0.1/24 dev ng0', or this with sudo",
    ],
    [
      'delete what is not there',
      Errno.EADDRNOTAVAIL,
      (links) => links.removeAddress('ng0', prefix('10.77.0.1/24')),
      'EADDRNOTAVAIL: cannot take the address 10.77.0.1/24 from ng0: Cannot assign requested address (EADDRNOTAVAIL)',
    ],
    [
      'down without permission',
      Errno.EPERM,
      (links) => links.setUp('ng0', false),
      "EPERM: no permission to set ng0 down: run 'sudo ip link set ng0 down', or this with sudo",
    ],
    [
      'a wrong MTU',
      Errno.EINVAL,
      (links) => links.setMtu('ng0', 7),
      'EINVAL: cannot set the MTU of ng0 to 7: Invalid argument (EINVAL)',
    ],
  ])('%s', (_what, errno, action, expected) => {
    const kernel = new FakeKernel()
    for (const type of [NetlinkType.NewLink, NetlinkType.NewAddress, NetlinkType.DeleteAddress]) {
      kernel.failures.set(`send ${type}`, -errno)
    }
    const links = new KernelLinks(kernel)
    expect(messageOf(() => action(links))).toBe(expected)
    links.close()
    links.close()
    expect(kernel.descriptors.size).toBe(0)
  })

  test('an answer in several pieces, with strangers between', () => {
    const kernel = new FakeKernel()
    const links = new KernelLinks(kernel)
    const fd = [...kernel.netlink.keys()][0]!
    const send = kernel.send.bind(kernel)
    const part = (sequence: number, name: string): Uint8Array => {
      const message = linkMessage(NetlinkType.NewLink, sequence, { name, up: true, mtu: 1500 })
      message[6] = 2
      return message
    }
    kernel.send = (to, bytes, length) => {
      send(to, bytes, length)
      const done = errorMessage(1, 0)
      done[4] = NetlinkType.Done
      kernel.netlink.set(fd, [part(1, 'lo'), part(77, 'old'), concat(part(1, 'eth0'), part(1, 'ng0')), done])
      return length
    }
    expect(links.links().map((link) => link.name)).toEqual(['lo', 'eth0', 'ng0'])
    links.close()
  })

  test('a kernel that does not answer is an error, not a wait', () => {
    const kernel = new FakeKernel()
    const links = new KernelLinks(kernel)
    kernel.send = () => 0
    expect(messageOf(() => links.links())).toBe(
      'EAGAIN: cannot list interfaces: Resource temporarily unavailable (EAGAIN)',
    )
    links.close()
  })

  test('no socket', () => {
    const kernel = new FakeKernel()
    kernel.failures.set('socket', -Errno.EMFILE)
    expect(messageOf(() => new KernelLinks(kernel))).toBe(
      'EMFILE: cannot ask the kernel for its interfaces: Too many open files (EMFILE)',
    )
  })
})

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}
