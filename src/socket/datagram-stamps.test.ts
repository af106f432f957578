import { describe, expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import type { Msghdr } from '../host/calls-message.ts'
import { codeOf, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'
import type { ControlMessage, ExtendedError } from './control.ts'

/** Time stamps of what UDP, raw and ping sockets send: what Linux 6.18 gave for the same calls. */

const STAMPED = C.SOF_TIMESTAMPING_TX_SOFTWARE | C.SOF_TIMESTAMPING_SOFTWARE
const BOTH = STAMPED | C.SOF_TIMESTAMPING_TX_SCHED
const NUMBERED = STAMPED | C.SOF_TIMESTAMPING_OPT_ID
const TO = { address: '10.0.0.2', port: 9 }
const EPOCH = 1_767_225_600

interface Stamp {
  /** Stage and number. */
  what: [number, number]
  /** Seconds of the host's clock; -1 without. */
  at: number
  length: number
  flags: number
  offender: string | undefined
  others: ControlMessage[]
}

/** All that the error queue has. */
const stamps = async (sys: Sys, fd: number): Promise<Stamp[]> => {
  const found: Stamp[] = []
  for (;;) {
    const message: Msghdr = { msg_iov: [new Uint8Array(2000)], msg_controllen: 500 }
    const length = await codeOf(() => sys.recvmsg(fd, message, C.MSG_ERRQUEUE))
    if (typeof length === 'string') return found
    expect(message.msg_name ?? null).toBeNull()
    const control = [...message.msg_control!]
    const time = control[0]!.cmsg_type === C.SCM_TIMESTAMPING ? control.shift()! : null
    const error = control.pop()!
    expect([C.IP_RECVERR, C.IPV6_RECVERR]).toContain(error.cmsg_type)
    const { ee_errno, ee_origin, ee_info, ee_data, offender } = error.data as ExtendedError
    expect([ee_errno, ee_origin]).toEqual([42, C.SO_EE_ORIGIN_TIMESTAMPING])
    const at = time === null ? -1 : (time.data as { ts: { tv_sec: number }[] }).ts[0]!.tv_sec - EPOCH
    const { address } = offender as { address?: string }
    found.push({ what: [ee_info, ee_data], at, length, flags: message.msg_flags!, offender: address, others: control })
  }
}

const whats = (found: Stamp[]): [number, number][] => found.map(({ what }) => what)

const onHost = async <T>(program: (sys: Sys) => Promise<T>): Promise<T> => {
  const p = new Pair()
  const [result] = await p.run<T>([p.a, program])
  return result!
}

const open = (
  sys: Sys,
  flags: number,
  domain: number = C.AF_INET,
  type: number = C.SOCK_DGRAM,
  protocol = 0,
): number => {
  const fd = sys.socket(domain, type, protocol)
  sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, flags)
  return fd
}

const timestamping = (data: number): ControlMessage => ({
  cmsg_level: C.SOL_SOCKET,
  cmsg_type: C.SO_TIMESTAMPING,
  data,
})

describe('SO_TIMESTAMPING of what UDP sends', () => {
  it('a stamp when the packet leaves, with the packet as it stands on the link', () =>
    onHost(async (sys) => {
      const fd = open(sys, STAMPED)
      await sys.sleep(2)
      await sys.sendto(fd, 'hello0', undefined, 0, TO)
      await sys.sleep(1)
      expect(await sys.poll([{ fd, events: C.POLLIN, revents: 0 }], 0)).toBe(1)
      const message: Msghdr = { msg_iov: [new Uint8Array(100)], msg_controllen: 500 }
      // Ethernet, IP and UDP header, and the data; the stamp is first.
      expect(await sys.recvmsg(fd, message, C.MSG_ERRQUEUE)).toBe(14 + 20 + 8 + 6)
      const [packet] = message.msg_iov as Uint8Array[]
      expect([...packet!.subarray(12, 15)]).toEqual([8, 0, 0x45])
      expect(new TextDecoder().decode(packet!.subarray(42, 48))).toBe('hello0')
      expect(message.msg_flags).toBe(C.MSG_ERRQUEUE)
      const [time, error] = message.msg_control!
      expect((time!.data as { ts: unknown[] }).ts[0]).toEqual({ tv_sec: EPOCH + 2, tv_nsec: 0 })
      expect(error!.data).toMatchObject({ ee_info: 0, ee_data: 0, offender: { family: C.AF_UNSPEC } })
      expect(await sys.getsockopt(fd, C.SOL_SOCKET, C.SO_ERROR)).toBe(0)
    }))

  it('two stages, numbers, and the packet left out', () =>
    onHost(async (sys) => {
      const fd = open(sys, BOTH | C.SOF_TIMESTAMPING_OPT_ID | C.SOF_TIMESTAMPING_OPT_TSONLY)
      await sys.sendto(fd, 'a', undefined, 0, TO)
      await sys.sendto(fd, 'b', undefined, 0, TO)
      await sys.sleep(1)
      const found = await stamps(sys, fd)
      expect(whats(found)).toEqual([
        [1, 0],
        [0, 0],
        [1, 1],
        [0, 1],
      ])
      expect(found.map(({ length, flags }) => [length, flags])).toEqual(Array(4).fill([0, C.MSG_ERRQUEUE]))
    }))

  it('numbers begin anew when they are asked for anew, and are not used up by what cannot be sent', () =>
    onHost(async (sys) => {
      const fd = open(sys, NUMBERED)
      sys.setsockopt(fd, C.SOL_IP, C.IP_MTU_DISCOVER, C.IP_PMTUDISC_DO)
      expect(await codeOf(() => sys.sendto(fd, new Uint8Array(2000), undefined, 0, TO))).toBe('EMSGSIZE')
      await sys.sendto(fd, 'a', undefined, 0, TO)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, NUMBERED)
      await sys.sendto(fd, 'b', undefined, 0, TO)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, STAMPED)
      sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, NUMBERED)
      await sys.sendto(fd, 'c', undefined, 0, TO)
      await sys.sleep(1)
      expect(whats(await stamps(sys, fd)).map(([, id]) => id)).toEqual([0, 1, 0])
    }))

  it('one for a datagram in fragments, and for one that was gathered; none for one that never left', () =>
    onHost(async (sys) => {
      const fd = open(sys, NUMBERED)
      await sys.sendto(fd, new Uint8Array(3000), undefined, 0, TO)
      await sys.sendto(fd, 'abc', undefined, C.MSG_MORE, TO)
      await sys.sendto(fd, 'def', undefined, 0, TO)
      await sys.sendto(fd, 'x', undefined, 0, { address: '10.0.0.77', port: 9 })
      await sys.sleep(5)
      const found = await stamps(sys, fd)
      expect(found.filter(({ what }) => what[0] === 0).map(({ what, length }) => [what[1], length])).toEqual([
        [0, 1514],
        [1, 48],
      ])
    }))

  it('without SOFTWARE the time is not told; TX_ACK means nothing here', () =>
    onHost(async (sys) => {
      const fd = open(sys, C.SOF_TIMESTAMPING_TX_SOFTWARE)
      await sys.sendto(fd, 'a', undefined, 0, TO)
      const other = open(sys, C.SOF_TIMESTAMPING_TX_ACK | C.SOF_TIMESTAMPING_SOFTWARE)
      await sys.sendto(other, 'a', undefined, 0, TO)
      await sys.sleep(1)
      expect((await stamps(sys, fd)).map(({ at }) => at)).toEqual([-1])
      expect(await stamps(sys, other)).toEqual([])
    }))

  it('a control message asks for one send, and gives a number of its own', () =>
    onHost(async (sys) => {
      const fd = open(sys, C.SOF_TIMESTAMPING_SOFTWARE | C.SOF_TIMESTAMPING_OPT_ID)
      const send = (control: ControlMessage[]): Promise<number | string> =>
        codeOf(() => sys.sendmsg(fd, { msg_name: TO, msg_iov: ['x'], msg_control: control }))
      await send([])
      await send([timestamping(C.SOF_TIMESTAMPING_TX_SOFTWARE)])
      const id = { cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_TS_OPT_ID, data: 77 }
      await send([timestamping(C.SOF_TIMESTAMPING_TX_SCHED), id])
      await send([timestamping(C.SOF_TIMESTAMPING_TX_SOFTWARE)])
      expect(await send([timestamping(C.SOF_TIMESTAMPING_RX_SOFTWARE)])).toBe('EINVAL')
      await sys.sleep(1)
      expect(whats(await stamps(sys, fd))).toEqual([
        [0, 0],
        [1, 77],
        [0, 1],
      ])
      const plain = open(sys, STAMPED)
      expect(await codeOf(() => sys.sendmsg(plain, { msg_name: TO, msg_iov: ['x'], msg_control: [id] }))).toBe('EINVAL')
    }))

  it('OPT_CMSG, and IPv6 always: what the header says', () =>
    onHost(async (sys) => {
      const fd = open(sys, STAMPED | C.SOF_TIMESTAMPING_OPT_CMSG)
      sys.setsockopt(fd, C.SOL_IP, C.IP_PKTINFO, 1)
      sys.setsockopt(fd, C.SOL_IP, C.IP_RECVTTL, 1)
      await sys.sendto(fd, 'a', undefined, 0, TO)
      const six = open(sys, STAMPED, C.AF_INET6)
      sys.setsockopt(six, C.SOL_IPV6, C.IPV6_RECVHOPLIMIT, 1)
      await sys.sendto(six, 'b', undefined, 0, { address: '::1', port: 9 })
      await sys.sleep(1)
      const [stamp] = await stamps(sys, fd)
      expect(stamp!.offender).toBe('10.0.0.1')
      expect(stamp!.others).toEqual([
        {
          cmsg_level: C.SOL_IP,
          cmsg_type: C.IP_PKTINFO,
          data: { ipi_ifindex: 2, ipi_spec_dst: '10.0.0.1', ipi_addr: '10.0.0.2' },
        },
        { cmsg_level: C.SOL_IP, cmsg_type: C.IP_TTL, data: 64 },
      ])
      const [other] = await stamps(sys, six)
      expect([other!.offender, other!.length]).toEqual(['::1', 63])
      expect(other!.others).toEqual([{ cmsg_level: C.SOL_IPV6, cmsg_type: C.IPV6_HOPLIMIT, data: 64 }])
    }))
})

