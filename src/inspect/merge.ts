import type { CounterGroups, InterfaceSnapshot, Snapshot } from './snapshot.ts'
import { sortSockets } from './snapshot-sockets.ts'
import type { SocketSnapshot } from './snapshot-types.ts'

/** Numbers of a shard's processes, and of its sockets, are so far from those of the shard before. */
const APART = 1_000_000

/** Counters that are no counts: they are the same in all shards. */
const CONSTANT: ReadonlySet<string> = new Set([
  'Forwarding',
  'DefaultTTL',
  'RtoAlgorithm',
  'RtoMin',
  'RtoMax',
  'MaxConn',
])

type Counts = Record<string, number>

/** The sums of what has the same counters everywhere. */
const sum = <T extends Record<keyof T, number>>(all: readonly T[]): T => {
  const total: Counts = {}
  for (const counts of all) {
    for (const [name, count] of Object.entries<number>(counts)) {
      total[name] = CONSTANT.has(name) ? count : (total[name] ?? 0) + count
    }
  }
  return total as T
}

/**
 * The snapshots of a host's shards as that of one host: the sockets and processes of all, and the sums of what is
 * counted. Settings, addresses and routes are the first's: all have the same.
 */
export const mergeSnapshots = (shards: readonly Snapshot[]): Snapshot => {
  const [first] = shards
  if (first === undefined) throw new RangeError('there is nothing to merge')
  const groups = Object.keys(first.counters) as (keyof CounterGroups)[]
  const counters = Object.fromEntries(groups.map((group) => [group, sum(shards.map((shard) => shard.counters[group]))]))
  const fragments = (family: 'ipv4' | 'ipv6') => sum(shards.map((shard) => shard.fragments[family]))
  return {
    ...first,
    processes: shards.flatMap(({ processes }, shard) =>
      processes.map((process) => ({
        ...process,
        pid: apart(process.pid, shard),
        parent: process.parent === 0 ? 0 : apart(process.parent, shard),
      })),
    ),
    sockets: sortSockets(shards.flatMap(({ sockets }, shard) => sockets.map((socket) => socketOf(socket, shard)))),
    interfaces: first.interfaces.map((iface) => mergeInterface(iface, shards)),
    neighbours: mergeNeighbours(shards),
    paths: shards.flatMap(({ paths }) => paths),
    fragments: { ipv4: fragments('ipv4'), ipv6: fragments('ipv6') },
    counters: counters as unknown as CounterGroups,
    drops: sum(shards.map(({ drops }) => drops)),
  }
}

/** The first that has heard of a neighbour tells of it. */
const mergeNeighbours = (shards: readonly Snapshot[]): Snapshot['neighbours'] => {
  const known = new Map<string, Snapshot['neighbours'][number]>()
  for (const each of shards.flatMap(({ neighbours }) => neighbours)) {
    const key = `${each.interface} ${each.address}`
    if (!known.has(key)) known.set(key, each)
  }
  return [...known.values()]
}

const apart = (number: number, shard: number): number => (number === 0 ? 0 : number + shard * APART)

const socketOf = (socket: SocketSnapshot, shard: number): SocketSnapshot => {
  const numbers = { inode: apart(socket.inode, shard), cookie: apart(socket.cookie, shard) }
  const holders = socket.holders.map((holder) => ({ ...holder, pid: apart(holder.pid, shard) }))
  return socket.protocol === 'unix'
    ? { ...socket, ...numbers, holders, peer: apart(socket.peer, shard) }
    : { ...socket, ...numbers, holders }
}

const mergeInterface = (iface: InterfaceSnapshot, shards: readonly Snapshot[]): InterfaceSnapshot => {
  const same = shards.flatMap(({ interfaces }) => interfaces.filter(({ name }) => name === iface.name))
  const statistics = sum(same.map((each) => each.statistics))
  return { ...iface, statistics, ringUsed: same.reduce((used, each) => used + each.ringUsed, 0) }
}
