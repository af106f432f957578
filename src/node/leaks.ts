import { fileURLToPath } from 'node:url'
import type { Host } from '../host/host.ts'
import type { SocketHandle } from '../net/socket-handle.ts'
import { SOCK_STREAM } from '../socket/constants.ts'
import type { AppTimer, TimerQueue } from './app-timers.ts'
import type { NodeContext } from './programs.ts'

/** What programs have left behind: sockets, timers, processes. */

interface OpenSocket {
  /** The host's name. */
  readonly host: string
  /** `10.0.0.1:80 to 10.0.0.2:3000`. */
  readonly text: string
  readonly handle: SocketHandle
}

/** The sockets that programs have open. */
export const openSockets = (contexts: Iterable<NodeContext>): OpenSocket[] =>
  [...contexts].flatMap((context) =>
    [...context.handles].flatMap((handle) => {
      const local = handle.socket?.localAddress()
      if (local === undefined || typeof local === 'number') return []
      const peer = handle.socket!.peerAddress()
      const to = typeof peer === 'number' ? '' : ` to ${peer.path ?? `${peer.address}:${peer.port}`}`
      return [{ host: context.host.name, text: `${local.path ?? `${local.address}:${local.port}`}${to}`, handle }]
    }),
  )

/** A line for everything that would keep its program alive. */
export const describeLeaks = (hosts: Iterable<Host>, contexts: Iterable<NodeContext>, timers: TimerQueue): string[] => {
  const all = [...contexts]
  const own = new Set(all.map(({ process }) => process))
  const sockets = openSockets(all)
    .filter(({ handle }) => handle.hasRef)
    .map(({ host, text, handle }) => {
      const { process } = handle.context
      const kind = handle.socket!.type === SOCK_STREAM ? 'TCP' : 'UDP'
      const where = placeOf(handle.origin, 'opened')
      return `${host}: ${process.name} (process ${process.pid}) has the ${kind} socket ${text}${where}`
    })
  const processes = [...hosts].flatMap((host) =>
    [...host.processes.values()]
      .filter((process) => !own.has(process) && process.isAlive)
      .map(({ name, pid }) => `${host.name}: ${name} (process ${pid}) is running`),
  )
  const waiting = timers.timers.filter((timer) => timer.hasRef()).map(describeTimer)
  return [...sockets, ...processes, ...waiting]
}

const describeTimer = ({ isInterval, delay, origin }: AppTimer): string =>
  `${isInterval ? 'an interval' : 'a timer'} of ${delay} ms${placeOf(origin, 'set')}`

/** Where our own modules are, whose calls are nobody's: compiled or not, as source maps have it. */
const FOLDERS = ['src', 'dist'].map((folder) => fileURLToPath(new URL(`../../${folder}/`, import.meta.url)))
const isOurs = (line: string): boolean => FOLDERS.some((folder) => line.includes(folder)) && !line.includes('.test.')

/** The first place in a stack that is the program's. */
const placeOf = (stack: string | null, verb: string): string => {
  const lines = stack?.split('\n').filter((line) => / at /.test(line)) ?? []
  const line = lines.find((candidate) => !isOurs(candidate) && !/\(?node:/.test(candidate))
  const place = line === undefined ? undefined : /\(?([^()\s]+:\d+:\d+)\)?$/.exec(line.trim())?.[1]
  return place === undefined ? '' : `, ${verb} at ${place.replace(/^file:\/\//, '')}`
}
