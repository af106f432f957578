// What an application does when the link to its Redis is down for 40 s in mid-command: in under a second of real time.
// npm install ioredis, apt install redis-server; then: node --test unplugged.test.mjs
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after } from 'node:test'
import Redis from 'ioredis'
import { test } from 'netglass/node-test'

const server = spawn('redis-server', ['--port', '7379', '--save', ''])
after(() => server.kill())
test('a command that was given up is done all the same', async ({ network }) => {
  const link = network.link(network.host('app'), network.host('redis'), { delay: 5 })
  await network.bridge('redis', 6379, { port: 7379 })
  const redis = network.on('app', () => new Redis({ host: 'redis', commandTimeout: 15_000 }))
  await redis.set('count', 0)
  network.after(2, () => link.cable.setDown(true))
  network.after(40_002, () => link.cable.setUp())
  await assert.rejects(redis.incr('count'), /Command timed out/)
  await new Promise((resolve) => setTimeout(resolve, 60_000))
  assert.equal(await redis.get('count'), '1')
  redis.disconnect()
})
