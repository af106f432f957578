import { SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import * as C from '../socket/constants.ts'
import { readAll } from './serve.ts'
import { SMALL_SERVICES, TIME_EPOCH } from './small.ts'
import { WHO_PORT } from './small-udp.ts'

/** Clients of the small services. */

/** What a small service is reached over. */
export type Transport = 'tcp' | 'udp'

const BUFFER = 0x1_0000
/** How long a client waits for the answer to a datagram, seconds, and how often it asks. */
const PATIENCE = 1
const ATTEMPTS = 3

const connect = async (sys: Sys, over: Transport, address: string, port: number): Promise<number> => {
  const fd = sys.socket(address.includes(':') ? C.AF_INET6 : C.AF_INET, over === 'tcp' ? C.SOCK_STREAM : C.SOCK_DGRAM)
  await sys.connect(fd, { address, port })
  return fd
}

/**
 * Sends a datagram and waits for the answer; asks again when none comes.
 * @throws SystemError EAGAIN when there was none to any
 */
const askByUdp = async (sys: Sys, address: string, port: number, request: Uint8Array): Promise<Uint8Array> => {
  const fd = await connect(sys, 'udp', address, port)
  sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: PATIENCE, tv_usec: 0 })
  const buffer = new Uint8Array(BUFFER)
  try {
    for (let attempt = 1; ; attempt++) {
      await sys.send(fd, request)
      try {
        return buffer.slice(0, await sys.recv(fd, buffer))
      } catch (error) {
        if (!(error instanceof SystemError) || error.code !== 'EAGAIN' || attempt === ATTEMPTS) throw error
      }
    }
  } finally {
    if (sys.process.isAlive) await sys.close(fd)
  }
}

/** Sends a request, if there is one, ends its side, and reads up to `limit` bytes of what comes. */
const askByTcp = async (
  sys: Sys,
  address: string,
  port: number,
  request: Uint8Array,
  limit = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> => {
  const fd = await connect(sys, 'tcp', address, port)
  const parts: Uint8Array[] = []
  let total = 0
  const reading = sys.thread(() =>
    readAll(sys, fd, new Uint8Array(BUFFER), (bytes) => {
      parts.push(bytes.slice())
      total += bytes.length
      if (total >= limit) sys.shutdown(fd, C.SHUT_RDWR)
    }),
  )
  if (request.length > 0) await sys.send(fd, request)
  if (limit === Number.POSITIVE_INFINITY) sys.shutdown(fd, C.SHUT_WR)
  await reading
  await sys.close(fd)
  const whole = new Uint8Array(Math.min(total, limit))
  let at = 0
  for (const part of parts) {
    const count = Math.min(part.length, whole.length - at)
    whole.set(part.subarray(0, count), at)
    at += count
  }
  return whole
}

const ask = (sys: Sys, over: Transport, address: string, port: number, request: Uint8Array): Promise<Uint8Array> =>
  over === 'tcp' ? askByTcp(sys, address, port, request) : askByUdp(sys, address, port, request)

const NOTHING = new Uint8Array(0)
const portOf = (name: string): number => SMALL_SERVICES[name]!.port
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** What an echo server sends back. */
export const echoClient = (sys: Sys, over: Transport, address: string, data: Uint8Array): Promise<Uint8Array> =>
  ask(sys, over, address, portOf('echo'), data)

/** Gives data to a discard server. @returns bytes that came back: none over TCP; over UDP nothing is awaited */
export const discardClient = async (sys: Sys, over: Transport, address: string, data: Uint8Array): Promise<number> => {
  if (over === 'tcp') return (await askByTcp(sys, address, portOf('discard'), data)).length
  const fd = await connect(sys, 'udp', address, portOf('discard'))
  await sys.send(fd, data)
  await sys.close(fd)
  return 0
}

/** The first `count` characters of a character generator; over UDP as many as it happens to send. */
export const chargenClient = async (sys: Sys, over: Transport, address: string, count: number): Promise<string> =>
  textOf(
    over === 'tcp'
      ? await askByTcp(sys, address, portOf('chargen'), NOTHING, count)
      : await askByUdp(sys, address, portOf('chargen'), NOTHING),
  )

/** The day and time, as the server writes it. */
export const daytimeClient = async (sys: Sys, over: Transport, address: string): Promise<string> =>
  textOf(await ask(sys, over, address, portOf('daytime'), NOTHING)).trimEnd()

/** The time of a server, seconds since 1970. */
export const timeClient = async (sys: Sys, over: Transport, address: string): Promise<number> => {
  const bytes = await ask(sys, over, address, portOf('time'), NOTHING)
  return new DataView(bytes.buffer).getUint32(0) - TIME_EPOCH
}

/** Who is logged in on a host: a line for each. */
export const whoClient = async (sys: Sys, address: string): Promise<string[]> =>
  textOf(await askByUdp(sys, address, WHO_PORT, NOTHING))
    .split('\r\n')
    .filter((line) => line !== '')
