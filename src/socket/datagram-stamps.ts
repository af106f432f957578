import { Errno } from '../core/errno.ts'
import type { Frame, FrameWatcher } from '../core/frame.ts'
import type { IpStack } from '../ip/stack.ts'
import { readIpHeader, SourceAddress } from '../udp/datagram.ts'
import { ErrorOrigin } from '../udp/error-queue.ts'
import { IPV4_ANY } from '../wire/address.ts'
import { ETHERNET_HEADER } from '../wire/ethernet.ts'
import * as C from './constants.ts'
import type { DatagramSocket } from './datagram.ts'

/** Time stamps of packets that a socket sends (SO_TIMESTAMPING): they come with MSG_ERRQUEUE. */

/** What is asked of packets that leave: handed to the link, and taken by it. */
const STAGES = C.SOF_TIMESTAMPING_TX_SOFTWARE | C.SOF_TIMESTAMPING_TX_SCHED

/** Is any stamp asked for that a packet can have? */
export const stampsPackets = (flags: number): boolean => (flags & STAGES) !== 0

/** One packet on its way, of which time stamps were asked. Of one in fragments it is the first that counts. */
export class StampedPacket implements FrameWatcher {
  private readonly socket: DatagramSocket
  private readonly flags: number
  private readonly id: number

  /** @param flags bits of SO_TIMESTAMPING */
  constructor(socket: DatagramSocket, flags: number, id: number) {
    this.socket = socket
    this.flags = flags
    this.id = id
  }

  leaves(frame: Frame, interfaceIndex: number): void {
    if ((this.flags & C.SOF_TIMESTAMPING_TX_SCHED) !== 0) this.stamp(C.SCM_TSTAMP_SCHED, frame, interfaceIndex)
    if ((this.flags & C.SOF_TIMESTAMPING_TX_SOFTWARE) !== 0) this.stamp(C.SCM_TSTAMP_SND, frame, interfaceIndex)
  }

  private stamp(stage: number, frame: Frame, interfaceIndex: number): void {
    const { socket, id } = this
    const { timestamping } = socket.kept
    const { ip } = socket.layer
    const { loop } = ip.world
    const isAlone = (timestamping & C.SOF_TIMESTAMPING_OPT_TSONLY) !== 0
    const tellsHeader = !isAlone && (socket.family === 6 || (timestamping & C.SOF_TIMESTAMPING_OPT_CMSG) !== 0)
    const at = (timestamping & C.SOF_TIMESTAMPING_SOFTWARE) !== 0 ? loop.now : -1
    socket.noteQueued({
      errno: Errno.ENOMSG,
      origin: ErrorOrigin.Timestamping,
      type: 0,
      code: 0,
      info: stage,
      offender: null,
      destination: IPV4_ANY,
      port: 0,
      data: isAlone ? NOTHING : packetOf(ip, frame, interfaceIndex),
      stamp: { at, id, header: tellsHeader ? headerOf(ip, frame, interfaceIndex) : null },
    })
  }
}

const NOTHING = new Uint8Array(0)

/** The packet with its link header: on the loopback interface one of zeros, as a capture has it. */
const packetOf = (ip: IpStack, frame: Frame, interfaceIndex: number): Uint8Array => {
  const { u8 } = ip.world.memory
  if (ip.interfaceAt(interfaceIndex)?.isLoopback !== true) return u8.slice(frame.start, frame.end)
  const packet = new Uint8Array(ETHERNET_HEADER + frame.length)
  packet[12] = frame.etherType >>> 8
  packet[13] = frame.etherType & 0xff
  packet.set(u8.subarray(frame.start, frame.end), ETHERNET_HEADER)
  return packet
}

const headerOf = (ip: IpStack, frame: Frame, interfaceIndex: number): SourceAddress => {
  const header = new SourceAddress()
  readIpHeader(header, ip.world.memory, frame.network)
  header.interfaceIndex = interfaceIndex
  return header
}
