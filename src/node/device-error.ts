import { Errno, type ErrnoCode, errnoCode, strerror } from '../core/errno.ts'
import { Drop } from '../wire/drop.ts'

/**
 * What went wrong with a TUN or TAP device, or with the kernel's side of it. `message` is one line that says what to
 * do, ready to be printed. `code` is the error's name: `'EPERM'`, or `'ENOTSUP'` where the system has no such devices.
 */
export class DeviceError extends Error {
  override readonly name = 'DeviceError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** A device carries Ethernet frames (TAP) or IP packets (TUN). */
export type DeviceKind = 'tun' | 'tap'

/** What the texts below say of the machine: who runs this, and who holds a device. */
export interface Surroundings {
  /** `process.platform`. */
  readonly platform: string
  /** Effective user id, and its name. */
  readonly uid: number
  readonly user: string
  /** Who has opened the device, as far as one can see: `'node (pid 4711)'`. */
  holder(name: string): string | undefined
}

/** Longest name of an interface, bytes (IFNAMSIZ - 1). */
const MAX_DEVICE_NAME = 15

const CONTAINER = 'in a container, start it with --device /dev/net/tun --cap-add NET_ADMIN'

/**
 * Checks a device's name as Linux does (`dev_valid_name`). One `%d` in it asks the kernel for the first free number.
 * @throws DeviceError EINVAL or ENAMETOOLONG
 */
export const checkDeviceName = (name: string): void => {
  if (new TextEncoder().encode(name).length > MAX_DEVICE_NAME) {
    throw new DeviceError('ENAMETOOLONG', `device name '${name}' is too long: it may have ${MAX_DEVICE_NAME} bytes`)
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name with control characters is what is looked for
  if (name === '' || name === '.' || name === '..' || /[\s/:\u0000-\u001f\u007f]/.test(name)) {
    throw new DeviceError('EINVAL', `device name ${JSON.stringify(name)} is not valid: it needs letters and digits`)
  }
  if (/%/.test(name.replace('%d', ''))) {
    throw new DeviceError('EINVAL', `device name '${name}' is not valid: at most one %d may stand in it`)
  }
}

/** `/dev/net/tun` could not be opened. @param errno positive */
export const cannotOpenDriver = (errno: number, around: Surroundings): DeviceError => {
  const code = errnoCode(errno) ?? 'EIO'
  if (errno === Errno.ENOENT) {
    return new DeviceError(code, `/dev/net/tun is missing: run 'sudo modprobe tun'; ${CONTAINER}`)
  }
  if (errno === Errno.ENODEV || errno === Errno.ENXIO) {
    return new DeviceError(code, "the kernel has not loaded its TUN/TAP driver: run 'sudo modprobe tun'")
  }
  if (errno === Errno.EACCES || errno === Errno.EPERM) {
    const remedy =
      around.uid === 0 ? CONTAINER : "run this with sudo, or let everybody open it: 'sudo chmod 0666 /dev/net/tun'"
    return new DeviceError(code, `no permission to open /dev/net/tun: ${remedy}`)
  }
  return new DeviceError(code, `cannot open /dev/net/tun: ${describe(errno)}`)
}

/** The driver did not give us device `name`. @param errno positive */
export const cannotAttach = (errno: number, kind: DeviceKind, name: string, around: Surroundings): DeviceError => {
  const code = errnoCode(errno) ?? 'EIO'
  switch (errno) {
    case Errno.EPERM:
    case Errno.EACCES: {
      const remedy =
        around.uid === 0
          ? CONTAINER
          : `run this with sudo, or once 'sudo ip tuntap add dev ${name} mode ${kind} user ${around.user}'`
      return new DeviceError(code, `no permission to use ${kind} device ${name}: ${remedy}`)
    }
    case Errno.EBUSY: {
      const holder = around.holder(name)
      return new DeviceError(
        code,
        holder === undefined
          ? `device ${name} is in use: 'sudo grep -l "iff:.*${name}" /proc/[0-9]*/fdinfo/*' says by which process`
          : `device ${name} is in use by ${holder}: stop it or choose another name`,
      )
    }
    case Errno.EINVAL:
      return new DeviceError(
        code,
        `${name} exists and is no ${kind} device: choose another name, or run 'sudo ip link del ${name}'`,
      )
    default:
      return new DeviceError(code, `cannot use ${kind} device ${name}: ${describe(errno)}`)
  }
}

/** The system is not Linux. */
export const notLinux = (platform: string): DeviceError =>
  new DeviceError('ENOTSUP', `TUN and TAP devices need Linux, and this is ${platform}`)

/** `Invalid argument (EINVAL)`, for an error number (positive). */
export const describe = (errno: number): string => {
  const code: ErrnoCode | undefined = errnoCode(errno)
  return code === undefined ? strerror(errno) : `${strerror(errno)} (${code})`
}

/** Why the kernel does not take a frame: the reason of the drop, by the error of the write. */
export const refusal = (errno: number): number =>
  errno === Errno.EIO || errno === Errno.ENETDOWN
    ? Drop['link-down']
    : errno === Errno.ENOMEM || errno === Errno.ENOBUFS
      ? Drop['no-memory']
      : Drop['link-refused']
