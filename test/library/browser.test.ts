import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** What runs in a browser imports nothing but files of its own. */

const root = join(import.meta.dirname, '../..')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, { default: string } | string>
}

/** The source of each entry point that is for browsers too. */
const entries = ['.', './constants', './inspect', './lab', './packetdrill', './services'].map((name) => {
  const { default: built } = exports[name] as { default: string }
  return [name.replace('.', 'netglass'), join(root, built.replace('dist', 'src').replace(/\.js$/, '.ts'))] as const
})

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^'"]*?\bfrom\s*'([^']+)'|\bimport\s*\(\s*'([^']+)'|(?:^|\n)import\s*'([^']+)'/g

/** Every file that importing one brings with it, and every name that is no file. */
const reach = (file: string, files = new Set<string>(), others = new Set<string>()): [Set<string>, Set<string>] => {
  if (files.has(file)) return [files, others]
  files.add(file)
  for (const [statement, ...names] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (/^\s*(?:import|export)\s+type\b/.test(statement)) continue
    const name = names.find((one) => one !== undefined)!
    if (name.startsWith('.')) reach(join(dirname(file), name), files, others)
    else others.add(name)
  }
  return [files, others]
}

describe.each(entries)('%s', (_name, file) => {
  it('imports no module of Node, and no package', () => {
    expect(existsSync(file)).toBe(true)
    const [files, others] = reach(file)
    expect([...others]).toEqual([])
    expect([...files].filter((path) => /\/src\/(node|cli)\//.test(path))).toEqual([])
  })
})

it('the look finds what there is: netglass/packetdrill takes the stack with it, netglass/node imports Node', () => {
  expect(reach(join(root, 'src/packetdrill/index.ts'))[0].size).toBeGreaterThan(150)
  expect([...reach(join(root, 'src/node/index.ts'))[1]]).toContain('node:fs')
})
