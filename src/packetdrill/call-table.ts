import { SystemError } from '../core/errno.ts'
import type { Offset } from '../host/calls.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import type { EpollEvent } from '../socket/epoll.ts'
import type { OptionValue } from '../socket/socket-options.ts'
import { type Call, type Outcome, plain, runAddress } from './calls.ts'
import { receiveMessage, sendMessage } from './calls-message.ts'
import { CLOSED } from './flow.ts'
import { type Expression, fieldOf, Unsupported } from './script.ts'
import { bufferOf, fieldsOf, isEllipsis, isNull, itemsOf, numberField, numberOf, vectorOf } from './values.ts'

/** The system calls that scripts may make. */

/** One kind of call. What it throws as `SystemError` is its result. */
interface CallKind {
  run(call: Call): Promise<Outcome> | Outcome
  /** Does it give a descriptor, so that any will do? */
  readonly opens?: boolean
}

/** Bytes of an int, as option lengths count them. */
const INT = 4

/** The data of a call that sends: zeros, as everything that scripts send; nothing at all for NULL. */
const zeros = (call: Call, buffer: number, length: number): Uint8Array =>
  isNull(call.arg(buffer)) ? new Uint8Array(0) : bufferOf(call.number(length))

const settle = async (result: Promise<number> | number): Promise<Outcome> => plain(await result)

/** A new descriptor, under the script's number for it. */
const opened = (call: Call, script: number, live: number): Outcome => {
  if (script >= 0) call.programs.descriptors.set(script, live)
  return plain(live)
}

const socket = (call: Call): Outcome => {
  const { configuration } = call.programs
  const family = configuration.ipVersion === 'ipv4' ? C.AF_INET : C.AF_INET6
  const domain = isEllipsis(call.arg(0)) ? family : call.number(0)
  const protocol = call.number(2)
  const fd = call.sys.socket(domain, call.number(1), protocol)
  const isIcmp = protocol === C.IPPROTO_ICMP || protocol === C.IPPROTO_ICMPV6
  call.programs.flowOpened(isIcmp ? 'icmp' : protocol === C.IPPROTO_UDP ? 'udp' : 'tcp', fd)
  return opened(call, call.expected, fd)
}

const listen = (call: Call): Outcome => {
  const result = call.sys.listen(call.fd(0), call.number(1))
  const flow = call.programs.flowAt(call.fd(0))
  if (flow !== null) flow.state = 'listening'
  return plain(result)
}

const accept = async (call: Call): Promise<Outcome> => {
  const peer: Sockaddr = {}
  const flags = call.spec.name === 'accept4' ? call.number(3) : 0
  const fd = await call.sys.accept4(call.fd(0), peer, flags)
  const fault = call.programs.flowAccepted(fd, peer)
  opened(call, call.expected, fd)
  return { result: fd, fault }
}

/** A call that may open a connection: the flow under test is one that connects from now on. */
const noteConnecting = (call: Call, address: Sockaddr): void => {
  const flow = call.programs.flowAt(call.fd(0))
  if (flow === null) return
  if (address.family === C.AF_UNSPEC) {
    flow.state = 'new'
    return
  }
  if (flow.state !== 'new') return
  flow.state = 'connecting'
  flow.remotePort = call.programs.configuration.connectPort
}

const connect = (call: Call): Promise<Outcome> => {
  const address = call.address(1, 'remote')
  noteConnecting(call, address)
  return settle(call.sys.connect(call.fd(0), address))
}

const sendto = (call: Call): Promise<Outcome> => {
  const address = call.isMissing(4) || isNull(call.arg(4)) ? undefined : call.address(4, 'remote')
  if (address === undefined) {
    return settle(call.sys.send(call.fd(0), zeros(call, 1, 2), call.number(2), call.number(3)))
  }
  noteConnecting(call, address)
  return settle(call.sys.sendto(call.fd(0), zeros(call, 1, 2), call.number(2), call.number(3), address))
}

const close = async (call: Call): Promise<Outcome> => {
  const fd = call.fd(0)
  call.programs.descriptors.delete(call.number(0))
  const flow = call.programs.flowAt(fd)
  if (flow !== null) flow.fd = CLOSED
  return settle(call.sys.close(fd))
}

