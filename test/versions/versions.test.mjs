/**
 * The same seed gives the same bytes on every version of Node: digests.mjs, run by each, prints the same. Versions come
 * from the package `node` of npm; one that cannot be had is skipped, and says so. Needs the compiled package.
 */
import assert from 'node:assert'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

const run = (file, args) =>
  new Promise((resolve) => {
    const options = { timeout: 300_000, maxBuffer: 1e8, env: { ...process.env, npm_config_loglevel: 'error' } }
    execFile(file, args, options, (error, stdout, stderr) => resolve({ error, stdout, stderr }))
  })

const script = join(import.meta.dirname, 'digests.mjs')
const own = run(process.execPath, [script])

// One after the other, or they take the time from each other.
for (const version of ['20', '22', '24', 'latest']) {
  test(`Node ${version} has the digests of ${process.version}`, async (t) => {
    const { stdout: expected, error } = await own
    assert.strictEqual(error, null)
    assert.ok(Object.keys(JSON.parse(expected)).length > 15)
    const isOwn = process.version.startsWith(`v${version}.`)
    const [file, ...args] = isOwn ? [process.execPath] : ['npx', '-y', '-p', `node@${version}`, 'node']
    const found = await run(file, [...args, '--version'])
    if (found.error !== null) return t.skip(`cannot be had: ${found.stderr.trim().split('\n')[0]}`)
    const actual = found.stdout.trim()
    if (version !== 'latest') assert.ok(actual.startsWith(`v${version}.`), actual)
    t.diagnostic(actual)
    const { error: failure, stdout, stderr } = await run(file, [...args, script])
    assert.strictEqual(failure, null, stderr)
    assert.deepStrictEqual(JSON.parse(stdout), JSON.parse(expected))
  })
}
