// A Redis client whose link is pulled for 40 s, in the middle of its work, in a fraction of a second.
// Before: npm run build, npm install --no-save ioredis, and Debian's redis-server. Then: node examples/unplugged.mjs
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import Redis from 'ioredis'
import { NodeNetwork } from 'netglass/node'

const server = spawn('redis-server', ['--port', '7379', '--save', ''], { stdio: 'ignore' })
server.unref()
await sleep(500)

const start = performance.now()
const network = new NodeNetwork({ seed: 3 })
const link = network.link(network.host('app'), network.host('redis'), { delay: 5 })
await network.bridge('redis', 6379, { host: '127.0.0.1', port: 7379 })
await network.run(() =>
  network.on('app', async () => {
    const redis = new Redis({ host: 'redis', commandTimeout: 15_000 })
    await redis.set('count', 0)
    network.after(2, () => link.cable.setDown(true))
    network.after(40_002, () => link.cable.setUp())
    // The command is given up after 15 s of the application's time; the server sees it all the same, when the link is back.
    await assert.rejects(redis.incr('count'), /Command timed out/)
    assert.equal(Math.round(network.now / 1000), 15)
    await sleep(60_000)
    assert.equal(await redis.get('count'), '1')
    redis.disconnect()
  }),
)
console.log(`${network.now / 1000} s of the network's time in ${Math.round(performance.now() - start)} ms`)
network.close()
server.kill()
