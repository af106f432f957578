import { clockTime, dateOfDay, twoDigits } from '../core/calendar.ts'
import { tableOf } from '../core/table.ts'
import type { Program } from '../host/process.ts'
import { SOL_TCP, TCP_INFO } from '../socket/constants.ts'
import type { TcpInfo } from '../tcp/info.ts'
import { type ConnectionHandler, peerName, readAll, threadedServer } from './serve.ts'

/** The small services of the early Internet, on TCP: echo, discard, chargen, daytime and time. */

const BUFFER = 64 * 1024

/** Sends back what comes (RFC 862). */
export const echo: ConnectionHandler = async (sys, fd) => {
  const buffer = new Uint8Array(BUFFER)
  await readAll(sys, fd, buffer, async (bytes) => {
    await sys.send(fd, bytes)
  })
}

/** Throws away what comes (RFC 863). */
export const discard: ConnectionHandler = async (sys, fd) => {
  await readAll(sys, fd, new Uint8Array(BUFFER), () => {})
}

/** The 95 printing characters, line after line, each beginning one further on, without end (RFC 864). */
export const chargen: ConnectionHandler = async (sys, fd) => {
  const pattern = chargenPattern()
  for (;;) await sys.send(fd, pattern)
}

const FIRST = 32
const PRINTING = 95
const LINE = 72

/** A whole period of the pattern, as often as makes a good size for a send. */
export const chargenPattern = (): Uint8Array => {
  const period = new Uint8Array(PRINTING * (LINE + 2))
  for (let line = 0, at = 0; line < PRINTING; line++) {
    for (let column = 0; column < LINE; column++) period[at++] = FIRST + ((line + column) % PRINTING)
    period[at++] = 13
    period[at++] = 10
  }
  const times = Math.ceil(BUFFER / period.length)
  const pattern = new Uint8Array(times * period.length)
  for (let i = 0; i < times; i++) pattern.set(period, i * period.length)
  return pattern
}

/** The day and time as a line of text (RFC 867). */
export const daytime: ConnectionHandler = async (sys, fd) => {
  await sys.send(fd, `${dateText(sys.clock())}\r\n`)
}

/** Seconds since 1970 as RFC 867's second suggestion writes them: `22 FEB 82 17:37:43 UTC`. */
export const dateText = (seconds: number): string => {
  const days = Math.floor(seconds / DAY)
  const { year, month, day } = dateOfDay(days)
  return `${twoDigits(day)} ${MONTHS[month - 1]} ${year} ${clockTime(Math.floor(seconds) - days * DAY)} UTC`
}

const DAY = 86_400
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']

/** Seconds between the epochs of RFC 868 and of Unix. */
export const TIME_EPOCH = 2_208_988_800

/** A time, given in seconds since 1970, as seconds since 1900 in 32 bits (RFC 868). */
export const timeBytes = (seconds: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, (Math.floor(seconds) + TIME_EPOCH) % 0x1_0000_0000)
  return bytes
}

/** The time in 32 bits. */
export const time: ConnectionHandler = async (sys, fd) => {
  await sys.send(fd, timeBytes(sys.clock()))
}

interface SmallService {
  /** Its well-known port. */
  readonly port: number
  readonly handler: ConnectionHandler
}

export const SMALL_SERVICES: Readonly<Record<string, SmallService>> = tableOf({
  echo: { port: 7, handler: echo },
  discard: { port: 9, handler: discard },
  daytime: { port: 13, handler: daytime },
  chargen: { port: 19, handler: chargen },
  time: { port: 37, handler: time },
})

const serviceNamed = (name: string): SmallService => {
  const service = SMALL_SERVICES[name]
  if (service !== undefined) return service
  throw new TypeError(`there is no service ${name}: ${Object.keys(SMALL_SERVICES).join(', ')}`)
}

/** A server for one of them. @throws TypeError for a name that none has */
export const smallServer = (name: string, port?: number): Program => {
  const service = serviceNamed(name)
  return threadedServer(port ?? service.port, service.handler)
}

/** As `smallServer`, and tells of each connection that carried something: how much each way, and how fast. */
export const meteredServer = (name: string, port: number, tell: (line: string) => void): Program => {
  const service = serviceNamed(name)
  return threadedServer(port, async (sys, fd, peer) => {
    const start = sys.clock(true)
    try {
      await service.handler(sys, fd, peer)
    } finally {
      if (sys.process.isAlive) {
        const { received, sent } = bytesMoved(sys.getsockopt(fd, SOL_TCP, TCP_INFO) as TcpInfo)
        const seconds = sys.clock(true) - start
        const rate = seconds > 0 ? `, ${(((received + sent) * 8) / seconds / 1e6).toFixed(1)} Mbit/s` : ''
        const who = `${peerName(peer)} port ${peer.port}`
        tell(`${who} sent ${received} bytes and was sent ${sent} in ${seconds.toFixed(3)} s${rate}`)
      }
    }
  })
}

/** Bytes of data that a connection has brought, and that were given to it to send. Linux counts the peer's FIN, too. */
const bytesMoved = (info: TcpInfo): { received: number; sent: number } => ({
  received: info.tcpi_bytes_received - (info.tcpi_state === TCP_CLOSE_WAIT ? 1 : 0),
  sent: info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes,
})

/** `tcpi_state` after the peer's FIN. */
const TCP_CLOSE_WAIT = 8