it('raw and ping sockets have them too', () =>
  onHost(async (sys) => {
    const raw = open(sys, NUMBERED, C.AF_INET, C.SOCK_RAW, 200)
    await sys.sendto(raw, 'raw', undefined, 0, { address: '10.0.0.2' })
    const whole = open(sys, NUMBERED, C.AF_INET, C.SOCK_RAW, C.IPPROTO_RAW)
    const packet = new Uint8Array(27)
    packet.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 200, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2])
    await sys.sendto(whole, packet, undefined, 0, { address: '10.0.0.2' })
    const ping = open(sys, NUMBERED, C.AF_INET, C.SOCK_DGRAM, C.IPPROTO_ICMP)
    await sys.sendto(ping, new Uint8Array([8, 0, 0, 0, 0, 1, 0, 1]), undefined, 0, { address: '10.0.0.2' })
    await sys.sleep(1)
    const seen: unknown[] = []
    for (const fd of [raw, whole, ping]) seen.push((await stamps(sys, fd)).map(({ what, length }) => [...what, length]))
    expect(seen).toEqual([[[0, 0, 37]], [[0, 0, 41]], [[0, 0, 42]]])
  }))

it('bits that mean nothing without another are refused', () =>
  onHost(async (sys) => {
    const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
    const set = (flags: number): Promise<unknown> =>
      codeOf(() => sys.setsockopt(fd, C.SOL_SOCKET, C.SO_TIMESTAMPING, flags))
    expect(await set(C.SOF_TIMESTAMPING_OPT_ID_TCP)).toBe('EINVAL')
    expect(await set(C.SOF_TIMESTAMPING_OPT_STATS)).toBe('EINVAL')
    expect(await set(C.SOF_TIMESTAMPING_TX_COMPLETION * 2)).toBe('EINVAL')
    expect(await set(C.SOF_TIMESTAMPING_TX_COMPLETION)).toBe(0)
  }))