const ioctl = (call: Call): Outcome => {
  const request = call.number(1)
  if (call.isMissing(2)) return plain(call.sys.ioctl(call.fd(0), request))
  const wanted = call.number(2)
  if (request === C.FIONBIO || request === C.FIOASYNC) return plain(call.sys.ioctl(call.fd(0), request, wanted))
  const got = call.sys.ioctl(call.fd(0), request)
  return { result: 0, fault: got === wanted ? null : `${wanted} expected, ${got} came` }
}

const setsockopt = (call: Call): Outcome => {
  const [fd, level, name] = [call.fd(0), call.number(1), call.number(2)]
  let value = optionValue(call.arg(3), call.number(4))
  // Text stands for bytes, which only a congestion control's name does not.
  if (typeof value === 'string' && !(level === C.SOL_TCP && name === C.TCP_CONGESTION)) value = bytesOfText(value)
  const isShort = typeof value === 'number' && call.number(4) < INT && level !== C.SOL_IP && level !== C.SOL_IPV6
  if (isShort) throw new SystemError('EINVAL', 'setsockopt')
  return plain(call.sys.setsockopt(fd, level, name, value))
}

const bytesOfText = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

const optionValue = (argument: Expression, length: number): OptionValue => {
  if (argument.kind === 'string') return argument.value.slice(0, length)
  if (argument.kind !== 'structure') return numberOf(argument) | 0
  const pairs = fieldsOf(argument).map(({ name, value }) => [name ?? '', numberOf(value)] as const)
  const values = Object.fromEntries(pairs)
  // struct linger's members have other names in scripts.
  if ('onoff' in values) return { l_onoff: values['onoff']!, l_linger: values['linger'] ?? 0 }
  return values
}

const getsockopt = (call: Call): Outcome => {
  const got = call.sys.getsockopt(call.fd(0), call.number(1), call.number(2))
  const wanted = call.arg(3)
  if (wanted.kind === 'string') {
    return { result: 0, fault: got === wanted.value ? null : `"${wanted.value}" expected, "${got}" came` }
  }
  if (typeof got !== 'number') throw new Unsupported('getsockopt of a structure')
  const number = numberOf(wanted) | 0
  return { result: 0, fault: (got | 0) === number ? null : `${number} expected, ${got} came` }
}

const poll = async (call: Call): Promise<Outcome> => {
  const items = itemsOf(call.arg(0))
  const fds = items.map((item) => {
    const script = numberField(item, 'fd', -1)
    return {
      fd: call.programs.descriptors.get(script) ?? script,
      events: numberField(item, 'events', 0),
      revents: 0,
    }
  })
  const result = await call.sys.poll(fds, call.number(2))
  const faults = items.flatMap((item, index) => {
    const wanted = numberField(item, 'revents', 0)
    const got = fds[index]!.revents
    return got === wanted ? [] : [`revents 0x${wanted.toString(16)} expected, 0x${got.toString(16)} came`]
  })
  return { result, fault: faults[0] ?? null }
}

/** What an event's data is: of `fd`, `ptr`, `u32` and `u64` the one that is named. */
const eventData = (event: Expression): number | null => {
  for (const name of ['fd', 'ptr', 'u32', 'u64']) {
    const value = fieldOf(event, name)
    if (value !== undefined) return numberOf(value)
  }
  return null
}

const epollCtl = (call: Call): Outcome => {
  const event = call.isMissing(3) || isNull(call.arg(3)) ? null : call.arg(3)
  const given = event === null ? null : { events: numberField(event, 'events', 0), data: eventData(event) }
  return plain(call.sys.epoll_ctl(call.fd(0), call.number(1), call.fd(2), given))
}

const epollWait = async (call: Call): Promise<Outcome> => {
  const events: EpollEvent[] = []
  const result = await call.sys.epoll_wait(call.fd(0), events, call.number(2), call.number(3))
  const wanted = { events: numberField(call.arg(1), 'events', 0), data: eventData(call.arg(1)) }
  const got = events[0] ?? { events: 0, data: 0 }
  const isRight = got.events === wanted.events && got.data === wanted.data
  const show = ({ events, data }: EpollEvent): string => `{events=0x${events.toString(16)}, ${data}}`
  return { result, fault: isRight ? null : `${show(wanted)} expected, ${show(got)} came` }
}

