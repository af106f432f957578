/** The showcase of the README, as it stands there, with the package and ioredis where a user has them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'netglass-readme-'))
after(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(root, join(folder, 'node_modules/netglass'))
symlinkSync(join(import.meta.dirname, 'node_modules/ioredis'), join(folder, 'node_modules/ioredis'))

const [, showcase] = /```js\n(import assert [\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))

const run = (code) => {
  writeFileSync(join(folder, 'unplugged.test.mjs'), code)
  // What a test that runs in node --test would tell its parent goes nowhere.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const words = ['--test', '--test-reporter=tap', 'unplugged.test.mjs']
  const { status, stdout } = spawnSync(process.execPath, words, { cwd: folder, encoding: 'utf8', env })
  return { status, stdout }
}

it('the showcase has fewer than 20 lines, and is the example', () => {
  assert.ok(showcase.trimEnd().split('\n').length < 20)
  const lines = readFileSync(join(root, 'examples/unplugged.test.mjs'), 'utf8').split('\n')
  const code = lines.filter((line) => line !== '' && !line.startsWith('//')).join('\n')
  assert.equal(code, showcase.trimEnd())
})

it('the showcase passes, 75 s in a moment', () => {
  const { status, stdout } = run(showcase)
  assert.equal(status, 0, stdout)
  const [, ms] = /duration_ms: ([0-9.]+)/.exec(stdout)
  // Half a second on a machine that does nothing else.
  assert.ok(Number(ms) < 5000, `${ms} ms`)
})

it('and says what has happened when it fails', () => {
  const { status, stdout } = run(showcase.replace("get('count'), '1'", "get('count'), '2'"))
  assert.equal(status, 1)
  assert.match(stdout, /"a command that was given up is done all the same" has failed with seed 1, at 75\d+(\.\d+)? ms/)
  const [, file] = /capture: (\S+\.pcapng)/.exec(stdout)
  assert.deepEqual([...readFileSync(file).subarray(0, 4)], [0x0a, 0x0d, 0x0d, 0x0a])
  assert.match(stdout, /26925\.000 ms {2}redis ──✗ app .* lost/)
  assert.match(stdout, /55\d\d\d\.\d+ ms {2}app ──▶ redis/)
  rmSync(file)
})
