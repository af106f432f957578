/** docs/SNAPSHOT.md names every field of a snapshot, with its type, and nothing else; so does the schema beside it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Snapshot, snapshot } from '../src/inspect/snapshot.ts'
import { build, OurPair } from '../src/inspect/testing.ts'
import { Network } from '../src/sim/network.ts'
import * as C from '../src/socket/constants.ts'

const PAGE = join(import.meta.dirname, '../docs/SNAPSHOT.md')

/** The fields of each record, with their types as they are written. */
const RECORDS = new Map<string, Map<string, string>>()
for (const section of readFileSync(PAGE, 'utf8').split(/^## /m).slice(1)) {
  const name = section.slice(0, section.indexOf('\n'))
  const rows = [...section.matchAll(/^\| `(\w+)` \| ([^|]+) \| [^|]*\| [^|]*\|$/gm)]
  RECORDS.set(name, new Map(rows.map(([, field, type]) => [field!, type!])))
}

const real: Snapshot[] = []

/** What the two machines of the printers' tests do not have: a path MTU, a ping socket, a process that is over. */
const others = async (): Promise<Snapshot> => {
  const network = new Network({ seed: 4 })
  const [host, far] = [network.host('host'), network.host('far')]
  const [west, east] = [network.router('west'), network.router('east')]
  network.link(host, west)
  network.link(west, east, { mtu: 1000 })
  network.link(east, far)
  network.computeRoutes()
  far.spawn('sink', async (sys) => {
    const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 9 })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    for (let n = 1; n > 0; ) n = await sys.recv(fd, new Uint8Array(10_000))
  })
  host.spawn('source', async (sys) => {
    sys.fork(async () => 3)
    const ping = sys.socket(C.AF_INET, C.SOCK_DGRAM, C.IPPROTO_ICMP)
    sys.setsockopt(ping, C.SOL_SOCKET, C.SO_LINGER, { l_onoff: 1, l_linger: 5 })
    const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.2.2', port: 9 })
    await sys.send(fd, new Uint8Array(50_000))
    await sys.recv(fd, new Uint8Array(1))
  })
  await network.run(5000)
  const taken = snapshot(host)
  network.close()
  return taken
}

beforeAll(async () => {
  const pair = new OurPair()
  await build(pair)
  real.push(snapshot(pair.a.host), snapshot(pair.b.host), await others())
  pair.close()
})

/** Records and fields that were found in real snapshots. */
const seen = new Set<string>()

/** What is wrong with a value of such a type; nothing for null. */
const check = (value: unknown, type: string, where: string): string[] => {
  if (type.endsWith(' or null')) return value === null ? [] : check(value, type.slice(0, -' or null'.length), where)
  const wrong = [`${where}: ${JSON.stringify(value)} is no ${type}`]
  if (type.startsWith('list of ')) {
    if (!Array.isArray(value)) return wrong
    return value.flatMap((item, i) => check(item, type.slice('list of '.length), `${where}[${i}]`))
  }
  if (type.startsWith('map of ')) {
    if (typeof value !== 'object' || value === null) return wrong
    const inner = type.slice('map of '.length)
    return Object.entries(value).flatMap(([key, item]) => check(item, inner, `${where}.${key}`))
  }
  if (type === 'integer') return Number.isSafeInteger(value) ? [] : wrong
  // Rates may be larger than what a number holds exactly.
  if (type === 'number') return Number.isFinite(value) ? [] : wrong
  if (type === 'string' || type === 'boolean') return typeof value === type ? [] : wrong
  const names = type.split(', ')
  if (/^["\d]/.test(type)) return names.includes(JSON.stringify(value)) ? [] : wrong
  if (typeof value !== 'object' || value === null) return wrong
  const { protocol } = value as { protocol?: unknown }
  const ofProtocol = (name: string): boolean =>
    names.length === 1 || RECORDS.get(name)!.get('protocol')!.includes(JSON.stringify(protocol))
  const name = names.find(ofProtocol)
  return name === undefined ? wrong : checkRecord(value as Record<string, unknown>, name, where)
}

const checkRecord = (value: Record<string, unknown>, name: string, where: string): string[] => {
  const fields = RECORDS.get(name)
  if (fields === undefined) return [`${where}: the page has no record ${name}`]
  seen.add(name)
  const problems: string[] = []
  for (const key of Object.keys(value)) if (!fields.has(key)) problems.push(`${where}.${key} is not in the page`)
  for (const [key, type] of fields) {
    if (key in value) problems.push(...check(value[key], type, `${where}.${key}`))
    else problems.push(`${where} has no ${key}`)
  }
  return problems
}

test('real snapshots have every field that the page names, and no other', () => {
  for (const taken of real) {
    const plain = JSON.parse(JSON.stringify(taken)) as Record<string, unknown>
    expect(plain).toEqual(taken)
    expect(checkRecord(plain, 'Snapshot', 'snapshot')).toEqual([])
  }
  expect([...seen].sort()).toEqual([...RECORDS.keys()].sort())
})

test('what does not fit is found', () => {
  const [one] = real.map((taken) => JSON.parse(JSON.stringify(taken)) as Snapshot)
  const { host: _, ...rest } = one!
  const socket = { ...one!.sockets[0]!, moon: 1, state: 5 }
  const broken = { ...rest, version: 2, sockets: [socket, { protocol: 'moon' }], time: 0.5 }
  expect(checkRecord(broken, 'Snapshot', 'snapshot')).toEqual([
    'snapshot.version: 2 is no 1',
    'snapshot.time: 0.5 is no integer',
    'snapshot has no host',
    'snapshot.sockets[0].moon is not in the page',
    'snapshot.sockets[0].state: 5 is no string',
    'snapshot.sockets[1]: {"protocol":"moon"} is no TcpSocket, UdpSocket, RawSocket, UnixSocket',
  ])
})

/** A type as JSON Schema. */
const schemaOf = (type: string): object => {
  if (type.endsWith(' or null')) return { anyOf: [schemaOf(type.slice(0, -' or null'.length)), { type: 'null' }] }
  if (type.startsWith('list of ')) return { type: 'array', items: schemaOf(type.slice('list of '.length)) }
  if (type.startsWith('map of ')) return { type: 'object', additionalProperties: schemaOf(type.slice(7)) }
  if (['integer', 'number', 'string', 'boolean'].includes(type)) return { type }
  const names = type.split(', ')
  if (/^["\d]/.test(type)) return { enum: names.map((name) => JSON.parse(name) as unknown) }
  const references = names.map((name) => ({ $ref: `#/$defs/${name}` }))
  return references.length === 1 ? references[0]! : { anyOf: references }
}

// Written anew by --update. A field that goes, or has another type, is a new `version`.
test('the schema says what the page says', async () => {
  const definitions = [...RECORDS].map(([name, fields]) => [
    name,
    {
      type: 'object',
      properties: Object.fromEntries([...fields].map(([field, type]) => [field, schemaOf(type)])),
      required: [...fields.keys()],
    },
  ])
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A snapshot of a Netglass host, version 1',
    $ref: '#/$defs/Snapshot',
    $defs: Object.fromEntries(definitions),
  }
  await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot('../docs/snapshot.schema.json')
})