const pipe = (call: Call): Outcome => {
  const scripts = itemsOf(call.arg(0)).map(numberOf)
  for (const [index, live] of call.sys.pipe().entries()) call.programs.descriptors.set(scripts[index]!, live)
  return plain(0)
}

const vector = (call: Call): Uint8Array[] => vectorOf(call.arg(1))

const open = (call: Call): Outcome => {
  const path = call.arg(0)
  if (path.kind !== 'string') throw new Unsupported('open of anything but a path')
  return opened(call, call.expected, call.sys.open(path.value, call.number(1)))
}

/** An offset argument: NULL, or one in brackets. */
const offsetOf = (argument: Expression): Offset | null => (isNull(argument) ? null : { value: numberOf(argument) })

const sendfile = (call: Call): Promise<Outcome> =>
  settle(call.sys.sendfile(call.fd(0), call.fd(1), offsetOf(call.arg(2)), call.number(3)))

const splice = (call: Call): Promise<Outcome> => {
  const { sys } = call
  const [from, to] = [offsetOf(call.arg(1)), offsetOf(call.arg(3))]
  return settle(sys.splice(call.fd(0), from, call.fd(2), to, call.number(4), call.number(5)))
}

/** The calls, by name. */
const CALLS: Readonly<Record<string, CallKind>> = {
  socket: { run: socket, opens: true },
  bind: { run: (call) => plain(call.sys.bind(call.fd(0), call.address(1, 'local'))) },
  listen: { run: listen },
  accept: { run: accept, opens: true },
  accept4: { run: accept, opens: true },
  connect: { run: connect },
  read: { run: (call) => settle(call.sys.read(call.fd(0), zeros(call, 1, 2), call.number(2))) },
  readv: { run: (call) => settle(call.sys.readv(call.fd(0), vector(call))) },
  recv: { run: (call) => settle(call.sys.recv(call.fd(0), zeros(call, 1, 2), call.number(2), call.number(3))) },
  recvfrom: {
    run: (call) => settle(call.sys.recvfrom(call.fd(0), zeros(call, 1, 2), call.number(2), call.number(3), {})),
  },
  recvmsg: { run: receiveMessage },
  write: { run: (call) => settle(call.sys.write(call.fd(0), zeros(call, 1, 2), call.number(2))) },
  writev: { run: (call) => settle(call.sys.writev(call.fd(0), vector(call))) },
  send: { run: (call) => settle(call.sys.send(call.fd(0), zeros(call, 1, 2), call.number(2), call.number(3))) },
  sendto: { run: sendto },
  sendmsg: {
    run(call) {
      const hasName = fieldOf(call.arg(1), 'msg_name') !== undefined
      const address = hasName ? runAddress(call.programs.configuration, 'remote') : undefined
      if (address !== undefined) noteConnecting(call, address)
      return sendMessage(call, address)
    },
  },
  close: { run: close },
  shutdown: { run: (call) => plain(call.sys.shutdown(call.fd(0), call.number(1))) },
  fcntl: {
    run: (call) => plain(call.sys.fcntl(call.fd(0), call.number(1), call.isMissing(2) ? 0 : call.number(2))),
  },
  ioctl: { run: ioctl },
  setsockopt: { run: setsockopt },
  getsockopt: { run: getsockopt },
  poll: { run: poll },
  epoll_create: { run: (call) => opened(call, call.expected, call.sys.epoll_create1(0)), opens: true },
  epoll_create1: { run: (call) => opened(call, call.expected, call.sys.epoll_create1(call.number(0))), opens: true },
  epoll_ctl: { run: epollCtl },
  epoll_wait: { run: epollWait },
  pipe: { run: pipe },
  open: { run: open, opens: true },
  sendfile: { run: sendfile },
  splice: { run: splice },
}

/** The kind of call with this name. @throws Unsupported */
export const callKind = (name: string): CallKind => {
  const kind = CALLS[name]
  if (kind === undefined) throw new Unsupported(`the system call ${name}`)
  return kind
}
