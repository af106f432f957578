import type { Msghdr } from '../host/calls.ts'
import type { Sockaddr } from '../socket/address.ts'
import type { ControlData, ControlMessage } from '../socket/control.ts'
import { type Call, type Outcome, plain } from './calls.ts'
import { type Expression, fieldOf, Unsupported } from './script.ts'
import { itemsOf, memberOf, numberField, numberOf, vectorOf } from './values.ts'

/** sendmsg(2) and recvmsg(2), with what messages have beside their data. */

/** Room for control messages when receiving: more than any script expects. */
const CONTROL_ROOM = 1024

/** The buffers of a message: `{..., 1000}` is one of 1000 bytes. */
const buffersOf = (message: Expression): Uint8Array[] => vectorOf(fieldOf(message, 'msg_iov'))

/** @param address where to, when the message names an address */
export const sendMessage = async (call: Call, address: Sockaddr | undefined): Promise<Outcome> => {
  const message = call.arg(1)
  const header: Msghdr = { msg_iov: buffersOf(message) }
  if (address !== undefined) header.msg_name = address
  const control = itemsOf(fieldOf(message, 'msg_control'))
  if (control.length > 0) header.msg_control = control.map(toControl)
  return plain(await call.sys.sendmsg(call.fd(0), header, call.number(2)))
}

const toControl = (item: Expression): ControlMessage => ({
  cmsg_level: numberField(item, 'cmsg_level', 0),
  cmsg_type: numberField(item, 'cmsg_type', 0),
  data: numberOf(memberOf(item, 'cmsg_data')),
})

export const receiveMessage = async (call: Call): Promise<Outcome> => {
  const wanted = call.arg(1)
  const header: Msghdr = { msg_iov: buffersOf(wanted), msg_controllen: CONTROL_ROOM }
  if (fieldOf(wanted, 'msg_name') !== undefined) header.msg_name = {}
  const result = await call.sys.recvmsg(call.fd(0), header, call.number(2))
  const flags = numberField(wanted, 'msg_flags', 0)
  const got = header.msg_flags ?? 0
  if (got !== flags) {
    return { result, fault: `msg_flags 0x${flags.toString(16)} expected, 0x${got.toString(16)} came` }
  }
  return { result, fault: compareControl(call, itemsOf(fieldOf(wanted, 'msg_control')), header.msg_control ?? []) }
}

const compareControl = (call: Call, wanted: readonly Expression[], got: readonly ControlMessage[]): string | null => {
  if (wanted.length !== got.length) return `${wanted.length} control messages expected, ${got.length} came`
  for (const [index, item] of wanted.entries()) {
    const message = got[index]!
    const level = numberField(item, 'cmsg_level', 0)
    const type = numberField(item, 'cmsg_type', 0)
    if (level !== message.cmsg_level || type !== message.cmsg_type) {
      return `control message ${level}/${type} expected, ${message.cmsg_level}/${message.cmsg_type} came`
    }
    const fault = compareData(call, memberOf(item, 'cmsg_data'), message.data)
    if (fault !== null) return fault
  }
  return null
}

const compareData = (call: Call, wanted: Expression, got: ControlData): string | null => {
  if (wanted.kind !== 'structure') {
    if (typeof got !== 'number') throw new Unsupported('a control message with a structure where a number is expected')
    const number = numberOf(wanted)
    return number === got ? null : `control message with ${number} expected, ${got} came`
  }
  if (fieldOf(wanted, 'scm_sec') !== undefined) return compareTimestamp(call, wanted, got)
  const values = got as unknown as Readonly<Record<string, unknown>>
  for (const { name, value } of wanted.fields) {
    const number = numberOf(value)
    const actual = values[name ?? '']
    if (actual !== number) return `${name} ${number} expected in the control message, ${actual} came`
  }
  return null
}

/** A software timestamp, in the script's time. Zero is not compared. */
const compareTimestamp = (call: Call, wanted: Expression, got: ControlData): string | null => {
  const { configuration, epoch } = call.programs
  const micros = numberField(wanted, 'scm_sec', 0) * 1e6 + Math.floor(numberField(wanted, 'scm_nsec', 0) / 1000)
  if (micros === 0) return null
  const { tv_sec, tv_usec } = softwareTime(got)
  const actual = tv_sec * 1e6 + tv_usec - epoch
  if (Math.abs(actual - micros) <= configuration.toleranceMicros) return null
  return `timestamp ${micros / 1e6} expected, ${actual / 1e6} came`
}

/** The first of the three times of SCM_TIMESTAMPING. */
const softwareTime = (data: ControlData): { tv_sec: number; tv_usec: number } => {
  const first = typeof data === 'object' && 'ts' in data ? data.ts[0] : data
  if (typeof first === 'object' && first !== null) {
    if ('tv_usec' in first) return first as { tv_sec: number; tv_usec: number }
    if ('tv_nsec' in first) {
      const { tv_sec, tv_nsec } = first as { tv_sec: number; tv_nsec: number }
      return { tv_sec, tv_usec: Math.floor(tv_nsec / 1000) }
    }
  }
  throw new Unsupported('a control message without a time where one is expected')
}
