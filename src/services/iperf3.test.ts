import { describe, expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { type Iperf3ClientOptions, type Iperf3Outcome, iperf3Client, iperf3Server } from './iperf3.ts'
import { Iperf3State, readExactly, readJson, readState, sendJson, sendState } from './iperf3-protocol.ts'

const SERVER = '10.0.0.2'

const machines = () => {
  const network = new Network({ seed: 1 })
  const client = network.host('client')
  const server = network.host('server')
  network.link(client, server, { delay: 5, rate: 100e6 })
  const told: string[] = []
  server.spawn('iperf3', iperf3Server({ tell: (line) => told.push(line) }))
  return { network, client, told }
}

/** Runs a program on the client until it ends. */
const on = async <T>({ network, client }: ReturnType<typeof machines>, body: (sys: Sys) => Promise<T>): Promise<T> => {
  await network.run(1)
  const results: T[] = []
  const process = client.spawn('client', async (sys) => {
    results.push(await body(sys))
  })
  expect(await network.runProcess(process, 60_000)).toBe(0)
  // The server hears the end of it.
  await network.run(1000)
  return results[0]!
}

const run = (
  machines_: ReturnType<typeof machines>,
  options: Partial<Iperf3ClientOptions> = {},
): Promise<Iperf3Outcome> => on(machines_, (sys) => iperf3Client(sys, { address: SERVER, time: 2, ...options }))

const bytesOf = ({ streams }: Iperf3Outcome['local']): number => streams.reduce((sum, { bytes }) => sum + bytes, 0)

describe('iperf3', () => {
  it.each([
    ['to the server', {}],
    ['from the server', { reverse: true }],
    ['on four streams', { parallel: 4 }],
    ['from the server on four', { parallel: 4, reverse: true, length: 1000 }],
  ])('fills the link, %s', async (_, options) => {
    const both = machines()
    const { local, remote, rate, seconds } = await run(both, options)
    // A link of 100 Mbit/s, of which headers take five and the beginning takes some.
    expect(rate).toBeGreaterThan(85e6)
    expect(rate).toBeLessThan(97e6)
    expect(seconds).toBeCloseTo(2, 9)
    const ids = [1, 3, 4, 5].slice(0, (options as { parallel?: number }).parallel ?? 1)
    expect(local.streams.map(({ id }) => id)).toEqual(ids)
    expect(remote.streams.map(({ id }) => id)).toEqual(ids)
    const isReverse = 'reverse' in options
    expect([local.sender_has_retransmits, remote.sender_has_retransmits]).toEqual(isReverse ? [-1, 1] : [1, -1])
    const [sent, received] = isReverse ? [bytesOf(remote), bytesOf(local)] : [bytesOf(local), bytesOf(remote)]
    expect(sent).toBeGreaterThanOrEqual(received)
    expect(both.told).toHaveLength(1)
    expect(both.told[0]).toMatch(/^10\.0\.0\.1 port \d+ sent \d+ bytes and was sent \d+ in 2\.\d+ s, \d+\.\d Mbit\/s$/)
    both.network.close()
  })

  it('takes one test after another', async () => {
    const both = machines()
    await run(both, { time: 0.1 })
    await run(both, { time: 0.1 })
    expect(both.told).toHaveLength(2)
    both.network.close()
  })

  /** Opens a connection, with a cookie. */
  const open = async (sys: Sys, letter: string): Promise<number> => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: SERVER, port: 5201 })
    await sys.send(fd, `${letter.repeat(36)}\0`)
    return fd
  }

  it('denies a second test, and goes on after a client that is gone', async () => {
    const both = machines()
    const states = await on(both, async (sys) => {
      const first = await open(sys, 'a')
      const asked = await readState(sys, first)
      const second = await open(sys, 'b')
      const denied = await readState(sys, second)
      await sys.close(first)
      await sys.sleep(1)
      return [asked, denied]
    })
    expect(states).toEqual([Iperf3State.ParameterExchange, Iperf3State.AccessDenied])
    expect(both.told[0]).toMatch(/: the peer has closed the connection$/)
    await run(both, { time: 0.1 })
    expect(both.told).toHaveLength(2)
    both.network.close()
  })

  it('gives a test up whose client goes away before, or while, it runs', async () => {
    const both = machines()
    await on(both, async (sys) => {
      for (const streams of [0, 1]) {
        const control = await open(sys, 'c')
        await readState(sys, control)
        await sendJson(sys, control, { tcp: true, parallel: 1, reverse: true })
        await readState(sys, control)
        const stream = streams === 0 ? -1 : await open(sys, 'c')
        if (stream >= 0) await readExactly(sys, stream, new Uint8Array(1000))
        await sendState(sys, control, Iperf3State.ClientTerminate)
        await sys.close(control)
        if (stream >= 0) await sys.close(stream)
        await sys.sleep(1)
      }
    })
    expect(both.told.map((line) => line.replace(/^.*?: /, ''))).toEqual([
      'the client has given up',
      'the client has given up',
    ])
    await run(both, { time: 0.1 })
    both.network.close()
  })

  it.each([
    [{ udp: true }, 'asks for UDP, which is not there'],
    [{ tcp: true, parallel: 1000 }, 'asks for 1000 streams of 131072 bytes a call, which is too much'],
    [{ tcp: true, len: 2 ** 30 }, 'asks for 1 streams of 1073741824 bytes a call, which is too much'],
  ])('refuses what it has not: %j', async (parameters, line) => {
    const both = machines()
    const state = await on(both, async (sys) => {
      const control = await open(sys, 'd')
      await readState(sys, control)
      await sendJson(sys, control, parameters)
      const state = await readState(sys, control)
      await readExactly(sys, control, new Uint8Array(8))
      await sys.close(control)
      return state
    })
    expect(state).toBe(Iperf3State.ServerError)
    expect(both.told[0]).toMatch(new RegExp(`: ${line}$`))
    both.network.close()
  })

  it('takes no endless parameters', async () => {
    const both = machines()
    await on(both, async (sys) => {
      const control = await open(sys, 'e')
      await readState(sys, control)
      await sys.send(control, Uint8Array.of(0x7f, 0xff, 0xff, 0xff))
      await expect(readJson(sys, control)).rejects.toThrow()
    })
    expect(both.told[0]).toMatch(/: the peer announces 2147483647 bytes of JSON$/)
    both.network.close()
  })
})
