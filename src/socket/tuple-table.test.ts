import { expect, test } from 'vitest'
import { SeededRandom } from '../core/random.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { TupleEntry, TupleKind } from '../tcp/tuple.ts'
import { type IpAddress, ip } from '../wire/address.ts'
import { IpHeader } from '../wire/ip.ts'
import { TupleTable } from './tuple-table.ts'

class Entry extends TupleEntry {}

const LOCAL = ip('10.0.0.1')
const REMOTES = ['10.0.0.2', '10.0.0.3', '2001:db8::1', '2001:db8::2'].map((text) => ip(text))
/** Links count only where an entry has a scope, and none has. */
const ANY = null as unknown as NetworkInterface

/** The packet that `remote` would send from `port` to port 80. */
const packet = (remote: IpAddress): IpHeader => {
  const header = new IpHeader()
  header.version = remote.isIpv4 ? 4 : 6
  header.source = remote
  header.destination = LOCAL
  return header
}

test.each([1, 2, 3])('holds what a map does, whatever is entered, replaced and taken out (seed %d)', (seed) => {
  const random = new SeededRandom(seed)
  const table = new TupleTable(random.next32())
  const model = new Map<string, Entry>()
  const key = (remote: IpAddress, port: number): string => `${remote} ${port}`
  // Mostly more than less until it is large, then the other way round: it grows, and entries move up as others go.
  for (let step = 0; step < 20_000; step++) {
    const remote = REMOTES[random.below(REMOTES.length)]!
    const port = 1 + random.below(1500)
    const name = key(remote, port)
    const known = model.get(name) ?? null
    expect(table.find(packet(remote), port, 80, ANY)).toBe(known)
    const entry = new Entry(TupleKind.Connection, LOCAL, 80, remote, port)
    const grows = random.below(10) < (step < 12_000 ? 7 : 2)
    if (grows) {
      expect(table.insert(entry)).toBe(known === null)
      if (known === null) model.set(name, entry)
      expect(entry.inTable).toBe(known === null)
    } else if (known !== null && random.below(4) === 0) {
      table.replace(known, entry)
      model.set(name, entry)
      expect([known.inTable, entry.inTable]).toEqual([false, true])
    } else if (known !== null) {
      table.remove(known)
      model.delete(name)
      expect(known.inTable).toBe(false)
    }
    expect(table.size).toBe(model.size)
  }
  expect(new Set(table.entries())).toEqual(new Set(model.values()))
  for (const entry of model.values()) {
    expect(table.find(packet(entry.remote), entry.remotePort, 80, ANY)).toBe(entry)
    expect(table.findLike(entry)).toBe(entry)
  }
  for (const entry of [...model.values()]) table.remove(entry)
  expect(table.size).toBe(0)
  expect(table.entries()).toEqual([])
})

test('those that found their chunk full are found in others, and leave no trace when they go', () => {
  const table = new TupleTable(7)
  const remote = REMOTES[0]!
  const entries = Array.from(
    { length: 73_000 },
    (_, i) => new Entry(TupleKind.Connection, LOCAL, 80 + (i & 1), remote, i >> 1),
  )
  expect(entries.every((entry) => table.insert(entry))).toBe(true)
  const { settled } = table as unknown as { settled: { tags: Int32Array; filter: Int32Array } }
  const tags = (): number[] => [...settled.tags]
  // The last byte of a chunk says how many have gone on: some have, and most have not, of 8192 chunks that are as full as they become.
  const passed = tags().filter((word, i) => i % 4 === 3 && word >>> 24 !== 0).length
  expect(passed).toBeGreaterThan(100)
  expect(passed).toBeLessThan(1000)
  const left = entries.filter((_, i) => i % 3 === 0)
  for (const [i, entry] of entries.entries()) if (i % 3 !== 0) table.remove(entry)
  expect(table.size).toBe(left.length)
  const header = packet(remote)
  const wrong = entries.filter((entry) => {
    return table.find(header, entry.remotePort, entry.localPort, ANY) !== (entry.inTable ? entry : null)
  })
  expect(wrong).toEqual([])
  for (const entry of left) table.remove(entry)
  expect(tags().some((word) => word !== 0)).toBe(false)
  // A bit may stay that two entries of different chunks had, or what has gone on.
  expect(settled.filter.filter((word) => word !== 0).length).toBeLessThan(settled.filter.length / 4)
})

test('pairs whose ports differ in their last three bits alone are neighbours, and no two of them alike', () => {
  const table = new TupleTable(7)
  const hashes = Array.from({ length: 64 }, (_, i) => {
    const entry = new Entry(TupleKind.Connection, LOCAL, 80 + (i & 7), REMOTES[0]!, 40_000 + (i >> 3))
    table.insert(entry)
    return entry.hash
  })
  expect(new Set(hashes).size).toBe(64)
  // Eight chunks, and in each of them eight tags.
  expect(new Set(hashes.map((hash) => hash & ~(7 | (7 << 18)))).size).toBe(1)
  for (let chunk = 0; chunk < 8; chunk++) expect(hashes.filter((hash) => (hash & 7) === chunk)).toHaveLength(8)
})
