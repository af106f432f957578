/**
 * `netglass/node-test` and `netglass/jest` with the runners that they
 * are for. `netglass/vitest` has its test in src/node.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import http from 'node:http'
import { join } from 'node:path'
import { it } from 'node:test'
import { test } from '../../dist/node/node-test.js'

test('a test of node:test has the time of its network', async ({ network, t }) => {
  network.link(network.host('client'), network.host('server'), { delay: 10 })
  const server = network.on('server', () => http.createServer((_, response) => response.end('hello')).listen(80))
  const begin = Date.now()
  assert.equal(await network.on('client', async () => (await fetch('http://server/')).text()), 'hello')
  await new Promise((resolve) => setTimeout(resolve, 3_600_000))
  assert.equal(Date.now() - begin, 3_600_060)
  assert.equal(t.name, 'a test of node:test has the time of its network')
  server.close()
})

test('options are the network’s and the runner’s', { seed: 9, timeout: 20_000 }, ({ network }) => {
  assert.equal(network.seed, 9)
})

test.skip('a test that is left out', () => {
  throw new Error('it runs')
})

it('jest runs tests on networks in its sandbox', { timeout: 120_000 }, () => {
  const jest = join(import.meta.dirname, 'node_modules/jest/bin/jest.js')
  const config = { rootDir: join(import.meta.dirname, 'jest'), testMatch: ['**/*.jest.cjs'], transform: {} }
  const words = [jest, '--json', '--runInBand', '--config', JSON.stringify(config)]
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', cwd: import.meta.dirname })
  const [{ assertionResults, message }] = JSON.parse(stdout).testResults
  assert.deepEqual(
    assertionResults.map(({ title, status }) => `${status}: ${title}`),
    [
      'passed: has the time of the network',
      'passed: gives packages of the sandbox that time',
      'failed: fails for what it leaves',
      'pending: is left out',
    ],
    message,
  )
  assert.match(
    message,
    /the test has left this behind:\s+client: node \(process 100\) has the TCP socket :::80, opened at .*sandbox\.jest\.cjs:\d+:\d+/,
  )
  assert.match(stderr, /netglass: "fails for what it leaves" has failed with seed 1, at 10000 ms of the network's time/)
})
