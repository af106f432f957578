import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatResult, runPacketdrill, versionsOf } from '../../src/packetdrill/index.ts'

/**
 * Every script of this folder, over each version of IP that it is
 * for. Folders are RFCs, file names begin with the section.
 */

const root = import.meta.dirname
const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

describe.each(folders)('%s', (folder) => {
  const scripts = readdirSync(join(root, folder)).filter((name) => name.endsWith('.pkt'))
  it.each(scripts)('%s', async (script) => {
    const text = readFileSync(join(root, folder, script), 'utf8')
    for (const ipVersion of versionsOf(script)) {
      const result = await runPacketdrill(text, null, { ipVersion })
      if (result.outcome !== 'passed') expect.fail(formatResult(script, result))
    }
  })
})

it('there are scripts, and each says what it is for', () => {
  const all = folders.flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => readFileSync(join(root, folder, name), 'utf8')),
  )
  expect(all.length).toBeGreaterThan(150)
  expect(all.filter((text) => !text.startsWith('// '))).toEqual([])
})
