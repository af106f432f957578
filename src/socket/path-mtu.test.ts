import { expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import type { Msghdr } from '../host/calls-message.ts'
import { Network } from '../sim/network.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'
import type { ExtendedError } from './control.ts'

/**
 * Sends datagrams of so many bytes to a host over a link of 1500 bytes.
 * What the kernel did (6.18, over lo with that MTU) is what is expected.
 * @returns for each the count that was sent, or the error, and the lengths of the IPv6 packets
 */
const send = async (
  sizes: number[],
  set: (sys: Sys, fd: number) => void,
  control: { cmsg_level: number; cmsg_type: number; data: number }[] = [],
  type = C.SOCK_DGRAM,
): Promise<unknown[]> => {
  const p = new Pair()
  const packets: number[] = []
  const { u8 } = p.network.world.memory
  p.a.ip.interfaces[1]!.port.taps.push({
    frame: (frame) => {
      const protocol = u8[frame.start + 14 + 6]
      if (u8[frame.start + 14]! >>> 4 === 6 && protocol !== 58) packets.push(frame.end - frame.start - 14)
    },
  })
  const results = await p.alone(async (sys) => {
    const fd = sys.socket(C.AF_INET6, type, type === C.SOCK_RAW ? 200 : 0)
    set(sys, fd)
    const found: unknown[] = []
    for (const size of sizes) {
      packets.length = 0
      const iov = [new Uint8Array(size)]
      const to = { address: '2001:db8::2', port: type === C.SOCK_RAW ? 0 : 9 }
      const result = await codeOf(() => sys.sendmsg(fd, { msg_name: to, msg_iov: iov, msg_control: control }))
      await sys.usleep(3000)
      found.push([result, ...packets])
    }
    await sys.close(fd)
    return found
  })
  expect(p.close()).toEqual(NOTHING)
  return results
}

const option =
  (name: number, value: number) =>
  (sys: Sys, fd: number): void => {
    sys.setsockopt(fd, C.SOL_IPV6, name, value)
  }
const both =
  (...options: ((sys: Sys, fd: number) => void)[]) =>
  (sys: Sys, fd: number): void => {
    for (const set of options) set(sys, fd)
  }
const dontFragment = (data: number) => [{ cmsg_level: C.SOL_IPV6, cmsg_type: C.IPV6_DONTFRAG, data }]

it('IPV6_MTU: packets that must be whole, and fragments, are no larger; what fits and may be cut goes whole', async () => {
  const mtu = option(C.IPV6_MTU, 1280)
  expect(await send([1000, 1400, 3000], mtu)).toEqual([
    [1000, 1048],
    [1400, 1448],
    [3000, 1280, 1280, 592],
  ])
  for (const discovery of [C.IP_PMTUDISC_DO, C.IP_PMTUDISC_PROBE]) {
    expect(await send([1000, 1400, 3000], both(mtu, option(C.IPV6_MTU_DISCOVER, discovery)))).toEqual([
      [1000, 1048],
      ['EMSGSIZE'],
      ['EMSGSIZE'],
    ])
  }
  expect(await send([1400], both(mtu, option(C.IPV6_MTU, 0), option(C.IPV6_MTU_DISCOVER, C.IP_PMTUDISC_DO)))).toEqual([
    [1400, 1448],
  ])
})

it('IPV6_DONTFRAG of a single datagram goes before that of the socket', async () => {
  const whole = [[1400, 1448], ['EMSGSIZE']]
  const cut = [
    [1400, 1448],
    [3000, 1496, 1496, 160],
  ]
  const nothing = (): void => {}
  const sizes = [1400, 3000]
  expect(await send(sizes, nothing)).toEqual(cut)
  expect(await send(sizes, nothing, dontFragment(1))).toEqual(whole)
  expect(await send(sizes, option(C.IPV6_DONTFRAG, 1))).toEqual(whole)
  expect(await send(sizes, option(C.IPV6_DONTFRAG, 1), dontFragment(0))).toEqual(cut)
})

it('of raw sockets too', async () => {
  const sizes = [1400, 3000]
  expect(await send(sizes, option(C.IPV6_DONTFRAG, 1), [], C.SOCK_RAW)).toEqual([[1400, 1440], ['EMSGSIZE']])
  expect(await send(sizes, option(C.IPV6_MTU, 1280), [], C.SOCK_RAW)).toEqual([
    [1400, 1440],
    [3000, 1280, 1280, 584],
  ])
})

it('ip_no_pmtu_disc: what is told of a router that wants smaller packets, and what is learnt', async () => {
  const seen: unknown[] = []
  for (const mode of [0, 1, 2, 3]) {
    const network = new Network()
    const client = network.host('client', { sysctl: { 'net.ipv4.ip_no_pmtu_disc': mode } })
    const router = network.router('router')
    const server = network.host('server')
    network.link(client, router)
    network.link(router, server, { mtu: 1000 })
    network.computeRoutes()
    client.spawn('client', async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
      const initial = await sys.getsockopt(fd, C.SOL_IP, C.IP_MTU_DISCOVER)
      await sys.connect(fd, { address: '10.0.1.2', port: 9 })
      sys.setsockopt(fd, C.SOL_IP, C.IP_MTU_DISCOVER, C.IP_PMTUDISC_PROBE)
      sys.setsockopt(fd, C.SOL_IP, C.IP_RECVERR, 1)
      await sys.send(fd, new Uint8Array(1400))
      await sys.sleep(1)
      const message: Msghdr = { msg_iov: [new Uint8Array(10)], msg_controllen: 100 }
      const result = await codeOf(() => sys.recvmsg(fd, message, C.MSG_ERRQUEUE))
      const error = message.msg_control?.[0]?.data as ExtendedError | undefined
      seen.push([initial, result, error?.ee_info, await sys.getsockopt(fd, C.SOL_IP, C.IP_MTU)])
    })
    await network.run(5000)
    network.close()
  }
  // Linux 6.18.
  expect(seen).toEqual([
    [C.IP_PMTUDISC_WANT, 10, 1000, 1000],
    [C.IP_PMTUDISC_DONT, 10, 0, 552],
    [C.IP_PMTUDISC_DONT, 'EAGAIN', undefined, 1500],
    [C.IP_PMTUDISC_DONT, 'EAGAIN', undefined, 1500],
  ])
})
