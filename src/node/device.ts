import { ALL_FAST_PATHS, type FastPaths } from '../core/fast-paths.ts'
import type { LinkFeatures } from '../link/port.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import {
  cannotAttach,
  cannotOpenDriver,
  checkDeviceName,
  DeviceError,
  type DeviceKind,
  type Surroundings,
} from './device-error.ts'
import { KernelLinks } from './ifconfig.ts'
import { LinkWatch } from './link-watch.ts'
import type { LinkState } from './netlink.ts'
import { systemCalls } from './readiness.ts'
import { LITTLE_ENDIAN, O_CLOEXEC, O_NONBLOCK, O_RDWR, type Syscalls, surroundings } from './syscalls.ts'
import { VNET_HEADER } from './vnet.ts'

/** What the kernel and the stack leave to each other at a device, by ethtool's names. */
export interface DeviceOffloads {
  /** The kernel leaves checksums of what it sends unfinished, and those that it has verified are not verified again. */
  readonly rx: boolean
  /** The kernel sends segments of up to 64 KB; needs `rx`. */
  readonly gro: boolean
  /** The stack leaves checksums of what it sends unfinished. */
  readonly tx: boolean
  /** The stack sends segments of up to 64 KB; needs `tx`. */
  readonly tso: boolean
}

/** All that is asked for, as far as what it needs is there and `fast` has it. */
export const deviceOffloads = (
  asked: boolean | Partial<DeviceOffloads> = true,
  fast: FastPaths = ALL_FAST_PATHS,
): DeviceOffloads => {
  const { rx = true, gro = true, tx = true, tso = true } = typeof asked === 'object' ? asked : {}
  const checksums = asked !== false && fast['checksum-offload']
  const segments = asked !== false && fast['segmentation-offload']
  return { rx: checksums && rx, gro: segments && rx && gro, tx: checksums && tx, tso: segments && tx && tso }
}

/** What a link over a device can do. @param mtu the MTU it has now, bytes */
export const featuresOf = ({ kind, offloads }: Device, mtu: number): LinkFeatures => ({
  medium: kind === 'tap' ? 'ethernet' : 'ip',
  mtu,
  maxSegmentedPacket: offloads.tso ? MAX_PACKET : 0,
  checksumOffload: offloads.tx,
  fcs: false,
})

/** Which device, and how. */
export interface DeviceOptions {
  readonly kind: DeviceKind
  /** At most 15 bytes; `%d` in it stands for the first free number. `tun%d` or `tap%d` unless given. */
  readonly name?: string
  /** Sets the device's MTU, bytes; unless given it stays as it is, 1500 for a new device. */
  readonly mtu?: number
  /** What is left to the kernel, and by it to us: all of it unless given, nothing for false. */
  readonly offload?: boolean | Partial<DeviceOffloads>
  /** Is this one of several queues of the device, each of which others may open? */
  readonly multiQueue?: boolean
  /** The system calls to use; the machine's unless given. */
  readonly syscalls?: Syscalls
  /** What to say of the machine in errors; what is found unless given. */
  readonly surroundings?: Surroundings
}

/** An open device. */
export interface Device {
  readonly kind: DeviceKind
  readonly name: string
  readonly fd: number
  /** What is offloaded. When anything is, a virtio header stands before every frame. */
  readonly offloads: DeviceOffloads
  readonly syscalls: Syscalls
  /** The kernel's interface when the device was opened. */
  readonly state: LinkState
  readonly links: LinkWatch
  /** Is there still an interface behind the descriptor? */
  isAttached(): boolean
  close(): void
}

/** linux/if_tun.h. */
const TUNSETIFF = 0x4004_54ca
const TUNSETOFFLOAD = 0x4004_54d0
const TUNGETIFF = 0x8004_54d2
const TUNSETVNETHDRSZ = 0x4004_54d8
const TUNSETVNETLE = 0x4004_54dc
const IFF_TUN = 0x0001
const IFF_TAP = 0x0002
const IFF_MULTI_QUEUE = 0x0100
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const TUN_F_CSUM = 0x01
const TUN_F_TSO4 = 0x02
const TUN_F_TSO6 = 0x04
const TUN_F_TSO_ECN = 0x08

