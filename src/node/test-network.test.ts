import dgram from 'node:dgram'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { onNetwork, type TestNetwork, type TestNetworkOptions } from './test-network.ts'
import { test } from './vitest.ts'

const directory = mkdtempSync(join(tmpdir(), 'netglass-test-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** Runs what is to fail. @returns the error, and what was reported */
const failing = async (
  body: (test: TestNetwork) => unknown,
  options: TestNetworkOptions = {},
): Promise<{ error: Error; text: string }> => {
  let text = ''
  const report = (part: string): void => {
    text += part
  }
  const run = onNetwork({ directory, report, ...options }, body)
  const error = await run().then(
    () => new Error('it has passed'),
    (reason: Error) => reason,
  )
  return { error, text }
}

const serve = ({ network }: TestNetwork): http.Server => {
  network.link(network.host('client'), network.host('server'), { delay: 10 })
  return network.on('server', () => http.createServer((_, response) => response.end('hello')).listen(80))
}

describe('a test on a network', () => {
  test('has its own clock and hosts', async ({ network, t }) => {
    const server = serve({ network, t })
    const begin = Date.now()
    expect(await network.on('client', async () => (await fetch('http://server/')).text())).toBe('hello')
    await new Promise((resolve) => setTimeout(resolve, 3_600_000))
    server.close()
    expect(Date.now() - begin).toBe(3_600_060)
    t.expect(network.seed).toBe(1)
  })

  test('takes options of the network and of the runner', { seed: 7, timeout: 20_000 }, ({ network }) => {
    expect(network.seed).toBe(7)
  })

  test.fails('can be expected to fail', { report: () => {} }, () => {
    throw new Error('as expected')
  })

  test.skip('can be left out', () => {
    throw new Error('it runs')
  })

  it('that holds says nothing, and connections that are kept alive may end by themselves', async () => {
    let text = ''
    const report = (part: string): void => {
      text += part
    }
    const run = onNetwork({ report }, async (given) => {
      const server = serve(given)
      await given.network.on('client', async () => (await fetch('http://server/')).text())
      server.close()
    })
    await run()
    expect(text).toBe('')
  })

  it('that fails prints its seed, where its capture is, and what has happened', async () => {
    const { error, text } = await failing(
      async function unplugged({ network, t }) {
        const server = serve({ network, t })
        await network.on('client', async () => console.log(await (await fetch('http://server/')).text()))
        server.close()
        throw new Error('something else')
      },
      { seed: 3, quiet: true },
    )
    expect(error.message).toBe('something else')
    const [head, again, ...story] = text.trimEnd().split('\n')
    expect(head).toBe('netglass: "unplugged" has failed with seed 3, at 60 ms of the network\'s time')
    const file = join(directory, 'unplugged-seed-3.pcapng')
    expect(again).toBe(`  with another: NETGLASS_SEED=2; capture: ${file}`)
    expect(story[2]).toMatch(/^ +20\.000 ms {2}client ──▶ server {7}SYN seq 0 .* arrived 30\.000 ms$/)
    expect(story.some((line) => line.endsWith('client: node: hello'))).toBe(true)
    expect([...readFileSync(file).subarray(0, 4)]).toEqual([0x0a, 0x0d, 0x0d, 0x0a])
  })
})

describe('leaks', () => {
  it('are sockets, with who has opened them and where', async () => {
    const { error, text } = await failing(async (given) => {
      const { network } = given
      serve(given)
      await network.on('client', async () => {
        const socket = net.connect(80, 'server')
        await new Promise((resolve) => socket.once('connect', resolve))
        const udp = dgram.createSocket('udp4')
        await new Promise<void>((resolve) => udp.bind(53, '0.0.0.0', resolve))
        dgram.createSocket('udp4').bind(54).unref()
      })
    })
    const here = `${import.meta.filename}:\\d+:\\d+`
    const [head, ...leaks] = error.message.split('\n')
    expect(error.name).toBe('LeakError')
    expect(head).toBe('the test has left 4 things behind:')
    expect(leaks).toEqual([
      expect.stringMatching(
        new RegExp(`^  server: node \\(process 100\\) has the TCP socket :::80, opened at ${here}$`),
      ),
      expect.stringMatching(/^ {2}server: node \(process 100\) has the TCP socket ::ffff:10\.0\.0\.2:80 to .*$/),
      expect.stringMatching(
        new RegExp(
          `^  client: node \\(process 100\\) has the TCP socket 10.0.0.1:\\d+ to 10.0.0.2:80, opened at ${here}$`,
        ),
      ),
      expect.stringMatching(
        new RegExp(`^  client: node \\(process 100\\) has the UDP socket 0.0.0.0:53, opened at ${here}$`),
      ),
    ])
    expect(text).toContain('has failed with seed 1, at 10040')
  })

  it('are timers, with where they were set, and processes', async () => {
    const { error } = await failing(({ network }) => {
      network.host('a').spawn('idler', (sys) => sys.sleep(3600))
      setInterval(() => {}, 500)
      setTimeout(() => {}, 60_000)
      setTimeout(() => {}, 60_000).unref()
      setTimeout(() => {}, 9000)
    })
    expect(error.message.split('\n').map((line) => line.replace(/test\.ts:\d+:\d+$/, 'test.ts:N'))).toEqual([
      'the test has left 3 things behind:',
      '  a: idler (process 100) is running',
      `  an interval of 500 ms, set at ${import.meta.filename}:N`,
      `  a timer of 60000 ms, set at ${import.meta.filename}:N`,
    ])
  })

  it('are allowed where it is said', async () => {
    const run = onNetwork({ leaks: false, directory: join(directory, 'none') }, (given) => void serve(given))
    await run()
    expect(existsSync(join(directory, 'none'))).toBe(false)
  })
})
