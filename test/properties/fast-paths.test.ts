import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FAST_PATHS, type FastPath, fastPaths } from '../../src/core/fast-paths.ts'
import { formatResult, runPacketdrill, versionsOf } from '../../src/packetdrill/index.ts'
import { noDamage, transfer } from '../support/transfer.ts'

/** Without each of the fast paths, and without all, the same holds as with them. */

const SEEDS = 12
const SCRIPTS = join(import.meta.dirname, '../conformance')
const FOLDERS = ['rfc2018', 'rfc5681', 'rfc6298', 'rfc7323', 'rfc9293']

const scripts = FOLDERS.flatMap((folder) =>
  readdirSync(join(SCRIPTS, folder))
    .filter((name) => name.endsWith('.pkt'))
    .map((name) => join(folder, name)),
)

const all = Object.keys(FAST_PATHS) as FastPath[]

it('one that needs another is off with it', () => {
  const { wasm, spin, ...rest } = fastPaths(['checksum-offload', 'copy-checksum'])
  expect([wasm, spin]).toEqual([true, true])
  expect(rest).toMatchObject({ 'checksum-offload': false, 'segmentation-offload': false, 'copy-checksum': false })
  expect(Object.values(fastPaths(all))).toEqual(all.map(() => false))
})

describe.each([...all.map((path) => [path]), all])('without %s', (...without) => {
  // Other seeds for each, the same every time.
  const first = 1 + SEEDS * all.indexOf(without[0]!) + (without.length > 1 ? 10_000 : 0)

  it(`delivers everything under faults, seeds ${first} to ${first + SEEDS - 1}`, async () => {
    const damage = noDamage()
    for (let seed = first; seed < first + SEEDS; seed++) await transfer(seed, damage, without)
    for (const [kind, count] of Object.entries(damage)) expect(count, `frames ${kind}`).toBeGreaterThan(0)
  }, 60_000)

  it(`passes ${scripts.length} packetdrill scripts`, async () => {
    for (const script of scripts) {
      const text = readFileSync(join(SCRIPTS, script), 'utf8')
      const [ipVersion] = versionsOf(script)
      const result = await runPacketdrill(text, null, { ipVersion: ipVersion!, without })
      if (result.outcome !== 'passed') expect.fail(formatResult(script, result))
    }
  }, 60_000)
})
