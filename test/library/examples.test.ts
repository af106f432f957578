import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/** Examples of the documents, pasted into files of their own and run. */

const root = join(import.meta.dirname, '../..')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, { default: string }>
}

/** The source of what an example imports, which need not be built. */
const sourceOf = (name: string): string =>
  join(root, exports[name.replace('netglass', '.')]!.default.replace('dist', 'src').replace(/\.js$/, '.ts'))

const examplesIn = (document: string): string[] =>
  [...readFileSync(join(root, document), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!)

const run = (code: string): { out: string; err: string } => {
  const folder = mkdtempSync(join(tmpdir(), 'netglass-example-'))
  const file = join(folder, 'example.mts')
  writeFileSync(
    file,
    code.replace(/from '(netglass[^']*)'/g, (_, name: string) => `from '${sourceOf(name)}'`),
  )
  const tsx = join(root, 'node_modules/tsx/dist/loader.mjs')
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', tsx, file], { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  return { out: stdout, err: stderr }
}

it('docs/PACKETDRILL.md: a host of yours, and a stack of yours', () => {
  expect(examplesIn('docs/PACKETDRILL.md').map(run)).toEqual([
    { out: 'PASSED  handshake.pkt [ipv4]\n', err: '' },
    { out: 'PASSED  refused.pkt [ipv4]\n', err: '' },
  ])
})
