/** Tests that jest runs in its sandbox: see runners.test.mjs. */
const http = require('node:http')
const Redis = require('ioredis')
const { testNetwork } = require('../../../dist/node/jest.cjs')

testNetwork('has the time of the network', async ({ network }) => {
  network.link(network.host('client'), network.host('server'), { delay: 10 })
  const server = network.on('server', () => http.createServer((_, response) => response.end('hello')).listen(80))
  const begin = Date.now()
  const text = await network.on('client', async () => (await fetch('http://server/')).text())
  await new Promise((resolve) => setTimeout(resolve, 3_600_000))
  expect(text).toBe('hello')
  expect(Date.now() - begin).toBe(3_600_060)
  expect(new Date() instanceof Date).toBe(true)
  server.close()
})

testNetwork('gives packages of the sandbox that time', { seed: 2, timeout: 20_000 }, async ({ network }) => {
  network.link(network.host('client'), network.host('server'), { delay: 10 })
  await network.on('client', async () => {
    const waits = []
    const retryStrategy = (times) => {
      waits.push(Math.round(network.now))
      return times < 4 ? 60_000 : null
    }
    const redis = new Redis({ host: 'server', retryStrategy, maxRetriesPerRequest: null })
    redis.on('error', () => {})
    await expect(redis.get('key')).rejects.toThrow('Connection is closed.')
    expect(waits).toEqual([40, 60_060, 120_080, 180_100])
  })
})

testNetwork('fails for what it leaves', ({ network }) => {
  network.on('client', () => http.createServer().listen(80))
})

testNetwork.skip('is left out', () => {
  throw new Error('it runs')
})