/** What the kernel may leave to us, the most first: segments too, checksums alone, nothing. */
const OFFLOADS = [
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
  TUN_F_CSUM,
  0,
]
const mostOffloads = ({ rx, gro }: DeviceOffloads): number[] => OFFLOADS.slice(gro ? 0 : rx ? 2 : 3)

/** `struct ifreq`: a name of 16 bytes, and 24 bytes of this and that. */
const IFREQ = 40
const IFREQ_FLAGS = 16

/**
 * Opens a device, which the kernel makes if there is none of that name.
 * @throws DeviceError with one line that says what to do
 */
export const openDevice = (options: DeviceOptions): Device => {
  const around = options.surroundings ?? surroundings()
  const name = options.name ?? `${options.kind}%d`
  const syscalls = options.syscalls ?? systemCalls(around.platform)
  checkDeviceName(name)
  const fd = syscalls.open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC)
  if (fd < 0) throw cannotOpenDriver(-fd, around)
  let watch: LinkWatch | null = null
  try {
    // Listening begins before the device is there, so that no change is missed.
    const links = new LinkWatch(syscalls)
    watch = links
    const offloads = deviceOffloads(options.offload)
    const hasHeader = offloads.rx || offloads.tx
    const flags = (options.multiQueue === true ? IFF_MULTI_QUEUE : 0) | (hasHeader ? IFF_VNET_HDR : 0)
    const given = attach(syscalls, fd, options.kind, name, flags, around)
    if (hasHeader) setOffload(syscalls, fd, given, offloads)
    return {
      kind: options.kind,
      name: given,
      fd,
      offloads,
      syscalls,
      state: interfaceState(syscalls, given, options.mtu),
      links,
      isAttached: () => syscalls.ioctl(fd, TUNGETIFF, new Uint8Array(IFREQ)) >= 0,
      close: () => {
        links.close()
        syscalls.close(fd)
      },
    }
  } catch (error) {
    watch?.close()
    syscalls.close(fd)
    throw error
  }
}

/** Makes `fd` that of device `name`. @param flags beside those of its kind @returns the name that the kernel gave it */
const attach = (
  syscalls: Syscalls,
  fd: number,
  kind: DeviceKind,
  name: string,
  flags: number,
  around: Surroundings,
): string => {
  const request = new Uint8Array(IFREQ)
  request.set(new TextEncoder().encode(name))
  const all = (kind === 'tap' ? IFF_TAP : IFF_TUN) | IFF_NO_PI | flags
  new DataView(request.buffer).setUint16(IFREQ_FLAGS, all, LITTLE_ENDIAN)
  const result = syscalls.ioctl(fd, TUNSETIFF, request)
  if (result < 0) throw cannotAttach(-result, kind, name, around)
  return new TextDecoder().decode(request.subarray(0, request.indexOf(0)))
}

/** Sets the shape of virtio headers, and what the kernel may leave to us. */
const setOffload = (syscalls: Syscalls, fd: number, name: string, offloads: DeviceOffloads): void => {
  const size = new Uint8Array(4)
  new DataView(size.buffer).setInt32(0, VNET_HEADER, LITTLE_ENDIAN)
  const on = new Uint8Array(4)
  new DataView(on.buffer).setInt32(0, 1, LITTLE_ENDIAN)
  const sized = syscalls.ioctl(fd, TUNSETVNETHDRSZ, size)
  // Little-endian machines that cannot be asked for it have it so.
  const ordered = syscalls.ioctl(fd, TUNSETVNETLE, on) >= 0 || LITTLE_ENDIAN
  const taken = mostOffloads(offloads).some((some) => syscalls.ioctlNumber(fd, TUNSETOFFLOAD, some) >= 0)
  if (sized < 0 || !ordered || !taken) {
    throw new DeviceError('ENOTSUP', `the kernel has no segmentation offload for ${name}: open it without`)
  }
}

/** The interface behind the device, after its MTU is set. */
const interfaceState = (syscalls: Syscalls, name: string, mtu: number | undefined): LinkState => {
  const links = new KernelLinks(syscalls)
  try {
    if (mtu !== undefined && links.get(name).mtu !== mtu) links.setMtu(name, mtu)
    return links.get(name)
  } finally {
    links.close()
  }
}
